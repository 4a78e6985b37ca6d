"""The clinic itself: its name, zone, staffed hours and thresholds."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Invalid, Problem, Stale
from models.clinics import Clinic
from models.therapists import Profession, Therapist, TherapistStatus
from schemas.clinics import ClinicChange, ClinicOut, ClinicSettings, ClinicSettingsOut, read_settings
from services import access, audit
from services.access import Action, Actor


class LeadRefused(Invalid):
    """This is nobody who can be the clinical lead."""


async def get(session: AsyncSession, actor: Actor) -> ClinicOut:
    """Give the caller's clinic."""
    access.require(actor, Action.READ_CLINIC)
    return _out(await session.get_one(Clinic, actor.clinic_id))


async def update(
    session: AsyncSession, actor: Actor, change: ClinicChange, *, expected: int, at: datetime
) -> ClinicOut:
    """Change the caller's clinic. Raises Stale, LeadRefused."""
    access.require(actor, Action.CHANGE_CLINIC)
    clinic = await session.scalar(select(Clinic).where(Clinic.id == actor.clinic_id).with_for_update(key_share=True))
    assert clinic is not None, "a membership names a clinic that exists"
    if clinic.version != expected:
        raise Stale(clinic.version)
    changes = change.model_dump(mode="json", exclude_unset=True)
    if "settings" in changes:
        settings = read_settings({**clinic.settings, **changes["settings"]})
        if settings.clinical_lead_id is not None and "clinical_lead_id" in changes["settings"]:
            await _check_lead(session, actor.clinic_id, settings.clinical_lead_id)
        changes["settings"] = settings.model_dump(mode="json", exclude_defaults=True)
    if "holidays" in changes:
        changes["holidays"] = sorted(set(changes["holidays"]))
    for name, value in changes.items():
        setattr(clinic, name, value)
    await session.flush()
    await audit.record(session, actor, "clinic.update", at=at, subject=("clinic", clinic.id))
    return _out(clinic)


async def _check_lead(session: AsyncSession, clinic_id: UUID, therapist_id: UUID) -> None:
    fits = exists().where(
        Therapist.clinic_id == clinic_id,
        Therapist.id == therapist_id,
        Therapist.status == TherapistStatus.ACTIVE,
        Therapist.profession == Profession.PT,
    )
    if not await session.scalar(select(fits)):
        message = "Choose a physical therapist who works at the clinic."
        raise LeadRefused(Problem("/settings/clinical_lead_id", "clinical_lead_refused", message))


async def settings_of(session: AsyncSession, clinic_id: UUID) -> ClinicSettings:
    """Give the thresholds in force in a clinic."""
    return read_settings(await session.scalar(select(Clinic.settings).where(Clinic.id == clinic_id)) or {})


def _out(clinic: Clinic) -> ClinicOut:
    settings = ClinicSettingsOut.model_validate(read_settings(clinic.settings))
    shown = {name: getattr(clinic, name) for name in ClinicOut.model_fields if name != "settings"}
    return ClinicOut(**shown, settings=settings)
