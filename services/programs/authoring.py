"""Writing programs: a draft, and every later version. What is once prescribed is never changed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import flag_modified

from clinical.forms import Contraindication, DefaultDosage
from clinical.library import load
from clinical.phase_criteria import Criterion, faults
from clinical.prescription import Dosage, conflicts, starting_dosage
from clinical.program_life import IN_USE, ProgramAction, step
from clinical.recurrence import local_date
from core.errors import Invalid, Problem
from models.episodes import Episode
from models.exercises import Exercise
from models.patients import Patient
from models.programs import Program, ProgramItem, ProgramPhase, ProgramVersion
from schemas.programs import (
    CriterionIn,
    PinnedExercise,
    ProgramCreate,
    ProgramItemIn,
    ProgramPhaseIn,
    ProgramRead,
    ProgramVersionCreate,
    ProgressionIn,
)
from services import access, audit, episode_gate, exercises, instrument_imports
from services.access import Action, Actor
from services.programs.lifecycle import require_ready
from services.programs.reading import read
from services.programs.records import drop_suggestions, locked, make_place

LATEST = timedelta(days=366)
"""How far ahead a program or a version may begin."""

AMOUNT = ("reps", "hold_seconds", "duration_seconds")

DOSAGE = {  # our field: the bookshelf's
    "sets": "sets",
    "reps": "reps",
    "hold_seconds": "hold_seconds",
    "duration_seconds": "duration_seconds",
    "load_kg": "load_kg",
    "load_label": "load_note",
    "rest_seconds": "rest_seconds",
    "tempo": "tempo",
    "sessions_per_day": "sessions_per_day",
    "weekdays": "weekdays",
    "effort_ceiling": "effort",
}
REQUIRED = frozenset({"sets", "sessions_per_day", "weekdays"})


class ProgramRefused(Invalid):
    """The program breaks a rule; see errors for each place."""


class Contraindicated(ProgramRefused):
    """An exercise may harm this patient: choose another, or accept its contraindications with a reason.

    `contraindications` in the answer lists, by place, all that the exercise has; which of them the patient meets stands
    in the patient's record only.
    """


@dataclass
class Draft:
    """What will be written, and everything that is wrong with it."""

    items: list[list[dict[str, Any]]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    contraindicated: dict[str, list[str]] = field(default_factory=dict)

    def refuse(self) -> None:
        """Raise what was found: ProgramRefused or, when that is all, Contraindicated."""
        extras = {"contraindications": self.contraindicated} if self.contraindicated else None
        found = [
            Problem(f"{place}/accept_contraindications", "contraindicated", "The exercise is contraindicated here.")
            for place in self.contraindicated
        ]
        if self.problems:
            raise ProgramRefused(*self.problems, *found, extras=extras)
        if found:
            raise Contraindicated(*found, extras=extras)


async def create(
    session: AsyncSession, actor: Actor, episode_id: UUID, form: ProgramCreate, *, at: datetime
) -> ProgramRead:
    """Write a draft with its first version. Raises NotFound, EpisodeClosed, ProgramRefused, Contraindicated."""
    episode = await access.subject(session, actor, Action.PRESCRIBE, Episode, episode_id, at=at)
    episode_gate.require_open(episode)
    patient = await session.scalar(
        select(Patient).where(Patient.clinic_id == actor.clinic_id, Patient.id == episode.patient_id)
    )
    assert patient is not None
    starts_on = _begin(form.starts_on, local_date(at, patient.zone), "/starts_on")
    _bounded(form.progression)
    draft = await _draft(session, actor, patient, form.phases, at=at)
    program = Program(
        clinic_id=actor.clinic_id, patient_id=patient.id, episode_id=episode_id, title=form.title, created_at=at
    )
    session.add(program)
    await session.flush()
    version = ProgramVersion(
        number=1,
        starts_on=starts_on,
        pain_ceiling=form.pain_ceiling,
        progression=form.progression.model_dump(mode="json"),
    )
    await _write(session, actor, program, version, form.phases, draft, at=at)
    await audit.record(session, actor, "program.create", subject=("program", program.id), patient_id=patient.id, at=at)
    return await read(session, actor, program, patient.zone, None, at=at)


async def create_version(
    session: AsyncSession, actor: Actor, program_id: UUID, form: ProgramVersionCreate, *, version: int, at: datetime
) -> ProgramRead:
    """Write the next version; in a program in use it takes over on its day, and what was planned after that is gone.

    Whether its phase may end is for `services/program_phases` to look at again.
    Raises NotFound, Stale, ProgramNotInState, ProgramNotReady, ProgramRefused, Contraindicated.
    """
    program, patient = await locked(session, actor, program_id, version, at=at)
    needed = step(program.status, ProgramAction.WRITE)
    today = local_date(at, patient.zone)
    _begin(form.effective_on, today, "/effective_on")
    _bounded(form.progression)
    draft = await _draft(session, actor, patient, form.phases, at=at)
    if needed.ready:
        await require_ready(session, actor, program, at=at)
    before, written = await make_place(
        session,
        program,
        ProgramAction.WRITE,
        patient,
        effective_on=form.effective_on,
        restart=form.restart_phases,
        at=at,
    )
    written.reason = form.reason
    written.pain_ceiling = before.pain_ceiling if form.pain_ceiling is None else form.pain_ceiling
    written.progression = before.progression if form.progression is None else form.progression.model_dump(mode="json")
    running = program.status in IN_USE
    if running:
        await drop_suggestions(session, program, at=at)
    await _write(session, actor, program, written, form.phases, draft, at=at)
    flag_modified(program, "title")  # the program counts its versions: whoever read the last one holds a stale tag
    await session.flush()
    await audit.record(
        session,
        actor,
        "program_version.create" if running else "program_version.draft",
        subject=("program_version", written.id),
        patient_id=patient.id,
        at=at,
    )
    return await read(session, actor, program, patient.zone, written.number, at=at)


async def check(session: AsyncSession, actor: Actor, phases: Sequence[ProgramPhaseIn], *, at: datetime) -> None:
    """Tell whether this could be prescribed to somebody without conditions. Raises ProgramRefused."""
    await _draft(session, actor, None, phases, at=at)


def _begin(wanted: date | None, today: date, pointer: str) -> date:
    if wanted is None:
        return today
    if wanted < today:
        raise ProgramRefused(Problem(pointer, "in_the_past", "It begins today or later, by the patient's calendar."))
    if wanted > today + LATEST:
        raise ProgramRefused(Problem(pointer, "too_far_ahead", "It begins within a year."))
    return wanted


def _bounded(progression: ProgressionIn | None) -> None:
    if progression is not None and progression.mode == "auto" and progression.bounds is None:
        raise ProgramRefused(
            Problem("/progression/bounds", "bounds_missing", "What happens by itself needs bounds: say how far.")
        )


async def _draft(
    session: AsyncSession, actor: Actor, patient: Patient | None, phases: Sequence[ProgramPhaseIn], *, at: datetime
) -> Draft:
    """Find the exercises, in the patient's language, fill in the doses, and look at the criteria.

    Raises ProgramRefused and Contraindicated with all there is to say.
    """
    items = [item for phase in phases for item in phase.items]
    found = await exercises.by_code(
        session,
        actor,
        {item.exercise_code for item in items if item.exercise_code is not None},
        {item.exercise_id for item in items if item.exercise_id is not None},
    )
    shelf: Mapping[object, Exercise] = {row.id: row for row in found} | {row.code: row for row in found}
    draft = Draft()
    draft.problems += await _criteria_problems(session, actor, phases, at=at)
    for place, phase in enumerate(phases):
        if phase.weeks is None and not phase.exit and place < len(phases) - 1:
            message = "Only the last phase, and one with exit criteria, may be open-ended."
            draft.problems.append(Problem(f"/phases/{place}/weeks", "weeks_missing", message))
        draft.items.append(
            [
                item_columns(draft, f"/phases/{place}/items/{rank}", item, shelf, patient)
                for rank, item in enumerate(phase.items)
            ]
        )
    draft.refuse()
    return draft


async def _criteria_problems(
    session: AsyncSession, actor: Actor, phases: Sequence[ProgramPhaseIn], *, at: datetime
) -> list[Problem]:
    """Tell which criteria cannot be computed, each by its place."""
    given = [
        (f"/phases/{place}/{side}/{rank}", Criterion.of(criterion.model_dump(mode="json")))
        for place, phase in enumerate(phases)
        for side, criteria in (("entry", phase.entry), ("exit", phase.exit))
        for rank, criterion in enumerate(criteria)
    ]
    unlicensed: frozenset[str] = frozenset()
    if any(criterion.instrument in load().slots for _, criterion in given):
        unlicensed = frozenset(await instrument_imports.unusable(session, actor.clinic_id, at=at))
    return [
        Problem(f"{place}/{fault.field}", fault.code, fault.message)
        for place, criterion in given
        for fault in faults(criterion, unlicensed)
    ]


def _kept(criteria: Sequence[CriterionIn]) -> list[dict[str, Any]]:
    return [criterion.model_dump(mode="json", exclude_none=True) for criterion in criteria]


def item_columns(
    draft: Draft, place: str, item: ProgramItemIn, shelf: Mapping[object, Exercise], patient: Patient | None
) -> dict[str, Any]:
    """Make the columns of one item; what is wrong goes to the draft."""
    by_id, by_code = shelf.get(item.exercise_id), shelf.get(item.exercise_code)
    unnamed = item.exercise_id is None and item.exercise_code is None
    if unnamed or (item.exercise_id is not None and item.exercise_code is not None and by_id is not by_code):
        draft.problems.append(Problem(place, "exercise_choice", "Name one exercise, by its id or by its code."))
        return {}
    name = "exercise_code" if item.exercise_id is None else "exercise_id"
    exercise = by_code if item.exercise_id is None else by_id
    if exercise is None or exercise.retired_at is not None:
        code, message = "exercise_unknown", "There is no such exercise."
        if exercise is not None and exercise.replaced_by is not None:
            code, message = "exercise_replaced", f"This exercise was replaced by {exercise.replaced_by}."
        elif exercise is not None:
            code, message = "exercise_retired", "This exercise is not for new use."
        draft.problems.append(Problem(f"{place}/{name}", code, message))
        return {}
    conditions = () if patient is None else patient.conditions
    accepted = item.accept_contraindications
    met = {one.code for one in conflicts(map(Contraindication.model_validate, exercise.contraindications), conditions)}
    if not met <= set(accepted.codes if accepted is not None else ()):
        draft.contraindicated[place] = sorted(one["code"] for one in exercise.contraindications)
    usual = starting_dosage(DefaultDosage.model_validate(exercise.default_dosage))
    side = item.side or ("each" if usual.per_side else "none")
    return {
        "exercise_id": exercise.id,
        "exercise_code": exercise.code,
        "exercise": _pinned(exercise, patient),
        **_dosage(draft, place, item, usual),
        "side": side,
        "pain_ceiling": item.pain_ceiling,
        "note": item.note or "",
        "accepted_contraindications": None if accepted is None else accepted.model_dump(mode="json"),
    }


def _pinned(exercise: Exercise, patient: Patient | None) -> dict[str, Any]:
    """Make the copy that the program keeps, whatever becomes of the exercise."""
    told = exercises.localized(exercise, () if patient is None else (patient.language,))
    return PinnedExercise.model_validate(told).model_dump(mode="json")


def _dosage(draft: Draft, place: str, item: ProgramItemIn, usual: Dosage) -> dict[str, Any]:
    """Fill what was left out from the usual dose; naming an amount replaces the usual amount."""
    given = item.model_dump(include=set(DOSAGE), exclude_unset=True)
    given = {name: value for name, value in given.items() if value is not None or name not in REQUIRED}
    if any(given.get(name) is not None for name in AMOUNT):
        given = dict.fromkeys(AMOUNT) | given
    if given.get("load_kg") is not None:
        given = {
            "load_label": None,
            **given,
            "load_kg": Decimal(str(given["load_kg"])),
        }  # the usual words tell another load
    if "weekdays" in given:
        given["weekdays"] = tuple(sorted(set(given["weekdays"])))
    whole = usual.model_dump() | {DOSAGE[name]: value for name, value in given.items()}
    try:
        dosage = Dosage.model_validate(whole)
    except ValidationError as error:
        draft.problems += [
            Problem(
                "/".join([place, *map(str, each["loc"])]),
                "dosage_amount" if each["type"] == "value_error" else each["type"],
                "Give reps, perhaps held, or a hold, or a duration."
                if each["type"] == "value_error"
                else "This lies outside of what can be prescribed.",
            )
            for each in error.errors(include_url=False, include_input=False)
        ]
        return {}
    dose = {name: getattr(dosage, theirs) for name, theirs in DOSAGE.items()}
    return {**dose, "weekdays": list(dosage.weekdays)}


async def _write(
    session: AsyncSession,
    actor: Actor,
    program: Program,
    version: ProgramVersion,
    phases: Sequence[ProgramPhaseIn],
    draft: Draft,
    *,
    at: datetime,
) -> None:
    assert actor.therapist_id is not None
    version.clinic_id, version.program_id, version.patient_id = program.clinic_id, program.id, program.patient_id
    version.author_id, version.created_at = actor.therapist_id, at
    session.add(version)
    await session.flush()
    rows = [
        ProgramPhase(
            clinic_id=program.clinic_id,
            version_id=version.id,
            position=position,
            name=phase.name,
            kind=phase.kind,
            weeks=phase.weeks,
            entry_criteria=phase.entry_criteria or "",
            entry=_kept(phase.entry),
            exit=_kept(phase.exit),
            exit_criteria=phase.exit_criteria or "",
        )
        for position, phase in enumerate(phases, 1)
    ]
    session.add_all(rows)
    await session.flush()
    session.add_all(
        ProgramItem(clinic_id=program.clinic_id, version_id=version.id, phase_id=row.id, position=position, **columns)
        for row, items in zip(rows, draft.items, strict=True)
        for position, columns in enumerate(items, 1)
    )
    await session.flush()
