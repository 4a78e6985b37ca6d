"""What clinicians do with alerts: look, acknowledge, assign, resolve."""

from collections.abc import Collection
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, exists, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from core.errors import Conflict, Invalid, Problem, Stale
from models.alerts import Alert, AlertEvent, AlertLevel, AlertOutcome, AlertStatus
from models.base import Json
from models.care_team import CareLink
from models.red_flag_screens import RedFlagLevel, RedFlagScreen, ScreenStatus
from models.therapists import Therapist
from schemas.pages import Page, Paged
from schemas.pages import fetch as fetch_page
from services import access, audit
from services.access import Action, Actor
from services.alerts.raising import RED_FLAG, About, deadlines, stands, tell, tell_owner


class AlertNotAcknowledged(Conflict):
    """Acknowledge this alert first: somebody must have seen it."""


class AlertNotOpen(Conflict):
    """This alert is past that step."""


class AlertNotResolved(Conflict):
    """Only an alert that was resolved is opened again."""


class TooLateToReopen(Conflict):
    """It was resolved too long ago: should its rule fire again, it raises a new alert."""


class AlertStands(Conflict):
    """Another alert of this rule is open already."""


class ScreenStillOpen(Conflict):
    """Close the red-flag screen first; a human says how it ended."""


class AssigneeNotLinked(Invalid):
    """This therapist does not treat this patient."""


async def browse(
    session: AsyncSession,
    actor: Actor,
    page: Page,
    *,
    status: Collection[AlertStatus] | None = None,
    level: Collection[AlertLevel] | None = None,
    patient_id: UUID | None = None,
    rule_id: str | None = None,
    owner_id: UUID | None = None,
    at: datetime,
) -> Paged[Alert]:
    """Alerts within reach, what must be answered first on top; unresolved ones only, unless `status` says otherwise.

    Raises Forbidden; NotFound when `patient_id` is out of reach.
    """
    if patient_id is not None:
        await access.patient(session, actor, Action.READ_ALERTS, patient_id, at=at)
    query = select(Alert).where(
        Alert.clinic_id == actor.clinic_id, Alert.patient_id.in_(access.patients(actor, Action.READ_ALERTS, at))
    )
    query = query.where(Alert.status.in_(status) if status else Alert.status != AlertStatus.RESOLVED)
    narrowed: list[ColumnElement[bool]] = []
    if level:
        narrowed.append(Alert.level.in_(level))
    if patient_id is not None:
        narrowed.append(Alert.patient_id == patient_id)
    if rule_id is not None:
        narrowed.append(Alert.rule_id == rule_id)
    if owner_id is not None:
        narrowed.append(Alert.owner_id == owner_id)
    await audit.record(session, actor, "alert.list", subject=("alert", None), patient_id=patient_id, at=at)
    return await fetch_page(session, query.where(*narrowed), page, keys=(Alert.respond_by, Alert.id))


async def get(session: AsyncSession, actor: Actor, alert_id: UUID, *, at: datetime) -> Alert:
    """One alert. Raises Forbidden, NotFound."""
    alert = await access.subject(session, actor, Action.READ_ALERTS, Alert, alert_id, at=at)
    await audit.record(session, actor, "alert.read", subject=("alert", alert.id), patient_id=alert.patient_id, at=at)
    return alert


async def acknowledge(session: AsyncSession, actor: Actor, alert_id: UUID, *, version: int, at: datetime) -> Alert:
    """Say that somebody has seen it: it is his, until he gives it away. Raises NotFound, Stale, AlertNotOpen."""
    alert = await _changing(session, actor, alert_id, version, at)
    if alert.status is not AlertStatus.OPEN:
        raise AlertNotOpen
    alert.status = AlertStatus.ACKNOWLEDGED
    alert.acknowledged_at, alert.acknowledged_by = at, actor.account_id
    alert.owner_id = actor.therapist_id
    return await _changed(session, actor, alert, "acknowledged", at)


async def assign(
    session: AsyncSession, actor: Actor, alert_id: UUID, therapist_id: UUID, *, version: int, at: datetime
) -> Alert:
    """Give it to a therapist who treats the patient, and owe him word of it; whoever assigns has seen it.

    Raises NotFound, Stale, AlertNotOpen, AssigneeNotLinked.
    """
    alert = await _changing(session, actor, alert_id, version, at)
    if alert.status is AlertStatus.RESOLVED:
        raise AlertNotOpen
    linked = (
        select(Therapist.account_id)
        .join(CareLink, and_(CareLink.clinic_id == Therapist.clinic_id, CareLink.therapist_id == Therapist.id))
        .where(
            CareLink.clinic_id == actor.clinic_id,
            CareLink.patient_id == alert.patient_id,
            CareLink.therapist_id == therapist_id,
            CareLink.during.op("@>")(literal(at)),
        )
    )
    found = (await session.execute(linked)).first()
    if found is None:
        raise AssigneeNotLinked(Problem("/therapist_id", "assignee_not_linked", "Choose somebody of the care team."))
    if alert.status is AlertStatus.OPEN:
        alert.acknowledged_at, alert.acknowledged_by = at, actor.account_id
    alert.status = AlertStatus.ASSIGNED
    alert.owner_id = therapist_id
    changed = await _changed(session, actor, alert, "assigned", at)
    if found.account_id is not None and found.account_id != actor.account_id:
        await tell_owner(session, _about(alert), found.account_id, at, version=changed.version)
    return changed


