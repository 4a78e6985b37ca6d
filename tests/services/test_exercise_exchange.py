"""Exercises by file: out and in again changes nothing, and a file with a mistake writes nothing."""

from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Sessions, bind_clinic
from core.errors import Forbidden
from models.audit import AuditEvent
from models.exercises import Exercise, ExerciseScope
from schemas.exercise_files import FORMAT, ExerciseImport, FileFormat
from schemas.exercises import EXAMPLE, ExerciseCreate, ExerciseUpdate
from services import exercises, library
from services.access import Actor
from services.exercises import ImportRefused, TooManyExercises
from tests.factories import NOW, World, make_world


@pytest.fixture
async def world(sessions: Sessions) -> World:
    world = await make_world(sessions)
    async with sessions.begin() as session:
        await bind_clinic(session, world.clinic.id)
        await library.sync(session, world.clinic.id)
    return world


@pytest.fixture
async def here(session: AsyncSession, world: World) -> AsyncSession:
    await bind_clinic(session, world.clinic.id)
    return session


async def add(session: AsyncSession, actor: Actor, **changes: Any) -> Any:
    form = ExerciseCreate.model_validate({**EXAMPLE, **changes})
    return await exercises.create(session, actor, form, at=NOW)


async def load(
    session: AsyncSession, actor: Actor, text: str, kind: FileFormat = "yaml", *, dry_run: bool = False
) -> ExerciseImport:
    return await exercises.load(session, actor, kind, text, dry_run=dry_run, at=NOW)


def counts(done: ExerciseImport) -> tuple[int, int, int, int]:
    return done.created, done.updated, done.unchanged, done.problem_count


@pytest.mark.parametrize("kind", ["yaml", "csv"])
async def test_out_and_in_again_changes_nothing(here: AsyncSession, world: World, kind: FileFormat) -> None:
    bob, dana = world.actors["bob"], world.actors["dana"]
    row = await add(here, bob, name="=1+1", cues=["-1", "two\\n"], code="wall_one")
    form = ExerciseUpdate.model_validate({"instructions": ["Other\nlines."], "retired": True})
    await exercises.update(here, bob, row.id, form, expected=1, at=NOW)  # its translation is outdated from now on
    await add(here, dana, code="clinic_one", scope="clinic", progression_of=None, media=[])
    for actor, scope, size in ((bob, None, 62), (bob, ExerciseScope.OWN, 1), (dana, None, 61)):
        text = await exercises.export(here, actor, kind, scope=scope, at=NOW)
        for reader in (bob, dana) if size == 61 else (bob,):
            assert counts(await load(here, reader, text, kind)) == (0, 0, size, 0)
    assert await here.scalar(select(func.max(Exercise.version))) == 2
    assert (await exercises.get(here, bob, row.id)).translations["de"].outdated
    if kind == "yaml":  # a new clinic, another therapist: what is shipped is there, the rest is taken over as his own
        text = (await exercises.export(here, dana, kind, scope=ExerciseScope.CLINIC, at=NOW)).replace(
            "clinic_one", "my_one"
        )
        assert counts(await load(here, bob, text.replace("scope: clinic", "scope: own"), kind)) == (1, 0, 0, 0)


async def test_a_file_adds_and_changes_what_it_says_and_leaves_the_rest(here: AsyncSession, world: World) -> None:
    bob = world.actors["bob"]
    row = await add(here, bob, code="wall_one", cues=["Ribs down"])
    text = "code,name,target_region,type,phase,instructions,sets,reps,progression_of\r\n"
    text += "wall_one,Wall,shoulder,mobility,mobility,Slide.,4,8,wall_two\r\n"
    text += "wall_two,Wall two,shoulder,mobility,mobility,Slide.,1,8,hp_bridge\r\n"
    assert counts(await load(here, bob, text, "csv", dry_run=True)) == (1, 1, 0, 0)
    assert (await exercises.get(here, bob, row.id)).version == 1, "nothing was written"
    assert counts(await load(here, bob, text, "csv")) == (1, 1, 0, 0)
    after = await exercises.get(here, bob, row.id)
    assert (after.name, after.cues, after.progression_of, after.version) == ("Wall", ["Ribs down"], "wall_two", 2)
    assert (after.default_dosage["sets"], after.default_dosage["days_per_week"]) == (4, 7)
    assert after.translations["de"].outdated
    assert counts(await load(here, bob, "code,name\nwall_one, Wall \n", "csv")) == (0, 0, 1, 0)
    moved = await load(here, bob, "code,scope\nwall_one,clinic\n", "csv", dry_run=True)
    assert [each.code for each in moved.problems] == ["scope_fixed"]
    traces = select(AuditEvent.action).where(
        AuditEvent.clinic_id == world.clinic.id, AuditEvent.resource_type == "exercise"
    )
    assert list(await here.scalars(traces.order_by(AuditEvent.id))) == [
        "exercise.create",
        "exercise.create",
        "exercise.update",
    ]
    with pytest.raises(Forbidden):
        await load(here, world.actors["alice"], text, "csv")


