"""A program from its draft to its end: what each state allows, and long lives held against a plain calendar."""

from datetime import date, timedelta

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from clinical.program_life import (
    ENDED,
    IN_USE,
    NEVER,
    RESTING,
    STEPS,
    Life,
    Pause,
    ProgramAction,
    ProgramNotInState,
    ProgramStatus,
    Span,
    Version,
    possible,
    step,
)
from tests.clinical.plain_programs import DONE, HORIZON, NOT_READY, PlainEpisode

START = date(2026, 3, 2)
DRAFT, ACTIVE, PAUSED, SUSPENDED, COMPLETED, SUPERSEDED = ProgramStatus
ASKED = ("activate", "activate", "pause", "pause", "resume", "resume", "complete")
NEAR = 6
"""So many days around today are compared after each step, all of them at the end."""


def on(number: int) -> date:
    return START + timedelta(days=number)


DRAFTED = Life(DRAFT, (Version(on(2)),))
RUNNING = DRAFTED.after(ProgramAction.ACTIVATE, on(0))


def test_each_state_allows_what_the_table_says_and_nothing_leads_out_of_an_end() -> None:
    allowed = {state: sorted(action for action in ProgramAction if possible(state, action)) for state in ProgramStatus}
    assert allowed == {
        DRAFT: ["activate", "write"],
        ACTIVE: ["adjust", "complete", "discharge", "hold", "pause", "rest", "supersede", "suspend", "write"],
        PAUSED: ["complete", "discharge", "resume", "supersede", "suspend", "write"],
        SUSPENDED: ["discharge", "resume", "supersede", "write"],
        COMPLETED: [],
        SUPERSEDED: [],
    }
    assert IN_USE | ENDED | {DRAFT} == set(ProgramStatus)
    assert [(action.value, state.value) for action in ProgramAction for state, to in STEPS[action].items() if to.ready] == [
        ("activate", "draft"),
        ("resume", "paused"),
        ("resume", "suspended_red_flag"),
        ("write", "active"),
        ("adjust", "active"),
    ]  # fmt: skip
    with pytest.raises(ProgramNotInState) as refused:
        step(COMPLETED, ProgramAction.RESUME)
    assert refused.value.code == "program_not_in_state"
    assert refused.value.problems[0].message == "It is completed; this takes one that is: paused, suspended_red_flag."
    with pytest.raises(ProgramNotInState):
        Life(SUPERSEDED, ()).written(ProgramAction.WRITE, on(0))


def test_days_that_are_given_up_are_gone_whole() -> None:
    week = Span(on(0), on(7))
    assert (on(0) in week, on(6) in week, on(7) in week, on(-1) in week) == (True, True, False, False)
    assert week.before(on(9)) == week
    assert week.before(on(3)) == Span(on(0), on(3))
    assert week.before(on(0)) == week.before(on(-4)) == NEVER.before(on(2)) == NEVER
    assert Span(on(3)).before(on(5)) == Span(on(3), on(5))


def test_a_red_flag_ends_the_pause_before_and_nothing_counts_of_a_program_that_ends_with_it() -> None:
    paused = RUNNING.after(ProgramAction.PAUSE, on(3), reason="holiday_agreed")
    stopped = paused.after(ProgramAction.SUSPEND, on(5), reason="red_flag_suspended")
    first, second = stopped.pauses
    assert first == Pause("holiday_agreed", Span(on(3), on(5)), over=True)
    assert second == Pause("red_flag_suspended", Span(on(5)))
    over = stopped.after(ProgramAction.DISCHARGE, on(8))
    assert (over.status, over.pauses[-1]) == (COMPLETED, Pause("red_flag_suspended", Span(on(5), on(8))))
    assert stopped.after(ProgramAction.RESUME, on(8)).pauses[-1].over


def test_days_of_a_pause_that_are_still_to_come_again_belong_to_the_next_one() -> None:
    """Who flies from Auckland to Honolulu lives the same day twice."""
    back = RUNNING.after(ProgramAction.PAUSE, on(3), reason="holiday_agreed").after(ProgramAction.RESUME, on(6))
    again = back.after(ProgramAction.PAUSE, on(5), reason="program_paused")
    assert [pause.during for pause in again.pauses] == [Span(on(3), on(5)), Span(on(5))]


