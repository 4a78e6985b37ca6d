"""Goals: in the patient's words, and held against a measure where there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import habits, library
from clinical.goals import Achievement
from clinical.recurrence import local_date
from core.errors import Conflict, Invalid, Problem, Stale
from models.episodes import Episode
from models.goals import Goal, GoalStatus, Milestone
from models.patients import Patient
from schemas.goals import GoalAchievement, GoalChange, GoalCreate, GoalRead
from schemas.pages import Page, Paged, fetch
from services import access, audit, episode_gate, goal_progress, instruments, outcomes
from services.access import Action, Actor

LATEST = timedelta(days=5 * 366)
"""How far ahead a goal may lie."""


class GoalRefused(Invalid):
    """The goal does not fit its measure, or its day."""


class GoalClosed(Conflict):
    """This goal is closed: it can only be made active again."""


@dataclass(frozen=True)
class Scale:
    """What a measure can be: its ends, its decimals, and which way is better."""

    low: float
    high: float
    decimals: int
    lower_is_better: bool

    @classmethod
    def of(cls, measure: str) -> "Scale":
        """Give the scale of an instrument's score, of one of its activities, or of a daily measure."""
        daily = habits.measure_of(measure)
        if daily is not None:
            question = habits.question_of(measure)
            return cls(question.min or 0, question.max or 0, question.decimals or 0, daily.lower_is_better)
        instrument = library.load().measures[measure]
        rule = instrument.primary
        # One activity is rated in whole numbers; only the mean of several has decimals.
        decimals = 0 if instrument.repeated is not None else rule.decimals
        return cls(*rule.range, decimals, rule.lower_is_better)

    def better(self, value: float, than: float) -> bool:
        """Tell whether a value is better than another one."""
        return value < than if self.lower_is_better else value > than

    def problems(self, name: str, value: float) -> list[Problem]:
        """Tell whether the field holds what the measure cannot be."""
        if not self.low <= value <= self.high:
            return [Problem(f"/{name}", "out_of_range", "The measure has no such score.")]
        if round(value, self.decimals) != value:
            return [Problem(f"/{name}", "too_fine", "The measure has no scores in between.")]
        return []


async def browse(
    session: AsyncSession, actor: Actor, episode_id: UUID, page: Page, *, status: GoalStatus | None, at: datetime
) -> Paged[GoalRead]:
    """List an episode's goals and how far they are, oldest first. Raises NotFound."""
    episode = await access.subject(session, actor, Action.READ_RECORD, Episode, episode_id, at=at)
    query = select(Goal).where(Goal.clinic_id == actor.clinic_id, Goal.episode_id == episode.id)
    if status is not None:
        query = query.where(Goal.status == status)
    await audit.record(session, actor, "goal.list", subject=("goal", None), patient_id=episode.patient_id, at=at)
    found = await fetch(session, query, page, keys=(Goal.created_at, Goal.id))
    return Paged(await _read(session, found.items, at), found.next_cursor)


async def create(session: AsyncSession, actor: Actor, episode_id: UUID, form: GoalCreate, *, at: datetime) -> GoalRead:
    """Set a goal in an episode that is not discharged.

    Raises NotFound, EpisodeClosed, GoalRefused, InstrumentNotLicensed.
    """
    episode = await access.subject(session, actor, Action.SET_GOALS, Episode, episode_id, at=at)
    episode_gate.require_open(episode)
    values = form.model_dump()
    problems = _measured(values) or await _activity(session, episode, form)
    refuse([*problems, *due(form.due_on, await _today(session, episode.clinic_id, episode.patient_id, at))])
    if (
        form.measure is not None and form.measure in library.load().measures
    ):  # what cannot be asked never says how far the goal is
        await instruments.usable(session, actor, form.measure, at=at)
    row = Goal(
        clinic_id=actor.clinic_id,
        patient_id=episode.patient_id,
        episode_id=episode.id,
        status=GoalStatus.ACTIVE,
        created_at=at,
        **stored(values),
    )
    session.add(row)
    await session.flush()
    await audit.record(session, actor, "goal.create", subject=("goal", row.id), patient_id=row.patient_id, at=at)
    return (await _read(session, [row], at))[0]


async def update(
    session: AsyncSession, actor: Actor, goal_id: UUID, change: GoalChange, *, version: int, at: datetime
) -> GoalRead:
    """Change or close an active goal, or make a closed one active. Raises NotFound, GoalClosed, Stale, GoalRefused."""
    row = await access.subject(session, actor, Action.SET_GOALS, Goal, goal_id, at=at, lock=True)
    values = change.model_dump(exclude_unset=True)
    status = values.pop("status", row.status)
    if row.status is not GoalStatus.ACTIVE and (status is not GoalStatus.ACTIVE or values):
        raise GoalClosed
    if row.version != version:
        raise Stale(row.version)
    held = {name: _plain(getattr(row, name)) for name in ("measure", "activity_id", "baseline", "target")}
    problems = _measured(held | values)
    problems += [
        Problem(f"/{name}", "null_refused", "This cannot be empty.")
        for name, value in (("statement", values.get("statement", "")), ("status", status))
        if value is None
    ]
    if values.get("due_on") is not None:
        problems += due(values["due_on"], await _today(session, row.clinic_id, row.patient_id, at))
    if not problems and values.get("target") not in {None, held["target"]}:
        problems += await _beyond(session, row, values["target"], at)
    refuse(problems)
    for name, value in stored(values).items():
        setattr(row, name, value)
    if status is not row.status:
        row.status, row.closed_at = status, None if status is GoalStatus.ACTIVE else at
    await session.flush()
    await audit.record(session, actor, "goal.update", subject=("goal", row.id), patient_id=row.patient_id, at=at)
    return (await _read(session, [row], at))[0]


