"""A patient's day in one call: in his own zone, with the dose, the ceiling, and whom to call."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from clinical.red_flags import new_nerve_symptom, required_questions
from core.database import Sessions, bind_clinic
from core.errors import Forbidden, NotFound
from models.check_ins import CheckIn, CheckInStatus
from models.exercises import Exercise
from models.identity import Role
from models.patients import Patient
from models.sessions import ExerciseSession
from schemas.episodes import EpisodeCreate
from schemas.programs import ProgramPauseIn, ProgramRead
from schemas.red_flag_screens import RedFlagScreenClose
from schemas.today import Today, TodayProgram
from services import episodes, programs, red_flag_screens, today
from services.access import Actor
from tests.factories import NOW, locate
from tests.services.caring import DAY, MOBILITY, STRENGTH, Care, care
from tests.services.histories import check_in
from tests.services.test_suggestions import BRIDGE, PHASE, TILT, follow_up, night, train

HOUR = timedelta(hours=1)


@pytest.fixture
async def alices(sessions: Sessions) -> Care:
    return await care(sessions)


async def day(here: Care, *, at: datetime = NOW) -> Today:
    async with here.sessions.begin() as session:
        await here.open(session)
        return await today.get(session, here.alice, at=at)


async def due(here: Care, at: datetime, status: CheckInStatus = CheckInStatus.OPEN, **changes: Any) -> UUID:
    """Let a check-in be due at `at`: it opens then, closes 12 hours later, and is late for 12 more."""
    async with here.sessions.begin() as session:
        await here.open(session)
        row = CheckIn(
            clinic_id=here.clinic_id,
            patient_id=here.world.alice.id,
            episode_id=here.episode_id,
            status=status,
            **{
                "local_date": at.date(),
                "question_set": "daily",
                "zone": "Europe/Berlin",
                "opens_at": at,
                "due_at": at,
                "closes_at": at + 12 * HOUR,
                "late_until": at + 24 * HOUR,
            }
            | changes,
        )
        session.add(row)
        await session.flush()
        return row.id


async def log(here: Care, program: ProgramRead, **changes: Any) -> UUID:
    """Let alice have done a session of a program now, in its first slot unless `slot` says otherwise."""
    async with here.sessions.begin() as session:
        await here.open(session)
        row = ExerciseSession(
            clinic_id=here.clinic_id,
            patient_id=here.world.alice.id,
            program_id=program.id,
            version_id=program.versions[0].id,
            local_date=NOW.date(),
            performed_at=NOW,
            device_zone="Europe/Berlin",
            received_at=NOW,
            items_prescribed=1,
            items_done=1,
            dose_prescribed=1,
            dose_done=1,
            body_sha256=b"",
            **changes,
        )
        session.add(row)
        await session.flush()
        return row.id


async def program_of(here: Care) -> TodayProgram:
    """Give the program of alice's day."""
    program = (await day(here)).program
    assert program is not None
    return program


async def test_a_day_without_anything_still_says_whom_to_call(alices: Care) -> None:
    seen = await day(alices)
    assert (seen.on, seen.zone) == (NOW.date(), "Europe/Berlin")
    assert (seen.check_ins, seen.program, seen.programs, seen.screen_due) == ([], None, [], True)
    assert seen.emergency.actions
    assert "today.read" in await alices.actions()


async def test_the_day_is_the_patients_own(alices: Care) -> None:
    late = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
    assert (await day(alices, at=late)).on == datetime(2026, 3, 3, tzinfo=UTC).date()
    async with alices.sessions.begin() as session:
        await alices.open(session)
        await session.execute(
            update(Patient).where(Patient.id == alices.world.alice.id).values(zone="America/New_York")
        )
    assert (await day(alices, at=late)).on == datetime(2026, 3, 2, tzinfo=UTC).date()


async def test_the_number_to_call_is_that_of_the_place_where_the_patient_is(alices: Care) -> None:
    at_home = (await day(alices)).emergency
    async with alices.sessions.begin() as session:
        await alices.open(session)
        await locate(session, alices.world.alice, "US", "CA", at=NOW - HOUR)
    assert (await day(alices)).emergency != at_home


