"""From sessions to suggestions, and from suggestions to versions: nothing without a human but inside his bounds."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import delete, func, select, update

from clinical.program_life import ProgramNotInState, ProgramStatus
from core.crypto import new_id
from core.database import CLINIC, Sessions, driver, fetch, make_sessions
from core.errors import Forbidden, NotFound, Stale
from integrations.delivery import Outcome
from integrations.email import Letter
from models.consents import Consent, ConsentStatus
from models.episodes import Episode
from models.flares import Flare
from models.programs import ProgramVersion
from models.suggestions import EvaluationOwed, Suggestion, SuggestionOutcome, SuggestionStatus
from schemas.episodes import EpisodeCreate, EpisodeReason
from schemas.flares import FlareClose, FlareCreate
from schemas.pages import Page
from schemas.programs import ProgramPauseIn, ProgramRead, ProgramReason, ProgramVersionCreate
from schemas.sessions import SessionLog
from schemas.suggestions import BatchResult, SimulationIn, SuggestionAcceptance, SuggestionBatch, SuggestionRejection
from schemas.worklist import Reason
from services import access, episodes, flares, jobs, programs, suggestions, today, worklist
from services import sessions as sessions_module
from services.access import Action
from services.isolation import ClinicsFailed
from services.programs import LastExercise
from services.programs.authoring import ProgramRefused
from services.programs.lifecycle import ProgramNotReady
from services.suggestions import (
    FlareOpen,
    HistoryRefused,
    SuggestionDecided,
    SuggestionSuperseded,
    VersionPlanned,
    evaluating,
)
from services.suggestions.prescribed import prescriptions
from tests.factories import NOW, TOKENS
from tests.services.caring import Care, another, care, pointers, waiting_for_a_lock
from tests.services.histories import check_in, morning

BRIDGE = {"exercise_code": "hp_bridge", "sets": 2, "reps": 15}
TILT = {"exercise_code": "lb_pelvic_tilt", "sets": 2, "reps": 10, "sessions_per_day": 1}
PHASE: dict[str, Any] = {"name": "Only", "kind": "strength", "items": [BRIDGE, TILT]}
DAILY: dict[str, Any] = {"sets": 3, "reps": 10, "sessions_per_day": 1, "weekdays": [1, 2, 3, 4, 5, 6, 7]}
TAPS, SLIDES, ROWS, PRONE = (
    DAILY | {"exercise_code": code} for code in ("co_toe_taps", "co_heel_slide", "th_band_row", "th_prone_ty")
)
SLOW: dict[str, Any] = {**PHASE, "items": [TAPS, SLIDES]}
BACK: dict[str, Any] = {**PHASE, "items": [ROWS, PRONE]}
AUTO = {"mode": "auto", "bounds": {"max_sets": 3}}
ROUNDS = 6
NOTE = SuggestionAcceptance(note="Agreed")
NO = SuggestionRejection(reason="A long journey")
START = NOW.date()


class Drawer:
    """A mail server that nothing is sent to here."""

    async def deliver(self, letter: Letter) -> Outcome:
        raise AssertionError(letter)


def on(day: int) -> date:
    return START + timedelta(days=day)


def night(day: int) -> datetime:
    """The moment of a day at which the nightly job runs."""
    return morning(on(day), 4)


async def train(here: Care, program: ProgramRead, day: int, *, asked: bool = True, **more: Any) -> UUID:
    """Do everything that is prescribed, and answer how it is a day later. pains: by exercise, else 1."""
    assert program.shown is not None
    pains, done = more.pop("pains", {}), more.pop("sets", None)
    items = [
        {
            "item_id": str(item.id),
            "sets": [{"reps": item.reps}] * (item.sets if done is None else done),
            "pain_during": pains.get(item.exercise_code, 1),
            "effort": 4,
        }
        for phase in program.shown.phases
        for item in phase.items
        if item.exercise_code not in more.get("without", ())
    ]
    more.pop("without", None)
    form = SessionLog.model_validate(
        {
            "performed_at": morning(on(day), 10).isoformat(),
            "device_zone": "Europe/Berlin",
            "pain_before": 1,
            "items": items,
            **more,
        }
    )
    at = morning(on(day), 11)
    async with here.sessions.begin() as session:
        await here.open(session)
        logged = await sessions_module.log(session, here.alice, new_id(at), form, at=at)
    if asked:
        await check_in(here, on(day + 1), pain_24h_after_session=1)
    return logged.session.id


async def progress(here: Care, day: int, **more: Any) -> suggestions.Evaluated:
    """Look at all programs of the clinic, as the job does."""
    async with here.sessions.begin() as session:
        await here.open(session)
        ids = await suggestions.running(session, here.clinic_id, None)
        return await suggestions.evaluate(session, here.clinic_id, ids, at=night(day), **more)


async def follow_up(here: Care, day: int) -> suggestions.Evaluated:
    """Look at the programs of which sessions were logged, as the job does."""
    async with here.sessions.begin() as session:
        await here.open(session)
        return await suggestions.follow_up(session, here.clinic_id, at=night(day))


async def stored(here: Care, *status: str) -> list[Suggestion]:
    async with here.sessions() as session:
        await here.open(session)
        query = select(Suggestion).where(Suggestion.clinic_id == here.clinic_id).order_by(Suggestion.exercise_code)
        return list(await session.scalars(query.where(Suggestion.status.in_(status or ["open"]))))


async def write(here: Care, program: ProgramRead, day: int, **form: Any) -> ProgramRead:
    """Write a version."""
    async with here.sessions.begin() as session:
        await here.open(session)
        made = ProgramVersionCreate.model_validate({"reason": "As seen", **form})
        version = program.version
        return await programs.create_version(session, here.bob, program.id, made, version=version, at=night(day))


async def accept(here: Care, row: Suggestion, day: int, **more: Any) -> Suggestion:
    async with here.sessions.begin() as session:
        await here.open(session)
        version = more.pop("version", row.version)
        return await suggestions.accept(session, here.bob, row.id, NOTE, version=version, at=night(day))


async def reject(here: Care, row: Suggestion, day: int) -> Suggestion:
    async with here.sessions.begin() as session:
        await here.open(session)
        return await suggestions.reject(session, here.bob, row.id, NO, version=row.version, at=night(day))


async def read(here: Care, program: ProgramRead, day: int) -> ProgramRead:
    async with here.sessions.begin() as session:
        await here.open(session)
        return await programs.get(session, here.bob, program.id, at=night(day))


async def green(here: Care, **changes: Any) -> ProgramRead:
    """Let two good sessions be done at doses that hold for a week."""
    program = await here.running(phases=[PHASE], **changes)
    for day in (5, 7):
        await train(here, program, day)
    return program


@pytest.fixture
async def here(sessions: Sessions) -> Care:
    return await care(sessions)


# ------------------------------------------------------------------ what is suggested


async def test_two_good_sessions_suggest_the_next_dose_with_its_reason(here: Care) -> None:
    program = await green(here)
    assert (await progress(here, 9, dry_run=True)).suggestions == 2
    assert await stored(here) == []
    made = await progress(here, 9)
    assert (made.programs, made.suggestions, set(made.ready)) == (1, 2, set())
    bridge, tilt = await stored(here)
    assert bridge.explanation.startswith("2 → 3 sets of ")
    assert (bridge.outcome, bridge.change, bridge.reasons) == ("progress", "sets", ["green_sessions"])
    assert bridge.to_dose == bridge.from_dose | {"sets": 3}
    assert (tilt.change, tilt.from_dose["reps"], (tilt.to_dose or {})["reps"]) == ("reps", 10, 12)
    assert program.shown is not None
    assert (bridge.version_id, bridge.rule_version) == (program.shown.id, "progression-2026-2")
    first, last = bridge.inputs["sessions"]
    assert bridge.inputs["days_since_change"] == 9
    assert (first["rise_24h"], last["completed_percent"], last["effort"]) == (0, 100, 4)
    assert str(bridge.session_id) == last["session_id"]
    assert (await progress(here, 9)).suggestions == 0, "once"
    assert (await here.actions()).count("suggestion.create") == 2


async def test_nothing_goes_up_early_or_unasked_and_nothing_is_taken_back_while_an_answer_is_awaited(
    here: Care,
) -> None:
    program = await here.running(phases=[PHASE])
    await train(here, program, 2)
    await train(here, program, 4)
    assert (await progress(here, 6)).suggestions == 0, "not a week yet"
    await train(here, program, 6, asked=False)
    assert (await progress(here, 8)).suggestions == 0, "nobody knows how the day after was"
    await check_in(here, on(7), pain_now=1, answered_at=morning(on(7), 10))
    assert (await progress(here, 8)).suggestions == 2, "pain at about that time will do"
    await train(here, program, 8, asked=False)
    await progress(here, 9)
    assert len(await stored(here)) == 2
    await check_in(here, on(9), pain_24h_after_session=6)
    await progress(here, 10)
    assert await stored(here) == []
    assert {row.outcome for row in await stored(here, "superseded")} == {"progress"}


async def test_who_trains_every_day_gets_more_while_the_newest_session_speaks_for_it_too(here: Care) -> None:
    program = await here.running(phases=[PHASE])
    for day in range(1, 8):
        await train(here, program, day)
    await train(here, program, 8, asked=False, pains={"hp_bridge": 4})
    assert (await progress(here, 9)).suggestions == 1, "of the newest nobody can know yet"
    (tilt,) = await stored(here)
    assert (tilt.exercise_code, tilt.outcome) == ("lb_pelvic_tilt", "progress")
    assert [one["on"] for one in tilt.inputs["sessions"]][-1] == on(7).isoformat()
    await train(here, program, 9, asked=False)
    assert (await progress(here, 10)).suggestions == 0, "nobody has said how the day after the eighth was"
    assert [row.id for row in await stored(here)] == [tilt.id], "and nothing is taken back for that"


async def test_who_trains_every_day_and_hurts_the_day_after_gets_less(here: Care) -> None:
    program = await here.running(phases=[PHASE])
    for day in range(1, 4):
        await train(here, program, day, asked=False)
        await check_in(here, on(day + 1), pain_24h_after_session=4)
    assert (await progress(here, 4)).suggestions == 2, "the third is not known yet, the two before are"
    assert {(row.outcome, tuple(row.reasons)) for row in await stored(here)} == {("regress", ("pain_rose_twice",))}


async def test_a_session_is_owed_a_look_and_gets_it(here: Care) -> None:
    program = await here.running(phases=[PHASE])
    await train(here, program, 1, pains={"hp_bridge": 7})
    async with here.sessions.begin() as session:
        await here.open(session)
        assert await suggestions.clinics_owed(session, at=night(2)) == [here.clinic_id]
        foreseen = await suggestions.follow_up(session, here.clinic_id, at=night(2), dry_run=True)
        made = await suggestions.follow_up(session, here.clinic_id, at=night(2))
        assert foreseen.suggestions == made.suggestions == 1
        assert await session.scalar(select(func.count()).select_from(EvaluationOwed)) == 0
    (down,) = await stored(here)
    assert (down.outcome, down.change, (down.to_dose or {})["reps"]) == ("regress", "reps", 10)


async def test_a_dose_that_a_version_left_alone_keeps_its_history(here: Care) -> None:
    program = await green(here)
    form = ProgramVersionCreate.model_validate(
        {"reason": "More tilts", "phases": [{**PHASE, "items": [BRIDGE, TILT | {"reps": 12}]}]}
    )
    async with here.sessions.begin() as session:
        await here.open(session)
        await programs.create_version(session, here.bob, program.id, form, version=program.version, at=night(8))
    assert (await progress(here, 9)).suggestions == 1
    (row,) = await stored(here)
    assert (row.exercise_code, row.inputs["days_since_change"]) == ("hp_bridge", 9)


async def test_the_next_exercise_is_one_that_this_patient_may_do(here: Care) -> None:
    said = {"sessions_per_day": 1, "weekdays": [1, 2, 3, 4, 5, 6], "effort_ceiling": 5, "pain_ceiling": 2}
    items = [{"exercise_code": "th_scap_squeeze", "sets": 4, "reps": 15, "hold_seconds": 60, **said}]
    program = await here.running(phases=[PHASE | {"items": items}])
    for day in (5, 7):
        await train(here, program, day)
    await progress(here, 9)
    (row,) = await stored(here)
    assert (row.change, (row.to_dose or {})["code"]) == ("exercise", "th_band_row")
    taken = await accept(here, row, 9)
    after = await read(here, program, 9)
    assert after.shown is not None
    (item,) = after.shown.phases[0].items
    assert (item.exercise_code, item.sets, item.reps, item.hold_seconds) == ("th_band_row", 3, 10, None)
    assert item.model_dump(include=set(said)) == said, "what the therapist has said stays"
    assert taken.written_version_id == after.shown.id


# ------------------------------------------------------------------ what becomes of it


async def test_accepting_writes_a_version_and_lets_the_others_wait_on(here: Care) -> None:
    program = await green(here)
    await progress(here, 9)
    bridge, tilt = await stored(here)
    with pytest.raises(Stale):
        await accept(here, bridge, 9, version=9)
    taken = await accept(here, bridge, 9)
    assert (taken.status, taken.decided_by) == (SuggestionStatus.ACCEPTED, here.bob.therapist_id)
    after = await read(here, program, 9)
    assert after.shown is not None
    assert (after.shown.number, after.version) == (2, program.version + 1)
    assert after.shown.reason.startswith("Agreed; 2 → 3 sets of ")
    assert [(item.exercise_code, item.sets, item.reps) for item in after.shown.phases[0].items] == [
        ("hp_bridge", 3, 15),
        ("lb_pelvic_tilt", 2, 10),
    ]
    (waiting,) = await stored(here)
    assert (waiting.id, waiting.version_id) == (tilt.id, after.shown.id)
    with pytest.raises(SuggestionDecided):
        await accept(here, taken, 9)
    assert (await progress(here, 9)).suggestions == 0
    assert {"suggestion.accept", "program_version.create"} <= set(await here.actions())


async def test_of_two_who_accept_at_once_one_is_too_late(here: Care) -> None:
    program = await green(here)
    await progress(here, 9)
    (bridge, _) = await stored(here)
    both = await asyncio.gather(*(accept(here, bridge, 9) for _ in range(2)), progress(here, 9), return_exceptions=True)
    assert sorted(type(one).__name__ for one in both) == ["Evaluated", "Stale", "Suggestion"]
    after = await read(here, program, 9)
    assert after.shown is not None
    assert after.shown.number == 2


async def test_what_was_suggested_for_another_version_is_out_of_date(here: Care) -> None:
    program = await green(here)
    await progress(here, 9)
    bridge, tilt = await stored(here)
    async with here.sessions.begin() as session:
        await here.open(session)
        await session.execute(update(ProgramVersion).values(in_force=func.daterange(on(0), on(9))))
    async with here.sessions.begin() as session:
        await here.open(session)
        with pytest.raises(SuggestionSuperseded):
            await suggestions.accept(session, here.bob, bridge.id, NOTE, version=1, at=night(9))
    assert [row.status for row in await stored(here, "superseded")] == ["superseded"]
    async with here.sessions.begin() as session:
        await here.open(session)
        await session.execute(update(ProgramVersion).values(in_force=func.daterange(on(0), None)))
        form = ProgramPauseIn(reason="Away")
        await programs.pause(session, here.bob, program.id, form, version=program.version, at=night(9))
    with pytest.raises(ProgramNotInState):
        await accept(here, tilt, 9)


async def test_several_are_accepted_at_once_and_each_is_told_of(here: Care) -> None:
    program = await green(here)
    await progress(here, 9)
    rows = await stored(here)
    form = SuggestionBatch(ids=[rows[0].id, uuid4(), rows[1].id])
    async with here.sessions.begin() as session:
        await here.open(session)
        results = await suggestions.accept_many(session, here.bob, form, at=night(9))
        again = await suggestions.accept_many(session, here.bob, form, at=night(9))
        with pytest.raises(Forbidden):
            await suggestions.accept_many(session, here.alice, form, at=night(9))
    assert [(one.status, one.code) for one in results] == [
        ("accepted", None),
        ("refused", "not_found"),
        ("accepted", None),
    ]
    assert {one.code for one in again} == {"suggestion_decided", "not_found"}
    after = await read(here, program, 9)
    assert after.shown is not None
    assert after.shown.number == 2, "one version for both"
    assert {one.written_version_id for one in results} == {after.shown.id, None}


_HOLD = """
INSERT INTO suggestions (clinic_id, patient_id, episode_id, program_id, version_id, item_id, exercise_code, outcome,
  from_dose, reasons, rule_version, inputs, explanation)
