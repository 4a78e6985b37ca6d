"""Programs as they are shown: one in full with its versions, or an episode's in a list."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.phase_criteria import Criterion, in_words
from clinical.program_life import ProgramStatus
from clinical.recurrence import local_date
from core.errors import NotFound
from models.episodes import Episode
from models.identity import Role
from models.patients import Patient
from models.programs import Program, ProgramItem, ProgramPhase, ProgramVersion
from models.red_flag_screens import RedFlagScreen
from schemas.advice import Advice
from schemas.pages import Page, Paged, fetch
from schemas.programs import (
    CriterionRead,
    ProgramItemRead,
    ProgramPhaseRead,
    ProgramRead,
    ProgramSummary,
    ProgramVersionRead,
    ProgramVersionSummary,
    ProgressionRead,
)
from services import access, audit
from services.access import Action, Actor

HIDDEN_FROM_PATIENTS = frozenset({ProgramStatus.DRAFT, ProgramStatus.SUSPENDED_RED_FLAG})


NOBODY_SAID: Mapping[str, Any] = {"mode": "suggest", "bounds": None}
"""How a version progresses that does not say."""


async def get(
    session: AsyncSession, actor: Actor, program_id: UUID, *, number: int | None = None, at: datetime
) -> ProgramRead:
    """One program with the version that is current, or the one of that number. Raises NotFound."""
    program = await access.subject(session, actor, Action.READ_RECORD, Program, program_id, at=at)
    zone = await session.scalar(
        select(Patient.zone).where(Patient.clinic_id == actor.clinic_id, Patient.id == program.patient_id)
    )
    assert zone is not None
    await audit.record(
        session, actor, "program.read", subject=("program", program_id), patient_id=program.patient_id, at=at
    )
    return await read(session, actor, program, zone, number, at=at)


async def browse(session: AsyncSession, actor: Actor, episode_id: UUID, page: Page, *, at: datetime) -> Paged[Program]:
    """List an episode's programs, newest first, without what they prescribe. Raises NotFound."""
    episode = await access.subject(session, actor, Action.READ_RECORD, Episode, episode_id, at=at)
    await audit.record(session, actor, "program.list", subject=("program", None), patient_id=episode.patient_id, at=at)
    query = select(Program).where(Program.clinic_id == actor.clinic_id, Program.episode_id == episode_id)
    return await fetch(session, query, page, keys=(Program.created_at, Program.id), descending=True)


async def read(
    session: AsyncSession, actor: Actor, program: Program, zone: str, number: int | None, *, at: datetime
) -> ProgramRead:
    """Show a program to the caller: patients get no exercises that they must not do now."""
    versions = await versions_of(session, program)
    wanted = _current(versions, local_date(at, zone))
    if number is not None:
        wanted = next((version for version in versions if version.number == number), None)
    if wanted is None:
        raise NotFound
    advice, hidden = await hides(session, actor, program)
    shown = None if hidden else await _version(session, wanted)
    return ProgramRead.model_validate(
        {
            **ProgramSummary.model_validate(program).model_dump(),
            "versions": [summary(version) for version in versions],
            "shown": shown,
            "advice": advice,
            "halted_by": None if actor.role is Role.PATIENT else program.halted_by,
        }
    )


async def versions_of(session: AsyncSession, program: Program) -> list[ProgramVersion]:
    """Give a program's versions, the first first."""
    found = await session.scalars(
        select(ProgramVersion)
        .where(ProgramVersion.clinic_id == program.clinic_id, ProgramVersion.program_id == program.id)
        .order_by(ProgramVersion.number)
        .execution_options(populate_existing=True)
    )
    return list(found)


async def hides(session: AsyncSession, actor: Actor, program: Program) -> tuple[Advice | None, bool]:
    """Tell what to do instead of the exercises, if anything, and whether the caller is not to be shown any."""
    advice = await _advice(session, actor, program)
    return advice, actor.role is Role.PATIENT and (advice is not None or program.status in HIDDEN_FROM_PATIENTS)


