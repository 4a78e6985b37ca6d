"""What becomes of a suggestion: a therapist accepts or rejects it, or it is applied inside the bounds he has set.

Whoever decides locks the patient, then the program, then the suggestions, as every change of a program does.
"""

from collections.abc import Collection, Sequence
from contextlib import suppress
from datetime import datetime
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.dosing import Dose
from clinical.program_life import ProgramAction, ProgramStatus, possible, step
from clinical.recurrence import local_date
from clinical.suggesting import read
from core.errors import Conflict, Refusal, Stale
from models.flares import Flare
from models.identity import Role
from models.patients import Patient
from models.programs import Program, ProgramVersion
from models.suggestions import EvaluationOwed, Suggestion, SuggestionOutcome, SuggestionStatus
from models.therapists import Therapist
from schemas.suggestions import BatchResult, SuggestionAcceptance, SuggestionBatch, SuggestionRejection
from services import access, audit, programs
from services.access import Action, Actor
from services.suggestions.prescribed import prescriptions

REASON_LIMIT = 500
"""Longest reason of a program version."""


class SuggestionDecided(Conflict):
    """This suggestion does not wait any more."""


class SuggestionSuperseded(Conflict):
    """The program has changed since: this suggestion is out of date, and the rules look at it anew."""

    keeps_effects = True


class VersionPlanned(Conflict):
    """Another version begins on a day to come: write what is to change into a new one; what is stopped rests meanwhile."""


class FlareOpen(Conflict):
    """A flare-up is open: what is due is lighter until it is over, and nothing goes up."""


async def accept(
    session: AsyncSession,
    actor: Actor,
    suggestion_id: UUID,
    form: SuggestionAcceptance,
    *,
    version: int,
    at: datetime,
) -> Suggestion:
    """Do what is suggested, from today: a new version of the program; where nothing changes it was seen.

    Raises NotFound, Stale, SuggestionDecided, SuggestionSuperseded, VersionPlanned, FlareOpen, ProgramNotInState,
    ProgramNotReady, LastExercise, ProgramRefused, Contraindicated.
    """
    row = await access.subject(session, actor, Action.PRESCRIBE, Suggestion, suggestion_id, at=at)
    program, patient = await _locked(session, actor.clinic_id, row.program_id, row.patient_id)
    await session.refresh(row, with_for_update=True)
    if row.version != version:
        raise Stale(row.version)
    await _accept(session, actor, program, patient, [row], form.note, at=at)
    return row


async def accept_many(session: AsyncSession, actor: Actor, form: SuggestionBatch, *, at: datetime) -> list[BatchResult]:
    """Accept several, those of a program together in one version; what is refused leaves the others alone.

    A program's suggestions are accepted all or none. Raises Forbidden.
    """
    wanted = list(dict.fromkeys(form.ids))
    found = await session.scalars(
        select(Suggestion).where(
            Suggestion.clinic_id == actor.clinic_id,
            Suggestion.id.in_(wanted),
            Suggestion.patient_id.in_(access.patients(actor, Action.PRESCRIBE, at)),
        )
    )
    groups: dict[tuple[UUID, UUID], list[UUID]] = {}
    for row in found:
        groups.setdefault((row.patient_id, row.program_id), []).append(row.id)
    await _lock_all(session, actor.clinic_id, groups)
    results = {one: BatchResult(id=one, status="refused", code="not_found", written_version_id=None) for one in wanted}
    for (patient_id, program_id), ids in sorted(groups.items()):
        refused: Refusal | None = None
        try:
            async with session.begin_nested():
                program, patient = await _locked(session, actor.clinic_id, program_id, patient_id)
                rows = await _lock(session, actor.clinic_id, ids)
                try:
                    await _accept(session, actor, program, patient, rows, form.note, at=at)
                except SuggestionSuperseded as refusal:  # out of the way, as where one is accepted by itself
                    refused = refusal
        except Refusal as refusal:
            refused = refusal
        for one in ids:
            code = None if refused is None else refused.code
            written = next((row.written_version_id for row in rows if row.id == one), None) if code is None else None
            status = "accepted" if code is None else "refused"
            results[one] = BatchResult(id=one, status=status, code=code, written_version_id=written)
    return list(results.values())