SELECT i.clinic_id, v.patient_id, g.episode_id, g.id, v.id, i.id, i.exercise_code, 'hold', '{}', '{HOLD-1}', '1', '{}', 'x'
FROM program_items i JOIN program_versions v ON v.clinic_id = i.clinic_id AND v.id = i.version_id
JOIN programs g ON g.clinic_id = v.clinic_id AND g.id = v.program_id WHERE i.clinic_id = $1 RETURNING id
"""


async def waiting(here: Care) -> list[UUID]:
    """Let every exercise of the clinic have a suggestion that waits."""
    async with here.sessions.begin() as session:
        await here.open(session)
        return [row["id"] for row in await fetch(session, _HOLD, here.clinic_id)]


async def batch(here: Care, ids: Sequence[UUID]) -> list[BatchResult]:
    async with here.sessions.begin() as session:
        await here.open(session)
        return await suggestions.accept_many(session, here.bob, SuggestionBatch(ids=ids), at=night(0))


@pytest.fixture
async def two(here: Care) -> Care:
    """Two patients with a program each; the ids of the programs are not in the order of their patients'."""
    other = await another(here)
    first = await other.running(phases=[PHASE])
    second = await here.running(phases=[PHASE])
    assert (here.world.alice.id < other.world.alice.id, first.id < second.id) == (True, True)
    return other


