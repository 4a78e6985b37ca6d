"""What every change of a flare-up leaves: its new step, and a line of its history."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from clinical.recurrence import local_date
from models.flares import Flare, FlareEvent, FlareStep
from models.patients import Patient

OPENED, SCREENED, STEP, OVERRIDDEN = "opened", "screened", "step", "overridden"
CONTACT, REASSESS, CLOSED = "contact", "reassess", "closed"


def note(
    session: AsyncSession,
    flare: Flare,
    kind: str,
    today: date,
    *,
    at: datetime,
    by: UUID | None = None,
    check_in_id: UUID | None = None,
    inputs: Mapping[str, Any] | None = None,
    words: str | None = None,
) -> None:
    """Add a line to the history of a flare-up, as it stands now. by: the account; None where the rules did it."""
    session.add(
        FlareEvent(
            clinic_id=flare.clinic_id,
            flare_id=flare.id,
            kind=kind,
            check_in_id=check_in_id,
            at=at,
            local_date=today,
            step=flare.step,
            reasons=list(flare.reasons),
            rule_version=flare.rule_version,
            inputs=dict(inputs or {}),
            by=by,
            note=words,
        )
    )


def set_step(flare: Flare, step: FlareStep, reasons: Sequence[str], today: date, *, at: datetime) -> None:
    """Let a step hold from now on."""
    flare.step, flare.step_at, flare.step_on = step, at, today
    flare.reasons, flare.rule_version = list(reasons), load().flares.version


async def day_of(session: AsyncSession, flare: Flare, at: datetime) -> date:
    """Give the patient's local day, not before any that the flare-up has seen: he may have flown west."""
    query = select(Patient.zone).where(Patient.clinic_id == flare.clinic_id, Patient.id == flare.patient_id)
    zone = (await session.scalars(query)).one()
    return max(local_date(at, zone), flare.step_on)
