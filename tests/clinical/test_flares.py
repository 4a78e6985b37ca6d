"""A flare-up day by day: every worked example, the dose, and long stories held against a plain model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from decimal import Decimal
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from clinical import flares
from clinical.flare_rules import FlareExample
from clinical.flares import Day, Decision, Dose, Standing, Trained, baseline, dose_at, easier_than, next_step
from clinical.levels import FlareStep
from clinical.library import load

FIRST = date(2026, 3, 2)
REDUCED, THREE_QUARTERS, FULL = FlareStep
FRESH = Standing(REDUCED, FIRST, FIRST, hours=0, cleared=True, baseline_pain=3, baseline_limitation=2)

GOOD = [Trained(FIRST + timedelta(days=number), completed=True, pain=1) for number in (1, 2)]


def on(number: int) -> date:
    return FIRST + timedelta(days=number)


def decide(standing: Standing, days: Sequence[Day], sessions: Sequence[Trained], today: date) -> Decision:
    """Let the rules look at the hour at which the step began."""
    return next_step(replace(standing, hours=24 * (today - standing.since).days), days, sessions, today)


# ------------------------------------------------------------------ the steps
@pytest.mark.parametrize("example", load().flares.examples, ids=lambda example: str(example.name))
def test_worked_example(example: FlareExample) -> None:
    expected: Mapping[str, Any] = {"contact": False, "reassess": False, **example.expect}
    days = [Day(on(number), pain, limitation, flare) for number, pain, limitation, flare in example.days]
    sessions = [Trained(on(number), done, pain) for number, done, pain in example.sessions]
    found = decide(replace(FRESH, step=example.step, since=on(example.since)), days, sessions, on(example.today))
    assert {
        "step": found.step,
        "reasons": list(found.reasons),
        "contact": bool(found.contact),
        "reassess": found.reassess,
    } == expected
    assert found.rule_version == "flares-2026-2"


def test_the_reduced_plan_lasts_48_hours_and_a_calm_word_on_its_first_day_is_no_settled_day() -> None:
    calm = [Day(on(number), 3, 2, flare=False) for number in range(3)]
    early = next_step(replace(FRESH, hours=47), calm, [], on(2))
    assert (early.step, early.reasons) == (REDUCED, ("too_early",))
    assert next_step(replace(FRESH, hours=48), calm, [], on(2)).step is THREE_QUARTERS
    first = next_step(replace(FRESH, hours=48), calm[:2], [], on(2))
    assert (first.step, first.reasons) == (REDUCED, ("not_settled",))


def test_without_a_screen_the_dose_never_rises_and_falls_back() -> None:
    calm = [Day(on(number), 0, 0, flare=False) for number in range(9)]
    waiting = replace(FRESH, cleared=False)
    assert decide(waiting, calm, [], on(9)).reasons == ("screen_missing",)
    fallen = decide(replace(waiting, step=THREE_QUARTERS), calm, GOOD, on(9))
    assert (fallen.step, fallen.reasons) == (REDUCED, ("screen_missing",))


def test_after_good_sessions_one_bad_day_waits_for_the_next_answer() -> None:
    days = [Day(on(2), 2, 2, flare=False), Day(on(3), 8, 2, flare=True)]
    found = decide(replace(FRESH, step=THREE_QUARTERS), days, GOOD, on(4))
    assert (found.step, found.reasons) == (THREE_QUARTERS, ("not_settled",))


def test_after_good_sessions_a_new_symptom_waits_for_its_screen() -> None:
    waiting = replace(FRESH, step=THREE_QUARTERS, symptom_waits=True)
    found = decide(waiting, [Day(on(3), 1, 1, flare=False)], GOOD, on(4))
    assert (found.step, found.reasons) == (THREE_QUARTERS, ("screen_missing",))


def test_before_three_quarters_a_new_symptom_waits_for_its_screen() -> None:
    calm = [Day(on(number), 0, 0, flare=False) for number in range(4)]
    found = decide(replace(FRESH, symptom_waits=True), calm, [], on(3))
    assert (found.step, found.reasons) == (REDUCED, ("screen_missing",))


CALM = Day(on(1), 3, 2, flare=False)


@pytest.mark.parametrize(
    ("unknown", "settled"),
    [
        (Day(on(2), None, 2, flare=False), False),  # no pain told is not no pain
        (Day(on(2), None, 2, flare=True), False),
        (Day(on(2), 3, 2, flare=None), True),
        (Day(on(2), None, 2, flare=None), False),  # nothing that counts: the day before stands alone
    ],
)
def test_what_is_not_known_of_a_day_raises_no_dose(unknown: Day, settled: bool) -> None:
    found = decide(FRESH, [CALM, unknown], [], on(2))
    assert found.step is (THREE_QUARTERS if settled else REDUCED)
    days = [CALM, replace(unknown, on=on(3))]
    full = decide(replace(FRESH, step=THREE_QUARTERS), days, GOOD, on(3))
    assert full.step is (FULL if settled else THREE_QUARTERS)


def test_a_day_of_which_only_the_flare_up_is_known_is_a_day() -> None:
    days = [CALM, replace(CALM, on=on(2)), Day(on(3), None, None, flare=True)]
    assert decide(FRESH, days[:2], [], on(3)).step is THREE_QUARTERS
    assert decide(FRESH, days, [], on(3)).reasons == ("not_settled",)
    worse = [*days[2:], replace(days[2], on=on(4))]
    assert decide(replace(FRESH, step=THREE_QUARTERS), worse, GOOD, on(4)).reasons == ("days_worse",)


def test_a_session_of_which_the_pain_is_not_known_raises_no_dose() -> None:
    after = [Day(on(3), 3, 2, flare=False)]
    for unknown in range(2):
        sessions = [replace(one, pain=None) if number == unknown else one for number, one in enumerate(GOOD)]
        found = decide(replace(FRESH, step=THREE_QUARTERS), after, sessions, on(3))
        assert (found.step, found.reasons) == (THREE_QUARTERS, ("sessions_missing",))


def test_what_a_therapist_holds_stays_until_his_day_is_over() -> None:
    calm = [Day(on(number), 0, 0, flare=False) for number in range(5)]
    held = replace(FRESH, held_until=on(4))
    assert decide(held, calm, [], on(4)).reasons == ("held",)
    assert decide(held, calm, [], on(5)).step is THREE_QUARTERS


@pytest.mark.parametrize("held", [None, on(1), on(6)])
@pytest.mark.parametrize("step", [REDUCED, THREE_QUARTERS])
def test_the_step_that_is_told_comes_on_its_day_when_all_goes_well_and_never_before(
    step: FlareStep, held: date | None
) -> None:
    calm = [Day(on(number), 0, 0, flare=False) for number in range(9)]
    good = [Trained(on(number), completed=True, pain=0) for number in range(9)]
    told = flares.coming(step, FIRST, held)
    assert told is not None
    for number in range(9):
        found = decide(replace(FRESH, step=step, held_until=held), calm[: number + 1], good[: number + 1], on(number))
        assert found.step is (told.step if on(number) >= told.not_before else step)
    assert flares.coming(FULL, FIRST, held) is None


def test_contact_and_assessment_are_asked_for_once_and_never_when_it_is_over() -> None:
    (raised,) = decide(FRESH, [], [], on(7)).contact
    assert (raised.rule_id, raised.inputs) == ("ES06", {"days": 7})
    asked = decide(replace(FRESH, contacted=True, reassessing=True), [], [], on(20))
    assert (asked.contact, asked.reassess) == ((), False)
    over = decide(replace(FRESH, step=FULL), [], [], on(20))
    assert (over.contact, over.reassess, over.reasons) == ((), False, ("over",))


def test_the_baseline_is_the_middle_of_what_was_answered() -> None:
    assert [baseline(values) for values in ([], [4], [2, 3], [9, 1, 2])] == [None, 4, 3, 2]
    two = [Day(on(1), 3, None, flare=False), Day(on(2), 3, None, flare=False)]
    assert decide(replace(FRESH, baseline_pain=None), two, [], on(2)).step is THREE_QUARTERS
    assert decide(replace(FRESH, baseline_pain=None), [two[0], replace(two[1], pain=4)], [], on(2)).step is REDUCED


# ------------------------------------------------------------------ the dose
BRIDGE = Dose("hp_bridge", sets=3, reps=12)


@pytest.mark.parametrize(
    ("step", "prescribed", "kind", "due"),
    [
        (REDUCED, Dose("lb_cat_camel", 2, reps=10), "mobility", Dose("lb_cat_camel", 2, reps=10)),
        (REDUCED, BRIDGE, "strength", Dose("hp_bridge", 2, reps=9)),
        (THREE_QUARTERS, BRIDGE, "strength", Dose("hp_bridge", 3, reps=9)),
        (FULL, BRIDGE, "strength", BRIDGE),
        (REDUCED, Dose("hp_side_abd", 2, reps=8, load_kg=Decimal(3)), "strength", Dose("hp_clam", 1, reps=8)),
        (REDUCED, Dose("own_lift", 1, reps=1, load_kg=Decimal(5)), None, Dose("own_lift", 1, 1, load_kg=Decimal("3.5"))),
        (REDUCED, Dose("co_hold", 2, hold_seconds=15), "endurance", Dose("co_hold", 1, hold_seconds=15)),
        (REDUCED, Dose("ae_walk", 1, duration_seconds=1800), "aerobic", Dose("ae_walk", 1, duration_seconds=600)),
        (REDUCED, Dose("ae_walk", 1, duration_seconds=300), "aerobic", Dose("ae_walk", 1, duration_seconds=300)),
        (THREE_QUARTERS, Dose("ae_walk", 1, duration_seconds=1800), "aerobic", Dose("ae_walk", 1, duration_seconds=1350)),
    ],
)  # fmt: skip
def test_the_dose_of_a_step(step: FlareStep, prescribed: Dose, kind: str | None, due: Dose) -> None:
    assert dose_at(step, prescribed, kind) == due


def test_an_easier_exercise_stands_in_only_where_nobody_needs_to_look() -> None:
    assert easier_than("hp_side_abd") == "hp_clam"
    assert easier_than("nk_iso") is None  # the easier one has contraindications of its own
    assert easier_than("sh_table_slide") is None  # counted in seconds
    assert easier_than("hp_clam") is None
    assert easier_than("of_the_clinic") is None


@given(
    st.sampled_from(list(FlareStep)),
    st.integers(1, 10),
    st.integers(1, 100),
    st.sampled_from(["reps", "hold_seconds", "duration_seconds"]),
    st.sampled_from(["strength", "aerobic", "mobility", None]),
)
def test_no_step_asks_for_more_than_its_share(
    step: FlareStep, sets: int, each: int, unit: str, kind: str | None
) -> None:
    amount: dict[str, Any] = {unit: each}
    usual = Dose("own_thing", sets, **amount)
    due = dose_at(step, usual, kind)
    assert due.amount >= 1
    assert due.sets <= usual.sets
    if kind == "mobility":
        assert due == usual
    elif kind != "aerobic" or step is not REDUCED:
        assert due.amount <= max(usual.amount * flares.share(step) / 100, due.sets)


# ------------------------------------------------------------------ long stories
Said = tuple[int | None, int, bool | None]
"""Pain, limitation, and the word of a flare-up; None where it was left out."""
Did = tuple[bool, int | None]
"""A session: whether it was done, and its highest pain."""

# All that a day may hold, the usual more often: one draw for each is far quicker than one for each part of it.
SAID: list[Said | None] = [None, *product((None, *range(9)), (0, 2, 4, 5, 6, 10), (False, False, False, None, True))]
ONCE: list[Did] = list(product((True, True, True, False), (2, 3, 4, 5, 6, None)))
DONE: list[list[Did]] = [[], *([one] for one in ONCE), *([one, other] for one in ONCE[::5] for other in ONCE[::7])]


@dataclass
class Model:
    """The protocol written down as plainly as it is read to a patient. usual: the pain before it; None for unknown."""

    usual: int | None
    step: str = "reduced"
    since: int = 0
    screened: bool = False
    symptom: bool = False
    held: int = -1
    told: dict[int, Said] = field(default_factory=dict)
    sessions: dict[int, list[Did]] = field(default_factory=dict)
    called: bool = False
    assessed: bool = False

    def night(self, today: int) -> None:
        """Decide at the end of a day."""
        before = self.step
        if today > self.held:
            if not self.screened:
                self.step = "reduced"
            elif self.step == "reduced":
                lately = self.lately(self.since + 1)
                if today - self.since >= 2 and len(lately) == 2 and all(map(self.calm, lately)) and not self.symptom:
                    self.step = "three_quarters"
            else:
                lately = self.lately(self.since)
                if len(lately) == 2 and all(map(self.bad, lately)):
                    self.step = "reduced"
                elif lately and self.calm(lately[-1]) and self.trained_well() and not self.symptom:
                    self.step = "full"
        if self.step != before:
            self.since, self.sessions = today, {}
        if self.step == "full":
            return
        self.called |= today >= 7
        low = [limited for day, (_, limited, _) in sorted(self.told.items()) if day >= 3][-2:]
        down = self.usual is not None and len(low) == 2 and min(low) >= 5  # of 8 left before, 5.6 is 30 % less
        self.assessed |= today >= 14 or down

    def lately(self, first: int) -> list[Said]:
        """Give the last two days from `first` on of which anything is known."""
        return [said for day, said in sorted(self.told.items()) if day >= first and (said[0], said[2]) != (None, None)][
            -2:
        ]

    def calm(self, said: Said) -> bool:
        """Tell whether a day is known to be calm."""
        return said[0] is not None and said[0] <= (2 if self.usual is None else self.usual) + 1 and said[2] is not True

    def bad(self, said: Said) -> bool:
        """Tell whether a day is known to be worse."""
        return said[2] is True or (said[0] is not None and not self.calm(said))

    def trained_well(self) -> bool:
        """Tell whether on two days all went well, and on all days since; the last answer must lie after those two."""
        last = max(day for day, said in self.told.items() if (said[0], said[2]) != (None, None))
        trained = [
            (day, all(done and pain is not None and pain <= 5 for done, pain in self.sessions[day]))
            for day in sorted(self.sessions)
        ]
        before = [well for day, well in trained if day < last][-2:]
        return before == [True, True] and all(well for day, well in trained if day >= last)


class Stories(RuleBasedStateMachine):
    """Flare-ups day by day: what is answered and done, what a therapist decides, and silence; one after the other."""

    @initialize(usual=st.sampled_from([3, None]))
    def begin(self, usual: int | None) -> None:
        """Begin with a flare-up of which nobody has screened anything yet."""
        self.model = Model(usual)
        limitation = None if usual is None else 2
        self.standing = replace(FRESH, cleared=False, baseline_pain=usual, baseline_limitation=limitation)
        self.days: list[Day] = []
        self.sessions: list[Trained] = []
        self.today = 0

    def night(self) -> None:
        """Let both decide at the end of the day, and compare."""
        self.model.night(self.today)
        standing = self.standing
        found = decide(standing, self.days, self.sessions, on(self.today))
        if found.step is not standing.step:
            standing, self.sessions = replace(standing, step=found.step, since=on(self.today)), []
        self.standing = replace(
            standing,
            contacted=standing.contacted or bool(found.contact),
            reassessing=standing.reassessing or found.reassess,
        )
        assert (self.standing.step.value, self.standing.contacted, self.standing.reassessing) == (
            self.model.step,
            self.model.called,
            self.model.assessed,
        )
        self.today += 1
        if self.standing.step is FULL:
            self.begin(self.model.usual)

    @rule(said=st.sampled_from(SAID), done=st.sampled_from(DONE))
    def day(self, said: Said | None, done: list[Did]) -> None:
        self.live(said, done)

    @rule(pain=st.integers(0, 4), limited=st.integers(0, 10))
    def good_day(self, pain: int, limited: int) -> None:
        self.live((pain, limited, False), [(True, pain)])

    @rule(said=st.sampled_from([(None, 2, False), (None, 2, True), (None, 2, None), (3, 2, None)]), pain=st.booleans())
    def half_told(self, said: Said, pain: bool) -> None:
        """Live a day of which something was left out: an answer, or the pain of a session."""
        self.live(said, [(True, 3 if pain else None)])

    def live(self, said: Said | None, done: list[Did]) -> None:
        if said is not None:
            pain, limited, flare = said
            self.days.append(Day(on(self.today), pain, limited, flare))
            self.model.told[self.today] = said
        if done:
            self.sessions += [Trained(on(self.today), completed=completed, pain=pain) for completed, pain in done]
            self.model.sessions[self.today] = done
        self.night()

    @rule(days=st.integers(1, 5))
    def silence(self, days: int) -> None:
        for _ in range(days):
            self.night()

    @rule(cleared=st.sampled_from([True, True, False]), symptom=st.sampled_from([False, False, True]))
    def screen(self, cleared: bool, symptom: bool) -> None:
        """Screen, or tell of a new symptom since."""
        self.standing = replace(self.standing, cleared=cleared, symptom_waits=symptom)
        self.model.screened, self.model.symptom = cleared, symptom

    @rule(step=st.sampled_from([REDUCED, THREE_QUARTERS]), until=st.integers(0, 2))
    def therapist_decides(self, step: FlareStep, until: int) -> None:
        held = self.today + until
        self.standing = replace(self.standing, step=step, since=on(self.today), held_until=on(held))
        self.sessions = []
        self.model.step, self.model.since, self.model.held, self.model.sessions = step.value, self.today, held, {}


Stories.TestCase.settings = settings(max_examples=500, stateful_step_count=30, deadline=None)
TestStories = Stories.TestCase