async def test_of_two_batches_in_opposite_order_neither_meets_the_other_head_on(here: Care, two: Care) -> None:
    for _ in range(ROUNDS):
        ids = await waiting(here)
        both = await asyncio.gather(batch(here, ids), batch(two, ids[::-1]))
        results = [one for each in both for one in each]
        assert sorted(one.id for one in results if one.status == "accepted") == sorted(ids)
        assert {one.code for one in results if one.status == "refused"} <= {"suggestion_decided"}


async def test_a_batch_locks_no_program_before_it_has_all_patients(here: Care, two: Care) -> None:
    """The rules lock programs in the order of their ids: one patient after the other would be another order."""
    ids = await waiting(here)
    async with here.sessions() as session:
        await here.open(session)
        await programs.lock_patient(session, here.clinic_id, two.world.alice.id)
        accepting = asyncio.create_task(batch(here, ids))
        await waiting_for_a_lock(session)
        async with asyncio.timeout(10):
            await progress(here, 0)
        await session.rollback()
    assert {one.code for one in await accepting} <= {None, "suggestion_decided"}


async def test_neither_a_session_nor_the_rules_wait_for_an_episode_that_is_being_held(here: Care) -> None:
    """What they write refers to it and to the patient: were they to wait, its end would wait for them in turn."""
    program = await green(here)
    async with here.sessions.begin() as session:
        await here.open(session)
        manage = (Action.MANAGE_EPISODES, Episode, here.episode_id)
        episode = await access.subject(session, here.bob, *manage, at=night(9), lock=True)
        async with asyncio.timeout(10):
            await progress(here, 9)
            assert await stored(here), "one that refers to the episode"
            await train(here, program, 9, pains={"hp_bridge": 9}, asked=False)
        reason = EpisodeReason(reason="Away")
        await episodes.hold(session, here.bob, episode.id, reason, version=episode.version, at=night(9))