async def resolve(
    session: AsyncSession,
    actor: Actor,
    alert_id: UUID,
    outcome: AlertOutcome,
    note: str | None,
    *,
    version: int,
    at: datetime,
) -> Alert:
    """Say how it ended. A red flag's alert stays as long as a screen of the patient at an urgent level is open.

    Raises NotFound, Stale, AlertNotAcknowledged, AlertNotOpen, ScreenStillOpen.
    """
    alert = await _changing(session, actor, alert_id, version, at)
    if alert.status is AlertStatus.OPEN:
        raise AlertNotAcknowledged
    if alert.status is AlertStatus.RESOLVED:
        raise AlertNotOpen
    if alert.rule_id == RED_FLAG:
        open_screen = exists().where(
            RedFlagScreen.clinic_id == actor.clinic_id,
            RedFlagScreen.patient_id == alert.patient_id,
            RedFlagScreen.level.in_([RedFlagLevel.URGENT_SAME_DAY, RedFlagLevel.EMERGENCY_NOW]),
            RedFlagScreen.status != ScreenStatus.CLOSED,
        )
        if await session.scalar(select(open_screen)):
            raise ScreenStillOpen
    alert.status = AlertStatus.RESOLVED
    alert.resolved_at, alert.resolved_by = at, actor.account_id
    alert.outcome, alert.note = outcome, note
    return await _changed(session, actor, alert, "resolved", at, inputs={"outcome": outcome.value}, note=note)


async def reopen(
    session: AsyncSession, actor: Actor, alert_id: UUID, reason: str, *, version: int, at: datetime
) -> Alert:
    """Open an alert again that was resolved too early, as long as its rule would raise none by itself.

    The clock starts anew, and somebody must acknowledge it again; how it had ended stays with its events. Raises
    NotFound, Stale, AlertNotResolved, TooLateToReopen, AlertStands.
    """
    alert = await _changing(session, actor, alert_id, version, at)
    if alert.status is not AlertStatus.RESOLVED or alert.resolved_at is None or alert.outcome is None:
        raise AlertNotResolved
    if at >= alert.resolved_at + timedelta(hours=load().escalation.dedupe.reopen_after_hours):
        raise TooLateToReopen
    if await session.scalar(select(stands(alert.clinic_id, alert.patient_id, alert.rule_id))):
        raise AlertStands
    ended = {
        "outcome": alert.outcome.value,
        "resolved_by": str(alert.resolved_by),
        "resolved_at": alert.resolved_at.isoformat(),
    }
    limits = await deadlines(session, [(alert.clinic_id, alert.level)], at)
    alert.status, alert.respond_by = AlertStatus.OPEN, limits[alert.clinic_id, alert.level]
    alert.resolved_at = alert.resolved_by = alert.outcome = alert.note = None
    alert.acknowledged_at = alert.acknowledged_by = alert.owner_id = None
    alert.overdue_at = alert.escalate_at = None
    alert.escalations = 0
    changed = await _changed(session, actor, alert, "reopened", at, inputs=ended, note=reason)
    await tell(session, "alert_raised", [_about(alert)], at, again=True)
    return changed


def _about(alert: Alert) -> About:
    return About(alert.clinic_id, alert.patient_id, alert.id, alert.rule_id, alert.level)


async def _changing(session: AsyncSession, actor: Actor, alert_id: UUID, version: int, at: datetime) -> Alert:
    alert = await access.subject(session, actor, Action.HANDLE_ALERTS, Alert, alert_id, at=at, lock=True)
    if alert.version != version:
        raise Stale(alert.version)
    return alert


async def _changed(
    session: AsyncSession,
    actor: Actor,
    alert: Alert,
    kind: str,
    at: datetime,
    *,
    inputs: Json | None = None,
    note: str | None = None,
) -> Alert:
    session.add(
        AlertEvent(
            clinic_id=alert.clinic_id,
            alert_id=alert.id,
            kind=kind,
            at=at,
            by=actor.account_id,
            inputs=inputs or {},
            note=note,
        )
    )
    await session.flush()
    verb = {"acknowledged": "acknowledge", "assigned": "assign", "resolved": "resolve", "reopened": "reopen"}[kind]
    await audit.record(session, actor, f"alert.{verb}", subject=("alert", alert.id), patient_id=alert.patient_id, at=at)
    return alert