async def test_it_shows_the_session_of_the_day_with_its_dose(alices: Care) -> None:
    running = await alices.running()
    seen = await day(alices)
    assert seen.program is not None
    assert (seen.program.program_id, seen.program.status, seen.program.phase) == (
        running.id,
        "active",
        MOBILITY["name"],
    )
    assert (seen.program.version_number, seen.program.advice, seen.screen_due) == (1, None, False)
    first, second = seen.program.sessions
    assert [item.exercise_code for item in first.items] == ["lb_pelvic_tilt", "br_belly_supine"]
    assert [item.exercise_code for item in second.items] == ["lb_pelvic_tilt"]
    tilt = first.items[0]
    assert (tilt.sets, tilt.reps, tilt.pain_ceiling) == (2, 10, seen.program.pain_ceiling)
    assert tilt.exercise["name"]
    assert not first.done


async def test_pictures_come_with_the_exercise_as_they_were_when_it_was_prescribed(alices: Care) -> None:
    film = {"kind": "video", "url": "https://films.example/tilt", "license": "CC-BY-4.0", "attribution": "A. Ney"}
    slot = film | dict.fromkeys(("language", "alt", "sha256"))
    tilt = update(Exercise).where(Exercise.code == "lb_pelvic_tilt")
    async with alices.sessions.begin() as session:
        await alices.open(session)
        await session.execute(tilt.values(media=[slot]))
    program = await alices.running()
    async with alices.sessions.begin() as session:
        await alices.open(session)
        await session.execute(tilt.values(media=[]))
    seen = await day(alices)
    assert program.shown is not None
    assert seen.program is not None
    first, second = seen.program.sessions[0].items
    assert (first.exercise["media"], second.exercise["media"]) == ([slot], [])
    assert [one.model_dump() for one in program.shown.phases[0].items[0].exercise.media] == [slot]


async def test_a_slot_is_done_by_its_own_program_only(alices: Care) -> None:
    running = await alices.running()
    async with alices.sessions.begin() as session:
        await alices.open(session)
        hip_pain = EpisodeCreate(title="Hip pain", body_region="hip")
        hip = await episodes.create(session, alices.bob, alices.world.alice.id, hip_pain, at=NOW)
    other = await replace(alices, episode_id=hip.id).draft()
    await log(alices, other)
    assert not any(each.done for each in (await program_of(alices)).sessions)
    await log(alices, running)
    assert [each.done for each in (await program_of(alices)).sessions] == [True, False]


async def test_a_session_moved_by_a_correction_is_done_where_it_was_moved_to(alices: Care) -> None:
    running = await alices.running()
    first = await log(alices, running)
    await log(alices, running, slot=2, supersedes_id=first)
    assert [each.done for each in (await program_of(alices)).sessions] == [False, True]


async def test_an_items_own_pain_ceiling_holds_even_when_it_is_zero(alices: Care) -> None:
    items = [{**MOBILITY["items"][0], "pain_ceiling": 0}]
    await alices.running(phases=[{**MOBILITY, "items": items}], pain_ceiling=4)
    seen = await day(alices)
    assert seen.program is not None
    assert (seen.program.pain_ceiling, seen.program.sessions[0].items[0].pain_ceiling) == (4, 0)


async def test_phases_follow_each_other_and_rest_days_are_empty(alices: Care) -> None:
    await alices.running()
    for days, phase, count in ((1, MOBILITY["name"], 2), (5, MOBILITY["name"], 0), (15, STRENGTH["name"], 1)):
        seen = await day(alices, at=NOW + days * DAY)
        assert seen.program is not None
        assert (seen.program.phase, len(seen.program.sessions)) == (phase, count), days


async def test_the_last_phase_goes_on_until_somebody_decides(alices: Care) -> None:
    await alices.running(phases=[MOBILITY])
    seen = await day(alices, at=NOW + 30 * DAY)
    assert seen.program is not None
    assert seen.program.phase == MOBILITY["name"]


async def test_a_program_that_starts_later_plans_nothing_yet(alices: Care) -> None:
    await alices.running(starts_on=str((NOW + 3 * DAY).date()))
    seen = await day(alices)
    assert seen.program is not None
    assert (seen.program.phase, seen.program.sessions) == (None, [])


async def test_a_draft_is_not_shown(alices: Care) -> None:
    await alices.screen()
    await alices.draft()
    assert (await day(alices)).program is None