async def reject(
    session: AsyncSession, actor: Actor, suggestion_id: UUID, form: SuggestionRejection, *, version: int, at: datetime
) -> Suggestion:
    """Leave the dose as it is, and say why; an exercise that was stopped goes on, so whoever says it may treat.

    Raises NotFound, Stale, SuggestionDecided, ProgramNotReady.
    """
    row = await access.subject(session, actor, Action.PRESCRIBE, Suggestion, suggestion_id, at=at)
    program, _ = await _locked(session, actor.clinic_id, row.program_id, row.patient_id)
    await session.refresh(row, with_for_update=True)
    if row.version != version:
        raise Stale(row.version)
    if row.status is not SuggestionStatus.OPEN:
        raise SuggestionDecided
    if row.outcome is SuggestionOutcome.STOP and program.status is ProgramStatus.ACTIVE:
        await programs.require_ready(session, actor, program, at=at)
    row.status, row.decided_by, row.decided_at = SuggestionStatus.REJECTED, actor.therapist_id, at
    row.reason = form.reason
    await session.flush()
    await _record(session, actor, "suggestion.reject", [row], at=at)
    return row


async def apply(
    session: AsyncSession, clinic_id: UUID, program_id: UUID, items: Collection[UUID], *, at: datetime
) -> int:
    """Apply what is open and inside the bounds of a program; give how many suggestions.

    items: those of which the last look has confirmed it; none while a session waits to be looked at. Only as long as the
    therapist who set the bounds may treat the patient; else they wait for a human.
    """
    patient_id = await session.scalar(
        select(Program.patient_id).where(Program.clinic_id == clinic_id, Program.id == program_id)
    )
    if patient_id is None:
        return 0
    program, patient = await _locked(session, clinic_id, program_id, patient_id)
    current = None
    with suppress(VersionPlanned):
        current = await _current(session, program, patient, at)
    ids = await session.scalars(
        select(Suggestion.id).where(
            Suggestion.clinic_id == clinic_id,
            Suggestion.program_id == program_id,
            Suggestion.status == SuggestionStatus.OPEN,
            Suggestion.within_bounds,
            Suggestion.item_id.in_(items),
            ~exists().where(EvaluationOwed.clinic_id == clinic_id, EvaluationOwed.program_id == program_id),
        )
    )
    rows = [row for row in await _lock(session, clinic_id, list(ids)) if row.status is SuggestionStatus.OPEN]
    if current is None or not possible(program.status, ProgramAction.ADJUST) or not rows:
        return 0
    if any(row.version_id != current.id for row in rows) or await _flaring(session, program):
        return 0
    therapist = await session.get(Therapist, (clinic_id, current.author_id))
    assert therapist is not None
    if therapist.account_id is None:
        return 0
    author = Actor(therapist.account_id, clinic_id, Role.THERAPIST, therapist_id=therapist.id)
    try:
        async with session.begin_nested():
            await _write(session, author, program, patient, current, rows, None, at=at, by_itself=True)
    except Refusal:  # what is missing stands in the worklist, and the suggestion waits
        return 0
    return len(rows)


async def _accept(
    session: AsyncSession,
    actor: Actor,
    program: Program,
    patient: Patient,
    rows: Sequence[Suggestion],
    note: str | None,
    *,
    at: datetime,
) -> None:
    if any(row.status is not SuggestionStatus.OPEN for row in rows):
        raise SuggestionDecided
    step(program.status, ProgramAction.ADJUST)
    current = await _current(session, program, patient, at)
    over = await _over(session, program, current, rows, at)
    if over or current is None:
        for row in over:
            row.status, row.decided_at = SuggestionStatus.SUPERSEDED, at
        await session.flush()
        await _record(session, actor, "suggestion.supersede", over, at=at, clinic_id=program.clinic_id)
        raise SuggestionSuperseded
    if any(row.outcome is SuggestionOutcome.PROGRESS for row in rows) and await _flaring(session, program):
        raise FlareOpen
    await _write(session, actor, program, patient, current, rows, note, at=at)


async def _over(
    session: AsyncSession, program: Program, current: ProgramVersion | None, rows: Sequence[Suggestion], at: datetime
) -> list[Suggestion]:
    """Give those that were made for a version that holds no more.

    A stop goes on with its exercise until a human has changed the dose: it is moved to the version that holds.
    """
    stale = [row for row in rows if current is None or row.version_id != current.id]
    stops = [row for row in stale if row.outcome is SuggestionOutcome.STOP]
    if not stops:
        return stale
    (found,) = await prescriptions(session, program.clinic_id, [program.id], at=at, in_use=False)
    for row in stops:
        same = found.still(row.item_id, row.created_at)
        if current is None or same is not None:
            stale.remove(row)
        if current is not None and same is not None:
            row.item_id, row.version_id = same, current.id
    await session.flush()
    return stale


