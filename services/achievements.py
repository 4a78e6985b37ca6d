"""What a patient has achieved in an episode: computed each time, so that a correction corrects it."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import habits
from clinical.adherence import PlannedSession, day_done, day_streak
from clinical.library import load
from clinical.recurrence import local_date
from core.database import fetch
from models.episodes import Episode
from models.goals import Goal, GoalStatus, Milestone
from models.patients import Patient
from schemas.lifestyle import Achievements, Streak, Victory
from services import access, audit, goal_progress, programs, progress
from services.access import Action, Actor
from services.progress import changes, measuring

DAY = timedelta(days=1)

LONGEST = timedelta(days=400)
"""So far back sessions count."""

_CHECK_INS = """
SELECT CASE WHEN a.late THEN local_day(a.answered_at, c.zone) ELSE c.local_date END AS day
FROM check_ins c JOIN check_in_answers a ON a.clinic_id = c.clinic_id AND a.check_in_id = c.id
WHERE c.clinic_id = $1 AND c.patient_id = $2 AND c.episode_id = $3
ORDER BY a.answered_at, a.check_in_id LIMIT $4
"""
_COUNT = """
SELECT count(*) AS many FROM check_ins c
WHERE c.clinic_id = $1 AND c.patient_id = $2 AND c.episode_id = $3 AND c.answered_at IS NOT NULL
"""


async def get(
    session: AsyncSession, actor: Actor, patient_id: UUID, *, episode_id: UUID | None, at: datetime
) -> Achievements:
    """Tell what a patient has achieved in one episode (by default the newest); a fixed number of statements.

    Raises NotFound, also where there is no episode.
    """
    patient = await access.patient(session, actor, Action.READ_RECORD, patient_id, at=at)
    episode = await progress.episode_of(session, patient, episode_id)
    today = local_date(at, patient.zone)
    ladders = load().habits.milestones
    sessions = await _sessions(session, patient, episode, today)
    done = [day for day, each in sessions for kept in each if kept.completed]
    streak = day_streak([(day, _done_on(day, each, today)) for day, each in sessions])
    whose = (patient.clinic_id, patient.id, episode.id)
    answered = [row["day"] for row in await fetch(session, _CHECK_INS, *whose, ladders.check_ins[-1])]
    count = await fetch(session, _COUNT, *whose)
    found = [
        *_of_ladder("streak_days", streak.reached(ladders.streak_days)),
        *_of_ladder("sessions", habits.earned(ladders.sessions, done)),
        *_of_ladder("check_ins", habits.earned(ladders.check_ins, answered)),
        *await _goals(session, patient, episode, today),
        *await _changes(session, episode, today),
    ]
    subject = ("episode", episode.id)
    await audit.record(session, actor, "achievement.read", subject=subject, patient_id=patient.id, at=at)
    return Achievements(
        patient_id=patient.id,
        episode_id=episode.id,
        computed_at=at,
        streak=Streak(days=streak.days, since=streak.since, longest=streak.longest),
        sessions=len(done),
        check_ins=count[0]["many"],
        victories=sorted(found, key=lambda one: one.on, reverse=True),
    )


async def _sessions(
    session: AsyncSession, patient: Patient, episode: Episode, today: date
) -> list[tuple[date, list[PlannedSession]]]:
    """Give the planned sessions of each day up to today, and what came of them."""
    first = max(episode.started_on, today - LONGEST)
    clinic_id = patient.clinic_id
    planned = await programs.planned(session, clinic_id, patient.id, first, today, episode_id=episode.id)
    rows = await progress.sessions_of(session, episode, first, today)
    days: dict[date, list[PlannedSession]] = {}
    for slot in measuring.slots(planned, rows, today + DAY):  # what today still holds is among them
        days.setdefault(slot.on, []).append(slot.session)
    return sorted(days.items())


def _done_on(day: date, sessions: Sequence[PlannedSession], today: date) -> bool | None:
    """Tell whether a scheduled day was done; today is not over, and breaks nothing."""
    done = day_done(sessions)
    return None if done is False and day == today else done


def _of_ladder(kind: str, steps: Sequence[tuple[int, date]]) -> list[Victory]:
    return [_victory(kind, on, count=count) for count, on in steps]


async def _goals(session: AsyncSession, patient: Patient, episode: Episode, today: date) -> list[Victory]:
    """Give goals and milestones that were reached: by answers, or by the word of who said so."""
    mine = select(Goal).where(Goal.clinic_id == episode.clinic_id, Goal.episode_id == episode.id)
    goals = (await session.scalars(mine.order_by(Goal.id))).all()
    if not goals:
        return []
    steps = select(Milestone).where(
        Milestone.clinic_id == episode.clinic_id,
        Milestone.goal_id.in_([goal.id for goal in goals]),
        Milestone.dropped_at.is_(None),
    )
    milestones = (await session.scalars(steps.order_by(Milestone.id))).all()
    readings = await goal_progress.readings_of(session, patient, episode.id, goals, today)
    found = []
    for goal in goals:
        on = goal_progress.of_goal(goal, readings, patient.zone, today).reached_on
        if on is None and goal.status is GoalStatus.ACHIEVED and goal.closed_at is not None:
            on = local_date(goal.closed_at, patient.zone)
        if on is not None and goal.status is not GoalStatus.CANCELED:
            found.append(_victory("goal", on, goal_id=goal.id))
    known = {goal.id: goal for goal in goals}
    for step in milestones:
        goal, on = known[step.goal_id], step.reached_on
        if step.target is not None:
            on = goal_progress.of_goal(goal, readings, patient.zone, today, target=step.target).reached_on
        if on is not None:
            found.append(_victory("milestone", on, goal_id=goal.id, milestone_id=step.id))
    return found


async def _changes(session: AsyncSession, episode: Episode, today: date) -> list[Victory]:
    """Give the first day on which each instrument was better than at first by an amount that people call important."""
    rows = changes.by_instrument(await changes.standing_of_episode(session, episode, episode.started_on, today))
    known = load().measures
    found = []
    for code, given in rows.items():
        better = (row for row in given[1:] if changes.compare(known[code], given[0], row).improved)
        first = next(better, None)
        if first is not None:
            found.append(_victory("important_change", first.administered_on, instrument=code))
    return found


def _victory(kind: str, on: date, **about: Any) -> Victory:
    rest = dict.fromkeys(("count", "goal_id", "milestone_id", "instrument"))
    return Victory.model_validate({"kind": kind, "on": on, **rest, **about})