async def test_what_was_rejected_is_left_alone_for_a_week(here: Care) -> None:
    program = await green(here)
    await progress(here, 9)
    for row in await stored(here):
        assert (await reject(here, row, 9)).reason == "A long journey"
    await train(here, program, 10)
    assert (await progress(here, 12)).suggestions == 0
    assert (await progress(here, 17)).suggestions == 2
    with pytest.raises(SuggestionDecided):
        await reject(here, (await stored(here, "rejected"))[0], 17)
    (row, _) = await stored(here)
    row.version += 1
    with pytest.raises(Stale):
        await reject(here, row, 17)


async def test_who_may_not_treat_cannot_change_the_dose(here: Care) -> None:
    await green(here)
    await progress(here, 9)
    (bridge, _) = await stored(here)
    async with here.sessions.begin() as session:
        await here.open(session)
        await session.execute(update(Consent).values(status=ConsentStatus.WITHDRAWN, withdrawn_at=night(9)))
    with pytest.raises(ProgramNotReady):
        await accept(here, bridge, 9)
    assert len(await stored(here)) == 2
    async with here.sessions.begin() as session:
        await here.open(session)
        with pytest.raises(Forbidden):
            await suggestions.get(session, here.alice, bridge.id, at=night(9))
        with pytest.raises(Forbidden):
            await suggestions.browse(session, here.alice, Page(), at=night(9))
        with pytest.raises(NotFound):
            await suggestions.get(session, here.bob, uuid4(), at=night(9))
        found = await suggestions.browse(session, here.bob, Page(), patient_id=here.world.alice.id, at=night(9))
        assert len(found.items) == 2
        stops = await suggestions.browse(
            session, here.bob, Page(), outcome=[SuggestionOutcome.STOP], program_id=bridge.program_id, at=night(9)
        )
        assert stops.items == []


# ------------------------------------------------------------------ stops