class Lives(RuleBasedStateMachine):
    """Several programs of one episode: what is asked for, what happens to them, and days that go by."""

    def __init__(self) -> None:
        """Begin with one draft."""
        super().__init__()
        self.model = PlainEpisode()
        self.lives: list[Life] = []
        self.touched: set[int] = set()

    @property
    def today(self) -> date:
        return on(self.model.today)

    def may(self, number: int, action: ProgramAction, expected: str) -> bool:
        """Ask for something as the services do; the model must have said the same."""
        code, ready = DONE, False
        try:
            ready = step(self.lives[number].status, action).ready
        except ProgramNotInState as refused:
            code = refused.code
        assert (NOT_READY if ready and not self.was_ready else code) == expected
        return expected == DONE

    def move(self, number: int, action: ProgramAction, reason: str = "program_paused") -> None:
        self.lives[number] = self.lives[number].after(action, self.today, reason=reason)
        self.touched.add(number)

    def happens(self, action: ProgramAction, reason: str = "program_paused") -> None:
        """Let something happen to every program that it concerns."""
        for number, life in enumerate(self.lives):
            if possible(life.status, action):
                self.move(number, action, reason)

    # -------------------------------------------------------------- asked for
    @initialize(ahead=st.integers(0, 3))
    def draft_first(self, ahead: int) -> None:
        self.draft(ahead)

    @precondition(lambda self: len(self.lives) < 4)
    @rule(ahead=st.integers(0, 3))
    def draft(self, ahead: int) -> None:
        self.model.draft(ahead)
        self.lives.append(Life(DRAFT, (Version(on(self.model.today + ahead)),)))

    @rule(
        which=st.integers(0, 11),
        action=st.sampled_from(["activate", "activate", "pause", "resume", "resume", "complete"]),
    )
    def ask(self, which: int, action: str) -> None:
        number, verb = which % len(self.lives), ProgramAction(action)
        self.was_ready = self.model.ready
        program = self.model.programs[number]
        match verb:
            case ProgramAction.PAUSE:
                expected = self.model.pause(program, "holiday_agreed")
            case _:
                expected = getattr(self.model, action)(program)
        if self.may(number, verb, expected):
            if verb is ProgramAction.ACTIVATE:
                self.happens(ProgramAction.SUPERSEDE)
            self.move(number, verb, "holiday_agreed")

    @rule(which=st.integers(0, 11), ahead=st.none() | st.integers(0, 4), restart=st.booleans())
    def write(self, which: int, ahead: int | None, restart: bool) -> None:
        number = which % len(self.lives)
        self.was_ready = self.model.ready
        expected = self.model.write(self.model.programs[number], ahead, restart=restart)
        if self.may(number, ProgramAction.WRITE, expected):
            day = None if ahead is None else on(self.model.today + ahead)
            self.lives[number] = self.lives[number].written(
                ProgramAction.WRITE, self.today, effective_on=day, restart=restart
            )
            self.touched.add(number)

    @rule(which=st.integers(0, 11))
    def adjust(self, which: int) -> None:
        number = which % len(self.lives)
        held = self.lives[number].versions[-1].held
        if held is not None and self.today in held:  # nothing is suggested for a version that is still to come
            self.was_ready = self.model.ready
            if self.may(number, ProgramAction.ADJUST, self.model.adjust(self.model.programs[number])):
                self.lives[number] = self.lives[number].written(ProgramAction.ADJUST, self.today)
                self.touched.add(number)

    # -------------------------------------------------------------- what happens
    @rule(found=st.booleans())
    def red_flag(self, found: bool) -> None:
        if found:
            self.model.found_red_flag()
            self.happens(ProgramAction.SUSPEND, "red_flag_suspended")
        self.model.flag = found

    @rule(gone=st.booleans())
    def therapist(self, gone: bool) -> None:
        if gone:
            self.model.nobody_may_treat()
            self.happens(ProgramAction.REST)
        self.model.treated = not gone

    @rule(to=st.sampled_from(["active", "active", "on_hold", "discharged"]))
    def episode(self, to: str) -> None:
        if to == "on_hold" and self.model.state == "active":
            self.model.held()
            self.happens(ProgramAction.HOLD)
        elif to == "discharged":
            self.model.discharged()
            self.happens(ProgramAction.DISCHARGE)
        elif to == "active":
            self.model.state = to

    @rule(days=st.sampled_from([-1, 1, 2, 3]))
    def days_go_by(self, days: int) -> None:
        self.model.today = max(0, self.model.today + days)

    # -------------------------------------------------------------- the same all along
    @invariant()
    def it_is_as_the_calendar_says(self) -> None:
        today = self.model.today
        for number in self.touched:
            self.compare(number, range(max(0, today - NEAR), today + NEAR))
        self.touched.clear()
        assert [life.status.value for life in self.lives] == [program.state for program in self.model.programs]
        assert sum(life.status in IN_USE for life in self.lives) <= 1

    def compare(self, number: int, days: range) -> None:
        life, program = self.lives[number], self.model.programs[number]
        assert [START + timedelta(days=day) for day in program.origins] == [one.starts_on for one in life.versions]
        held = [(place, one.held) for place, one in enumerate(life.versions, 1) if one.held and one.held != NEVER]
        rests = [pause for pause in life.pauses if pause.during != NEVER]
        for day in days:
            when = on(day)
            assert [place for place, span in held if when in span] == [
                number for number in [program.holds[day]] if number
            ]
            assert "".join(pause.reason for pause in rests if when in pause.during) == program.rests[day]
        ends = [span.ends for _, span in held]
        assert ends.count(None) == (life.status in IN_USE)
        assert all(end == span.begins for end, (_, span) in zip(ends, held[1:], strict=False))
        assert [pause.during.ends for pause in life.pauses].count(None) == (life.status in RESTING)
        stands = life.status in RESTING or program.lost
        assert [pause.over for pause in life.pauses] == [True] * (len(life.pauses) - stands) + [False] * stands

    def teardown(self) -> None:
        """Compare all days of all programs."""
        for number in range(len(self.lives)):
            self.compare(number, range(HORIZON))


Lives.TestCase.settings = settings(max_examples=500, stateful_step_count=30, deadline=None)
TestLives = Lives.TestCase
