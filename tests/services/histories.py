"""What a patient answered and did, day by day: rows as check-ins and sessions leave them."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from core.database import bind_clinic
from models.check_ins import CheckIn, CheckInAnswer, CheckInPlan, CheckInStatus, PlanFrequency
from models.sessions import ExerciseSession
from schemas.outcomes import OutcomeCreate
from schemas.programs import ProgramRead
from services import outcomes
from tests.services.caring import Care

ZONE = ZoneInfo("Europe/Berlin")
HOUR = timedelta(hours=1)


def morning(day: date, hour: int = 8) -> datetime:
    """Give an hour of alice's day."""
    return datetime.combine(day, time(hour), ZONE).astimezone(UTC)


async def plan(care: Care, first: date) -> UUID:
    """Ask alice every day at eight, as a plan that makes nothing by itself."""
    async with care.sessions.begin() as session:
        await care.open(session)
        row = CheckInPlan(
            clinic_id=care.clinic_id,
            patient_id=care.world.alice.id,
            episode_id=care.episode_id,
            question_set="daily",
            frequency=PlanFrequency.DAILY,
            weekdays=[1, 2, 3, 4, 5, 6, 7],
            steps=[1] * 7,
            local_time=time(8),
            zone="Europe/Berlin",
            starts_on=first,
        )
        session.add(row)
        await session.flush()
        return row.id


async def check_in(
    care: Care,
    day: date,
    status: CheckInStatus = CheckInStatus.SUBMITTED,
    *,
    plan_id: UUID | None = None,
    answered_at: datetime | None = None,
    question_set: str = "daily",
    **answers: Any,
) -> UUID:
    """Leave a check-in of a day, answered unless its status says otherwise."""
    due = morning(day)
    answered = status in {CheckInStatus.SUBMITTED, CheckInStatus.LATE}
    at = answered_at or due + HOUR
    row = CheckIn(
        clinic_id=care.clinic_id,
        id=uuid4(),
        patient_id=care.world.alice.id,
        episode_id=care.episode_id,
        plan_id=plan_id,
        local_date=day,
        question_set=question_set,
        zone="Europe/Berlin",
        status=status,
        opens_at=due,
        due_at=due,
        closes_at=due + 20 * HOUR,
        late_until=due + 44 * HOUR,
        answered_at=at if answered else None,
    )
    async with care.sessions.begin() as session:
        await bind_clinic(session, care.clinic_id)
        session.add(row)
        await session.flush()
        if answered:
            session.add(
                CheckInAnswer(
                    clinic_id=care.clinic_id,
                    check_in_id=row.id,
                    patient_id=care.world.alice.id,
                    question_set=question_set,
                    question_set_version="1",
                    answers=answers,
                    pain_now=answers.get("pain_now"),
                    late=status is CheckInStatus.LATE,
                    answered_at=at,
                    answered_by=care.alice.account_id,
                    body_sha256=b"",
                )
            )
    return row.id


async def exercised(
    care: Care,
    program: ProgramRead,
    day: date,
    *,
    slot: int = 1,
    done: int = 2,
    dose: int = 28,
    supersedes: UUID | None = None,
) -> UUID:
    """Leave a session of a day."""
    assert program.shown is not None
    row = ExerciseSession(
        clinic_id=care.clinic_id,
        id=uuid4(),
        patient_id=care.world.alice.id,
        program_id=program.id,
        version_id=program.shown.id,
        local_date=day,
        slot=slot,
        performed_at=morning(day, 10),
        device_zone="Europe/Berlin",
        received_at=morning(day, 11),
        items_prescribed=max(done, 2),
        items_done=done,
        dose_prescribed=28,
        dose_done=dose,
        body_sha256=b"",
        supersedes_id=supersedes,
    )
    async with care.sessions.begin() as session:
        await care.open(session)
        session.add(row)
    return row.id


async def outcome(
    care: Care, day: date, instrument: str, answers: dict[str, Any], *, supersedes: UUID | None = None
) -> UUID:
    """Let bob take an instrument on a day."""
    form = OutcomeCreate(instrument=instrument, answers=answers, administered_at=None, supersedes_id=supersedes)
    async with care.sessions.begin() as session:
        await care.open(session)
        return (await outcomes.create(session, care.bob, care.episode_id, form, at=morning(day, 12))).id


def roland(ticks: int) -> dict[str, Any]:
    """Answer the RMDQ with so many ticks."""
    return {f"q{number}": number <= ticks for number in range(1, 25)}


def specific(**ratings: int) -> dict[str, Any]:
    """Rate activities, by id."""
    return {"activities": [{"id": each, "name": each.title(), "rating": rating} for each, rating in ratings.items()]}
