import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import func, select

from core.crypto import new_id
from core.database import Sessions
from core.errors import Forbidden, NotFound
from models.alerts import Alert
from models.check_ins import CheckIn
from models.identity import Role
from models.sessions import ExerciseSession, SessionItem
from schemas.check_ins import PlanIn
from schemas.episodes import EpisodeReason
from schemas.pages import Page
from schemas.programs import ProgramPauseIn, ProgramRead, ProgramReason, ProgramVersionCreate
from schemas.red_flag_screens import RedFlagScreenClose
from schemas.sessions import SessionLog, SessionRead
from services import episodes, programs, red_flag_screens
from services import sessions as sessions_module
from services.access import Actor
from services.check_ins import plans
from tests.factories import NOW, make_actor, make_patient
from tests.services.caring import DAY, MOBILITY, STRENGTH, Care, care, pointers, settle

LATER = NOW + timedelta(hours=3)


def _items(program: ProgramRead, phase: int = 0) -> list[UUID]:
    assert program.shown is not None
    return [item.id for item in program.shown.phases[phase].items]


def _form(program: ProgramRead, **changes: Any) -> SessionLog:
    """Make the log of a full first session of the day."""
    tilt, belly = _items(program)
    content: dict[str, Any] = {
        "performed_at": (NOW + timedelta(hours=1)).isoformat(),
        "device_zone": "Europe/Berlin",
        "pain_before": 3,
        "pain_after": 2,
        "effort": 4,
        "note": "Went well",
        "items": [
            {"item_id": str(belly), "sets": [{"reps": 8}]},
            {"item_id": str(tilt), "sets": [{"reps": 10, "load_kg": 2.5}, {"reps": 6}], "pain_during": 2, "effort": 4},
        ],
    }
    return SessionLog.model_validate(content | changes)


async def _log(
    world: Care,
    form: SessionLog,
    *,
    session_id: UUID | None = None,
    at: datetime = LATER,
    actor: Actor | None = None,
) -> sessions_module.Logged:
    async with world.sessions.begin() as session:
        await world.open(session)
        return await sessions_module.log(session, actor or world.alice, session_id or new_id(at), form, at=at)


async def _refused(world: Care, form: SessionLog, **more: Any) -> dict[str, str]:
    with pytest.raises(sessions_module.SessionRefused) as refused:
        await _log(world, form, **more)
    return dict(pointers(refused.value.problems))


# ------------------------------------------------------------------ what is kept


