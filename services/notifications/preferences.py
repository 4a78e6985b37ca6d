"""How somebody wants to be told: category by category and channel by channel, quiet hours, language, a pause."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Invalid, Problem
from models.clinics import Clinic
from models.notifications import NotificationCategory, NotificationChannel, NotificationPreference
from models.patients import Patient
from schemas.notifications import CategoryOut, ChannelSwitches, PreferencesChange, PreferencesOut
from services import access, audit
from services.access import Action, Actor
from services.notifications import leasing, policy, texts

SHOWN = tuple(category for category in NotificationCategory if category is not NotificationCategory.INVITATION)
"""An invitation goes to somebody who has no account yet."""


class PreferencesRefused(Invalid):
    """Messages cannot be set like this; see errors."""


async def get(session: AsyncSession, actor: Actor, *, web_push_key: str | None) -> PreferencesOut:
    """Give the caller's preferences, with what holds where he said nothing. web_push_key: ours, for browsers."""
    access.require(actor, Action.RECEIVE_NOTIFICATIONS)
    row = await session.scalar(_mine(actor))
    return await _shown(session, actor, row, web_push_key)


async def update(
    session: AsyncSession, actor: Actor, change: PreferencesChange, *, web_push_key: str | None, at: datetime
) -> PreferencesOut:
    """Change what is named, leave the rest; several changes at once are all kept. Raises PreferencesRefused."""
    access.require(actor, Action.RECEIVE_NOTIFICATIONS)
    changes = change.model_dump(exclude_unset=True)
    _check(changes)
    first = insert(NotificationPreference).values(clinic_id=actor.clinic_id, account_id=actor.account_id)
    await session.execute(first.on_conflict_do_nothing())
    row = (await session.scalars(_mine(actor).with_for_update().execution_options(populate_existing=True))).one()
    asked = changes.pop("categories", {})
    channels = {} if asked is None else {category: dict(chosen) for category, chosen in row.channels.items()}
    for category, chosen in (asked or {}).items():
        kept = {} if chosen is None else channels.get(category, {}) | chosen  # null takes a choice back
        channels[category] = {name: on for name, on in kept.items() if on is not None}
    row.channels = channels
    for name, value in changes.items():
        setattr(row, name, value)
    await session.flush()
    await audit.record(session, actor, "notification_preference.update", at=at, subject=("account", actor.account_id))
    return await _shown(session, actor, row, web_push_key)


def _mine(actor: Actor) -> Any:
    return select(NotificationPreference).where(
        NotificationPreference.clinic_id == actor.clinic_id, NotificationPreference.account_id == actor.account_id
    )


def _check(changes: Mapping[str, Any]) -> None:
    problems = []
    ends = ("quiet_from", "quiet_until")
    wanting = [name for name in ends if name not in changes] or [name for name in ends if changes[name] is None]
    if len(wanting) == 1:
        problems.append(Problem(f"/{wanting[0]}", "quiet_hours", "Quiet hours have a beginning and an end: give both"))
    for category, chosen in (changes.get("categories") or {}).items():
        if policy.RULES[NotificationCategory(category)].mandatory:
            problems.extend(
                Problem(f"/categories/{category}/{name}", "mandatory", "This cannot be switched off")
                for name, on in (chosen or {}).items()
                if on is False
            )
    if problems:
        raise PreferencesRefused(*problems)


async def _shown(
    session: AsyncSession, actor: Actor, row: NotificationPreference | None, web_push_key: str | None
) -> PreferencesOut:
    own = select(Patient.zone, Patient.language).where(
        Patient.clinic_id == actor.clinic_id, Patient.id == actor.patient_id
    )
    patient = (await session.execute(own)).one_or_none() if actor.patient_id is not None else None
    zone = patient.zone if patient else await session.scalar(select(Clinic.zone).where(Clinic.id == actor.clinic_id))
    hours = leasing.quiet(
        row.quiet_from if row else None, row.quiet_until if row else None, patient=patient is not None
    )
    return PreferencesOut(
        version=row.version if row else 1,
        language=(row.language if row else None) or (patient.language if patient else texts.ENGLISH),
        languages=sorted(texts.languages()),
        zone=zone,
        quiet_from=hours[0] if hours else None,
        quiet_until=hours[1] if hours else None,
        muted_until=row.muted_until if row else None,
        categories=[_category(category, row.channels if row else {}) for category in SHOWN],
        web_push_key=web_push_key,
    )


def _category(category: NotificationCategory, channels: Mapping[str, Mapping[str, bool]]) -> CategoryOut:
    chosen = leasing.switched(channels, category)
    rule = policy.RULES[category]
    ways = {*rule.order, policy.IN_APP}
    return CategoryOut(
        category=category,
        mandatory=rule.mandatory,
        urgent=rule.urgent,
        channels=ChannelSwitches(
            **{way.value: policy.is_on(category, way, chosen) if way in ways else None for way in NotificationChannel}
        ),
    )
