"""Exercises: who sees which, who may add and change which, and how they are found."""

import asyncio
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Sessions, bind_clinic
from core.errors import Forbidden, NotFound, Stale
from models.audit import AuditEvent
from models.identity import Role
from schemas.exercises import (
    ExerciseCreate,
    ExerciseFilter,
    ExerciseMerge,
    ExerciseRead,
    ExerciseUpdate,
    retired_at,
)
from schemas.pages import Page
from services import exercises, library
from services.access import Actor
from services.exercises import CodeTaken, ExerciseRefused, NotOffered, ShippedExercise
from tests.factories import NOW, World, make_actor, make_world
from tests.services.caring import codes, pointers

SLIDE: dict[str, Any] = {
    "code": "wall_slide",
    "name": "Wall slide with a towel",
    "target_region": "shoulder",
    "body_regions": ["thoracic"],
    "type": "mobility",
    "phase": "mobility",
    "position": "standing",
    "equipment": ["towel"],
    "default_dosage": {"sets": 2, "reps": 10},
    "instructions": ["Slide the towel up the wall."],
}


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


async def add(session: AsyncSession, actor: Actor, **changes: Any) -> ExerciseRead:
    return await exercises.create(session, actor, ExerciseCreate.model_validate(SLIDE | changes), at=NOW)


async def change(session: AsyncSession, actor: Actor, row: ExerciseRead, **changes: Any) -> ExerciseRead:
    form = ExerciseUpdate.model_validate(changes)
    return await exercises.update(session, actor, row.id, form, expected=row.version, at=NOW)


async def replace(session: AsyncSession, actor: Actor, row: ExerciseRead, code: str) -> ExerciseRead:
    return await exercises.merge(session, actor, row.id, ExerciseMerge(replaced_by=code), expected=row.version, at=NOW)


async def found(session: AsyncSession, actor: Actor, **wanted: Any) -> set[str]:
    page = await exercises.browse(session, actor, ExerciseFilter.model_validate(wanted), Page(limit=200))
    return {row.code for row in page.items}


async def test_a_therapist_sees_her_own_the_clinics_and_the_shipped_ones(here: AsyncSession, world: World) -> None:
    await add(here, world.actors["bob"])
    await add(here, world.actors["dana"], scope="clinic", code="clinic_slide")
    for name, seen in (
        ("bob", {"wall_slide", "clinic_slide"}),
        ("carol", {"clinic_slide"}),
        ("alice", {"clinic_slide"}),
        ("dana", {"clinic_slide"}),
    ):
        shown = await found(here, world.actors[name])
        assert shown & {"wall_slide", "clinic_slide"} == seen, name
        assert "lb_pelvic_tilt" in shown


async def test_a_colleagues_own_exercise_is_not_there(here: AsyncSession, world: World) -> None:
    row = await add(here, world.actors["bob"])
    assert (await exercises.get(here, world.actors["bob"], row.id)).owner_id == world.bob.id
    change = ExerciseUpdate(name="Mine now")
    with pytest.raises(NotFound):
        await exercises.get(here, world.actors["carol"], row.id)
    with pytest.raises(NotFound):
        await exercises.update(here, world.actors["carol"], row.id, change, expected=1, at=NOW)


async def test_filters_narrow_and_every_one_must_fit(here: AsyncSession, world: World) -> None:
    bob = world.actors["bob"]
    await add(here, bob)
    for wanted in (
        {"scope": "own"},
        {"region": "shoulder"},
        {"region": "thoracic"},
        {"type": "mobility"},
        {"phase": "mobility"},
        {"position": "stand"},
        {"equipment": "towel"},
        {"search": "TOWEL slide"},
        {"scope": "own", "region": "shoulder", "search": "wall"},
    ):
        assert "wall_slide" in await found(here, bob, **wanted), wanted
    for wanted in (
        {"scope": "clinic"},
        {"region": "knee"},
        {"type": "strength"},
        {"phase": "strength"},
        {"position": "lying"},
        {"equipment": "band"},
        {"equipment": "none"},
        {"position": "st_nding"},
        {"search": "towel knee"},
        {"search": "%"},
    ):
        assert "wall_slide" not in await found(here, bob, **wanted), wanted
    assert "lb_pelvic_tilt" in await found(here, bob, position="lying", equipment="none")


