"""Exercises out to a file and in from one: everything that is wrong is told by its line, and then nothing is written."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.ladders import circle
from core.errors import Conflict, Forbidden, Invalid, Problem
from models.exercises import Exercise, ExerciseScope
from models.identity import Role
from schemas import exercise_files
from schemas.exercise_files import (
    DOSAGE,
    MOST,
    ORDER,
    Entry,
    ExerciseEntry,
    ExerciseImport,
    FileFormat,
    ImportProblem,
)
from schemas.exercises import MediaIn, retired_at
from services import audit
from services.access import Action, Actor, require
from services.exercises.reading import TRANSLATED, usable
from services.exercises.writing import (
    ShippedExercise,
    circle_problem,
    ladder,
    problems_of,
    require_mine,
    settle,
    take_turns,
    write,
)

TOLD = 1_000
"""Most problems of one file that are told."""


class TooManyExercises(Conflict):
    """These are more exercises than one file holds: name a scope."""


class ImportRefused(Invalid):
    """The file was not imported; `problems` names each place by its line."""


@dataclass
class _Plan:
    """What an import would do."""

    changed: list[tuple[Exercise, dict[str, Any]]] = field(default_factory=list)
    added: list[dict[str, Any]] = field(default_factory=list)
    entries: dict[str, Entry] = field(default_factory=dict)
    unchanged: int = 0
    problems: list[ImportProblem] = field(default_factory=list)
    unread: dict[str, str] = field(default_factory=dict)

    def steps(self) -> dict[str, str]:
        """Give what would follow what, of the exercises that the file adds or changes."""
        contents = [*self.added, *(content for _, content in self.changed)]
        return {each["code"]: each["progression_of"] for each in contents if each["progression_of"] is not None}


async def export(
    session: AsyncSession, actor: Actor, kind: FileFormat, *, scope: ExerciseScope | None, at: datetime
) -> str:
    """Write the exercises that the caller may use, retired ones included, by code. Raises TooManyExercises."""
    require(actor, Action.MANAGE_EXERCISES)
    query = select(Exercise).where(usable(actor))
    if scope is not None:
        query = query.where(Exercise.scope == scope)
    rows = list(await session.scalars(query.order_by(Exercise.code).limit(MOST + 1)))
    if len(rows) > MOST:
        raise TooManyExercises
    await audit.record(session, actor, "exercise.export", subject=("exercise", None), at=at)
    return await asyncio.to_thread(exercise_files.write, kind, [_content(row) for row in rows])


async def load(
    session: AsyncSession, actor: Actor, kind: FileFormat, text: str, *, dry_run: bool, at: datetime
) -> ExerciseImport:
    """Add and change exercises by their codes, all or none. What a file leaves out stays, or is as usual.

    With `dry_run` nothing is written, and the problems are the answer. Raises ImportRefused.
    """
    require(actor, Action.MANAGE_EXERCISES)
    reading = await asyncio.to_thread(exercise_files.read, kind, text)
    await take_turns(session, actor.clinic_id)
    plan = await _planned(session, actor, reading.entries)
    await _check_ladder(session, actor, plan)
    problems = sorted([*reading.problems, *plan.problems], key=lambda each: each.line)
    if problems and not dry_run:
        told = problems[:TOLD]
        raise ImportRefused(
            *(Problem(each.pointer, each.code, f"Line {each.line}: {each.message}") for each in told),
            extras={"problem_count": len(problems), "problems": [each.model_dump() for each in told]},
        )
    if not dry_run:
        await _write(session, actor, plan, at)
    return ExerciseImport(
        dry_run=dry_run,
        created=0 if problems else len(plan.added),
        updated=0 if problems else len(plan.changed),
        unchanged=plan.unchanged,
        problem_count=len(problems),
        problems=problems[:TOLD],
    )


def _content(row: Exercise) -> dict[str, Any]:
    """Give an exercise as a file says it; the order of its parts is always the same."""
    special = {
        "scope": row.scope.value,
        "position": row.position or None,
        "default_dosage": {name: row.default_dosage[name] for name in DOSAGE},
        "contraindications": [{name: one[name] for name in ("code", "text")} for one in row.contraindications],
        "translations": {
            language: {name: row.translations[language][name] for name in TRANSLATED}
            for language in sorted(row.translations)
        },
        "media": [{name: slot[name] for name in MediaIn.model_fields} for slot in row.media],
        "retired": row.retired_at is not None,
    }
    return {name: special[name] if name in special else getattr(row, name) for name in ORDER}


async def _planned(session: AsyncSession, actor: Actor, entries: Sequence[Entry]) -> _Plan:
    codes = [entry.content.get("code") for entry in entries]
    named = Counter(code for code in codes if isinstance(code, str))
    query = select(Exercise).where(Exercise.clinic_id == actor.clinic_id, Exercise.code.in_(named))
    rows = {row.code: row for row in await session.scalars(query.order_by(Exercise.id).with_for_update())}
    plan = _Plan()
    for entry, code in zip(entries, codes, strict=True):
        if not isinstance(code, str):
            row = None
        elif code in plan.entries:
            plan.problems.append(entry.problem(("code",), "code_repeated", "This code comes twice in the file."))
            continue
        else:
            plan.entries[code] = entry
            row = rows.get(code)
        if row is not None and row.scope is ExerciseScope.OWN and row.owner_id != actor.therapist_id:
            plan.problems.append(entry.problem(("code",), "code_taken", "This code is in use."))
        else:
            _plan(plan, actor, entry, row)
    return plan


def _plan(plan: _Plan, actor: Actor, entry: Entry, row: Exercise | None) -> None:
    """Add one exercise to what is to be done, or what is wrong with it to the problems."""
    mine = ExerciseScope.CLINIC if actor.role is Role.CLINIC_ADMIN else ExerciseScope.OWN
    before: dict[str, Any] = {"scope": mine.value} if row is None else _content(row)
    wanted = {**before, **entry.content}
    if wanted == before:
        plan.unchanged += 1
        return
    if row is None and wanted["scope"] != mine:
        plan.problems.append(entry.problem(("scope",), "not_yours", "You cannot add to this scope."))
    try:
        content = ExerciseEntry.model_validate(wanted).model_dump(mode="json")
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        plan.problems += [entry.problem(each["loc"], each["type"], each["msg"]) for each in found]
        code, easier = wanted.get("code"), wanted.get("progression_of")
        if (
            isinstance(code, str)
            and isinstance(easier, str)
            and not {each["loc"][0] for each in found} & {"progression_of"}
        ):
            plan.unread[code] = easier
        return
    if content == before:
        plan.unchanged += 1
        return
    plan.problems += [
        entry.problem(each.pointer.split("/")[1:], each.code, each.message)
        for each in problems_of(content, content["language"])
    ]
    if row is None:
        plan.added.append(content)
        return
    changed = {name for name in content if content[name] != before[name]}
    if "scope" in changed:
        plan.problems.append(entry.problem(("scope",), "scope_fixed", "An import moves nothing to another scope."))
    try:
        require_mine(actor, row, changed)
    except (ShippedExercise, Forbidden) as refusal:
        plan.problems.append(entry.problem(("code",), refusal.code, refusal.title))
    plan.changed.append((row, content))


async def _check_ladder(session: AsyncSession, actor: Actor, plan: _Plan) -> None:
    """Find what would follow an exercise that is not there, or run in a circle together with what is there.

    An entry with other problems is looked at, too, and may be followed: else the next attempt would find more.
    """
    steps = {**plan.unread, **plan.steps()}
    known = set(await session.scalars(select(Exercise.code).where(usable(actor), Exercise.code.in_(steps.values()))))
    known |= plan.entries.keys()
    for code, easier in steps.items():
        if easier not in known:
            problem = "unknown_exercise", "There is no exercise of this code, neither here nor in the file."
            plan.problems.append(plan.entries[code].problem(("progression_of",), *problem))
    freed = {row.code: None for row, content in plan.changed if content["progression_of"] is None}
    whole = {**await ladder(session, actor.clinic_id), **freed, **steps}
    for code in steps:
        way = circle(whole, code)
        if way:
            found = circle_problem(way)
            plan.problems.append(plan.entries[code].problem(("progression_of",), found.code, found.message))


async def _write(session: AsyncSession, actor: Actor, plan: _Plan, at: datetime) -> None:
    rows = []
    for content in plan.added:
        scope = ExerciseScope(content["scope"])
        row = Exercise(clinic_id=actor.clinic_id, scope=scope)
        row.owner_id = actor.therapist_id if scope is ExerciseScope.OWN else None
        _set(row, content, at)
        rows.append(row)
    for row, content in plan.changed:
        _set(row, content, at)
    session.add_all(rows)
    await session.flush()
    for verb, touched in (("create", rows), ("update", [row for row, _ in plan.changed])):
        subjects = [(row.id, None) for row in touched]
        await audit.record_many(session, actor.clinic_id, actor, f"exercise.{verb}", "exercise", subjects, at=at)


def _set(row: Exercise, content: Mapping[str, Any], at: datetime) -> None:
    """Set the columns of an exercise; a translation that stays as it was is still of the text of then."""
    before = row.translations or {}
    translations = {
        language: before[language] if language in before and said.items() <= before[language].items() else said
        for language, said in content["translations"].items()
    }
    columns = {name: value for name, value in content.items() if name not in {"scope", "retired", "translations"}}
    write(row, {**columns, "translations": translations})
    row.retired_at = retired_at(content["retired"], row.retired_at, at)
    settle(row, offered=None, at=at)
