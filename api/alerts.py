"""Alerts over HTTP."""

from typing import Annotated
from uuid import UUID

from fastapi import Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, etag
from api.pages import Page
from api.routes import Router
from models.alerts import Alert, AlertLevel, AlertStatus
from schemas.alerts import AlertOut, Assignment, Reopening, Resolution
from schemas.base import CODE, Listing
from schemas.pages import Paged
from services import alerts

router = Router("/v1/alerts", tags=["alerts"])


@router.get("", response_model=Listing[AlertOut])
async def list_alerts(
    page: Page,
    session: Session,
    actor: Caller,
    now: Now,
    status: Annotated[list[AlertStatus] | None, Query(max_length=4, description="Without it: all but resolved")] = None,
    level: Annotated[list[AlertLevel] | None, Query(max_length=6)] = None,
    patient_id: UUID | None = None,
    rule_id: Annotated[str | None, Query(max_length=20, pattern=CODE)] = None,
    owner_id: UUID | None = None,
) -> Paged[Alert]:
    """List alerts, what must be answered first on top."""
    return await alerts.browse(
        session,
        actor,
        page,
        status=status,
        level=level,
        patient_id=patient_id,
        rule_id=rule_id,
        owner_id=owner_id,
        at=now,
    )


@router.get("/{alert_id}", response_model=AlertOut)
async def get_alert(alert_id: UUID, response: Response, session: Session, actor: Caller, now: Now) -> Alert:
    """Give one alert, as events, messages and the worklist name it."""
    row = await alerts.get(session, actor, alert_id, at=now)
    etag(response, row.version)
    return row


@router.post("/{alert_id}/acknowledge", response_model=AlertOut)
async def acknowledge_alert(
    alert_id: UUID, if_match: IfMatch, response: Response, session: Session, actor: Caller, now: Now
) -> Alert:
    """Say that somebody has seen an open alert."""
    row = await alerts.acknowledge(session, actor, alert_id, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/{alert_id}/assign", response_model=AlertOut)
async def assign_alert(
    alert_id: UUID, form: Assignment, if_match: IfMatch, response: Response, session: Session, actor: Caller, now: Now
) -> Alert:
    """Give an alert to a therapist of the care team, who is told from level `high` on; an open one is acknowledged by it."""
    row = await alerts.assign(session, actor, alert_id, form.therapist_id, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/{alert_id}/resolve", response_model=AlertOut)
async def resolve_alert(
    alert_id: UUID, form: Resolution, if_match: IfMatch, response: Response, session: Session, actor: Caller, now: Now
) -> Alert:
    """Say how an acknowledged alert ended."""
    row = await alerts.resolve(session, actor, alert_id, form.outcome, form.note, version=if_match, at=now)
    etag(response, row.version)
    return row


@router.post("/{alert_id}/reopen", response_model=AlertOut)
async def reopen_alert(
    alert_id: UUID, form: Reopening, if_match: IfMatch, response: Response, session: Session, actor: Caller, now: Now
) -> Alert:
    """Open an alert again that was resolved within the last three days."""
    row = await alerts.reopen(session, actor, alert_id, form.reason, version=if_match, at=now)
    etag(response, row.version)
    return row
