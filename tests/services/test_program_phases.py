"""From answers and sessions to a phase that may end: the therapist is told, and nothing moves without him."""

import asyncio
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from clinical.library import load
from core.database import Sessions
from core.errors import Forbidden
from integrations.delivery import Outcome
from integrations.email import Letter
from models.check_ins import CheckInStatus
from schemas.flares import FlareCreate
from schemas.pages import Page
from schemas.program_templates import ProgramTemplateCreate, ProgramTemplateUse
from schemas.programs import ProgramPauseIn, ProgramPhases, ProgramRead, ProgramVersionCreate
from schemas.worklist import Reason
from services import flares, jobs, program_phases, program_templates, programs, worklist
from services.caseload import WEIGHTS
from services.programs.authoring import ProgramRefused
from tests.factories import NOW, TOKENS
from tests.services.caring import MOBILITY, STRENGTH, Care, care, pointers, waiting_for_a_lock
from tests.services.histories import check_in, exercised, morning, outcome, roland

START = NOW.date()
PAIN: dict[str, Any] = {"measure": "pain_now", "op": "lte", "value": 3, "over": {"last_n": 2}}
SCORE: dict[str, Any] = {"measure": "instrument", "instrument": "rmdq24", "op": "lte", "value": 8}
DONE: dict[str, Any] = {"measure": "sessions_done", "op": "gte", "value": 2}
KEPT: dict[str, Any] = {"measure": "adherence_percent", "op": "gte", "value": 15, "over": {"days": 3}}
OPEN: list[dict[str, Any]] = [
    {**MOBILITY, "weeks": None, "exit": [PAIN, SCORE]},
    {**STRENGTH, "entry": [DONE, KEPT], "entry_criteria": "Moves without fear"},
]


class Nobody:
    """A mail server that nothing is sent to here."""

    async def deliver(self, letter: Letter) -> Outcome:
        raise AssertionError(letter)


@pytest.fixture
async def here(sessions: Sessions) -> Care:
    return await care(sessions)


def on(day: int) -> date:
    return START + timedelta(days=day)


def night(day: int) -> datetime:
    return morning(on(day), 4)


async def stand(here: Care, program: ProgramRead, day: int) -> ProgramPhases:
    async with here.sessions.begin() as session:
        await here.open(session)
        return await program_phases.get(session, here.bob, program.id, at=night(day))


async def review(here: Care, day: int, *, dry_run: bool = False) -> int:
    async with here.sessions.begin() as session:
        await here.open(session)
        count, after = await program_phases.review(session, here.clinic_id, at=night(day), dry_run=dry_run)
        assert after is None
        return count


async def told(here: Care, day: int) -> list[tuple[Reason, datetime | None]]:
    async with here.sessions.begin() as session:
        await here.open(session)
        found = await worklist.browse(session, here.bob, Page(), at=night(day))
        reasons = [one for entry in found.items for one in entry.reasons]
        return [(one.code, one.since) for one in reasons if one.code is Reason.PHASE_READY]


async def write(here: Care, program: ProgramRead, day: int, **form: Any) -> ProgramRead:
    async with here.sessions.begin() as session:
        await here.open(session)
        version = ProgramVersionCreate.model_validate(form)
        return await program_phases.create_version(
            session, here.bob, program.id, version, version=program.version, at=night(day)
        )


async def reach_all(here: Care, program: ProgramRead) -> None:
    """Meet everything that `OPEN` asks for, on the fourth day and not before."""
    for day, pain in ((0, 6), (1, 3), (2, 2)):
        await check_in(here, on(day), pain_now=pain)
    await check_in(here, on(3), CheckInStatus.MISSED)
    for day in (1, 3):
        await exercised(here, program, on(day))
    await outcome(here, on(2), "rmdq24", roland(8))