async def test_an_exercise_that_hurts_badly_rests_until_a_human_has_decided(here: Care) -> None:
    program = await green(here)
    await train(here, program, 9, pains={"hp_bridge": 9})
    await progress(here, 10)
    stop, _ = await stored(here)
    assert (stop.outcome, stop.to_dose, stop.reasons) == ("stop", None, ["severe_pain"])

    async def shown(day: int) -> tuple[list[str], list[str]]:
        async with here.sessions.begin() as session:
            await here.open(session)
            found = (await today.get(session, here.alice, at=night(day))).program
            assert found is not None
            return (
                [item.exercise_code for each in found.sessions for item in each.items],
                [item.exercise_code for item in found.stopped],
            )

    assert await shown(10) == (["lb_pelvic_tilt"], ["hp_bridge"])
    async with here.sessions.begin() as session:
        await here.open(session)
        planned = await programs.planned(session, here.clinic_id, here.world.alice.id, on(0), on(20))
        asked = [each.on for each in planned if stop.item_id in each.items]
        assert asked, "it was asked for"
        assert max(asked) < on(10), "and is no more"
        work = (await worklist.browse(session, here.bob, Page(), at=night(10))).items[0]
        assert Reason.SUGGESTION_WAITING in {reason.code for reason in work.reasons}
    await train(here, program, 11, without=("hp_bridge",))
    await progress(here, 40)
    assert stop.id in {row.id for row in await stored(here)}, "time alone ends no stop"
    form = ProgramVersionCreate.model_validate({"reason": "Other words", "phases": [PHASE]})
    async with here.sessions.begin() as session:
        await here.open(session)
        await programs.create_version(session, here.bob, program.id, form, version=program.version, at=night(40))
    assert await shown(40) == (["lb_pelvic_tilt"], ["hp_bridge"])
    await progress(here, 40)
    (moved,) = [row for row in await stored(here) if row.outcome == "stop"]
    assert (moved.id, moved.version_id != stop.version_id) == (stop.id, True)
    await reject(here, moved, 40)
    assert await shown(40) == (["hp_bridge", "lb_pelvic_tilt"], [])
    await progress(here, 40)
    assert [row.outcome for row in await stored(here)] == []


@pytest.mark.parametrize("better", [1, 3])
async def test_a_better_session_that_comes_in_together_with_a_bad_one_hides_no_stop(here: Care, better: int) -> None:
    program = await here.running(phases=[PHASE])
    bad = await train(here, program, 1, pains={"hp_bridge": 9})
    for day in range(2, 2 + better):
        await train(here, program, day)
    async with here.sessions.begin() as session:
        await here.open(session)
        foreseen = await suggestions.follow_up(session, here.clinic_id, at=night(6), dry_run=True)
        made = await suggestions.follow_up(session, here.clinic_id, at=night(6))
    assert foreseen.suggestions == made.suggestions == 1
    (stop,) = await stored(here)
    assert (stop.outcome, stop.reasons, stop.session_id) == ("stop", ["severe_pain"], bad)
    assert stop.inputs["sessions"][-1]["session_id"] == str(bad)
    await reject(here, stop, 6)
    await progress(here, 6)
    assert await stored(here) == [], "what a human has seen is seen"


async def test_a_bad_session_that_comes_in_after_the_dose_was_changed_stops_the_exercise_all_the_same(
    here: Care,
) -> None:
    program = await here.running(phases=[PHASE])
    more = {**PHASE, "items": [BRIDGE | {"sets": 3}, TILT]}
    form = ProgramVersionCreate.model_validate({"reason": "More of it", "phases": [more]})
    async with here.sessions.begin() as session:
        await here.open(session)
        await programs.create_version(
            session, here.bob, program.id, form, version=program.version, at=morning(on(1), 7)
        )
    bad = await train(here, program, 1, pains={"hp_bridge": 9})  # the phone knows of the first version only
    await follow_up(here, 2)
    (stop,) = await stored(here)
    assert (stop.exercise_code, stop.outcome, stop.session_id) == ("hp_bridge", "stop", bad)
    await progress(here, 3)
    assert [row.id for row in await stored(here)] == [stop.id], "no look of the night takes it back"
    await reject(here, stop, 3)
    await progress(here, 4)
    assert await stored(here) == []


async def test_a_bad_session_that_comes_in_while_the_program_rests_stops_the_exercise_when_it_goes_on(
    here: Care,
) -> None:
    program = await here.running(phases=[PHASE])
    bad = await train(here, program, 1, pains={"hp_bridge": 9})
    async with here.sessions.begin() as session:
        await here.open(session)
        pause = ProgramPauseIn(reason="Looks at it")
        held = await programs.pause(
            session, here.bob, program.id, pause, version=program.version, at=morning(on(1), 11)
        )
    for day in (2, 3):
        await follow_up(here, day)
        assert await stored(here) == []
    async with here.sessions.begin() as session:
        await here.open(session)
        assert await suggestions.clinics_owed(session, at=night(3)) == []
        await programs.resume(
            session, here.bob, program.id, ProgramReason(reason="Try"), version=held.version, at=morning(on(3), 8)
        )
    await train(here, program, 3)
    await follow_up(here, 4)
    (stop,) = await stored(here)
    assert (stop.outcome, stop.session_id) == ("stop", bad), "the better session after it hides nothing"


async def test_a_stop_outlives_a_version_that_left_the_dose_alone_and_is_accepted_in_it(here: Care) -> None:
    program = await here.running(phases=[PHASE])
    await train(here, program, 1, pains={"hp_bridge": 9})
    await progress(here, 2)
    (stop,) = await stored(here)
    await write(here, program, 2, phases=[{**PHASE, "items": [BRIDGE, {**TILT, "reps": 8}]}])
    await accept(here, stop, 2)
    after = await read(here, program, 2)
    assert after.shown is not None
    assert [item.exercise_code for item in after.shown.phases[0].items] == ["lb_pelvic_tilt"]
    assert await stored(here) == []