async def test_a_paused_program_plans_nothing(alices: Care) -> None:
    running = await alices.running()
    async with alices.sessions.begin() as session:
        await alices.open(session)
        form = ProgramPauseIn(reason="Away", kind="holiday_agreed")
        await programs.pause(session, alices.bob, running.id, form, version=running.version, at=NOW)
    seen = await day(alices, at=NOW + DAY)
    assert seen.program is not None
    assert (seen.program.status, seen.program.sessions, seen.program.advice) == ("paused", [], None)


async def test_a_paused_program_of_another_episode_hides_none_that_is_active(alices: Care) -> None:
    back = await alices.running()
    async with alices.sessions.begin() as session:
        await alices.open(session)
        hip_pain = EpisodeCreate(title="Hip pain", body_region="hip")
        hip = await episodes.create(session, alices.bob, alices.world.alice.id, hip_pain, at=NOW)
    second = await replace(alices, episode_id=hip.id).draft()
    second = await alices.activate(second)
    async with alices.sessions.begin() as session:
        await alices.open(session)
        away = ProgramPauseIn(reason="Holiday", kind="holiday_agreed")
        await programs.pause(session, alices.bob, second.id, away, version=second.version, at=NOW)
    program = (await day(alices)).program
    assert program is not None
    assert (program.program_id, program.status) == (back.id, "active")
    assert program.sessions


async def test_programs_of_all_problems_in_treatment_are_shown_active_ones_first(alices: Care) -> None:
    back = await alices.running()
    async with alices.sessions.begin() as session:
        await alices.open(session)
        hip_pain = EpisodeCreate(title="Hip pain", body_region="hip")
        hip = await episodes.create(session, alices.bob, alices.world.alice.id, hip_pain, at=NOW)
    second = await alices.activate(await replace(alices, episode_id=hip.id).draft(phases=[STRENGTH], pain_ceiling=3))
    await log(alices, back)
    tuesday = await day(alices, at=NOW + DAY)
    assert [each.program_id for each in tuesday.programs] == [second.id, back.id]
    assert tuesday.program == tuesday.programs[0]
    hips, backs = tuesday.programs
    assert ([item.exercise_code for item in hips.sessions[0].items], hips.pain_ceiling) == (["hp_bridge"], 3)
    assert ([item.exercise_code for item in backs.sessions[0].items], backs.phase) == (
        ["lb_pelvic_tilt"],
        MOBILITY["name"],
    )
    monday = await day(alices)
    assert [[each.done for each in one.sessions] for one in monday.programs] == [[], [True, False]]
    async with alices.sessions.begin() as session:
        await alices.open(session)
        away = ProgramPauseIn(reason="Holiday", kind="holiday_agreed")
        await programs.pause(session, alices.bob, second.id, away, version=second.version, at=NOW)
    assert [each.status for each in (await day(alices)).programs] == ["active", "paused"]
    await alices.screen(at=NOW + HOUR, trigger="new_symptom", yes=["saddle"])
    assert all(each.advice and not each.sessions for each in (await day(alices, at=NOW + HOUR)).programs)


async def test_a_suspended_program_shows_no_exercise_but_what_to_do_instead(alices: Care) -> None:
    await alices.running()
    await alices.screen(at=NOW + HOUR, yes=("saddle", "bladder"))
    seen = await day(alices, at=NOW + 2 * HOUR)
    assert seen.program is not None
    assert (seen.program.status, seen.program.sessions) == ("suspended_red_flag", [])
    assert seen.program.advice is not None
    assert seen.program.advice.actions


async def test_check_ins_are_there_while_they_can_be_answered_or_come_today(alices: Care) -> None:
    now_open = await due(alices, NOW - HOUR)
    tonight = await due(alices, NOW + 9 * HOUR, CheckInStatus.DUE)
    yesterday = await due(alices, NOW - 20 * HOUR, local_date=(NOW - DAY).date())
    await due(alices, NOW - 30 * HOUR, local_date=(NOW - 2 * DAY).date())  # too late by now
    await due(alices, NOW + DAY, CheckInStatus.DUE)  # tomorrow's
    await due(alices, NOW - 2 * HOUR, CheckInStatus.SUBMITTED, answered_at=NOW - HOUR)
    assert [one.id for one in (await day(alices)).check_ins] == [yesterday, now_open, tonight]


async def test_a_screen_counts_for_a_week(alices: Care) -> None:
    await alices.screen()
    assert not (await day(alices, at=NOW + 6 * DAY)).screen_due
    later = await day(alices, at=NOW + 8 * DAY)
    assert (later.screen_due, later.screen_reasons) == (True, ["weekly"])