async def test_everything_wrong_is_told_by_its_line_and_nothing_is_written(here: AsyncSession, world: World) -> None:
    bob, carol = world.actors["bob"], world.actors["carol"]
    await add(here, carol, code="carols_own")
    await add(here, world.actors["dana"], code="clinic_one", scope="clinic")
    text = f"""\
format: {FORMAT}
exercises:
- {{code: good_one, name: Good}}
"""
    good = (
        "name: A, target_region: hip, type: mobility, phase: mobility, default_dosage: {reps: 5}, instructions: [Do.]"
    )
    text += "\n".join(
        [
            "- {code: carols_own, name: Mine}",
            "- {code: hp_bridge, name: Mine}",
            "- {code: clinic_one, name: Mine}",
            f"- {{code: new_one, {good}, progression_of: nowhere, difficulty: 9}}",
            f"- {{code: new_two, {good}, progression_of: new_three, contraindications: [{{code: flu, text: x}}]}}",
            f"- {{code: new_three, {good}, progression_of: new_two}}",
            f"- {{code: new_four, {good}, progression_of: nowhere}}",
            f"- {{code: new_four, {good}}}",
            f"- {{code: new_five, scope: clinic, {good}, progression_of: new_one}}",
            f"- {{code: 7, {good}}}",
            "- code: new_six",
            f"  {good.replace(', ', chr(10) + '  ').replace('reps: 5', 'reps: 5, hold: 3')}",
        ]
    )
    told = await load(here, bob, text, dry_run=True)
    assert counts(told)[:3] == (0, 0, 0)
    found = {(each.line, each.pointer.split("/", 3)[-1], each.code) for each in told.problems}
    assert {each for each in found if each[0] > 3} == {
        (4, "code", "code_taken"),
        (5, "code", "shipped_exercise"),
        (6, "code", "forbidden"),
        (7, "difficulty", "less_than_equal"),
        (7, "progression_of", "unknown_exercise"),
        (8, "contraindications/0/code", "unknown_contraindication"),
        (8, "progression_of", "progression_circle"),
        (9, "progression_of", "progression_circle"),
        (10, "progression_of", "unknown_exercise"),
        (11, "code", "code_repeated"),
        (12, "scope", "not_yours"),
        (13, "code", "string_type"),
        (19, "default_dosage/hold", "extra_forbidden"),
    }
    assert {each[2] for each in found if each[0] == 3} == {"missing"}
    before = await here.scalar(select(func.count()).select_from(Exercise))
    with pytest.raises(ImportRefused) as refused:
        await load(here, bob, text)
    assert refused.value.extras["problem_count"] == told.problem_count == len(refused.value.problems)
    assert refused.value.problems[-1].message.startswith("Line 19: ")
    assert await here.scalar(select(func.count()).select_from(Exercise)) == before


async def test_a_file_closes_no_circle_with_what_is_there(here: AsyncSession, world: World) -> None:
    bob = world.actors["bob"]
    await add(here, bob, code="wall_one")
    await add(here, bob, code="wall_two", progression_of="wall_one")
    told = await load(here, bob, "code,progression_of\nwall_one,wall_two\n", "csv", dry_run=True)
    assert [(each.line, each.code) for each in told.problems] == [(2, "progression_circle")]
    swapped = await load(here, bob, "code,progression_of\nwall_one,wall_two\nwall_two,\n", "csv")
    assert counts(swapped) == (0, 2, 0, 0)


async def test_more_than_a_file_holds_is_refused(
    here: AsyncSession, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.exercises.exchange.MOST", 59)
    with pytest.raises(TooManyExercises):
        await exercises.export(here, world.actors["bob"], "yaml", scope=None, at=NOW)