async def test_a_stop_is_over_once_a_human_has_changed_the_dose_and_not_before(here: Care) -> None:
    program = await here.running(phases=[PHASE])
    lighter = [{**PHASE, "items": [{**BRIDGE, "reps": 8}, TILT]}]
    planned = await write(here, program, 0, phases=lighter, effective_on=on(4).isoformat())
    await train(here, program, 1, pains={"hp_bridge": 9})
    await progress(here, 2)
    (stop,) = await stored(here)
    async with here.sessions() as session:
        await here.open(session)
        with pytest.raises(VersionPlanned):
            await suggestions.accept(session, here.bob, stop.id, NOTE, version=1, at=night(2))
        (one,) = await suggestions.accept_many(session, here.bob, SuggestionBatch(ids=[stop.id]), at=night(2))
        await session.commit()
    assert (one.status, one.code) == ("refused", "version_planned")
    await progress(here, 5)
    (moved,) = await stored(here)
    assert (moved.id, moved.version_id) != (stop.id, stop.version_id), "who planned that version knew nothing of it"
    assert moved.id == stop.id
    again = await write(here, planned, 5, phases=lighter)
    await progress(here, 5)
    assert [row.id for row in await stored(here)] == [stop.id], "the same dose again"
    await write(here, again, 5, phases=[PHASE])
    async with here.sessions() as session:
        await here.open(session)
        (one,) = await suggestions.accept_many(session, here.bob, SuggestionBatch(ids=[stop.id]), at=night(5))
        await session.commit()
    assert (one.status, one.code) == ("refused", "suggestion_superseded")
    assert await stored(here) == [], "another dose: somebody has looked, and it is out of the way"


async def test_a_stop_goes_on_in_the_program_that_takes_the_place_of_its_own(here: Care) -> None:
    program = await here.running(phases=[PHASE])
    await train(here, program, 1, pains={"hp_bridge": 9, "lb_pelvic_tilt": 9})
    await progress(here, 2)
    draft = await here.draft(at=night(2), phases=[{**PHASE, "items": [BRIDGE, {**TILT, "sets": 1}]}])
    new = await here.activate(draft, at=night(2))
    (stop,) = await stored(here)
    assert (stop.exercise_code, stop.program_id) == ("hp_bridge", new.id), "of the other he prescribed less since"
    await accept(here, stop, 2)
    after = await read(here, new, 2)
    assert after.shown is not None
    assert [item.exercise_code for item in after.shown.phases[0].items] == ["lb_pelvic_tilt"]


async def test_what_was_not_looked_at_for_somebody_paused_the_program_just_then_is_looked_at_later(here: Care) -> None:
    program = await green(here)
    await train(here, program, 10, pains={"hp_bridge": 9}, asked=False)
    await train(here, program, 11, asked=False)
    async with here.sessions() as pausing:
        await here.open(pausing)
        form = ProgramPauseIn(reason="Away")
        paused = await programs.pause(pausing, here.bob, program.id, form, version=program.version, at=night(12))
        looking = asyncio.create_task(follow_up(here, 12))
        await waiting_for_a_lock(pausing)
        await pausing.commit()
    assert (await looking).programs == 0
    async with here.sessions.begin() as session:
        await here.open(session)
        await programs.resume(
            session, here.bob, program.id, ProgramReason(reason="Back"), version=paused.version, at=night(13)
        )
    await follow_up(here, 14)
    assert "stop" in {row.outcome for row in await stored(here)}


async def test_accepting_a_stop_takes_the_exercise_out_but_never_the_last(here: Care) -> None:
    program = await here.running(phases=[PHASE])
    await train(here, program, 1, new_neurological_symptom=True)
    await progress(here, 2)
    bridge, tilt = await stored(here)
    assert {bridge.outcome, tilt.outcome} == {"stop"}
    await accept(here, bridge, 2)
    (left,) = await stored(here)
    with pytest.raises(LastExercise):
        await accept(here, left, 2)
    after = await read(here, program, 2)
    async with here.sessions.begin() as session:
        await here.open(session)
        over = ProgramReason(reason="Another problem")
        await programs.complete(session, here.bob, program.id, over, version=after.version, at=night(3))
    assert await stored(here) == [], "nothing waits in a program that is over"
    assert (await here.actions()).count("suggestion.supersede") == 1
    assert after.shown is not None
    assert [item.exercise_code for item in after.shown.phases[0].items] == ["lb_pelvic_tilt"]


async def test_an_exercise_that_was_taken_out_is_not_offered_again_as_an_easier_one(here: Care) -> None:
    program = await here.running(phases=[SLOW])
    await train(here, program, 1, pains={"co_heel_slide": 9})
    await progress(here, 2)
    (stop,) = await stored(here)
    await accept(here, stop, 2)
    async with here.sessions.begin() as session:
        await here.open(session)
        (found,) = await prescriptions(session, here.clinic_id, [program.id], at=night(3))
        (taps,) = found.items
        assert taps.ladder.easier is None
        await session.execute(update(Suggestion).values(status=SuggestionStatus.REJECTED))
        (found,) = await prescriptions(session, here.clinic_id, [program.id], at=night(3))
        (taps,) = found.items
        assert taps.ladder.easier is not None, "a human let it go on"


# ------------------------------------------------------------------ in a flare-up


async def flare(here: Care, day: int) -> Flare:
    async with here.sessions.begin() as session:
        await here.open(session)
        form = FlareCreate(episode_id=here.episode_id)
        return await flares.create(session, here.bob, here.world.alice.id, form, at=morning(on(day), 8))