async def _read(session: AsyncSession, goals: Sequence[Goal], at: datetime) -> list[GoalRead]:
    """Give goals of one episode with how far they are."""
    if not goals:
        return []
    patient = await goal_progress.patient_of(session, goals[0].clinic_id, goals[0].patient_id)
    today = local_date(at, patient.zone)
    readings = await goal_progress.readings_of(session, patient, goals[0].episode_id, goals, today)
    plain = GoalRead.model_fields.keys() - {"achievement"}
    return [
        GoalRead.model_validate(
            {name: getattr(goal, name) for name in plain}
            | {"achievement": _achievement(goal, goal_progress.of_goal(goal, readings, patient.zone, today), today)}
        )
        for goal in goals
    ]


def _achievement(goal: Goal, found: Achievement, today: date) -> GoalAchievement:
    overdue = None
    if goal.due_on is not None:
        late = found.reached_on is None or found.reached_on > goal.due_on
        overdue = goal.status is GoalStatus.ACTIVE and goal.due_on < today and late
    return GoalAchievement(
        baseline=_plain(found.baseline),
        current=_plain(found.current),
        current_on=found.current_on,
        percent=_plain(found.percent),
        reached_on=found.reached_on,
        holds=found.holds,
        overdue=overdue,
    )


async def _today(session: AsyncSession, clinic_id: UUID, patient_id: UUID, at: datetime) -> date:
    zone = await session.scalar(select(Patient.zone).where(Patient.clinic_id == clinic_id, Patient.id == patient_id))
    assert zone is not None
    return local_date(at, zone)


async def _beyond(session: AsyncSession, goal: Goal, target: float, at: datetime) -> list[Problem]:
    """Tell whether milestones that are not reached yet ask for more than a new target of their goal."""
    assert goal.measure is not None, "what has a target has a measure"
    scale = Scale.of(goal.measure)
    query = select(Milestone.target).where(
        Milestone.clinic_id == goal.clinic_id,
        Milestone.goal_id == goal.id,
        Milestone.target.is_not(None),
        Milestone.dropped_at.is_(None),
    )
    further = [each for each in await session.scalars(query) if each is not None and scale.better(float(each), target)]
    if not further:
        return []
    patient = await goal_progress.patient_of(session, goal.clinic_id, goal.patient_id)
    today = local_date(at, patient.zone)
    readings = await goal_progress.readings_of(session, patient, goal.episode_id, [goal], today)
    found = (goal_progress.of_goal(goal, readings, patient.zone, today, target=each) for each in further)
    if all(each.reached_on is not None for each in found):
        return []
    return [Problem("/target", "milestones_beyond", "Open milestones ask for more: change or drop them first.")]


async def _activity(session: AsyncSession, episode: Episode, form: GoalCreate) -> list[Problem]:
    """Tell whether the patient has named no such activity in his answers in this episode."""
    if form.measure is None or form.activity_id is None:
        return []
    if form.activity_id in await outcomes.activities(session, episode.clinic_id, episode.id, form.measure):
        return []
    return [Problem("/activity_id", "activity_unknown", "The patient's answers in this episode name no such activity.")]


def refuse(problems: Sequence[Problem]) -> None:
    """Refuse what does not fit. Raises GoalRefused."""
    if problems:
        raise GoalRefused(*problems)


def due(day: date | None, today: date) -> list[Problem]:
    """Tell whether a day to reach something by lies in the past, or too far ahead."""
    if day is not None and day < today:
        return [Problem("/due_on", "in_the_past", "The day has passed.")]
    if day is not None and day > today + LATEST:
        return [Problem("/due_on", "too_far_ahead", "The day lies within five years.")]
    return []


def _measured(values: Mapping[str, Any]) -> list[Problem]:
    """Tell what does not fit: the measure, the activity that one measure needs, the values."""
    if values["measure"] is None:
        return [
            Problem(f"/{name}", "measure_missing", "This needs a measure.")
            for name in ("activity_id", "baseline", "target")
            if values[name] is not None
        ]
    instrument = library.load().measures.get(values["measure"])
    if instrument is None and habits.measure_of(values["measure"]) is None:
        return [Problem("/measure", "measure_unknown", "There is no such measure.")]
    rated = instrument is not None and instrument.repeated is not None
    if not rated and values["activity_id"] is not None:
        return [Problem("/activity_id", "activity_refused", "This measure has no activities.")]
    if rated and values["activity_id"] is None:
        return [Problem("/activity_id", "activity_missing", "Say which activity of the patient is meant.")]
    if values["target"] is None:
        return [Problem("/target", "target_missing", "A measured goal has a target.")]
    return scored(Scale.of(values["measure"]), values["baseline"], values["target"])


def scored(scale: Scale, baseline: float | None, target: float) -> list[Problem]:
    """Tell which value the measure cannot be, and whether the target is not better than the baseline."""
    problems = [] if baseline is None else scale.problems("baseline", baseline)
    problems += scale.problems("target", target)
    if baseline is not None and not scale.better(target, baseline):
        problems.append(Problem("/target", "not_better", "The target is not better than the baseline."))
    return problems


def stored(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give numbers as the database keeps them."""
    return {name: Decimal(str(value)) if isinstance(value, float) else value for name, value in values.items()}


def _plain(value: Any) -> Any:
    return float(value) if isinstance(value, Decimal) else value