async def test_new_symptoms_and_a_closed_red_flag_ask_for_a_screen_of_their_own(alices: Care) -> None:
    assert (await day(alices)).screen_reasons == ["intake"]
    await alices.running()
    await check_in(alices, (NOW + DAY).date(), new_symptoms=True)
    noon = NOW + DAY + HOUR
    assert (await day(alices, at=noon)).screen_reasons == ["new_symptom"]
    found = await alices.screen(at=noon + HOUR, trigger="new_symptom", yes=["saddle"])
    assert (await day(alices, at=noon + 2 * HOUR)).screen_reasons == [], "somebody must look first"
    async with alices.sessions.begin() as session:
        await alices.open(session)
        form = RedFlagScreenClose.model_validate({"outcome": "seen_by_clinician", "note": "No deficit."})
        await red_flag_screens.close(session, alices.bob, found.id, form, version=1, at=noon + 3 * HOUR)
    assert (await day(alices, at=noon + 4 * HOUR)).screen_reasons == ["unlock"]
    await alices.screen(at=noon + 5 * HOUR, trigger="unlock")
    assert (await day(alices, at=noon + 6 * HOUR)).screen_reasons == []


async def test_a_new_neurological_symptom_in_a_session_asks_for_a_screen(alices: Care) -> None:
    program = await alices.running()
    await log(alices, program)
    assert (await day(alices, at=NOW + HOUR)).screen_reasons == []
    await log(alices, program, new_neurological_symptom=True)
    assert (await day(alices, at=NOW + HOUR)).screen_reasons == ["new_symptom"]
    await alices.screen(at=NOW + 2 * HOUR, trigger="new_symptom")
    assert (await day(alices, at=NOW + 3 * HOUR)).screen_reasons == []


async def test_an_exercise_stopped_for_a_new_neurological_symptom_has_words_of_its_own(alices: Care) -> None:
    items = [{**one, "weekdays": [1, 2, 3, 4, 5, 6, 7]} for one in (BRIDGE, TILT)]
    program = await alices.running(phases=[{**PHASE, "items": items}])
    await train(alices, program, 1, pains={"hp_bridge": 9}, asked=False)
    await train(alices, program, 2, without=["hp_bridge"], new_neurological_symptom=True, asked=False)
    await follow_up(alices, 3)
    seen = (await day(alices, at=night(3) + 8 * HOUR)).program
    assert seen is not None
    told = {one.exercise_code: one.note for one in seen.stopped}
    assert told == {"hp_bridge": today.STOPPED, "lb_pelvic_tilt": new_nerve_symptom(country="DE")}
    assert "feel all right" not in told["lb_pelvic_tilt"]
    assert "112 at once" in told["lb_pelvic_tilt"]


async def test_a_screen_that_unlocks_must_have_asked_about_every_problem_in_treatment(alices: Care) -> None:
    """What the release refuses, the day goes on asking for."""
    await alices.running()
    found = await alices.screen(at=NOW + HOUR, trigger="new_symptom", yes=["saddle"])
    async with alices.sessions.begin() as session:
        await alices.open(session)
        form = RedFlagScreenClose.model_validate({"outcome": "seen_by_clinician", "note": "No deficit."})
        await red_flag_screens.close(session, alices.bob, found.id, form, version=1, at=NOW + 2 * HOUR)
        knee_pain = EpisodeCreate(title="Knee pain", body_region="knee")
        knee = await episodes.create(session, alices.bob, alices.world.alice.id, knee_pain, at=NOW)
    answers = dict.fromkeys(required_questions("knee"), "no")
    screen = await alices.screen(at=NOW + 3 * HOUR, trigger="unlock", answers=answers, episode_id=str(knee.id))
    assert screen.complete
    assert (await day(alices, at=NOW + 4 * HOUR)).screen_reasons == ["unlock"]


async def test_only_a_patient_has_a_day(alices: Care) -> None:
    lost = Actor(account_id=uuid4(), clinic_id=alices.clinic_id, role=Role.PATIENT, patient_id=uuid4())
    for actor, refusal in ((alices.bob, Forbidden), (alices.world.actors["dana"], Forbidden), (lost, NotFound)):
        async with alices.sessions() as session:
            await bind_clinic(session, alices.clinic_id)
            with pytest.raises(refusal):
                await today.get(session, actor, at=NOW)