async def recover(here: Care, row: Flare, day: int) -> None:
    async with here.sessions.begin() as session:
        await here.open(session)
        await flares.close(
            session, here.bob, row.id, FlareClose(reason="over"), version=row.version, at=morning(on(day), 20)
        )


async def test_in_a_flare_up_nothing_goes_up_but_an_exercise_that_hurts_badly_is_stopped(here: Care) -> None:
    program = await green(here, progression=AUTO)
    made = await follow_up(here, 9)
    row = (await stored(here))[0]
    flaring = await flare(here, 9)
    with pytest.raises(FlareOpen) as refused:
        await accept(here, row, 10)
    assert refused.value.code == "flare_open"
    async with here.sessions.begin() as session:
        await here.open(session)
        results = await suggestions.accept_many(session, here.bob, SuggestionBatch(ids=[row.id]), at=night(10))
    assert [(one.status, one.code) for one in results] == [("refused", "flare_open")]
    assert await apply(here, made.ready, 10) == 0
    assert {each.status.value for each in await stored(here, "open", "applied")} == {"open"}, "it waits"

    await train(here, program, 10, pains={"lb_pelvic_tilt": 8})
    looked = await progress(here, 11)
    (stop,) = await stored(here)
    assert (stop.outcome, stop.inputs["sessions"][-1]["counts"]) == (SuggestionOutcome.STOP, False)
    assert (looked.suggestions, set(looked.ready)) == (1, set())
    assert len(await stored(here, "superseded")) == 2, "what waited is taken back"

    await recover(here, flaring, 12)
    await reject(here, stop, 13)
    await train(here, program, 14)
    await progress(here, 16)
    assert await stored(here) == [], "one session at the usual dose"
    await train(here, program, 18)
    await progress(here, 20)
    assert {each.outcome for each in await stored(here)} == {SuggestionOutcome.PROGRESS}


async def listed(here: Care, day: int) -> list[str]:
    """Give the exercises of the patient's day, those that are left out not among them."""
    async with here.sessions.begin() as session:
        await here.open(session)
        found = (await today.get(session, here.alice, at=night(day))).program
    assert found is not None
    return [item.exercise_code for each in found.sessions for item in each.items]


async def test_in_a_flare_up_no_exercise_stands_in_that_is_stopped_or_there_already(here: Care) -> None:
    program = await here.running(phases=[SLOW])
    await flare(here, 2)
    assert await listed(here, 3) == ["co_toe_taps", "co_brace"], "not what was just made easier"
    await train(here, program, 3, pains={"co_heel_slide": 9})
    await progress(here, 4)
    (stop,) = await stored(here)
    assert await listed(here, 4) == ["co_toe_taps"]
    await accept(here, stop, 4)
    assert await listed(here, 5) == ["co_toe_taps"], "a human has taken it out"


async def test_in_a_flare_up_an_exercise_stands_in_for_one_only(here: Care) -> None:
    await here.running(phases=[BACK])
    await flare(here, 2)
    assert await listed(here, 3) == ["th_scap_squeeze", "th_prone_ty"]


# ------------------------------------------------------------------ by itself


async def apply(here: Care, ready: Any, day: int) -> int:
    ((program_id, items),) = ready.items()
    async with here.sessions.begin() as session:
        await here.open(session)
        return await suggestions.apply(session, here.clinic_id, program_id, items, at=night(day))


async def test_inside_the_bounds_it_happens_by_itself_and_outside_it_waits(here: Care) -> None:
    with pytest.raises(ProgramRefused) as refused:
        await here.draft(phases=[PHASE], progression={"mode": "auto"})
    assert pointers(refused.value.problems) == {"/progression/bounds": "bounds_missing"}
    program = await green(here, progression=AUTO)
    made = await follow_up(here, 9)
    assert (made.suggestions, set(made.ready)) == (2, {program.id})
    assert set((await progress(here, 9)).ready) == {program.id}, "as long as it has not happened"
    assert await apply(here, made.ready, 9) == 1
    assert await apply(here, made.ready, 9) == 0
    (done,) = await stored(here, "applied")
    assert (done.exercise_code, done.decided_by, done.within_bounds) == ("hp_bridge", None, True)
    (waiting,) = await stored(here)
    assert (waiting.change, waiting.within_bounds) == ("reps", False)
    after = await read(here, program, 9)
    assert after.shown is not None
    assert (after.shown.number, after.shown.author_id) == (2, here.bob.therapist_id)
    assert after.shown.progression.mode == "auto"
    assert "suggestion.apply" in await here.actions()


async def test_what_a_later_session_speaks_against_is_taken_back_before_the_day_after(here: Care) -> None:
    program = await green(here)
    await follow_up(here, 9)
    await train(here, program, 9, pains={"hp_bridge": 4}, asked=False)
    await follow_up(here, 10)
    (waiting,) = await stored(here)
    assert waiting.exercise_code == "lb_pelvic_tilt"


async def test_only_what_the_last_look_has_confirmed_happens_by_itself(here: Care) -> None:
    bounds = {"max_sets": 3, "max_reps": 20}
    program = await green(here, progression={"mode": "auto", "bounds": bounds})
    made = await follow_up(here, 9)
    bridge, tilt = await stored(here)
    assert made.ready == {program.id: {bridge.item_id, tilt.item_id}}
    await train(here, program, 9, without=("lb_pelvic_tilt",), asked=False)
    assert await apply(here, made.ready, 10) == 0, "a session waits to be looked at"
    looked = await follow_up(here, 11)
    assert looked.ready == {program.id: {tilt.item_id}}, "nobody has said how the other was a day later"
    assert await apply(here, looked.ready, 11) == 1
    (done,) = await stored(here, "applied")
    assert done.exercise_code == "lb_pelvic_tilt"