async def test_a_session_is_kept_set_by_set_next_to_what_was_prescribed(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    logged = await _log(world, _form(program))
    kept = logged.session
    assert logged.created
    assert (kept.local_date, kept.slot, kept.received_at) == (NOW.date(), 1, LATER)
    assert (kept.items_prescribed, kept.items_done) == (2, 2)
    assert (kept.dose_prescribed, kept.dose_done) == (28, 24)
    tilt, belly = kept.items
    assert [each.reps for each in tilt.sets] == [10, 6]
    assert (tilt.dose_prescribed, tilt.dose_done, tilt.pain_during) == (20, 16, 2)
    assert (tilt.prescribed.sets, tilt.prescribed.reps, tilt.prescribed.pain_ceiling) == (2, 10, 5)
    assert (belly.done, belly.prescribed.exercise_code) == (True, "br_belly_supine")
    assert kept.stop == []
    async with sessions() as session:
        await world.open(session)
        row = await session.get_one(ExerciseSession, (world.clinic_id, kept.id))
        assert program.shown is not None
        assert (row.version_id, row.program_id) == (program.shown.id, program.id)
        item = await session.get_one(SessionItem, (world.clinic_id, kept.id, tilt.item_id))
        assert float(item.load_kg or 0) == 2.5
    assert (await world.actions()).count("session.log") == 1


async def test_the_same_session_again_is_the_stored_one(sessions: Sessions) -> None:
    world = await care(sessions)
    form, session_id = _form(await world.running()), new_id(NOW)
    first = await _log(world, form, session_id=session_id)
    again = await _log(world, form, session_id=session_id, at=LATER + DAY)
    assert (first.created, again.created) == (True, False)
    assert again.session == first.session
    async with sessions() as session:
        await world.open(session)
        assert await session.scalar(select(func.count()).select_from(ExerciseSession)) == 1


async def test_two_puts_at_once_make_one_session(sessions: Sessions) -> None:
    world = await care(sessions)
    form, session_id = _form(await world.running()), new_id(NOW)
    both = await asyncio.gather(*(_log(world, form, session_id=session_id) for _ in range(4)))
    assert sorted(each.created for each in both) == [False, False, False, True]
    assert len({each.session.model_dump_json() for each in both}) == 1
    assert (await world.actions()).count("session.log") == 1


async def test_a_twin_that_read_before_the_first_was_kept_gets_the_stored_one(sessions: Sessions) -> None:
    world = await care(sessions)
    form, session_id = _form(await world.running()), new_id(NOW)
    async with sessions() as slow, sessions() as fast:
        for session in (slow, fast):
            await world.open(session)
        first = await sessions_module.log(fast, world.alice, session_id, form, at=LATER)
        waiting = asyncio.create_task(sessions_module.log(slow, world.alice, session_id, form, at=LATER))
        await asyncio.sleep(0.2)
        assert not waiting.done(), "the second waits for the first to commit"
        await fast.commit()
        second = await waiting
        await slow.commit()
    assert (first.created, second.created) == (True, False)
    assert second.session == first.session


async def test_another_content_under_the_id_is_refused_bare(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    session_id = new_id(NOW)
    await _log(world, _form(program), session_id=session_id)
    with pytest.raises(sessions_module.SessionIdTaken) as other_content:
        await _log(world, _form(program, pain_after=9), session_id=session_id)
    async with sessions.begin() as session:
        other = await make_patient(session, world.clinic_id, "Erin Costa")
        erin = await make_actor(session, world.clinic_id, Role.PATIENT, other)
    with pytest.raises(sessions_module.SessionIdTaken) as other_patient:
        await _log(world, _form(program), session_id=session_id, actor=erin)
    assert other_content.value.problems == other_patient.value.problems == ()
    assert other_content.value.extras == other_patient.value.extras == {}


async def test_what_was_skipped_has_its_reason_and_counts_as_not_done(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    tilt, belly = _items(program)
    items = [
        {"item_id": str(tilt), "skip_reason": "pain", "note": "Too sore"},
        {"item_id": str(belly), "sets": [{"hold_seconds": 5}]},
    ]
    kept = (await _log(world, _form(program, items=items))).session
    assert (kept.items_done, kept.dose_done) == (0, 0)
    assert [(item.skip_reason, item.done) for item in kept.items] == [("pain", False), (None, False)]


async def test_more_than_prescribed_does_not_make_up_for_less(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    tilt, _ = _items(program)
    items = [{"item_id": str(tilt), "sets": [{"reps": 100}]}]
    kept = (await _log(world, _form(program, items=items))).session
    assert (kept.items_prescribed, kept.items_done, kept.dose_prescribed, kept.dose_done) == (2, 1, 28, 20)
    assert kept.items[0].dose_done == 100


async def test_a_second_slot_is_measured_by_what_is_due_then(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    kept = (await _log(world, _form(program, slot=2))).session
    assert (kept.items_prescribed, kept.items_done) == (1, 1)


async def test_a_session_on_a_free_day_is_measured_by_itself(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    saturday = NOW + 5 * DAY
    form = _form(program, performed_at=saturday.isoformat())
    kept = (await _log(world, form, at=saturday + timedelta(hours=1))).session
    assert (kept.items_prescribed, kept.items_done) == (2, 2)


async def test_the_day_of_a_session_is_the_devices(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    late = datetime(2026, 3, 3, 23, 30, tzinfo=UTC)
    form = _form(program, performed_at=late.isoformat())
    kept = (await _log(world, form, at=late + timedelta(minutes=1))).session
    assert kept.local_date == datetime(2026, 3, 4).date()  # noqa: DTZ001 - a day
    west = _form(program, performed_at=late.isoformat(), device_zone="America/New_York")
    assert (await _log(world, west, at=late + timedelta(minutes=1))).session.local_date.day == 3


async def test_holds_and_durations_count_in_their_own_unit(sessions: Sessions) -> None:
    world = await care(sessions)
    items = [
        {"exercise_code": "hp_bridge", "sets": 2, "hold_seconds": 20},
        {"exercise_code": "ae_walk_brisk", "sets": 1, "duration_seconds": 600},
    ]
    program = await world.running(phases=[{**STRENGTH, "items": items}])
    hold, walk = _items(program)
    done = [
        {"item_id": str(hold), "sets": [{"reps": 3, "hold_seconds": 15}, {"hold_seconds": 20}]},
        {"item_id": str(walk), "sets": [{"duration_seconds": 500}]},
    ]
    form = SessionLog.model_validate({"performed_at": NOW.isoformat(), "device_zone": "Europe/Berlin", "items": done})
    kept = (await _log(world, form)).session
    assert [(item.dose_done, item.dose_prescribed) for item in kept.items] == [(35, 40), (500, 600)]


async def test_a_correction_supersedes_a_session_once(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    first = (await _log(world, _form(program))).session
    corrected = (await _log(world, _form(program, pain_after=4, supersedes_id=str(first.id)))).session
    assert corrected.supersedes_id == first.id
    with pytest.raises(sessions_module.SessionSupersededAlready):
        await _log(world, _form(program, pain_after=5, supersedes_id=str(first.id)))
    unknown = await _refused(world, _form(program, supersedes_id=str(uuid4())))
    assert unknown == {"/supersedes_id": "session_unknown"}


# ------------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("session_id", "code"),
    [
        (UUID("0b0e6f0e-7d7b-4c61-9f0f-1f8c0f9d2a11"), "uuid_version"),
        (UUID(int=0), "uuid_version"),
        (UUID("ffffffff-ffff-7fff-bfff-ffffffffffff"), "uuid_time"),
        (new_id(datetime(2019, 1, 1, tzinfo=UTC)), "uuid_time"),
        (new_id(LATER + 2 * DAY), "uuid_time"),
    ],
)
async def test_an_id_that_no_device_made_is_refused(sessions: Sessions, session_id: UUID, code: str) -> None:
    world = await care(sessions)
    form = _form(await world.draft())
    with pytest.raises(sessions_module.SessionIdRefused) as refused:
        await _log(world, form, session_id=session_id)
    assert pointers(refused.value.problems) == {"#/path/session_id": code}


async def test_a_session_of_the_future_or_from_before_the_program_is_refused(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    ahead = _form(program, performed_at=(LATER + timedelta(minutes=6)).isoformat())
    assert await _refused(world, ahead) == {"/performed_at": "in_the_future"}
    before = _form(program, performed_at=(NOW - 2 * DAY).isoformat())
    assert await _refused(world, before) == {"/performed_at": "before_program"}


async def test_a_program_that_begins_later_takes_no_session_yet(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running(starts_on=(NOW + 3 * DAY).date().isoformat())
    assert await _refused(world, _form(program)) == {"/performed_at": "before_program"}


async def test_exercises_of_nobody_of_others_of_a_draft_or_of_another_phase_are_unknown_alike(
    sessions: Sessions,
) -> None:
    world = await care(sessions)
    program = await world.running()
    draft = await world.draft()
    (bridge,) = _items(program, 1)
    tilt, _ = _items(program)
    for foreign in (uuid4(), bridge, _items(draft)[0]):
        items = [{"item_id": str(tilt), "sets": [{"reps": 1}]}, {"item_id": str(foreign), "sets": [{"reps": 1}]}]
        assert await _refused(world, _form(program, items=items)) == {"/items/1/item_id": "item_unknown"}
    assert set((await _refused(world, _form(draft))).values()) == {"item_unknown"}
    twice = [{"item_id": str(tilt)}, {"item_id": str(tilt)}]
    assert await _refused(world, _form(program, items=twice)) == {"/items/1/item_id": "item_repeated"}
    async with sessions.begin() as session:
        other = await make_patient(session, world.clinic_id, "Erin Costa")
        erin = await make_actor(session, world.clinic_id, Role.PATIENT, other)
    assert set((await _refused(world, _form(program), actor=erin)).values()) == {"item_unknown"}


async def test_only_patients_log_sessions(sessions: Sessions) -> None:
    world = await care(sessions)
    form = _form(await world.running())
    with pytest.raises(Forbidden):
        await _log(world, form, actor=world.bob)


# ------------------------------------------------------------------ changes of the program, and late devices


async def test_a_session_during_a_suspension_is_refused_and_one_before_it_is_kept(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    await world.screen(yes=["saddle"], at=NOW + timedelta(hours=2))
    after = _form(program, performed_at=(NOW + timedelta(hours=2, minutes=1)).isoformat())
    with pytest.raises(sessions_module.ProgramSuspended):
        await _log(world, after)
    assert (await _log(world, _form(program), at=LATER + 5 * DAY)).created


async def test_of_a_program_that_ends_suspended_no_later_session_is_kept(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    screen = await world.screen(yes=["saddle"], at=NOW + timedelta(hours=2))
    at = NOW + timedelta(hours=3)
    async with sessions.begin() as session:
        await world.open(session)
        seen = RedFlagScreenClose.model_validate({"outcome": "sent_to_emergency", "note": "Gone"})
        await red_flag_screens.close(session, world.bob, screen.id, seen, version=1, at=at)
        await settle(session, world, at=at)
        over = EpisodeReason(reason="In hospital")
        await episodes.discharge(session, world.bob, world.episode_id, over, version=1, at=at)
    for hours in (2.5, 4):  # a phone may not know of the end for three days: of the red flag it was told
        form = _form(program, performed_at=(NOW + timedelta(hours=hours)).isoformat())
        with pytest.raises(sessions_module.ProgramSuspended):
            await _log(world, form, at=NOW + DAY)
    assert (await _log(world, _form(program), at=NOW + DAY)).created


async def test_a_session_during_a_pause_is_refused_and_one_around_it_is_kept(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    pause = ProgramPauseIn(reason="Away")
    async with sessions.begin() as session:
        await world.open(session)
        at = NOW + timedelta(hours=2)
        paused = await programs.pause(session, world.bob, program.id, pause, version=program.version, at=at)
    form = _form(program, performed_at=(NOW + timedelta(hours=2, minutes=1)).isoformat())
    with pytest.raises(sessions_module.ProgramPaused):
        await _log(world, form)
    assert (await _log(world, _form(program))).created
    async with sessions.begin() as session:
        await world.open(session)
        why = ProgramReason(reason="Back")
        await programs.resume(session, world.bob, program.id, why, version=paused.version, at=NOW + DAY)
    back = _form(program, performed_at=(NOW + DAY + timedelta(hours=1)).isoformat())
    assert (await _log(world, back, at=NOW + 2 * DAY)).created


async def test_a_device_that_does_not_know_the_new_version_has_three_days(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    form = ProgramVersionCreate.model_validate({"reason": "Less", "phases": [MOBILITY]})
    async with sessions.begin() as session:
        await world.open(session)
        await programs.create_version(session, world.bob, program.id, form, version=program.version, at=NOW)
    soon, late = (_form(program, performed_at=(NOW + days * DAY - timedelta(hours=1)).isoformat()) for days in (3, 4))
    kept = (await _log(world, soon, at=NOW + 4 * DAY)).session
    assert program.shown is not None
    assert kept.version_id == program.shown.id
    with pytest.raises(sessions_module.ProgramNotInForce):
        await _log(world, late, at=NOW + 4 * DAY)


async def test_a_program_that_ended_takes_what_was_done_before(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    async with sessions.begin() as session:
        await world.open(session)
        why = ProgramReason(reason="Goals reached")
        await programs.complete(session, world.bob, program.id, why, version=program.version, at=NOW + 2 * DAY)
    early = _form(program, performed_at=(NOW + 2 * DAY - timedelta(hours=1)).isoformat())
    assert (await _log(world, early, at=NOW + 3 * DAY)).created
    later = _form(program, performed_at=(NOW + 9 * DAY).isoformat())
    with pytest.raises(sessions_module.ProgramNotInForce):
        await _log(world, later, at=NOW + 10 * DAY)


# ------------------------------------------------------------------ what happens besides


@pytest.mark.parametrize(
    ("pain", "symptom", "level", "reasons"),
    [
        (8, False, "high", ["severe_pain"]),
        (None, True, "urgent_same_day", ["new_neurological_symptom"]),
        (9, True, "urgent_same_day", ["new_neurological_symptom", "severe_pain"]),
    ],
)
async def test_severe_pain_or_a_new_neurological_symptom_alerts(
    sessions: Sessions, pain: int | None, symptom: bool, level: str, reasons: list[str]
) -> None:
    world = await care(sessions)
    program = await world.running()
    tilt, _ = _items(program)
    items = [{"item_id": str(tilt), "sets": [{"reps": 2}], "pain_during": pain}]
    form = _form(program, items=items, new_neurological_symptom=symptom)
    session_id = new_id(NOW)
    assert (await _log(world, form, session_id=session_id)).session.stop == reasons
    again = await _log(world, form, session_id=session_id)
    assert (again.session.stop, again.created) == (reasons, False)
    async with sessions() as session:
        await world.open(session)
        alert = (await session.scalars(select(Alert))).one()
    assert (alert.rule_id, alert.level.value, alert.repeats) == ("PR-stop", level, 0)
    assert alert.inputs == {"reasons": reasons, "pain_during": pain, "new_neurological_symptom": symptom}
    assert (alert.source_type, alert.source_id, alert.episode_id) == ("session", session_id, world.episode_id)


async def test_pain_of_seven_alerts_nobody(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    items = [{"item_id": str(_items(program)[0]), "sets": [{"reps": 2}], "pain_during": 7}]
    assert (await _log(world, _form(program, items=items))).session.stop == []
    async with sessions() as session:
        await world.open(session)
        assert list(await session.scalars(select(Alert.id))) == []


async def _plan_after_session(world: Care, **changes: Any) -> None:
    values = {"question_set": "after_session", "frequency": "after_session", "after_hours": 24} | changes
    form = PlanIn.model_validate(values)
    async with world.sessions.begin() as session:
        await world.open(session)
        await plans.create(session, world.bob, world.episode_id, form, at=NOW)


async def _asked(world: Care) -> list[UUID | None]:
    async with world.sessions() as session:
        await world.open(session)
        return list(await session.scalars(select(CheckIn.session_id)))


async def test_a_patient_with_such_a_plan_is_asked_about_the_session_once(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    await _plan_after_session(world)
    session_id = new_id(NOW)
    await _log(world, _form(program), session_id=session_id)
    await _log(world, _form(program), session_id=session_id)
    await _log(world, _form(program, pain_after=5, supersedes_id=str(session_id)))
    assert await _asked(world) == [session_id]


async def test_sessions_that_were_kept_on_the_phone_make_no_check_in_that_is_closed_already(
    sessions: Sessions,
) -> None:
    world = await care(sessions)
    program = await world.running()
    await _plan_after_session(world, after_hours=0, closes_minutes=60)
    for minutes in range(5):
        performed_at = (NOW + timedelta(minutes=minutes)).isoformat()
        await _log(world, _form(program, performed_at=performed_at), at=NOW + timedelta(hours=2))
    assert await _asked(world) == []


async def test_nobody_is_asked_about_a_session_of_days_ago(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    await _plan_after_session(world)
    await _log(world, _form(program), at=NOW + 2 * DAY)
    assert await _asked(world) == []


# ------------------------------------------------------------------ lists


async def test_sessions_are_listed_newest_first_with_their_items(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    kept = [
        (await _log(world, _form(program, performed_at=(NOW + timedelta(minutes=minute)).isoformat()))).session
        for minute in range(3)
    ]
    async with sessions.begin() as session:
        await world.open(session)
        first = await sessions_module.browse(session, world.bob, world.world.alice.id, Page(limit=2), at=LATER)
        rest = await sessions_module.browse(
            session, world.bob, world.world.alice.id, Page(limit=2, cursor=first.next_cursor), at=LATER
        )
    assert [*first.items, *rest.items] == [SessionRead(**one.model_dump(exclude={"advice"})) for one in kept[::-1]]
    assert rest.next_cursor is None
    assert "session.list" in await world.actions()


async def test_a_stranger_lists_nothing(sessions: Sessions) -> None:
    world = await care(sessions)
    async with sessions() as session:
        await world.open(session)
        carol = world.world.actors["carol"]
        with pytest.raises(NotFound):
            await sessions_module.browse(session, carol, world.world.alice.id, Page(), at=NOW)