async def test_a_phase_waits_for_what_it_asks_and_for_the_therapist(here: Care) -> None:
    program = await here.running(phases=OPEN)
    assert program.shown is not None
    assert [phase.begins_on for phase in program.shown.phases] == [START, None]
    assert program.shown.phases[0].exit[0].text == "Pain at most 3 on each of the last 2 days you answered"
    first = await stand(here, program, 1)
    assert first.current is not None
    assert first.next is not None
    assert [(one.state, one.seen) for one in first.current.criteria] == [("no_data", None), ("no_data", None)]
    assert first.current.criteria[0].explanation == "Not enough answers yet"
    assert [one.state for one in first.next.criteria] == ["not_met", "no_data"]
    assert (first.ready_for_next, first.held_by, await review(here, 1)) == (False, None, 0)
    await reach_all(here, program)
    later = await stand(here, program, 40)
    assert later.current is not None
    assert later.current.position == 1, "no calendar moves it on"
    ready = await stand(here, program, 4)
    assert ready.current is not None
    assert ready.next is not None
    assert [(one.state, one.seen) for one in ready.current.criteria] == [("met", 3), ("met", 8)]
    assert [one.state for one in ready.next.criteria] == ["met", "met"]
    assert ready.next.criteria[0].text == "At least 2 sessions done in the phase before"
    assert ready.ready_for_next
    assert (await review(here, 4, dry_run=True), await told(here, 4)) == (1, [])
    assert (await review(here, 4), await review(here, 5), await told(here, 5)) == (
        1,
        0,
        [(Reason.PHASE_READY, night(4))],
    )
    assert "program.phase_ready" in await here.actions()
    await check_in(here, on(6), pain_now=7)
    assert (await review(here, 7), await told(here, 7)) == (0, []), "ready no longer"


async def test_what_was_known_before_a_phase_began_tells_nothing_and_a_new_dose_begins_none(here: Care) -> None:
    program = await here.running(phases=OPEN)
    await reach_all(here, program)
    assert await review(here, 4) == 1
    program = await write(here, program, 5, reason="Fewer", phases=[{**OPEN[0], "weeks": None}, OPEN[1]])
    assert await told(here, 5) == [(Reason.PHASE_READY, night(4))], "the phase is the one that it was"
    program = await write(
        here, program, 5, reason="Softer", phases=[{**OPEN[0], "exit": [PAIN | {"value": 1}]}, OPEN[1]]
    )
    assert await told(here, 5) == [], "and asks for more"
    program = await write(here, program, 5, reason="Anew", restart_phases=True, phases=OPEN)
    assert await told(here, 5) == []
    anew = await stand(here, program, 5)
    assert anew.current is not None
    assert anew.next is not None
    assert (anew.current.begins_on, anew.ready_for_next) == (on(5), False)
    known = [(one.state, one.seen) for one in [*anew.current.criteria, *anew.next.criteria]]
    assert known == [("no_data", None), ("no_data", None), ("not_met", 0), ("no_data", None)]
    program = await write(here, program, 6, reason="Other", phases=[{**OPEN[0], "name": "Calm it down"}, OPEN[1]])
    new = await stand(here, program, 6)
    assert new.current is not None
    assert new.current.begins_on == on(6)


async def test_a_phase_that_is_brought_back_begins_on_the_day_of_that(here: Care) -> None:
    first = {**OPEN[0], "weeks": 1}
    program = await here.running(phases=[first, OPEN[1]])
    await reach_all(here, program)
    assert await review(here, 4) == 1
    assert [len(await told(here, day)) for day in (6, 7)] == [1, 0], "the calendar has moved on"
    program = await write(here, program, 9, reason="Pain rose", phases=[{**first, "weeks": None}])
    back = await stand(here, program, 9)
    assert back.current is not None
    assert (back.current.begins_on, back.ready_for_next) == (on(9), False)


async def test_who_has_written_what_comes_is_not_told_that_it_may(here: Care) -> None:
    program = await here.running(phases=OPEN)
    await reach_all(here, program)
    assert sorted(await asyncio.gather(*(review(here, 4) for _ in range(2)))) == [0, 1], "told once"
    assert (await here.actions()).count("program.phase_ready") == 1
    day = on(9).isoformat()
    program = await write(here, program, 5, reason="Next", effective_on=day, restart_phases=True, phases=[OPEN[1]])
    assert (await review(here, 5), await told(here, 5)) == (0, [])
    assert (await stand(here, program, 5)).ready_for_next is False


async def test_a_session_on_a_day_without_one_is_done_too(here: Care) -> None:
    assert START.isoweekday() == 1
    tuesdays = [{**item, "weekdays": [2]} for item in MOBILITY["items"]]
    kept = KEPT | {"value": 100}
    program = await here.running(phases=[{**MOBILITY, "items": tuesdays, "exit": [DONE | {"value": 3}, kept]}])
    for day in (1, 2, 3):
        await exercised(here, program, on(day))
    for day, done in ((3, 2), (4, 0)):
        await exercised(here, program, on(day), done=done, slot=2)
    found = await stand(here, program, 4)
    assert found.current is not None
    assert [one.seen for one in found.current.criteria] == [4, 50], "of two that were planned one was done"