async def test_nothing_happens_by_itself_while_its_therapist_may_not_treat(here: Care) -> None:
    program = await green(here, progression=AUTO)
    made = await follow_up(here, 9)
    async with here.sessions.begin() as session:
        await here.open(session)
        await session.execute(update(Consent).values(status=ConsentStatus.WITHDRAWN, withdrawn_at=night(9)))
    assert await apply(here, made.ready, 9) == 0
    assert len(await stored(here)) == 2
    assert (await read(here, program, 9)).status is ProgramStatus.ACTIVE


async def test_the_jobs_look_after_each_session_and_once_a_night(here: Care) -> None:
    program = await green(here, progression=AUTO)
    reach = jobs.Reach(
        here.sessions, here.sessions, Drawer(), "https://app.example", clinic_id=here.clinic_id, key=TOKENS.key
    )
    counts = [
        (await jobs.run(job, reach, at=night(9), dry_run=dry)).counts
        for job, dry in (
            ("programs.follow-up", True),
            ("programs.progress", True),
            ("programs.follow-up", False),
            ("programs.follow-up", False),
            ("programs.progress", False),
        )
    ]
    nothing = {"suggestions": 0, "applied": 0}
    foreseen = {"programs": 1, "suggestions": 2, "applied": 0}
    assert counts == [
        foreseen,
        foreseen,
        {"programs": 1, "suggestions": 2, "applied": 1},
        {"programs": 0, **nothing},
        {"programs": 1, **nothing},
    ]
    after = await read(here, program, 9)
    assert after.shown is not None
    assert after.shown.number == 2


async def test_a_program_that_cannot_be_applied_holds_up_no_look_and_no_other(
    here: Care, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluating, "AT_ONCE", 1)
    first = await green(here, progression=AUTO)
    async with here.sessions.begin() as session:
        await here.open(session)
        form = EpisodeCreate(title="Hip pain", body_region="hip")
        hip = await episodes.create(session, here.bob, here.world.alice.id, form, at=NOW)
    second = await replace(here, episode_id=hip.id).running(phases=[PHASE], progression=AUTO)
    for day in (5, 7):
        await train(here, second, day, asked=False)
    async with here.sessions.begin() as session:
        await here.open(session)
        await session.execute(delete(EvaluationOwed))
        last = {"program_id": min(first.id, second.id), "number": 2**31 - 1, "reason": "The last that there can be"}
        mine = {"clinic_id": here.clinic_id, "patient_id": here.world.alice.id, "author_id": here.bob.therapist_id}
        session.add(ProgramVersion(**mine, **last, starts_on=START, pain_ceiling=4, progression=AUTO, created_at=NOW))
    sweeper = make_sessions(here.sessions.kw["bind"])
    sweeper.configure(info={CLINIC: here.clinic_id})  # of all clinics this one alone
    reach = jobs.Reach(sweeper, here.sessions, Drawer(), "https://app.example", key=TOKENS.key)
    with pytest.raises(ClinicsFailed) as failed:
        await jobs.JOBS["programs.progress"](reach, night(9), dry_run=False)
    assert failed.value.counts == {"programs": 2, "suggestions": 4, "applied": 1, "clinics_failed": 1}


# ------------------------------------------------------------------ what would be


async def test_a_simulation_goes_through_the_days_and_writes_nothing(here: Care) -> None:
    program = await green(here)
    assert program.shown is not None
    bridge = program.shown.phases[0].items[0]

    async def simulate(**form: Any) -> Any:
        async with here.sessions.begin() as session:
            await here.open(session)
            asked = SimulationIn.model_validate(form)
            return await suggestions.simulate(session, here.bob, program.id, asked, at=night(9))

    past = await simulate()
    assert [[day.outcome for day in item.days] for item in past.items] == [["maintain", "progress"]] * 2
    assert past.items[0].days[1].days_since_change == 7
    good = {"item_id": str(bridge.id), "pain_during": 1, "rise_24h": 0, "completed_percent": 100, "effort": 3}
    history = [good | {"on": str(on(day))} for day in (0, 4, 8, 12, 16)]
    supposed = await simulate(history=history, follow=True)
    assert [day.outcome for day in supposed.items[0].days] == [
        "maintain",
        "maintain",
        "progress",
        "maintain",
        "progress",
    ]
    assert supposed.items[0].days[3].from_dose.sets == 3
    assert supposed.items[1].days == []
    with pytest.raises(HistoryRefused) as refused:
        await simulate(history=[good | {"on": str(on(0)), "item_id": str(uuid4())}])
    assert pointers(refused.value.problems) == {"/history/0/item_id": "item_unknown"}
    assert await stored(here) == []
    draft = await here.draft(phases=[PHASE])
    async with here.sessions.begin() as session:
        await here.open(session)
        made = await suggestions.simulate(session, here.bob, draft.id, SimulationIn(), at=night(9))
        assert [item.days for item in made.items] == [[], []]


# ------------------------------------------------------------------ at scale


async def test_it_takes_a_handful_of_statements_however_much_there_is_to_look_at(here: Care) -> None:
    await green(here)
    asked: list[str] = []
    async with here.sessions.begin() as session:
        await here.open(session)
        connection = await driver(session)
        connection.add_query_logger(lambda record: asked.append(record.query))
        ids = await suggestions.running(session, here.clinic_id, None)
        assert (await suggestions.evaluate(session, here.clinic_id, ids, at=night(9))).suggestions == 2
    assert len(asked) <= 9, asked
