"""Moving doses of a program in use: the next version is the one before but for what changes, with the reason."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import inspect, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.attributes import flag_modified

from clinical.dosing import Dose
from clinical.program_life import ProgramAction, step
from core.errors import Conflict
from models.patients import Patient
from models.programs import Program, ProgramItem, ProgramPhase, ProgramVersion
from schemas.programs import ProgramItemIn
from services import audit, exercises
from services.access import Actor
from services.programs.authoring import Draft, item_columns
from services.programs.lifecycle import require_ready
from services.programs.records import make_place

AMOUNTS = ("sets", "reps", "hold_seconds", "duration_seconds", "load_kg")


class LastExercise(Conflict):
    """This is the only exercise of its phase: pause the program, or write a version with another one."""


@dataclass(frozen=True)
class Adjusted:
    """The version that was written, and by the ids of the items before those that are the same in it."""

    version: ProgramVersion
    items: Mapping[UUID, UUID]


async def adjust(
    session: AsyncSession,
    actor: Actor,
    program: Program,
    patient: Patient,
    before: ProgramVersion,
    changes: Mapping[UUID, Dose | None],
    reason: str,
    *,
    at: datetime,
    by_itself: bool = False,
) -> Adjusted:
    """Write the version after `before`, which is in force, to hold from today; patient and program are locked.

    changes: by item, the new dose, or None to take the exercise out. actor: the therapist whose prescription it is;
    by_itself: he set the bounds, and the system stays within them. Raises ProgramNotInState,
    ProgramNotReady, LastExercise, ProgramRefused, Contraindicated.
    """
    step(program.status, ProgramAction.ADJUST)
    await require_ready(session, actor, program, [before], patient, at=at)
    where = (ProgramItem.clinic_id == program.clinic_id, ProgramItem.version_id == before.id)
    phases = list(
        await session.scalars(
            select(ProgramPhase)
            .where(ProgramPhase.clinic_id == program.clinic_id, ProgramPhase.version_id == before.id)
            .order_by(ProgramPhase.position)
        )
    )
    items = list(await session.scalars(select(ProgramItem).where(*where).order_by(ProgramItem.position)))
    left = {item.phase_id for item in items if changes.get(item.id, item) is not None}
    if {phase.id for phase in phases} - left:
        raise LastExercise
    columns = await _columns(session, actor, patient, items, changes)
    assert actor.therapist_id is not None
    _, version = await make_place(session, program, ProgramAction.ADJUST, patient, at=at)
    version.clinic_id, version.program_id, version.patient_id = program.clinic_id, program.id, program.patient_id
    version.author_id, version.reason, version.created_at = actor.therapist_id, reason, at
    version.pain_ceiling, version.progression = before.pain_ceiling, before.progression
    session.add(version)
    await session.flush()
    copied = {phase.id: ProgramPhase(**{**_row(phase), "version_id": version.id}) for phase in phases}
    session.add_all(copied.values())
    await session.flush()
    written = {
        item.id: ProgramItem(**{**columns[item.id], "version_id": version.id, "phase_id": copied[item.phase_id].id})
        for item in items
        if item.id in columns
    }
    session.add_all(written.values())
    flag_modified(program, "title")  # the program counts its versions: whoever read the last one holds a stale tag
    await session.flush()
    who = None if by_itself else actor
    subjects = [(version.id, program.patient_id)]
    await audit.record_many(
        session, program.clinic_id, who, "program_version.create", "program_version", subjects, at=at
    )
    return Adjusted(version, {old: new.id for old, new in written.items() if old not in changes})


async def _columns(
    session: AsyncSession,
    actor: Actor,
    patient: Patient,
    items: list[ProgramItem],
    changes: Mapping[UUID, Dose | None],
) -> dict[UUID, dict[str, Any]]:
    """Give what each item of the next version holds; those that are taken out are left out."""
    others = {dose.code for dose in changes.values() if dose is not None}
    found = await exercises.by_code(session, actor, others, ())
    shelf: dict[object, Any] = {row.code: row for row in found}
    draft, columns = Draft(), {}
    for item in items:
        dose = changes.get(item.id)
        if item.id not in changes:
            columns[item.id] = _row(item)
        elif dose is not None and dose.code == item.exercise_code:
            columns[item.id] = _row(item) | {name: getattr(dose, name) for name in AMOUNTS}
        elif dose is not None:
            amounts = {name: value for name in AMOUNTS if (value := getattr(dose, name)) is not None}
            form = ProgramItemIn(exercise_code=dose.code, **_kept(item, shelf.get(dose.code)), **amounts)
            made = item_columns(draft, "", form, shelf, patient)
            columns[item.id] = made | {"clinic_id": item.clinic_id, "position": item.position}
    draft.refuse()
    return columns


def _kept(item: ProgramItem, other: Any) -> dict[str, Any]:
    """Give what a therapist has said that holds for the other exercise, too: when, up to what, and on which side."""
    kept = {name: getattr(item, name) for name in ("weekdays", "sessions_per_day", "pain_ceiling", "effort_ceiling")}
    one_sided = item.side in {"left", "right"} and other is not None and other.default_dosage["per_side"]
    return kept | {"side": item.side if one_sided else None}


def _row(row: Any) -> dict[str, Any]:
    """Give the columns of a row that a copy of it has as well."""
    return {name: getattr(row, name) for name in inspect(type(row)).columns.keys() if name != "id"}  # noqa: SIM118
