"""A program's life: put into use, paused, resumed, ended. Everything that is missing is told at once."""

from collections.abc import Awaitable, Collection
from datetime import date, datetime
from uuid import UUID

from sqlalchemy import Text, cast, exists, func, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.forms import Contraindication
from clinical.prescription import conflicts
from clinical.program_life import IN_USE, ProgramAction, step
from clinical.recurrence import local_date
from clinical.red_flags import required_questions
from clinical.screening import Screened, must_unlock
from core.errors import Conflict, Problem
from models.consents import ConsentPurpose
from models.episodes import Episode
from models.patients import Patient
from models.programs import Program, ProgramItem, ProgramVersion
from models.red_flag_screens import RedFlagScreen, ScreenTrigger
from schemas.programs import ProgramPauseIn, ProgramRead, ProgramReason
from services import agreements, audit, episode_gate, licensing
from services.access import Actor
from services.programs.reading import read
from services.programs.records import carry_stops, locked, move


class ProgramNotReady(Conflict):
    """Something is missing before this program may be in use; see errors for all of it."""


async def activate(session: AsyncSession, actor: Actor, program_id: UUID, *, version: int, at: datetime) -> ProgramRead:
    """Put a draft into use, from its first day or from today; what the episode used before is superseded.

    Raises NotFound, Stale, ProgramNotInState, ProgramNotReady.
    """
    program, patient = await locked(session, actor, program_id, version, at=at)
    step(program.status, ProgramAction.ACTIVATE)
    newest = await _newest_version(session, program)
    await require_ready(session, actor, program, [newest], patient, at=at)
    others = select(Program).where(
        Program.clinic_id == program.clinic_id, Program.episode_id == program.episode_id, Program.status.in_(IN_USE)
    )
    for other in await session.scalars(others.with_for_update().execution_options(populate_existing=True)):
        await carry_stops(session, other, program, newest, at=at)
        await move(session, other, ProgramAction.SUPERSEDE, patient, at=at)  # it gives up its place first
        await _record(session, actor, "program.supersede", other, at=at)
    await move(session, program, ProgramAction.ACTIVATE, patient, at=at)
    return await _done(session, actor, "program.activate", program, patient, at=at)


async def pause(
    session: AsyncSession, actor: Actor, program_id: UUID, form: ProgramPauseIn, *, version: int, at: datetime
) -> ProgramRead:
    """Plan nothing from today. Raises NotFound, Stale, ProgramNotInState."""
    program, patient = await locked(session, actor, program_id, version, at=at)
    await move(session, program, ProgramAction.PAUSE, patient, at=at, reason=form.reason, pause=form.kind)
    return await _done(session, actor, "program.pause", program, patient, at=at)


async def resume(
    session: AsyncSession, actor: Actor, program_id: UUID, form: ProgramReason, *, version: int, at: datetime
) -> ProgramRead:
    """Plan again from today. After a red flag a human has closed it and a newer screen, to unlock, is clear.

    Raises NotFound, Stale, ProgramNotInState, ProgramNotReady.
    """
    program, patient = await locked(session, actor, program_id, version, at=at)
    step(program.status, ProgramAction.RESUME)
    coming = await _versions_from(session, program, local_date(at, patient.zone))
    await require_ready(session, actor, program, coming, patient, at=at)
    await move(session, program, ProgramAction.RESUME, patient, at=at, reason=form.reason)
    return await _done(session, actor, "program.resume", program, patient, at=at)


async def complete(
    session: AsyncSession, actor: Actor, program_id: UUID, form: ProgramReason, *, version: int, at: datetime
) -> ProgramRead:
    """End a program that is active or paused; it plans nothing from today.

    Raises NotFound, Stale, ProgramNotInState.
    """
    program, patient = await locked(session, actor, program_id, version, at=at)
    await move(session, program, ProgramAction.COMPLETE, patient, at=at, reason=form.reason)
    return await _done(session, actor, "program.complete", program, patient, at=at)


async def require_ready(
    session: AsyncSession,
    actor: Actor,
    program: Program,
    versions: Collection[ProgramVersion] = (),
    patient: Patient | None = None,
    *,
    at: datetime,
) -> None:
    """Demand a licensed and linked therapist, consent to telehealth, and no red flag. Raises ProgramNotReady.

    versions, patient: written before, and perhaps before a condition became known that speaks against an exercise.
    """
    where, patient_id = program.clinic_id, program.patient_id
    assert actor.therapist_id is not None
    episode = select(Episode.status, Episode.body_region)
    status, region = (
        await session.execute(episode.where(Episode.clinic_id == where, Episode.id == program.episode_id))
    ).one()
    problems = [
        *await _problems(licensing.may_treat(session, where, actor.therapist_id, patient_id, at=at)),
        *await _problems(agreements.require(session, where, patient_id, ConsentPurpose.TELEHEALTH, at=at)),
        *await _red_flag_problems(session, program, region),
    ]
    problems += episode_gate.problems(status)
    if patient is not None:
        problems += await _contraindication_problems(session, program, versions, patient)
    if problems:
        raise ProgramNotReady(*problems)


