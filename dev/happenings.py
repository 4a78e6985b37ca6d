"""What else happens in the demo clinic: habits and work, planned instruments, harm done and what becomes of it."""

from datetime import datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.recurrence import local_date
from core import crypto
from dev.opening import ZONE, Patient
from models.suggestions import Suggestion, SuggestionOutcome, SuggestionStatus
from schemas.adverse_events import AdverseEventCreate, AdverseEventPatch, AdverseEventReview
from schemas.factors import SelfCareIn, WorkExposureIn, WorkstationCheckIn
from schemas.suggestions import SuggestionAcceptance
from services import adverse_events, factors, suggestions
from services.access import Actor

DESK: dict[str, str] = {
    "feet": "fine",
    "back_support": "not_fine",
    "chair_height": "fine",
    "thigh_space": "fine",
    "reach": "fine",
    "screen_height": "not_fine",
    "screen_distance": "fine",
    "laptop": "not_fine",
    "glare": "fine",
    "phone": "does_not_apply",
    "breaks": "not_fine",
    "lifting": "does_not_apply",
}
BETTER_DESK = {**DESK, "screen_height": "fine", "laptop": "fine", "breaks": "fine"}
WORK: dict[str, Any] = {
    "sitting_hours": 6.5,
    "standing_hours": 1,
    "lifting_hours": 0.25,
    "driving_hours": 0.75,
    "shift_pattern": "day",
}
METHODS = ("heat", "breathing", "relaxation", "ice")
PAIN: dict[str, Any] = {
    "kind": "more_pain",
    "description": "Sharp pain in the back during an exercise; it took an hour until I could sit.",
    "grade": 2,
    "seriousness": [],
}


def _entry(at: datetime, content: dict[str, Any]) -> dict[str, Any]:
    return {"noted_at": at.isoformat(), "device_zone": ZONE, **content}


async def tell_of_work(session: AsyncSession, actor: Actor, at: datetime) -> None:
    """Let a patient say what his working day asks of him, and look at his desk."""
    exposure = WorkExposureIn.model_validate(_entry(at, WORK))
    await factors.put_work_exposure(session, actor, crypto.new_id(at), exposure, at=at)
    await _look_at_desk(session, actor, DESK, at)


async def change_desk(session: AsyncSession, actor: Actor, at: datetime) -> None:
    """Let a patient look at his desk again, after he has changed something."""
    await _look_at_desk(session, actor, BETTER_DESK, at)


async def _look_at_desk(session: AsyncSession, actor: Actor, answers: dict[str, str], at: datetime) -> None:
    check = WorkstationCheckIn.model_validate(_entry(at, {"place": "home", "answers": answers}))
    await factors.put_workstation_check(session, actor, crypto.new_id(at), check, at=at)


async def care_for_self(session: AsyncSession, actor: Actor, at: datetime, random: Random) -> None:
    """Let a patient do something for relief."""
    done = {"method": random.choice(METHODS), "minutes": random.choice((10, 15, 20)), "helped": random.randint(3, 7)}
    form = SelfCareIn.model_validate(_entry(at, done))
    await factors.put_self_care(session, actor, crypto.new_id(at), form, at=at)


async def report_pain(session: AsyncSession, patient: Patient, at: datetime, **more: Any) -> tuple[UUID, int]:
    """Let a patient put on the register what an exercise did to him; give the event's id and version."""
    assert patient.actor.patient_id is not None
    form = AdverseEventCreate.model_validate({**PAIN, "occurred_on": local_date(at, ZONE).isoformat(), **more})
    made = await adverse_events.create(session, patient.actor, patient.actor.patient_id, form, at=at)
    return made.id, made.version


async def take_out(session: AsyncSession, patient: Patient, at: datetime) -> bool:
    """Do what is suggested for an exercise that the rules have stopped, and close the event; tell whether there was one."""
    await suggestions.evaluate(session, patient.actor.clinic_id, [patient.program_id], at=at)
    stopped = await session.scalar(
        select(Suggestion).where(
            Suggestion.clinic_id == patient.actor.clinic_id,
            Suggestion.program_id == patient.program_id,
            Suggestion.outcome == SuggestionOutcome.STOP,
            Suggestion.status == SuggestionStatus.OPEN,
        )
    )
    if stopped is None:
        return False
    event, version = await report_pain(session, patient, at - timedelta(hours=2), item_id=str(stopped.item_id))
    note = SuggestionAcceptance(note="We leave it out, and look at it together in two weeks.")
    await suggestions.accept(session, patient.therapist, stopped.id, note, version=stopped.version, at=at)
    known = AdverseEventPatch.model_validate(
        {"relatedness": "probable", "outcome": "recovered", "note": "Told on the phone; better the next morning."}
    )
    row = await adverse_events.update(session, patient.therapist, event, known, version=version, at=at)
    form = AdverseEventReview.model_validate({"conclusion": "program_changed", "note": "The exercise was taken out."})
    await adverse_events.review(session, patient.therapist, event, form, version=row.version, at=at)
    return True