async def test_a_version_that_is_being_written_is_waited_for(here: Care) -> None:
    program = await here.running(phases=OPEN)
    await reach_all(here, program)
    async with here.sessions.begin() as writing:
        await here.open(writing)
        form = ProgramVersionCreate.model_validate({"reason": "Anew", "restart_phases": True, "phases": OPEN})
        await program_phases.create_version(writing, here.bob, program.id, form, version=program.version, at=night(4))
        reviewing = asyncio.create_task(review(here, 4))
        await waiting_for_a_lock(writing)
    assert (await reviewing, await told(here, 4)) == (0, [])


async def test_a_program_that_rests_is_not_ready_and_a_draft_stands_nowhere(here: Care) -> None:
    draft = await here.draft(phases=OPEN)
    nowhere = await stand(here, draft, 1)
    assert (nowhere.current, nowhere.next, nowhere.held_by, nowhere.ready_for_next) == (None, None, "not_in_use", False)
    await here.screen()
    program = await here.activate(draft)
    await reach_all(here, program)
    assert await review(here, 4) == 1
    async with here.sessions.begin() as session:
        await here.open(session)
        pause = ProgramPauseIn(reason="At the sea")
        await programs.pause(session, here.bob, program.id, pause, version=program.version, at=night(5))
        with pytest.raises(Forbidden):
            await program_phases.get(session, here.alice, program.id, at=night(5))
    assert await told(here, 5) == []
    rests = await stand(here, program, 5)
    assert (rests.held_by, rests.ready_for_next) == ("not_in_use", False)


async def test_what_cannot_be_computed_is_refused_by_its_place_and_templates_carry_the_rest(here: Care) -> None:
    slot = next(iter(load().slots))
    wrong = [
        {**OPEN[0], "exit": [PAIN | {"value": 11}, SCORE | {"instrument": slot}]},
        {**MOBILITY, "weeks": None},
        {**STRENGTH, "entry": [SCORE | {"instrument": "nothing"}]},
    ]
    with pytest.raises(ProgramRefused) as refused:
        await here.draft(phases=wrong)
    assert pointers(refused.value.problems) == {
        "/phases/0/exit/0/value": "value_range",
        "/phases/0/exit/1/instrument": "instrument_not_licensed",
        "/phases/1/weeks": "weeks_missing",
        "/phases/2/entry/0/instrument": "unknown_instrument",
    }
    async with here.sessions.begin() as session:
        await here.open(session)
        form = ProgramTemplateCreate.model_validate({"name": "Back", "phases": OPEN})
        kept = await program_templates.create(session, here.bob, form, at=NOW)
        use = ProgramTemplateUse(template_id=kept.id)
        draft = await program_templates.use(session, here.bob, here.episode_id, use, at=NOW)
        assert draft.shown is not None
        assert [one.measure for one in draft.shown.phases[1].entry] == ["sessions_done", "adherence_percent"]
        change = ProgramVersionCreate.model_validate(
            {"reason": "Easier", "phases": [{**OPEN[0], "exit": [PAIN]}, OPEN[1]]}
        )
        await programs.create_version(session, here.bob, draft.id, change, version=draft.version, at=NOW)
        diff = await programs.compare(session, here.bob, draft.id, from_=None, to=None, at=NOW)
        assert diff.changes is not None
        assert [one.text for one in diff.changes] == [
            "In the phase Get it moving is reached: Pain at most 3 on each of the last 2 days you answered"
            " (was: Pain at most 3 on each of the last 2 days you answered;"
            " Score of Roland-Morris Disability Questionnaire (24 items) at most 8, the last time)"
        ]


async def test_the_job_goes_through_all_programs_and_none_is_ready_in_a_flare_up(
    here: Care, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(program_phases, "AT_ONCE", 1)
    program = await here.running(phases=OPEN)
    await reach_all(here, program)
    reach = jobs.Reach(
        here.sessions, here.sessions, Nobody(), "https://app.example", clinic_id=here.clinic_id, key=TOKENS.key
    )
    done = [await jobs.JOBS["programs.phases"](reach, night(4), dry_run=dry) for dry in (True, False, False)]
    assert done == [{"ready": 1}, {"ready": 1}, {"ready": 0}]
    async with here.sessions.begin() as session:
        await here.open(session)
        form = FlareCreate(episode_id=here.episode_id)
        await flares.create(session, here.bob, here.world.alice.id, form, at=night(4))
    assert (await stand(here, program, 4)).held_by == "flare"
    assert await told(here, 4) == []


def test_the_reason_stands_below_what_can_hurt() -> None:
    assert WEIGHTS[Reason.REVIEW_DUE] < WEIGHTS[Reason.PHASE_READY] < WEIGHTS[Reason.SUGGESTION_WAITING]