async def _problems(check: Awaitable[object]) -> list[Problem]:
    try:
        await check
    except Conflict as refusal:
        return list(refusal.problems) or [Problem("", refusal.code, refusal.title)]
    return []


async def _contraindication_problems(
    session: AsyncSession, program: Program, versions: Collection[ProgramVersion], patient: Patient
) -> list[Problem]:
    """Tell each exercise of which the patient has come to meet a contraindication that nobody accepted for him."""
    ids = [version.id for version in versions]
    items = await session.scalars(
        select(ProgramItem).where(ProgramItem.clinic_id == program.clinic_id, ProgramItem.version_id.in_(ids))
    )
    met = set()
    for item in items:
        known = map(Contraindication.model_validate, item.exercise["contraindications"])
        accepted = (item.accepted_contraindications or {}).get("codes", ())
        if {one.code for one in conflicts(known, patient.conditions)} - set(accepted):
            met.add(item.exercise_code)
    message = "{} is contraindicated for this patient: change it, or accept that with a reason, in a new version."
    return [Problem("", "contraindicated", message.format(code)) for code in sorted(met)]


async def _red_flag_problems(session: AsyncSession, program: Program, region: str) -> list[Problem]:
    """Tell what is missing of red-flag screens.

    Before anything urgent was ever found a clear screen of any trigger counts. After that only one that was taken to
    unlock does, for every program of the patient: one written anew, or in another episode, is no way around it. It must
    have asked what the program's region must answer: nothing about an ankle says that a back is safe.
    """
    mine = (RedFlagScreen.clinic_id == program.clinic_id, RedFlagScreen.patient_id == program.patient_id)
    asked = RedFlagScreen.answers.op("?&")(cast(list(required_questions(region)), ARRAY(Text)))
    clear = RedFlagScreen.clear() & asked
    unlocking = clear & (RedFlagScreen.trigger == ScreenTrigger.UNLOCK)
    newest = func.max(RedFlagScreen.screened_at)
    found = (
        await session.execute(
            select(
                exists().where(*mine, RedFlagScreen.unresolved()),
                exists().where(*mine, clear),
                select(newest).where(*mine, unlocking).scalar_subquery(),
                select(newest).where(*mine, RedFlagScreen.urgent()).scalar_subquery(),
            )
        )
    ).one()
    ever_clear: bool = found[1]
    screened = Screened(None, unlocked_at=found[2], urgent_at=found[3], unresolved=found[0])
    problems = []
    if screened.unresolved:
        problems.append(Problem("", "red_flag_open", "A red flag waits for a clinician to close it."))
    if must_unlock(screened):
        problems.append(
            Problem("", "unlock_screen_missing", "A newer screen with trigger unlock must be complete and clear.")
        )
    elif not ever_clear:
        problems.append(Problem("", "red_flag_screen_missing", "A complete and clear red-flag screen is needed first."))
    return problems


async def _newest_version(session: AsyncSession, program: Program) -> ProgramVersion:
    found = await session.scalar(
        select(ProgramVersion)
        .where(ProgramVersion.clinic_id == program.clinic_id, ProgramVersion.program_id == program.id)
        .order_by(ProgramVersion.number.desc())
        .limit(1)
    )
    assert found is not None
    return found


async def _versions_from(session: AsyncSession, program: Program, today: date) -> list[ProgramVersion]:
    """Give the version that is in force on a day, and those that come after it."""
    until = func.upper(ProgramVersion.in_force)
    found = await session.scalars(
        select(ProgramVersion).where(
            ProgramVersion.clinic_id == program.clinic_id,
            ProgramVersion.program_id == program.id,
            ~func.isempty(ProgramVersion.in_force),
            until.is_(None) | (until > today),
        )
    )
    return list(found)


async def _done(
    session: AsyncSession, actor: Actor, action: str, program: Program, patient: Patient, *, at: datetime
) -> ProgramRead:
    await session.flush()
    await _record(session, actor, action, program, at=at)
    return await read(session, actor, program, patient.zone, None, at=at)


async def _record(session: AsyncSession, actor: Actor, action: str, program: Program, *, at: datetime) -> None:
    await audit.record(session, actor, action, subject=("program", program.id), patient_id=program.patient_id, at=at)