async def test_pages_go_by_name_and_miss_nothing(here: AsyncSession, world: World) -> None:
    bob, names, cursor = world.actors["bob"], list[str](), None
    while True:
        page = await exercises.browse(here, bob, ExerciseFilter(), Page(limit=25, cursor=cursor))
        names += [row.name for row in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    whole = await exercises.browse(here, bob, ExerciseFilter(), Page(limit=200))
    assert names == [row.name for row in whole.items]
    assert len(names) == len(await found(here, bob))


async def test_a_retired_exercise_is_hidden_but_can_be_read_and_brought_back(here: AsyncSession, world: World) -> None:
    bob = world.actors["bob"]
    row = await add(here, bob)
    row = await exercises.update(here, bob, row.id, ExerciseUpdate(retired=True), expected=1, at=NOW)
    assert (row.retired_at, row.version) == (NOW, 2)
    assert "wall_slide" not in await found(here, bob)
    assert "wall_slide" in await found(here, bob, retired=True)
    assert (await exercises.get(here, bob, row.id)).id == row.id
    row = await exercises.update(here, bob, row.id, ExerciseUpdate(retired=False), expected=2, at=NOW)
    assert row.retired_at is None
    assert "wall_slide" in await found(here, bob)


def test_retiring_twice_keeps_the_first_moment() -> None:
    assert retired_at(None, NOW, NOW) == NOW
    later = NOW.replace(year=2027)
    assert retired_at(True, NOW, later) == NOW


async def test_only_what_is_sent_changes(here: AsyncSession, world: World) -> None:
    bob = world.actors["bob"]
    row = await add(here, bob, cues=["Ribs down"], contraindications=[])
    change = ExerciseUpdate.model_validate({"equipment": [], "default_dosage": {"duration_seconds": 60}})
    row = await exercises.update(here, bob, row.id, change, expected=1, at=NOW)
    assert (row.equipment, row.cues, row.name) == ([], ["Ribs down"], SLIDE["name"])
    assert row.default_dosage["duration_seconds"] == 60
    assert row.default_dosage["reps"] is None


async def test_a_code_is_taken_once(here: AsyncSession, world: World) -> None:
    await add(here, world.actors["bob"])
    for name in ("bob", "carol"):
        with pytest.raises(CodeTaken) as refused:
            await add(here, world.actors[name])
        assert pointers(refused.value.problems) == {"/code": "code_taken"}
    with pytest.raises(CodeTaken):
        await add(here, world.actors["bob"], code="hp_bridge")
    assert "wall_slide" in await found(here, world.actors["bob"]), "the refusal left the transaction usable"


async def test_each_adds_to_his_own_shelf_only(here: AsyncSession, world: World) -> None:
    with pytest.raises(Forbidden):
        await add(here, world.actors["bob"], scope="clinic")
    with pytest.raises(Forbidden):
        await add(here, world.actors["dana"], scope="own")
    with pytest.raises(Forbidden):
        await add(here, world.actors["alice"])
    auditor = await make_actor(here, world.clinic.id, Role.AUDITOR)
    with pytest.raises(Forbidden):
        await found(here, auditor)


async def test_a_shipped_exercise_stays_as_it_was_shipped(here: AsyncSession, world: World) -> None:
    (bridge,) = await exercises.by_code(here, world.actors["dana"], ["hp_bridge"], [])
    change = ExerciseUpdate(name="My bridge")
    for name in ("bob", "dana"):
        with pytest.raises(ShippedExercise):
            await exercises.update(here, world.actors[name], bridge.id, change, expected=1, at=NOW)


async def test_only_the_admin_changes_the_clinics_exercises_and_only_the_version_he_read(
    here: AsyncSession, world: World
) -> None:
    row = await add(here, world.actors["dana"], scope="clinic")
    change = ExerciseUpdate(name="Wall slide")
    with pytest.raises(Forbidden):
        await exercises.update(here, world.actors["bob"], row.id, change, expected=1, at=NOW)
    with pytest.raises(Stale) as stale:
        await exercises.update(here, world.actors["dana"], row.id, change, expected=7, at=NOW)
    assert stale.value.current_version == 1
    assert (await exercises.update(here, world.actors["dana"], row.id, change, expected=1, at=NOW)).version == 2
    with pytest.raises(NotFound):
        await exercises.update(here, world.actors["dana"], UUID(int=7), change, expected=1, at=NOW)


async def test_what_the_library_does_not_know_is_refused_all_at_once(here: AsyncSession, world: World) -> None:
    with pytest.raises(ExerciseRefused) as refused:
        await add(
            here,
            world.actors["bob"],
            contraindications=[{"code": "moon_sickness", "text": "Not on the moon"}],
            progression_of="no_such_exercise",
            default_dosage={"sets": 1},
        )
    assert pointers(refused.value.problems) == {
        "/contraindications/0/code": "unknown_contraindication",
        "/default_dosage": "dosage_amount",
        "/progression_of": "unknown_exercise",
    }
    with pytest.raises(ExerciseRefused) as both:
        await add(here, world.actors["bob"], default_dosage={"reps": 5, "duration_seconds": 60})
    assert codes(both.value.problems) == {"dosage_amount"}


async def test_an_exercise_may_follow_one_that_the_caller_sees(here: AsyncSession, world: World) -> None:
    row = await add(here, world.actors["bob"], progression_of="hp_bridge")
    assert row.progression_of == "hp_bridge"
    with pytest.raises(ExerciseRefused):
        await add(here, world.actors["carol"], code="after_bobs", progression_of="wall_slide")


async def test_whoever_adds_or_changes_an_exercise_is_on_record(here: AsyncSession, world: World) -> None:
    row = await add(here, world.actors["bob"])
    await exercises.update(here, world.actors["bob"], row.id, ExerciseUpdate(name="Slide"), expected=1, at=NOW)
    traces = select(AuditEvent).where(AuditEvent.clinic_id == world.clinic.id, AuditEvent.resource_id == row.id)
    found = (await here.scalars(traces.order_by(AuditEvent.id))).all()
    assert [(each.action, each.account_id) for each in found] == [
        ("exercise.create", world.actors["bob"].account_id),
        ("exercise.update", world.actors["bob"].account_id),
    ]


# ------------------------------------------------------------------ from easier to harder


async def test_what_follows_an_exercise_is_told_and_a_circle_is_refused_with_its_way(
    here: AsyncSession, world: World
) -> None:
    bob, carol = world.actors["bob"], world.actors["carol"]
    one = await add(here, bob, code="step_one", progression_of="hp_bridge", difficulty=3)
    two = await add(here, bob, code="step_two", progression_of="step_one", difficulty=4)
    bridge = (await exercises.by_code(here, bob, ["hp_bridge"], []))[0].id
    assert (await exercises.get(here, bob, bridge)).regression_of == ["hp_bridge_single", "step_one"]
    assert (await exercises.get(here, carol, bridge)).regression_of == ["hp_bridge_single"]
    assert (await exercises.get(here, bob, one.id)).regression_of == ["step_two"]
    assert await found(here, bob, difficulty=4, scope="own") == {"step_two"}
    for easier, way in (("step_two", "step_one → step_two → step_one"), ("step_one", "step_one → step_one")):
        with pytest.raises(ExerciseRefused) as refused:
            await change(here, bob, one, progression_of=easier)
        assert pointers(refused.value.problems) == {"/progression_of": "progression_circle"}
        assert way in refused.value.problems[0].message
    with pytest.raises(ExerciseRefused):
        await add(here, bob, code="step_self", progression_of="step_self")
    freed = await change(here, bob, two, progression_of=None)
    assert freed.progression_of is None
    assert (await change(here, bob, one, progression_of="step_two")).progression_of == "step_two"


async def test_two_changes_at_once_do_not_make_a_circle_together(sessions: Sessions, world: World) -> None:
    bob = world.actors["bob"]
    async with sessions.begin() as session:
        await bind_clinic(session, world.clinic.id)
        rows = [await add(session, bob, code=code) for code in ("left_one", "right_one")]

    async def follow(row: ExerciseRead, easier: str) -> str:
        async with sessions.begin() as session:
            await bind_clinic(session, world.clinic.id)
            try:
                await change(session, bob, row, progression_of=easier)
            except ExerciseRefused as refused:
                return refused.problems[0].code
            await asyncio.sleep(0)
            return "done"

    told = await asyncio.gather(follow(rows[0], "right_one"), follow(rows[1], "left_one"))
    assert sorted(told) == ["done", "progression_circle"]


# ------------------------------------------------------------------ to the clinic, and into one


async def test_what_a_therapist_offers_the_admin_makes_the_clinics(here: AsyncSession, world: World) -> None:
    bob, dana, carol = (world.actors[name] for name in ("bob", "dana", "carol"))
    first = await add(here, bob, code="own_first")
    second = await add(here, bob, code="own_second", progression_of="own_first")
    with pytest.raises(NotFound):
        await exercises.promote(here, dana, first.id, expected=1, at=NOW)
    first, second = await change(here, bob, first, offered=True), await change(here, bob, second, offered=True)
    assert await found(here, dana, offered=True) == {"own_first", "own_second"}
    assert await found(here, carol, offered=True) == set()
    assert await exercises.by_code(here, dana, ["own_first"], []) == [], "not the clinic's yet"
    with pytest.raises(Forbidden):
        await change(here, dana, first, name="Mine")
    with pytest.raises(Forbidden):
        await exercises.promote(here, bob, first.id, expected=first.version, at=NOW)
    with pytest.raises(Stale):
        await exercises.promote(here, dana, first.id, expected=1, at=NOW)
    with pytest.raises(ExerciseRefused) as refused:
        await exercises.promote(here, dana, second.id, expected=second.version, at=NOW)
    assert pointers(refused.value.problems) == {"/progression_of": "not_shared"}
    for row in (first, second):
        promoted = await exercises.promote(here, dana, row.id, expected=row.version, at=NOW)
        assert (promoted.scope, promoted.owner_id, promoted.offered_at) == ("clinic", None, None)
    assert {"own_first", "own_second"} <= await found(here, carol)
    with pytest.raises(NotOffered):
        await exercises.promote(here, dana, first.id, expected=first.version + 1, at=NOW)
    with pytest.raises(ExerciseRefused):
        await change(here, dana, promoted, offered=True)


async def test_a_duplicate_gives_its_place_to_what_replaces_it(here: AsyncSession, world: World) -> None:
    bob = world.actors["bob"]
    row = {name: await add(here, bob, code=name) for name in ("dup_a", "dup_b", "dup_c")}
    harder = await add(here, bob, code="dup_harder", progression_of="dup_a")
    for wrong, code in (("dup_a", "same_exercise"), ("no_such", "exercise_unknown")):
        with pytest.raises(ExerciseRefused) as refused:
            await replace(here, bob, row["dup_a"], wrong)
        assert pointers(refused.value.problems) == {"/replaced_by": code}
    with pytest.raises(NotFound):
        await replace(here, world.actors["carol"], row["dup_a"], "hp_bridge")
    with pytest.raises(Stale):
        await replace(here, bob, row["dup_a"].model_copy(update={"version": 7}), "dup_b")
    merged = await replace(here, bob, row["dup_a"], "dup_b")
    assert (merged.replaced_by, merged.retired_at) == ("dup_b", NOW)
    assert (await exercises.get(here, bob, harder.id)).progression_of == "dup_b"
    with pytest.raises(ExerciseRefused) as refused:
        await replace(here, bob, row["dup_c"], "dup_a")
    assert pointers(refused.value.problems) == {"/replaced_by": "exercise_retired"}
    await replace(here, bob, await exercises.get(here, bob, row["dup_b"].id), "dup_c")
    first = await exercises.get(here, bob, row["dup_a"].id)
    assert first.replaced_by == "dup_c", "no chains"
    assert (await change(here, bob, first, retired=False)).replaced_by is None
    (shipped,) = await exercises.by_code(here, bob, ["hp_bridge"], [])
    with pytest.raises(ShippedExercise):
        await replace(here, bob, ExerciseRead.model_validate(await exercises.get(here, bob, shipped.id)), "dup_c")


# ------------------------------------------------------------------ languages


async def test_texts_are_shown_in_the_nearest_language_that_is_up_to_date(here: AsyncSession, world: World) -> None:
    bob, dana = world.actors["bob"], world.actors["dana"]
    german = {"name": "Wandrutschen", "instructions": ["Nach oben schieben."]}
    row = await add(here, bob, translations={"de": german, "fr": {**german, "name": "Glisser"}})
    for wanted, name in (
        (["de-AT"], "Wandrutschen"),
        (["fr"], "Glisser"),
        (["pt", "fr-CH", "de"], "Glisser"),
        (["pt"], SLIDE["name"]),
        ([], SLIDE["name"]),
    ):
        assert (await exercises.get(here, bob, row.id, languages=wanted)).name == name, wanted
    assert "wall_slide" in await found(here, bob, search="wandrutshen")
    row = await change(here, bob, row, instructions=["Another way."], translations={"fr": None})
    shown = await exercises.get(here, bob, row.id, languages=["de"])
    assert (shown.shown_in, shown.translations["de"].outdated, [*shown.translations]) == ("en", True, ["de"])
    row = await change(here, bob, row, translations={"de": german})
    assert (await exercises.get(here, bob, row.id, languages=["de"])).shown_in == "de"
    with pytest.raises(ExerciseRefused) as refused:
        await change(here, bob, row, translations={"en": german})
    assert pointers(refused.value.problems) == {"/translations/en": "language_is_own"}
    many = {f"de-x{number:02}": german for number in range(20)}
    with pytest.raises(ExerciseRefused):
        await change(here, bob, row, translations=many)
    (shipped,) = await exercises.by_code(here, dana, ["hp_bridge"], [])
    bridge = await exercises.get(here, dana, shipped.id)
    with pytest.raises(ShippedExercise):
        await change(here, bob, bridge, translations={"de": german})
    bridge = await change(here, dana, bridge, translations={"de": german})
    assert await library.sync(here, world.clinic.id) == 0
    assert (await exercises.get(here, bob, bridge.id, languages=["de"])).name == "Wandrutschen"
