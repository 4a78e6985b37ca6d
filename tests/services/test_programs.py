import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest
from pydantic import BaseModel
from sqlalchemy import select, text, update

from clinical.program_life import ProgramNotInState, ProgramStatus
from clinical.red_flags import required_questions
from core.database import Sessions
from core.errors import Forbidden, NotFound, Refusal, Stale
from models.consents import Consent
from models.episodes import Episode, EpisodeStatus
from models.exercises import Exercise, ExerciseScope
from models.identity import Role
from models.patients import Patient
from models.programs import Program, ProgramPause
from models.red_flag_screens import RedFlagScreen
from schemas.episodes import EpisodeCreate, EpisodeReason
from schemas.exercises import ExerciseCreate, ExerciseMerge
from schemas.pages import Page
from schemas.programs import (
    CriterionIn,
    CriterionRead,
    ProgramCreate,
    ProgramItemIn,
    ProgramItemRead,
    ProgramPauseIn,
    ProgramPhaseIn,
    ProgramPhaseRead,
    ProgramRead,
    ProgramReason,
    ProgramVersionCreate,
)
from schemas.red_flag_screens import RedFlagScreenClose
from services import episodes, exercises, library, programs, red_flag_screens
from services.access import Actor
from services.episode_gate import EpisodeClosed
from services.programs.authoring import Contraindicated, ProgramRefused
from services.programs.lifecycle import ProgramNotReady
from tests.factories import NOW, make_actor, make_patient
from tests.services.caring import DAY, MOBILITY, STRENGTH, Care, care, codes, pointers, settle, waiting_for_a_lock

TODAY = NOW.date()
REASON = ProgramReason(reason="As agreed")
PAUSE = ProgramPauseIn(reason="Two weeks at the sea", kind="holiday_agreed")


async def _edit(world: Care, program: ProgramRead, *, at: Any = NOW, **changes: Any) -> ProgramRead:
    form = ProgramVersionCreate.model_validate({"reason": "Pain rose", "phases": [STRENGTH]} | changes)
    async with world.sessions.begin() as session:
        await world.open(session)
        return await programs.create_version(session, world.bob, program.id, form, version=program.version, at=at)


async def _pause(world: Care, program: ProgramRead, *, at: Any = NOW) -> ProgramRead:
    async with world.sessions.begin() as session:
        await world.open(session)
        return await programs.pause(session, world.bob, program.id, PAUSE, version=program.version, at=at)


async def _resume(world: Care, program: ProgramRead, *, at: Any = NOW) -> ProgramRead:
    async with world.sessions.begin() as session:
        await world.open(session)
        return await programs.resume(session, world.bob, program.id, REASON, version=program.version, at=at)


async def _complete(world: Care, program: ProgramRead, *, at: Any = NOW) -> ProgramRead:
    async with world.sessions.begin() as session:
        await world.open(session)
        return await programs.complete(session, world.bob, program.id, REASON, version=program.version, at=at)


async def _get(world: Care, program_id: UUID, *, by: str = "bob", at: Any = NOW, **query: Any) -> ProgramRead:
    async with world.sessions.begin() as session:
        await world.open(session)
        return await programs.get(session, world.world.actors[by], program_id, at=at, **query)


async def _planned(world: Care, first: date, last: date) -> Sequence[programs.Planned]:
    async with world.sessions() as session:
        await world.open(session)
        return await programs.planned(session, world.clinic_id, world.world.alice.id, first, last)


async def _close(world: Care, screen: RedFlagScreen, *, at: Any = NOW) -> None:
    form = RedFlagScreenClose.model_validate({"outcome": "seen_by_clinician", "note": "Seen"})
    async with world.sessions.begin() as session:
        await world.open(session)
        await red_flag_screens.close(session, world.bob, screen.id, form, version=1, at=at)


# ------------------------------------------------------------------ writing