async def _write(
    session: AsyncSession,
    actor: Actor,
    program: Program,
    patient: Patient,
    current: ProgramVersion,
    rows: Sequence[Suggestion],
    note: str | None,
    *,
    at: datetime,
    by_itself: bool = False,
) -> None:
    """Write one version with all that these suggest; whatever else waits goes on with it."""
    changes: dict[UUID, Dose | None] = {
        row.item_id: None if row.outcome is SuggestionOutcome.STOP else read(row.to_dose or row.from_dose)
        for row in rows
        if row.outcome is SuggestionOutcome.STOP or row.to_dose is not None
    }
    written = None
    if changes:
        reason = "; ".join([*([note] if note else []), *(row.explanation for row in rows)])
        reason = reason if len(reason) <= REASON_LIMIT else f"{reason[: REASON_LIMIT - 1]}…"
        adjusted = await programs.adjust(
            session, actor, program, patient, current, changes, reason, at=at, by_itself=by_itself
        )
        written = adjusted.version.id
        others = await session.scalars(
            select(Suggestion).where(
                Suggestion.clinic_id == program.clinic_id,
                Suggestion.program_id == program.id,
                Suggestion.status == SuggestionStatus.OPEN,
                Suggestion.id.not_in([row.id for row in rows]),
            )
        )
        for other in others:
            if other.item_id in adjusted.items:
                other.item_id, other.version_id = adjusted.items[other.item_id], written
    for row in rows:
        row.status = SuggestionStatus.APPLIED if by_itself else SuggestionStatus.ACCEPTED
        row.decided_by, row.decided_at = None if by_itself else actor.therapist_id, at
        row.reason, row.written_version_id = note or "", written
    await session.flush()
    verb = "suggestion.apply" if by_itself else "suggestion.accept"
    await _record(session, None if by_itself else actor, verb, rows, at=at, clinic_id=program.clinic_id)


async def _flaring(session: AsyncSession, program: Program) -> bool:
    """Tell whether a flare-up of the program's episode is open; none begins while the patient's row is locked."""
    opened = exists().where(
        Flare.clinic_id == program.clinic_id,
        Flare.patient_id == program.patient_id,
        Flare.episode_id == program.episode_id,
        Flare.closed_at.is_(None),
    )
    return bool(await session.scalar(select(opened)))


async def _locked(
    session: AsyncSession, clinic_id: UUID, program_id: UUID, patient_id: UUID
) -> tuple[Program, Patient]:
    patient = await programs.lock_patient(session, clinic_id, patient_id)
    query = select(Program).where(Program.clinic_id == clinic_id, Program.id == program_id).with_for_update()
    return (await session.scalars(query.execution_options(populate_existing=True))).one(), patient


async def _lock_all(session: AsyncSession, clinic_id: UUID, groups: Collection[tuple[UUID, UUID]]) -> None:
    """Lock all patients, then all programs by their ids, as `evaluate` does: one by one they would meet it head-on."""
    for patient_id in sorted({patient_id for patient_id, _ in groups}):
        await programs.lock_patient(session, clinic_id, patient_id)
    ids = [program_id for _, program_id in groups]
    query = select(Program.id).where(Program.clinic_id == clinic_id, Program.id.in_(ids)).order_by(Program.id)
    await session.execute(query.with_for_update())


async def _lock(session: AsyncSession, clinic_id: UUID, ids: Collection[UUID]) -> list[Suggestion]:
    query = select(Suggestion).where(Suggestion.clinic_id == clinic_id, Suggestion.id.in_(ids)).order_by(Suggestion.id)
    return list(await session.scalars(query.with_for_update().execution_options(populate_existing=True)))


async def _current(session: AsyncSession, program: Program, patient: Patient, at: datetime) -> ProgramVersion | None:
    """Give the version in force today, if there is one. Raises VersionPlanned when another one is to come."""
    today = local_date(at, patient.zone)
    held = await session.scalars(
        select(ProgramVersion)
        .where(ProgramVersion.clinic_id == program.clinic_id, ProgramVersion.program_id == program.id)
        .order_by(ProgramVersion.number.desc())
        .execution_options(populate_existing=True)
    )
    newest = next((version for version in held if version.in_force is not None and not version.in_force.isempty), None)
    if newest is None or newest.in_force is None:
        return None
    if newest.in_force.lower is not None and newest.in_force.lower > today:
        raise VersionPlanned
    return newest if newest.in_force.contains(today) else None


async def _record(
    session: AsyncSession,
    actor: Actor | None,
    action: str,
    rows: Sequence[Suggestion],
    *,
    at: datetime,
    clinic_id: UUID | None = None,
) -> None:
    clinic = clinic_id or rows[0].clinic_id
    subjects = [(row.id, row.patient_id) for row in rows]
    await audit.record_many(session, clinic, actor, action, "suggestion", subjects, at=at)