def _current(versions: Sequence[ProgramVersion], today: date) -> ProgramVersion | None:
    """Give the version in force today, else the next to come, else the last there was; of a draft the newest."""
    held = [version for version in versions if version.in_force is not None and version.in_force.lower is not None]
    for version in held:
        if version.in_force is not None and version.in_force.contains(today):
            return version
    coming = [version for version in held if version.in_force is not None and (version.in_force.lower or today) > today]
    return next(iter(coming or held[-1:] or versions[-1:]), None)


def summary(version: ProgramVersion) -> ProgramVersionSummary:
    """Show a version without what it prescribes."""
    held = version.in_force
    return ProgramVersionSummary(
        id=version.id,
        number=version.number,
        reason=version.reason,
        author_id=version.author_id,
        starts_on=version.starts_on,
        in_force_from=None if held is None else held.lower,
        in_force_until=None if held is None else held.upper,
        created_at=version.created_at,
    )


async def _version(session: AsyncSession, version: ProgramVersion) -> ProgramVersionRead:
    phases = await session.scalars(
        select(ProgramPhase)
        .where(ProgramPhase.clinic_id == version.clinic_id, ProgramPhase.version_id == version.id)
        .order_by(ProgramPhase.position)
    )
    items = await session.scalars(
        select(ProgramItem)
        .where(ProgramItem.clinic_id == version.clinic_id, ProgramItem.version_id == version.id)
        .order_by(ProgramItem.position)
    )
    by_phase: dict[UUID, list[ProgramItemRead]] = {}
    for item in items:
        by_phase.setdefault(item.phase_id, []).append(ProgramItemRead.model_validate(item, from_attributes=True))
    begins_on: date | None = version.starts_on
    shown = []
    for phase in phases:
        shown.append(
            ProgramPhaseRead.model_validate(
                {
                    **{name: getattr(phase, name) for name in _PHASE},
                    "begins_on": begins_on,
                    "entry": [criterion(each, entry=True) for each in phase.entry],
                    "exit": [criterion(each) for each in phase.exit],
                    "items": by_phase.get(phase.id, []),
                }
            )
        )
        begins_on = None if begins_on is None or phase.weeks is None else begins_on + timedelta(weeks=phase.weeks)
    return ProgramVersionRead(
        **dict(summary(version)),
        pain_ceiling=version.pain_ceiling,
        progression=ProgressionRead.model_validate({**NOBODY_SAID, **version.progression}),
        phases=shown,
    )


def criterion(kept: Mapping[str, Any], *, entry: bool = False) -> CriterionRead:
    """Show a criterion with its words."""
    blank = dict.fromkeys(("instrument", "over"))
    text = in_words(Criterion.of(kept), entry=entry)
    return CriterionRead.model_validate({**blank, **kept, "text": text})


_PHASE = ("id", "position", "name", "kind", "weeks", "entry_criteria", "exit_criteria")


async def _advice(session: AsyncSession, actor: Actor, program: Program) -> Advice | None:
    """Say what to do instead, in the words the patient was shown when the red flag was found.

    For a patient one red flag that nobody has released stands before every program, also before one that has ended.
    """
    stops = RedFlagScreen.id == program.suspended_by_id
    if actor.role is Role.PATIENT:
        suspended = select(Program.suspended_by_id).where(
            Program.clinic_id == program.clinic_id, Program.patient_id == program.patient_id
        )
        stops = RedFlagScreen.unresolved() | RedFlagScreen.id.in_(suspended)
    elif program.suspended_by_id is None:
        return None
    told = await session.scalar(
        select(RedFlagScreen.advice)
        .where(RedFlagScreen.clinic_id == program.clinic_id, RedFlagScreen.patient_id == program.patient_id, stops)
        .order_by(RedFlagScreen.screened_at.desc(), RedFlagScreen.id.desc())
        .limit(1)
    )
    return None if told is None else Advice.model_validate(told)