async def test_a_draft_pins_the_exercises_and_fills_in_the_usual_dose(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.draft(phases=[{**STRENGTH, "items": [{"exercise_code": "hp_bridge"}]}])
    assert (program.status, program.version) == (ProgramStatus.DRAFT, 1)
    assert program.shown is not None
    (item,) = program.shown.phases[0].items
    async with sessions() as session:
        await world.open(session)
        exercise = await session.scalar(select(Exercise).where(Exercise.code == "hp_bridge"))
    assert exercise is not None
    usual = exercise.default_dosage
    assert (item.sets, item.reps, item.hold_seconds) == (usual["sets"], usual["reps"], usual["hold_seconds"])
    assert len(item.weekdays) == usual["days_per_week"]
    assert item.exercise.name == exercise.name
    assert item.exercise.instructions == exercise.instructions
    assert (item.pain_ceiling, program.shown.pain_ceiling) == (None, 5), "the program's own holds"
    assert program.versions[0].in_force_from is None
    assert program.shown.starts_on == TODAY
    assert "program.create" in await world.actions()


async def test_a_program_keeps_its_texts_in_the_patients_language_and_a_new_one_is_pointed_to_the_successor(
    sessions: Sessions,
) -> None:
    world = await care(sessions)
    german = {"name": "Becken kippen", "instructions": ["Kippen."], "cues": [], "precautions": []}
    async with sessions.begin() as session:
        await world.open(session)
        await session.execute(update(Patient).values(language="de-AT"))
        await session.execute(update(Exercise).where(Exercise.code == "hp_bridge").values(name="As shipped before"))
        form = {
            "code": "our_tilt",
            "name": "Tilt",
            "target_region": "low_back",
            "type": "mobility",
            "phase": "mobility",
        }
        rest = {"default_dosage": {"reps": 5}, "instructions": ["Tilt."], "translations": {"de": german}}
        tilt = await exercises.create(session, world.bob, ExerciseCreate.model_validate(form | rest), at=NOW)
    phases = [{**STRENGTH, "items": [{"exercise_code": "our_tilt"}, {"exercise_code": "hp_bridge"}]}]
    program = await world.draft(phases=phases)
    async with sessions.begin() as session:
        await world.open(session)
        merge = ExerciseMerge(replaced_by="lb_pelvic_tilt")
        await exercises.merge(session, world.bob, tilt.id, merge, expected=1, at=NOW)
        assert await library.sync(session, world.clinic_id) == 1
    shown = (await _get(world, program.id)).shown
    assert shown is not None
    assert [item.exercise.name for item in shown.phases[0].items] == ["Becken kippen", "As shipped before"]
    assert shown.phases[0].items[0].exercise.instructions == ["Kippen."]
    with pytest.raises(ProgramRefused) as refused:
        await world.draft(phases=phases)
    assert pointers(refused.value.problems) == {"/phases/0/items/0/exercise_code": "exercise_replaced"}
    assert "lb_pelvic_tilt" in refused.value.problems[0].message


async def test_naming_one_amount_replaces_the_usual_ones(sessions: Sessions) -> None:
    world = await care(sessions)
    items = [
        {
            "exercise_code": "hp_bridge",
            "duration_seconds": 60,
            "load_kg": 2.255,
            "weekdays": [5, 1, 1],
            "side": "left",
            "load_label": None,
            "sets": None,
            "pain_ceiling": 3,
            "note": "On the mat",
        }
    ]
    program = await world.draft(phases=[{**STRENGTH, "items": items}])
    assert program.shown is not None
    (item,) = program.shown.phases[0].items
    assert (item.reps, item.hold_seconds, item.duration_seconds) == (None, None, 60)
    assert item.load_kg == pytest.approx(2.25, abs=0.011)
    assert (item.weekdays, item.side, item.pain_ceiling, item.note) == ([1, 5], "left", 3, "On the mat")


async def test_what_a_program_shows_may_be_sent_back_as_its_next_version(sessions: Sessions) -> None:
    """Whoever lowers the program's ceiling lowers it for all exercises, although he sends back what he has read."""
    world = await care(sessions)
    squat = {"exercise_code": "hp_goblet_squat", "load_kg": 8, "pain_ceiling": 3}
    leave = [{"measure": "pain_now", "op": "lte", "value": 3, "over": {"last_n": 2}}]
    enter = [{"measure": "days_in_phase", "op": "gte", "value": 7}]
    first = {**STRENGTH, "items": [squat, *MOBILITY["items"]], "exit": leave}
    program = await world.running(phases=[first, {**STRENGTH, "entry": enter}])
    assert program.shown is not None
    read = program.shown.model_dump(mode="json", include={"phases"})["phases"]
    for phase in read:
        del phase["id"], phase["position"], phase["begins_on"]
        for criterion in (*phase["entry"], *phase["exit"]):
            del criterion["text"]
        for item in phase["items"]:
            del item["id"], item["position"], item["exercise"], item["accepted_contraindications"]
    edited = await _edit(world, program, effective_on=None, pain_ceiling=4, phases=read)
    assert edited.shown is not None
    async with sessions.begin() as session:
        await world.open(session)
        changes = (await programs.compare(session, world.bob, program.id, from_=None, to=None, at=NOW)).changes
    assert changes is not None
    assert [(one.field, one.before, one.after) for one in changes] == [("pain_ceiling", 5, 4)]
    assert [item.pain_ceiling for item in edited.shown.phases[0].items][:2] == [3, None]
    assert edited.shown.phases[0].items[0].load_label is None, "words about another load"


@pytest.mark.parametrize(
    ("read", "sent"),
    [(ProgramPhaseRead, ProgramPhaseIn), (CriterionRead, CriterionIn), (ProgramItemRead, ProgramItemIn)],
)
def test_the_recipe_names_all_that_is_shown_and_cannot_be_sent(read: type[BaseModel], sent: type[BaseModel]) -> None:
    page = (Path(__file__).parents[2] / "docs" / "program-templates.md").read_text()
    recipe = page.split("## Changing a program")[1].split("##")[0]
    shown_only = read.model_fields.keys() - sent.model_fields.keys()
    assert shown_only <= set(re.findall("`([a-z_]+)`", recipe))


async def test_everything_wrong_with_a_draft_is_told_at_once(sessions: Sessions) -> None:
    world = await care(sessions)
    async with sessions.begin() as session:
        await world.open(session)
        await session.execute(update(Exercise).where(Exercise.code == "co_plank").values(retired_at=NOW))
        session.add(
            Exercise(
                clinic_id=world.clinic_id,
                scope=ExerciseScope.OWN,
                owner_id=world.world.carol.id,
                code="carols_own",
                name="Carol's",
                target_region="hip",
                type="strength",
                phase="strength",
                default_dosage={},
            )
        )
    items = [
        {"exercise_code": "no_such_thing"},
        {"exercise_id": str(uuid4())},
        {"exercise_code": "carols_own"},
        {"exercise_code": "co_plank"},
        {},
        {"exercise_code": "hp_bridge", "exercise_id": str(uuid4())},
        {"exercise_code": "hp_bridge", "reps": 5, "duration_seconds": 20},
    ]
    with pytest.raises(ProgramRefused) as refused:
        await world.draft(phases=[{**MOBILITY, "weeks": None, "items": items}, STRENGTH])
    place = "/phases/0/items"
    assert pointers(refused.value.problems) == {
        "/phases/0/weeks": "weeks_missing",
        f"{place}/0/exercise_code": "exercise_unknown",
        f"{place}/1/exercise_id": "exercise_unknown",
        f"{place}/2/exercise_code": "exercise_unknown",
        f"{place}/3/exercise_code": "exercise_retired",
        f"{place}/4": "exercise_choice",
        f"{place}/5": "exercise_choice",
        f"{place}/6": "dosage_amount",
    }
    async with sessions() as session:
        await world.open(session)
        assert list(await session.scalars(select(Program.id))) == []


@pytest.mark.parametrize(("starts_on", "code"), [(TODAY - DAY, "in_the_past"), (TODAY + 400 * DAY, "too_far_ahead")])
async def test_a_program_begins_today_or_within_a_year(sessions: Sessions, starts_on: date, code: str) -> None:
    world = await care(sessions)
    with pytest.raises(ProgramRefused) as refused:
        await world.draft(starts_on=starts_on.isoformat())
    assert pointers(refused.value.problems) == {"/starts_on": code}


async def test_a_contraindicated_exercise_needs_the_therapists_reason(sessions: Sessions) -> None:
    world = await care(sessions)
    async with sessions.begin() as session:
        await world.open(session)
        exercises = list(await session.scalars(select(Exercise).order_by(Exercise.code)))
        exercise = next(one for one in exercises if one.contraindications)
        known = [one["code"] for one in exercise.contraindications]
        await session.execute(update(Patient).where(Patient.id == world.world.alice.id).values(conditions=known[:1]))
    item: dict[str, Any] = {"exercise_code": exercise.code}
    with pytest.raises(Contraindicated) as refused:
        await world.draft(phases=[{**STRENGTH, "items": [item]}])
    assert pointers(refused.value.problems) == {"/phases/0/items/0/accept_contraindications": "contraindicated"}
    assert refused.value.extras["contraindications"] == {"/phases/0/items/0": sorted(known)}
    with pytest.raises(ProgramRefused):
        await world.draft(phases=[{**STRENGTH, "items": [item, {"exercise_code": "no_such_thing"}]}])
    item["accept_contraindications"] = {"codes": known[:1], "reason": "Half range, supervised"}
    program = await world.draft(phases=[{**STRENGTH, "items": [item]}])
    assert program.shown is not None
    accepted = program.shown.phases[0].items[0].accepted_contraindications
    assert accepted == {"codes": known[:1], "reason": "Half range, supervised"}


async def test_no_program_is_written_for_a_discharged_episode(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.draft()
    async with sessions.begin() as session:
        await world.open(session)
        await session.execute(
            update(Episode)
            .where(Episode.id == world.episode_id)
            .values(status=EpisodeStatus.DISCHARGED, discharged_at=NOW)
        )
    with pytest.raises(EpisodeClosed):
        await world.draft()
    with pytest.raises(ProgramNotReady) as refused:
        await world.activate(program)
    assert "episode_closed" in codes(refused.value.problems)


async def test_only_a_therapist_of_the_patient_prescribes(sessions: Sessions) -> None:
    world = await care(sessions)
    form = ProgramCreate.model_validate({"title": "Mine", "phases": [STRENGTH]})
    async with sessions() as session:
        await world.open(session)
        assistant = Actor(uuid4(), world.clinic_id, Role.ASSISTANT, therapist_id=world.world.bob.id)
        for actor in (assistant, world.alice, world.world.actors["dana"]):
            with pytest.raises(Forbidden):
                await programs.create(session, actor, world.episode_id, form, at=NOW)
        with pytest.raises(NotFound):
            await programs.create(session, world.world.actors["carol"], world.episode_id, form, at=NOW)


# ------------------------------------------------------------------ into use


async def test_activation_lists_everything_that_is_missing(sessions: Sessions) -> None:
    world = await care(sessions, consent=False)
    program = await world.draft()
    async with sessions.begin() as session:
        await world.open(session)
        await session.execute(update(Patient).values(zone="Europe/Berlin"))
    await world.screen(yes=["saddle"])
    with pytest.raises(ProgramNotReady) as refused:
        await world.activate(program)
    assert {"telehealth_consent_missing", "red_flag_open", "unlock_screen_missing"} <= codes(refused.value.problems)
    assert (await _get(world, program.id)).status is ProgramStatus.DRAFT


async def test_an_expired_license_keeps_a_program_out_of_use(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.screen()
    program = await world.draft()
    with pytest.raises(ProgramNotReady) as refused:
        await world.activate(program, at=NOW + 4000 * DAY)
    assert any(code.startswith("license") for code in codes(refused.value.problems))


async def test_an_incomplete_screen_does_not_open_the_way(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.screen(answers={"chest": "no"})
    program = await world.draft()
    with pytest.raises(ProgramNotReady) as refused:
        await world.activate(program)
    assert codes(refused.value.problems) == {"red_flag_screen_missing"}


async def test_a_condition_that_became_known_since_stops_the_activation(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.screen()
    async with sessions() as session:
        await world.open(session)
        exercises = list(await session.scalars(select(Exercise).order_by(Exercise.code)))
    exercise = next(one for one in exercises if one.contraindications)
    code = exercise.contraindications[0]["code"]
    item: dict[str, Any] = {"exercise_code": exercise.code}
    program = await world.draft(phases=[{**STRENGTH, "items": [item]}])
    async with sessions.begin() as session:
        await world.open(session)
        await session.execute(update(Patient).where(Patient.id == world.world.alice.id).values(conditions=[code]))
    with pytest.raises(ProgramNotReady) as refused:
        await world.activate(program)
    assert codes(refused.value.problems) == {"contraindicated"}
    assert refused.value.problems[0].message.startswith(f"{exercise.code} is contraindicated"), "which one"
    item["accept_contraindications"] = {"codes": [code], "reason": "Half range, supervised"}
    edited = await _edit(world, program, phases=[{**STRENGTH, "items": [item]}])
    assert (await world.activate(edited)).status is ProgramStatus.ACTIVE


async def test_a_condition_that_became_known_since_stops_whatever_is_in_force_from_the_day_of_resuming(
    sessions: Sessions,
) -> None:
    world = await care(sessions)
    soft = {**STRENGTH, "items": [{"exercise_code": "lb_pelvic_tilt"}]}
    program = await world.running(phases=[STRENGTH])
    program = await _edit(world, program, phases=[soft], effective_on=(TODAY + 10 * DAY).isoformat())
    program = await _pause(world, program)
    async with sessions.begin() as session:
        await world.open(session)
        alice = update(Patient).where(Patient.id == world.world.alice.id)
        await session.execute(alice.values(conditions=["late_pregnancy"]))
    with pytest.raises(ProgramNotReady) as refused:
        await _resume(world, program)
    assert [problem.message[:9] for problem in refused.value.problems] == ["hp_bridge"], (
        "of the version before the newest"
    )
    program = await _edit(world, program, phases=[soft])
    assert (await _resume(world, program)).status is ProgramStatus.ACTIVE, "what no longer holds stops nobody"


async def test_an_activated_program_is_in_force_from_its_first_day(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running(starts_on=(TODAY + 3 * DAY).isoformat())
    assert (program.status, program.activated_at, program.version) == (ProgramStatus.ACTIVE, NOW, 2)
    assert program.versions[0].in_force_from == TODAY + 3 * DAY
    assert "program.activate" in await world.actions()
    with pytest.raises(ProgramNotInState):
        await world.activate(program)


async def test_a_draft_that_waited_begins_on_the_day_it_is_activated(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.screen()
    program = await world.activate(await world.draft(), at=NOW + 20 * DAY)
    assert program.shown is not None
    assert program.shown.starts_on == program.versions[0].in_force_from == TODAY + 20 * DAY
    assert [phase.begins_on for phase in program.shown.phases] == [TODAY + 20 * DAY, TODAY + 34 * DAY]


async def test_the_program_before_is_superseded(sessions: Sessions) -> None:
    world = await care(sessions)
    first = await world.running()
    await _pause(world, first)
    second = await world.activate(await world.draft(title="Next"), at=NOW + 5 * DAY)
    before = await _get(world, first.id, at=NOW + 5 * DAY)
    assert (before.status, before.ended_at) == (ProgramStatus.SUPERSEDED, NOW + 5 * DAY)
    assert before.versions[0].in_force_until == TODAY + 5 * DAY
    assert second.status is ProgramStatus.ACTIVE
    assert "program.supersede" in await world.actions()
    with pytest.raises(ProgramNotInState):
        await _edit(world, before)


async def test_a_superseded_program_is_over_at_once_also_when_the_next_one_begins_later(sessions: Sessions) -> None:
    """Else it would be expected of the patient meanwhile, while today shows it no more and no red flag stops it."""
    world = await care(sessions)
    first = await _pause(world, await world.running())
    draft = await world.draft(starts_on=(TODAY + 9 * DAY).isoformat())
    await world.activate(draft, at=NOW + 2 * DAY)
    before = await _get(world, first.id)
    assert (before.status, before.status_reason) == (ProgramStatus.SUPERSEDED, "")
    assert before.versions[0].in_force_until == TODAY + 2 * DAY
    assert {each.program_id for each in await _planned(world, TODAY + 2 * DAY, TODAY + 12 * DAY)} == {draft.id}


async def test_of_two_activations_at_once_one_is_stale(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.screen()
    program = await world.draft()
    results = await asyncio.gather(world.activate(program), world.activate(program), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["ProgramRead", "Stale"]


async def test_two_drafts_activated_at_once_leave_one_in_use(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.screen()
    drafts = [await world.draft(), await world.draft()]
    await asyncio.gather(*(world.activate(draft) for draft in drafts))
    states = sorted([(await _get(world, draft.id)).status.value for draft in drafts])
    assert states == ["active", "superseded"]


async def test_a_red_flag_stops_programs_in_the_order_of_their_ids(sessions: Sessions) -> None:
    """As the rules lock them, whichever was put into use first: in another order they would meet head-on."""
    world = await care(sessions)
    async with sessions.begin() as session:
        await world.open(session)
        form = EpisodeCreate(title="Knee pain", body_region="knee")
        knee = await episodes.create(session, world.bob, world.world.alice.id, form, at=NOW)
    drafts = [await each.draft() for each in (world, replace(world, episode_id=knee.id))]
    screen = await world.screen()
    for draft in reversed(drafts):
        await world.activate(draft)

    async def stop() -> int:
        async with sessions.begin() as session:
            await world.open(session)
            for scan in ("indexscan", "bitmapscan"):  # rows come as they lie, the one written last behind the others
                await session.execute(text(f"SET LOCAL enable_{scan} = off"))
            return await programs.suspend(session, world.alice, world.world.alice.id, screen.id, at=NOW)

    async with sessions.begin() as session:
        await world.open(session)
        held = [select(Program.id).where(Program.id == draft.id).with_for_update(nowait=True) for draft in drafts]
        await session.execute(held[0])
        stopping = asyncio.create_task(stop())
        await waiting_for_a_lock(session)
        await session.execute(held[1])
    assert await stopping == 2


async def test_a_red_flag_during_the_activation_is_seen_by_one_of_the_two(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.screen()
    program = await world.draft()
    at = NOW + timedelta(minutes=1)
    await asyncio.gather(world.activate(program, at=at), world.screen(yes=["saddle"], at=at), return_exceptions=True)
    assert (await _get(world, program.id)).status in {ProgramStatus.DRAFT, ProgramStatus.SUSPENDED_RED_FLAG}


# ------------------------------------------------------------------ versions


async def test_an_edit_is_a_new_version_and_the_earlier_one_stays_as_it_was(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    edited = await _edit(world, program, effective_on=(TODAY + 7 * DAY).isoformat(), pain_ceiling=3)
    assert edited.version == program.version + 1
    first, second = edited.versions
    assert (first.in_force_from, first.in_force_until) == (TODAY, TODAY + 7 * DAY)
    assert (second.number, second.reason) == (2, "Pain rose")
    assert (second.in_force_from, second.in_force_until) == (TODAY + 7 * DAY, None)
    assert second.starts_on == TODAY, "phases keep counting"
    current = await _get(world, program.id)
    assert current.shown is not None
    assert current.shown.number == 1
    assert current.shown.phases == (program.shown and program.shown.phases)
    later = await _get(world, program.id, at=NOW + 8 * DAY)
    assert later.shown is not None
    assert (later.shown.number, later.shown.pain_ceiling) == (2, 3)
    asked = await _get(world, program.id, number=2)
    assert asked.shown is not None
    assert asked.shown.number == 2
    with pytest.raises(NotFound):
        await _get(world, program.id, number=3)


async def test_what_an_edit_leaves_out_is_that_of_the_version_in_force_not_of_one_that_never_was(
    sessions: Sessions,
) -> None:
    world = await care(sessions)
    program = await world.running(pain_ceiling=5)
    later = {"effective_on": (TODAY + 10 * DAY).isoformat(), "pain_ceiling": 9}
    program = await _edit(world, program, **later, progression={"mode": "auto", "bounds": {"max_sets": 4}})
    program = await _edit(world, program)
    assert program.shown is not None
    assert (program.shown.number, program.shown.pain_ceiling, program.shown.progression.mode) == (3, 5, "suggest")
    program = await _edit(world, program, **later)
    program = await _edit(world, program, effective_on=(TODAY + 20 * DAY).isoformat())
    assert program.shown is not None
    assert (program.shown.number, program.shown.pain_ceiling) == (5, 9), "of the one that it takes over from"


async def test_an_edit_for_today_replaces_todays_version_and_what_was_to_come(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    planned_ahead = await _edit(world, program, effective_on=(TODAY + 7 * DAY).isoformat())
    edited = await _edit(world, planned_ahead, restart_phases=True)
    assert [(one.in_force_from, one.in_force_until) for one in edited.versions] == [
        (None, None),
        (None, None),
        (TODAY, None),
    ]


async def test_restarted_phases_begin_with_the_version(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    day = TODAY + 10 * DAY
    edited = await _edit(world, program, effective_on=day.isoformat(), restart_phases=True)
    assert edited.versions[-1].starts_on == day


async def test_a_draft_is_edited_without_coming_into_force(sessions: Sessions) -> None:
    world = await care(sessions)
    draft = await world.draft(starts_on=(TODAY + 2 * DAY).isoformat())
    edited = await _edit(world, draft)
    assert edited.status is ProgramStatus.DRAFT
    assert edited.versions[-1].starts_on == TODAY + 2 * DAY
    assert edited.versions[-1].in_force_from is None
    moved = await _edit(world, edited, effective_on=(TODAY + 4 * DAY).isoformat())
    assert moved.versions[-1].starts_on == TODAY + 4 * DAY


async def test_an_edit_of_a_stale_version_changes_nothing(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    await _edit(world, program)
    with pytest.raises(Stale):
        await _edit(world, program)
    with pytest.raises(ProgramRefused):
        await _edit(world, await _get(world, program.id), effective_on=(TODAY - DAY).isoformat())


async def test_two_edits_at_once_make_one_version(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    results = await asyncio.gather(_edit(world, program), _edit(world, program), return_exceptions=True)
    assert sorted(type(result).__name__ for result in results) == ["ProgramRead", "Stale"]
    assert len((await _get(world, program.id)).versions) == 2


async def test_an_edit_in_use_needs_what_an_activation_needs(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        await session.execute(update(Consent).values(status="withdrawn", withdrawn_at=NOW))
    with pytest.raises(ProgramNotReady) as refused:
        await _edit(world, program)
    assert codes(refused.value.problems) == {"telehealth_consent_missing"}


# ------------------------------------------------------------------ pauses and ends


async def test_a_pause_leaves_its_days_out(sessions: Sessions) -> None:
    world = await care(sessions)
    paused = await _pause(world, await world.running())
    assert (paused.status, paused.status_reason) == (ProgramStatus.PAUSED, "Two weeks at the sea")
    resumed = await _resume(world, paused, at=NOW + 2 * DAY)
    assert resumed.status is ProgramStatus.ACTIVE
    days = {each.on: each.excused for each in await _planned(world, TODAY, TODAY + 3 * DAY)}
    assert list(days.values()) == ["holiday_agreed", "holiday_agreed", None, None]
    assert {"program.pause", "program.resume"} <= set(await world.actions())


@pytest.mark.parametrize("rests", [False, True])
async def test_a_day_that_is_lived_twice_is_paused_twice(sessions: Sessions, *, rests: bool) -> None:
    """Who was on holiday in Auckland and flies to Honolulu has yesterday again; the earlier pause had taken that day."""
    world = await care(sessions)
    noon = NOW.replace(hour=12)

    async def fly(zone: str) -> None:
        async with sessions.begin() as session:
            await world.open(session)
            await session.execute(update(Patient).where(Patient.clinic_id == world.clinic_id).values(zone=zone))

    await fly("Pacific/Auckland")
    program = await _pause(world, await world.running(at=noon), at=noon)
    program = await _resume(world, program, at=noon + DAY)
    await fly("Pacific/Honolulu")
    if rests:
        async with sessions.begin() as session:
            await world.open(session)
            halts = {world.world.alice.id: programs.CONSENT_EXPIRED}
            assert await programs.rest(session, world.clinic_id, halts, at=noon + DAY) == 1
    else:
        await _pause(world, program, at=noon + DAY)
    async with sessions() as session:
        await world.open(session)
        query = select(ProgramPause.during).where(ProgramPause.clinic_id == world.clinic_id)
        earlier, later = await session.scalars(query.order_by(ProgramPause.began_at))
    assert earlier.isempty
    assert (later.lower, later.upper) == (TODAY + DAY, None)


async def test_states_that_do_not_allow_it_refuse(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    with pytest.raises(ProgramNotInState):
        await _resume(world, program)
    paused = await _pause(world, program)
    with pytest.raises(ProgramNotInState):
        await _pause(world, paused)
    done = await _complete(world, paused, at=NOW + DAY)
    assert (done.status, done.ended_at, done.status_reason) == (ProgramStatus.COMPLETED, NOW + DAY, "As agreed")
    with pytest.raises(ProgramNotInState):
        await _complete(world, done)


async def test_a_completed_program_plans_nothing_from_that_day(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    await _edit(world, program, effective_on=(TODAY + 5 * DAY).isoformat())
    done = await _complete(world, await _get(world, program.id), at=NOW + 2 * DAY)
    assert done.shown is not None
    assert done.shown.number == 1
    assert {each.on for each in await _planned(world, TODAY, TODAY + 20 * DAY)} == {TODAY, TODAY + DAY}


# ------------------------------------------------------------------ red flags


async def test_a_suspended_program_shows_the_patient_what_to_do_instead(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    await world.screen(yes=["saddle"], at=NOW + DAY)
    seen = await _get(world, program.id, by="alice", at=NOW + DAY)
    assert (seen.status, seen.shown) == (ProgramStatus.SUSPENDED_RED_FLAG, None)
    assert seen.advice is not None
    assert seen.advice.actions == ["call_emergency"]
    assert (await _get(world, program.id, by="alice", number=1)).shown is None
    assert (await _get(world, program.id, at=NOW + DAY)).shown is not None
    days = await _planned(world, TODAY, TODAY + DAY)
    assert [each.excused for each in days if each.on == TODAY + DAY] == ["red_flag_suspended"] * 2


async def test_a_patient_sees_no_exercises_of_a_draft(sessions: Sessions) -> None:
    world = await care(sessions)
    draft = await world.draft()
    seen = await _get(world, draft.id, by="alice")
    assert (seen.shown, seen.advice) == (None, None)
    with pytest.raises(NotFound):
        await _get(world, draft.id, by="carol")


async def test_a_paused_program_is_suspended_too_and_only_once(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await _pause(world, await world.running())
    first = await world.screen(yes=["saddle"], at=NOW + DAY)
    await world.screen(yes=["chest"], at=NOW + 2 * DAY)
    suspended = await _get(world, program.id)
    assert (suspended.status, suspended.suspended_by_id) == (ProgramStatus.SUSPENDED_RED_FLAG, first.id)
    async with sessions.begin() as session:
        await world.open(session)
        again = await programs.suspend(session, world.alice, world.world.alice.id, first.id, at=NOW + 2 * DAY)
    assert again == 0


async def test_a_suspended_program_resumes_after_closing_and_a_clear_unlock_screen(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    screen = await world.screen(yes=["saddle"], at=NOW + DAY)
    suspended = await _get(world, program.id)
    with pytest.raises(ProgramNotReady) as refused:
        await _resume(world, suspended, at=NOW + DAY)
    assert codes(refused.value.problems) == {"red_flag_open", "unlock_screen_missing"}
    await world.screen(trigger="unlock", at=NOW + 2 * DAY)
    with pytest.raises(ProgramNotReady) as still_open:
        await _resume(world, suspended, at=NOW + 2 * DAY)
    assert codes(still_open.value.problems) == {"red_flag_open"}
    await _close(world, screen, at=NOW + 2 * DAY)
    resumed = await _resume(world, suspended, at=NOW + 3 * DAY)
    assert (resumed.status, resumed.suspended_by_id, resumed.advice) == (ProgramStatus.ACTIVE, None, None)


async def test_an_intake_screen_does_not_unlock(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    await _close(world, await world.screen(yes=["saddle"], at=NOW + DAY), at=NOW + DAY)
    await world.screen(at=NOW + 2 * DAY)
    with pytest.raises(ProgramNotReady) as refused:
        await _resume(world, await _get(world, program.id), at=NOW + 2 * DAY)
    assert codes(refused.value.problems) == {"unlock_screen_missing"}


async def test_a_new_program_is_no_way_around_a_closed_flag(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.running()
    await _close(world, await world.screen(yes=["saddle"], at=NOW + DAY), at=NOW + DAY)
    draft = await world.draft(at=NOW + 2 * DAY)
    await world.screen(at=NOW + 2 * DAY, trigger="weekly")  # clear, but nobody meant to unlock anything
    with pytest.raises(ProgramNotReady) as refused:
        await world.activate(draft, at=NOW + 3 * DAY)
    assert codes(refused.value.problems) == {"unlock_screen_missing"}
    await world.screen(at=NOW + 3 * DAY, trigger="unlock")
    assert (await world.activate(draft, at=NOW + 3 * DAY)).status is ProgramStatus.ACTIVE


async def test_neither_another_episode_nor_a_discharge_is_a_way_around_a_closed_flag(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.running()
    await _close(world, await world.screen(yes=["saddle"], at=NOW + DAY), at=NOW + DAY)
    async with sessions.begin() as session:
        await world.open(session)
        await settle(session, world, at=NOW + DAY)
        knee = EpisodeCreate(title="Knee pain", body_region="knee")
        other = await episodes.create(session, world.bob, world.world.alice.id, knee, at=NOW + DAY)
        row = await session.get_one(Episode, (world.clinic_id, world.episode_id))
        gone = EpisodeReason(reason="For now")
        row = await episodes.discharge(session, world.bob, row.id, gone, version=row.version, at=NOW + DAY)
        await episodes.reopen(session, world.bob, row.id, gone, version=row.version, at=NOW + DAY)
    await world.screen(at=NOW + 2 * DAY, trigger="weekly")
    for episode_id in (other.id, world.episode_id):
        draft = await replace(world, episode_id=episode_id).draft(at=NOW + 2 * DAY)
        with pytest.raises(ProgramNotReady) as refused:
            await world.activate(draft, at=NOW + 2 * DAY)
        assert codes(refused.value.problems) == {"unlock_screen_missing"}


async def test_a_screen_about_another_region_does_not_open_the_way(sessions: Sessions) -> None:
    """What an ankle need not answer (saddle, bladder, bowel …) nobody has asked before a back exercises."""
    world = await care(sessions)
    async with sessions.begin() as session:
        await world.open(session)
        form = EpisodeCreate(title="Ankle sprain", body_region="ankle_foot")
        ankle = await episodes.create(session, world.bob, world.world.alice.id, form, at=NOW)
    answers = dict.fromkeys(required_questions("ankle_foot"), "no")
    screen = await world.screen(answers=answers, episode_id=str(ankle.id))
    assert screen.complete
    draft = await world.draft()
    with pytest.raises(ProgramNotReady) as refused:
        await world.activate(draft)
    assert codes(refused.value.problems) == {"red_flag_screen_missing"}
    await world.screen(answers=dict.fromkeys(required_questions("low_back"), "no"), episode_id=str(world.episode_id))
    assert (await world.activate(draft)).status is ProgramStatus.ACTIVE


async def test_a_red_flag_hides_the_exercises_of_programs_that_have_ended_too(sessions: Sessions) -> None:
    world = await care(sessions)
    before = await world.running()
    program = await world.activate(await world.draft(), at=NOW)
    screen = await world.screen(yes=["saddle"], at=NOW + DAY)
    for ended in (before, program):
        shown = await _get(world, ended.id, by="alice", at=NOW + DAY)
        assert shown.shown is None
        assert shown.advice is not None
        assert shown.advice.level == "emergency_now"
        assert (await _get(world, ended.id)).shown is not None  # the therapist's record is whole
    await _close(world, screen, at=NOW + 2 * DAY)
    async with sessions.begin() as session:
        await world.open(session)
        await settle(session, world, at=NOW + 2 * DAY)
        episode = await session.get_one(Episode, (world.clinic_id, world.episode_id))
        gone = EpisodeReason(reason="In hospital")
        await episodes.discharge(session, world.bob, episode.id, gone, version=episode.version, at=NOW + 2 * DAY)
    assert (await _get(world, program.id, by="alice", at=NOW + 2 * DAY)).shown is not None


# ------------------------------------------------------------------ the calendar


async def test_the_calendar_follows_phases_weekdays_and_slots(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    assert program.shown is not None
    tilt, belly = (item.id for item in program.shown.phases[0].items)
    (bridge,) = (item.id for item in program.shown.phases[1].items)
    days = await _planned(world, TODAY - 3 * DAY, TODAY + 16 * DAY)
    by_day: dict[date, list[programs.Planned]] = {}
    for each in days:
        by_day.setdefault(each.on, []).append(each)
    assert min(by_day) == TODAY
    assert [(each.slot, each.items, each.dose) for each in by_day[TODAY]] == [(1, (tilt, belly), 28), (2, (tilt,), 20)]
    assert TODAY + 5 * DAY not in by_day, "Saturday is free in the first phase"
    second = by_day[TODAY + 15 * DAY]
    assert [(each.phase_position, each.items, each.dose) for each in second] == [(2, (bridge,), 36)]
    assert {each.version_number for each in days} == {1}


async def test_each_day_is_planned_by_the_version_in_force(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    await _edit(world, program, effective_on=(TODAY + DAY).isoformat())
    days = await _planned(world, TODAY, TODAY + 3 * DAY)
    assert [(each.on - TODAY, each.version_number) for each in days] == [
        (timedelta(0), 1),
        (timedelta(0), 1),
        (DAY, 2),
        (3 * DAY, 2),
    ]


async def test_the_calendar_may_be_asked_for_one_episode_and_for_nothing(sessions: Sessions) -> None:
    world = await care(sessions)
    assert await _planned(world, TODAY, TODAY) == []
    await world.running()
    assert await _planned(world, TODAY, TODAY - DAY) == []
    async with sessions() as session:
        await world.open(session)
        ask = (session, world.clinic_id, world.world.alice.id, TODAY, TODAY)
        assert len(await programs.planned(*ask, episode_id=world.episode_id)) == 2
        assert await programs.planned(*ask, episode_id=uuid4()) == []


# ------------------------------------------------------------------ lists


async def test_an_episodes_programs_are_listed_newest_first(sessions: Sessions) -> None:
    world = await care(sessions)
    drafts = [(await world.draft(title=title)).id for title in ("One", "Two")]
    async with sessions.begin() as session:
        await world.open(session)
        page = await programs.browse(session, world.alice, world.episode_id, Page(), at=NOW)
    assert [row.id for row in page.items] == drafts[::-1]
    assert "program.list" in await world.actions()


async def test_a_patient_without_reach_finds_no_program(sessions: Sessions) -> None:
    world = await care(sessions)
    draft = await world.draft()
    async with sessions.begin() as session:
        other = await make_patient(session, world.clinic_id, "Erin Costa")
        erin = await make_actor(session, world.clinic_id, Role.PATIENT, other)
        with pytest.raises(NotFound):
            await programs.get(session, erin, draft.id, at=NOW)


async def test_suspending_a_patient_nobody_knows_is_refused(sessions: Sessions) -> None:
    world = await care(sessions)
    async with sessions() as session:
        await world.open(session)
        with pytest.raises(Refusal):
            await programs.suspend(session, world.alice, uuid4(), uuid4(), at=NOW)


async def test_two_versions_are_compared_and_the_patient_may_read_it(sessions: Sessions) -> None:
    alices = await care(sessions)
    program = await alices.running()
    more = {**MOBILITY, "items": [{**MOBILITY["items"][0], "sets": 3}, MOBILITY["items"][1]]}
    form = ProgramVersionCreate.model_validate({"reason": "Going well", "pain_ceiling": 4, "phases": [more, STRENGTH]})
    async with sessions.begin() as session:
        await alices.open(session)
        await programs.create_version(session, alices.bob, program.id, form, version=program.version, at=NOW)
        told = await programs.compare(session, alices.alice, program.id, from_=None, to=None, at=NOW)
        assert (told.from_version.number, told.to_version.number, told.to_version.reason) == (1, 2, "Going well")
        assert [(one.field, one.before, one.after, one.text) for one in told.changes or ()] == [
            ("pain_ceiling", 5, 4, "Stop when pain is above 4 (was 5)"),
            ("sets", 2, 3, "2 → 3 sets of Pelvic tilt lying down"),
        ]
        back = await programs.compare(session, alices.bob, program.id, from_=2, to=1, at=NOW)
        assert [(one.before, one.after) for one in back.changes or ()] == [(4, 5), (3, 2)]
        for number in (1, 2):
            same = await programs.compare(session, alices.alice, program.id, from_=number, to=number, at=NOW)
            assert same.changes == []
        with pytest.raises(NotFound):
            await programs.compare(session, alices.bob, program.id, from_=1, to=3, at=NOW)
        with pytest.raises(NotFound):
            await programs.compare(session, alices.world.actors["carol"], program.id, from_=1, to=2, at=NOW)
    await alices.screen(trigger="new_symptom", yes=["saddle"])
    async with sessions.begin() as session:
        await alices.open(session)
        hidden = await programs.compare(session, alices.alice, program.id, from_=1, to=2, at=NOW)
        assert hidden.changes is None
        assert hidden.advice is not None
