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
from models.red_flag_screens import RedFlagScreen
from services.access import Actor

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


def stands(flare: Flare) -> dict[str, Any]:
    """Give the step and the hold from which somebody is about to change a flare-up."""
    return {
        "from_step": FlareStep(flare.step).value,
        "from_held_until": None if flare.held_until is None else flare.held_until.isoformat(),
    }


def who(actor: Actor | None) -> dict[str, Any]:
    """Give the role in which somebody changes a flare-up; nothing where the rules do."""
    return {} if actor is None else {"role": actor.role.value}


def screened(screen: RedFlagScreen) -> dict[str, Any]:
    """Give the red-flag screen that a flare-up took for its own, and what came of it."""
    return {"screen_id": str(screen.id), "level": screen.level.value}


def set_step(flare: Flare, step: FlareStep, reasons: Sequence[str], today: date, *, at: datetime) -> None:
    """Let a step hold from now on."""
    flare.step, flare.step_at, flare.step_on = step, at, today
    flare.reasons, flare.rule_version = list(reasons), load().flares.version


async def day_of(session: AsyncSession, flare: Flare, at: datetime) -> date:
    """Give the patient's local day, not before any that the flare-up has seen: he may have flown west."""
    query = select(Patient.zone).where(Patient.clinic_id == flare.clinic_id, Patient.id == flare.patient_id)
    zone = (await session.scalars(query)).one()
    return max(local_date(at, zone), flare.step_on)
