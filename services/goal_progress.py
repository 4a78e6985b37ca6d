"""How far goals are, read anew each time from what was answered: a corrected outcome corrects it."""

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import habits
from clinical.goals import NOTHING, Achievement, Reading, achievement
from clinical.library import load
from clinical.recurrence import local_date
from models.goals import Goal
from models.outcomes import Outcome
from models.patients import Patient
from services import daily_measures, outcomes

BEFORE = timedelta(days=28)
"""Daily answers are read from so long before the first goal was set; scores from the first of the episode on."""

Readings = Mapping[tuple[str, str | None], Sequence[Reading]]
"""By measure and activity, the oldest first."""


async def readings_of(
    session: AsyncSession, patient: Patient, episode_id: UUID, goals: Sequence[Goal], until: date
) -> Readings:
    """Read what these goals of one episode are held against, up to `until`; in two statements at most."""
    found: dict[tuple[str, str | None], Sequence[Reading]] = {}
    wanted = {(goal.measure, goal.activity_id) for goal in goals if goal.measure is not None}
    scored = {code for code, _ in wanted if code in load().measures}
    rows = await _scores(session, patient.clinic_id, episode_id, scored, until) if scored else []
    for code, activity in sorted(wanted, key=str):
        if code in scored:
            values = ((row, _value(row, activity)) for row in rows if row.instrument_code == code)
            found[code, activity] = [Reading(row.administered_on, value) for row, value in values if value is not None]
    daily = sorted(code for code, _ in wanted if code not in scored)
    if daily:
        # All of it, however old: what a goal began with, and the day on which it was reached, do not fade.
        held = [goal for goal in goals if goal.measure in daily]
        first = min(local_date(goal.created_at, patient.zone) for goal in held) - BEFORE
        last = max(_last(goal, patient.zone, until) for goal in held)
        answers = await daily_measures.of_patient(
            session, patient.clinic_id, patient.id, daily, first, last, episode_id=episode_id
        )
        for code, given in answers.items():
            measure = habits.measure_of(code)
            assert measure is not None
            values_ = habits.values(measure, daily_measures.by_day(given))
            found[code, None] = [Reading(on, value) for on, value in values_]
    return found


def of_goal(goal: Goal, readings: Readings, zone: str, until: date, *, target: Decimal | None = None) -> Achievement:
    """Hold a goal, or a milestone's target on the way to it, against its readings up to `until`.

    A closed goal is held against what was known on the day on which it was closed. Where no baseline was named it is the
    first score of the episode, as everywhere else, or of a daily measure its value when the goal was set.
    """
    wanted = goal.target if target is None else target
    if goal.measure is None or wanted is None:
        return NOTHING
    last = _last(goal, zone, until)
    known = [reading for reading in readings.get((goal.measure, goal.activity_id), ()) if reading.on <= last]
    baseline = goal.baseline
    if baseline is None and known and goal.measure in load().measures:
        baseline = known[0].value
    lower = lower_is_better(goal.measure)
    return achievement(known, baseline, wanted, set_on=local_date(goal.created_at, zone), lower_is_better=lower)


def _last(goal: Goal, zone: str, until: date) -> date:
    return until if goal.closed_at is None else min(until, local_date(goal.closed_at, zone))


def lower_is_better(measure: str) -> bool:
    """Tell which way is better. Raises KeyError for a measure that is neither an instrument nor daily."""
    daily = habits.measure_of(measure)
    return load().measures[measure].primary.lower_is_better if daily is None else daily.lower_is_better


async def _scores(
    session: AsyncSession, clinic_id: UUID, episode_id: UUID, codes: set[str], until: date
) -> Sequence[Outcome]:
    query = outcomes.standing(clinic_id).where(
        Outcome.episode_id == episode_id, Outcome.instrument_code.in_(codes), Outcome.administered_on <= until
    )
    return (await session.scalars(query.order_by(Outcome.administered_at, Outcome.id))).all()


def _value(row: Outcome, activity_id: str | None) -> Decimal | None:
    if activity_id is None:
        return row.score
    rating = outcomes.ratings(row.answers).get(activity_id)
    return None if rating is None else Decimal(rating)


async def patient_of(session: AsyncSession, clinic_id: UUID, patient_id: UUID) -> Patient:
    """Give the patient of a record that was reached already."""
    query = select(Patient).where(Patient.clinic_id == clinic_id, Patient.id == patient_id)
    return (await session.scalars(query)).one()
