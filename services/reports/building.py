"""What a report says, put together from the record; a fixed number of statements."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import habits
from clinical.change import Value, change
from clinical.forms import Instrument
from clinical.goals import Achievement
from clinical.library import load
from clinical.recurrence import MIDNIGHT, instant
from models.alerts import Alert
from models.assessments import Assessment, DocumentStatus
from models.clinics import Clinic
from models.episodes import Episode
from models.goals import Goal
from models.outcomes import Outcome
from models.patients import Patient
from models.programs import Program, ProgramVersion
from models.red_flag_screens import RedFlagLevel, RedFlagScreen
from models.reports import ReportKind
from models.therapists import Therapist
from schemas.progress import Progress
from schemas.reports import (
    EpisodeBlock,
    Letterhead,
    Narrative,
    PatientBlock,
    ReportAlert,
    ReportCounts,
    ReportGoal,
    ReportProgramChange,
    ReportRedFlag,
    ReportSnapshot,
)
from services import goal_progress, progress
from services.progress import Period
from services.progress.changes import by_instrument, rule_of
from services.progress.measuring import plain

TITLES = {
    "ES01": "Warning sign in a red-flag screen",
    "ES02": "Hint of self-harm",
    "ES03": "High pain",
    "ES04": "Rising pain",
    "ES05": "Flare-up reported",
    "ES06": "Flare-up still open after a week",
    "ES08": "Three check-ins missed in a row",
    "ES09": "Five check-ins missed in a row",
    "ES10": "Fewer than half of the sessions done in two weeks",
    "ES11": "Outcome worse by an important amount",
    "ES12": "New opioid use or emergency care",
    "ES13": "Program paused: nobody could treat",
    "PR-stop": "Exercise had to be stopped",
}
"""What the rules are called on paper; rules of red-flag screens share one name."""


@dataclass(frozen=True)
class _Span:
    """The instants of a period: from the first midnight to the one after the last day, in the patient's zone."""

    begin: datetime
    end: datetime


async def build(
    session: AsyncSession,
    patient: Patient,
    episode: Episode,
    period: Period,
    *,
    report_id: UUID,
    author_id: UUID,
    kind: ReportKind,
    at: datetime,
) -> ReportSnapshot:
    """Put a report together as the record stands at `at`: nothing that comes later changes it."""
    span = _Span(
        instant(period.first, MIDNIGHT, patient.zone), instant(period.last + timedelta(days=1), MIDNIGHT, patient.zone)
    )
    clinic = await session.get_one(Clinic, patient.clinic_id)
    author = await session.get_one(Therapist, (patient.clinic_id, author_id))
    outcomes = await progress.standing_of_episode(session, episode, period.first, period.last)
    made = await progress.of_episode(session, patient, episode, period, outcomes, at=at)
    screens = await _screens(session, patient, episode, span)
    return ReportSnapshot(
        report_id=report_id,
        kind=kind,
        status=DocumentStatus.DRAFT,
        created_at=at,
        author=_name(author),
        clinic=Letterhead(name=clinic.name, address=clinic.address, phone=clinic.phone, email=clinic.email),
        patient=PatientBlock(
            name=f"{patient.given_name} {patient.family_name}",
            birth_date=patient.birth_date,
            record_number=patient.record_number,
        ),
        episode=EpisodeBlock(
            title=episode.title,
            body_region=episode.body_region,
            icd10=list(episode.icd10_codes),
            started_on=episode.started_on,
        ),
        counts=_counts(made, screens, await _visits(session, episode, period)),
        goals=await _goals(session, patient, episode, outcomes, period),
        progress=made,
        red_flags=[_red_flag(row) for row in screens if not row.complete or row.level is not RedFlagLevel.NONE],
        alerts=await _alerts(session, patient, episode, span),
        program_changes=await _program_changes(session, patient, episode, period),
        narrative=Narrative(**dict.fromkeys(Narrative.model_fields)),
        signature=None,
    )


async def _visits(session: AsyncSession, episode: Episode, period: Period) -> int:
    """Count the days of the period on which a therapist assessed the patient, and signed it."""
    days = await session.scalar(
        select(func.count(Assessment.assessed_on.distinct())).where(
            Assessment.clinic_id == episode.clinic_id,
            Assessment.episode_id == episode.id,
            Assessment.status != DocumentStatus.DRAFT,
            Assessment.assessed_on.between(period.first, period.last),
        )
    )
    return days or 0


def _counts(made: Progress, screens: Sequence[RedFlagScreen], visits: int) -> ReportCounts:
    check_ins = made.adherence.check_ins
    return ReportCounts(
        visits=visits,
        red_flag_screens=sum(row.complete for row in screens),
        check_ins_due=check_ins.due,
        check_ins_answered=check_ins.submitted + check_ins.late,
        sessions_completed=made.adherence.completed,
    )


# ------------------------------------------------------------------ goals
async def _goals(
    session: AsyncSession, patient: Patient, episode: Episode, outcomes: Sequence[Outcome], period: Period
) -> list[ReportGoal]:
    query = select(Goal).where(Goal.clinic_id == episode.clinic_id, Goal.episode_id == episode.id)
    goals = (await session.scalars(query.order_by(Goal.created_at, Goal.id))).all()
    readings = await goal_progress.readings_of(session, patient, episode.id, goals, period.last)
    found = by_instrument(outcomes)
    return [
        _goal(
            goal,
            goal_progress.of_goal(goal, readings, patient.zone, period.last),
            found.get(goal.measure or "", []),
        )
        for goal in goals
    ]


