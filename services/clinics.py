"""The clinic itself: its name, zone, staffed hours and thresholds."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Stale
from models.clinics import Clinic
from schemas.clinics import ClinicChange, ClinicOut, ClinicSettings, ClinicSettingsOut, read_settings
from services import access, audit
from services.access import Action, Actor


async def get(session: AsyncSession, actor: Actor) -> ClinicOut:
    """Give the caller's clinic."""
    access.require(actor, Action.READ_CLINIC)
    return _out(await session.get_one(Clinic, actor.clinic_id))


async def update(
    session: AsyncSession, actor: Actor, change: ClinicChange, *, expected: int, at: datetime
) -> ClinicOut:
    """Change the caller's clinic. Raises Stale."""
    access.require(actor, Action.CHANGE_CLINIC)
    clinic = await session.scalar(select(Clinic).where(Clinic.id == actor.clinic_id).with_for_update(key_share=True))
    assert clinic is not None, "a membership names a clinic that exists"
    if clinic.version != expected:
        raise Stale(clinic.version)
    changes = change.model_dump(mode="json", exclude_unset=True)
    if "settings" in changes:
        changes["settings"] = read_settings({**clinic.settings, **changes["settings"]}).model_dump(
            exclude_defaults=True
        )
    if "holidays" in changes:
        changes["holidays"] = sorted(set(changes["holidays"]))
    for name, value in changes.items():
        setattr(clinic, name, value)
    await session.flush()
    await audit.record(session, actor, "clinic.update", at=at, subject=("clinic", clinic.id))
    return _out(clinic)


async def settings_of(session: AsyncSession, clinic_id: UUID) -> ClinicSettings:
    """Give the thresholds in force in a clinic."""
    return read_settings(await session.scalar(select(Clinic.settings).where(Clinic.id == clinic_id)) or {})


def _out(clinic: Clinic) -> ClinicOut:
    settings = ClinicSettingsOut.model_validate(read_settings(clinic.settings))
    shown = {name: getattr(clinic, name) for name in ClinicOut.model_fields if name != "settings"}
    return ClinicOut(**shown, settings=settings)