def _goal(goal: Goal, far: Achievement, rows: Sequence[Outcome]) -> ReportGoal:
    """Show how far a goal is, and whether the change is one that people call important."""
    instrument = load().measures.get(goal.measure or "")
    reached = rule = None
    if instrument is not None and far.current is not None and far.baseline is not None:
        compared = change(instrument, _as_value(goal, far.baseline), _as_value(goal, far.current))
        rule = rule_of(instrument, compared)
        reached = None if rule is None else compared.improved
    return ReportGoal(
        statement=goal.statement,
        measure=_daily(goal) if instrument is None else _measure(instrument, goal, rows),
        unit=_unit(goal, instrument),
        baseline=plain(goal.baseline if far.baseline is None else far.baseline),
        current=plain(far.current),
        current_on=far.current_on,
        target=plain(goal.target),
        due_on=goal.due_on,
        status=goal.status,
        target_reached=far.holds,
        mic_reached=reached,
        mic_rule=rule,
    )


def _daily(goal: Goal) -> str | None:
    daily = habits.measure_of(goal.measure or "")
    return None if daily is None else daily.title


def _unit(goal: Goal, instrument: Instrument | None) -> str | None:
    if instrument is not None:
        return f"{instrument.primary.range[0]}-{instrument.primary.range[1]}"
    return None if goal.measure is None else habits.question_of(goal.measure).unit


def _as_value(goal: Goal, value: Decimal) -> Value:
    return Value(value) if goal.activity_id is None else Value(value, {goal.activity_id: int(value)})


def _measure(instrument: Instrument, goal: Goal, rows: Sequence[Outcome]) -> str:
    """Name the measure, and the activity in the patient's own words where one is meant."""
    activities: list[dict[str, Any]] = rows[-1].answers.get("activities", []) if rows else []
    name = next((one.get("name") for one in activities if one["id"] == goal.activity_id), None)
    return f"{instrument.title}: {name}" if name else instrument.title


# ------------------------------------------------------------------ what happened
async def _screens(session: AsyncSession, patient: Patient, episode: Episode, span: _Span) -> Sequence[RedFlagScreen]:
    """Give the screens of the period, in order; one without an episode concerns every one."""
    query = select(RedFlagScreen).where(
        RedFlagScreen.clinic_id == patient.clinic_id,
        RedFlagScreen.patient_id == patient.id,
        (RedFlagScreen.episode_id == episode.id) | RedFlagScreen.episode_id.is_(None),
        RedFlagScreen.screened_at >= span.begin,
        RedFlagScreen.screened_at < span.end,
    )
    return (await session.scalars(query.order_by(RedFlagScreen.screened_at, RedFlagScreen.id))).all()


def _red_flag(row: RedFlagScreen) -> ReportRedFlag:
    findings = list(dict.fromkeys(f"{fired['category'].replace('_', ' ')} ({fired['id']})" for fired in row.fired))
    return ReportRedFlag(
        screened_at=row.screened_at,
        level=row.level.value,
        findings=findings,
        complete=row.complete,
        outcome=None if row.outcome is None else row.outcome.value,
        closed_at=row.closed_at,
    )


async def _alerts(session: AsyncSession, patient: Patient, episode: Episode, span: _Span) -> list[ReportAlert]:
    query = select(Alert).where(
        Alert.clinic_id == patient.clinic_id,
        Alert.patient_id == patient.id,
        (Alert.episode_id == episode.id) | Alert.episode_id.is_(None),
        Alert.raised_at >= span.begin,
        Alert.raised_at < span.end,
    )
    rows = await session.scalars(query.order_by(Alert.raised_at, Alert.id))
    return [
        ReportAlert(
            raised_at=row.raised_at,
            rule=row.rule_id,
            title=TITLES.get(row.rule_id, TITLES["ES01"]),
            level=row.level,
            outcome=None if row.outcome is None else row.outcome.value,
            resolved_at=row.resolved_at,
        )
        for row in rows
    ]


async def _program_changes(
    session: AsyncSession, patient: Patient, episode: Episode, period: Period
) -> list[ReportProgramChange]:
    """Give the versions whose first day lies in the period; a first one begins the program."""
    first_day = func.lower(ProgramVersion.in_force)
    query = (
        select(ProgramVersion, Program.title, Therapist, first_day)
        .join(Program, (Program.clinic_id == ProgramVersion.clinic_id) & (Program.id == ProgramVersion.program_id))
        .join(Therapist, (Therapist.clinic_id == ProgramVersion.clinic_id) & (Therapist.id == ProgramVersion.author_id))
        .where(
            ProgramVersion.clinic_id == patient.clinic_id,
            ProgramVersion.patient_id == patient.id,
            Program.episode_id == episode.id,
            first_day.between(period.first, period.last),
        )
        .order_by(first_day, ProgramVersion.created_at, ProgramVersion.id)
    )
    found = (await session.execute(query)).all()
    return [
        ReportProgramChange(
            version=version.number,
            changed_at=max(version.created_at, instant(begins_on, MIDNIGHT, patient.zone)),
            author=_name(author),
            reason=version.reason or f"Program begun: {title}",
        )
        for version, title, author, begins_on in found
    ]


def _name(therapist: Therapist) -> str:
    return f"{therapist.given_name} {therapist.family_name}"
