"""Which check-ins ask for a human: each rule with a case that fires and one beside it that does not."""

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.adherence import PlannedSession, adherence
from clinical.change import Value, change
from clinical.escalation import (
    CheckInContext,
    PastCheckIn,
    Raised,
    adherence_window_days,
    alert_level,
    evaluate,
    has_crisis_word,
    long_flare,
    low_adherence,
    missed,
    outcome_worse,
    response,
    untreated,
)
from clinical.levels import AlertLevel, Level
from clinical.library import load

TODAY = date(2026, 11, 20)


def context(answers: dict[str, Any] | None = None, **more: Any) -> CheckInContext:
    return CheckInContext(answers=answers or {}, on=TODAY, **more)


def past(days_ago: int, **answers: Any) -> PastCheckIn:
    return PastCheckIn(TODAY - timedelta(days=days_ago), answers)


def ids(raised: list[Raised]) -> list[str]:
    return [one.rule_id for one in raised]


def test_a_calm_check_in_raises_nothing() -> None:
    assert evaluate(context({"pain_now": 3, "flare": False, "note": "fine"}, baseline_pain=4)) == []
    assert evaluate(context()) == []


def test_every_rule_of_the_file_can_fire() -> None:
    fired = set(
        ids(
            evaluate(
                context(
                    {"pain_now": 9, "flare": True, "opioid_use": True},
                    previous=[past(3, pain_now=2), past(1, pain_now=6)],
                    baseline_pain=4,
                    red_flag_level=Level.EMERGENCY_NOW,
                    phq9_item9=1,
                    flare_opened_on=TODAY - timedelta(days=7),
                )
            )
            + missed(2)
            + missed(3)
            + missed(5)
            + low_adherence(adherence([PlannedSession(1, 0)] * 4))
            + outcome_worse("rmdq24", change(load().instruments["rmdq24"], Value(8), Value(13)))
            + untreated("license_expired")
        )
    )
    assert fired == {rule.id for rule in load().escalation.rules}


@pytest.mark.parametrize(
    ("level", "alert"),
    [(Level.URGENT_SAME_DAY, AlertLevel.URGENT_SAME_DAY), (Level.EMERGENCY_NOW, AlertLevel.EMERGENCY_NOW)],
)
def test_a_red_flag_keeps_its_level(level: Level, alert: AlertLevel) -> None:
    (raised,) = evaluate(context(red_flag_level=level))
    assert (raised.rule_id, raised.level, raised.inputs) == ("ES01", alert, {"red_flag_level": level.value})
    assert raised.rule_version == "escalation-2026-2"


def test_a_lower_red_flag_is_left_to_the_screen_itself() -> None:
    assert evaluate(context(red_flag_level=Level.REFER)) == []
    assert [alert_level(level) for level in (Level.NONE, Level.WATCH, Level.REFER)] == [
        AlertLevel.NONE,
        AlertLevel.ROUTINE,
        AlertLevel.HIGH,
    ]


@pytest.mark.parametrize(
    ("item9", "level"), [(1, AlertLevel.URGENT_SAME_DAY), (2, AlertLevel.EMERGENCY_NOW), (3, AlertLevel.EMERGENCY_NOW)]
)
def test_a_thought_of_self_harm_reaches_a_human_the_same_day(item9: int, level: AlertLevel) -> None:
    (raised,) = evaluate(context(phq9_item9=item9))
    assert (raised.rule_id, raised.level) == ("ES02", level)


@pytest.mark.parametrize(
    "text",
    ["I want to END my  life", "suicidal today", "I can\N{RIGHT SINGLE QUOTATION MARK}t go on living", "self-harm"],
)
def test_a_crisis_word_in_free_text_reaches_a_human_without_repeating_the_text(text: str) -> None:
    (raised,) = evaluate(context({"note": text}))
    assert (raised.rule_id, raised.level) == ("ES02", AlertLevel.URGENT_SAME_DAY)
    assert raised.inputs == {"phq9_item9": None, "crisis_word": True}


def test_an_ordinary_word_is_no_crisis_word() -> None:
    assert not has_crisis_word("The stairs were murder, and I nearly died laughing")
    assert not has_crisis_word("")


@pytest.mark.parametrize(
    ("pain", "baseline", "fires"),
    [(7, 6, True), (7, None, True), (10, 0, True), (6, 2, False), (7, 7, False), (9, 8, False), (None, 2, False)],
)
def test_high_pain_counts_when_it_is_new(pain: int | None, baseline: int | None, fires: bool) -> None:
    assert ids(evaluate(context({"pain_now": pain}, baseline_pain=baseline))) == (["ES03"] if fires else [])


@pytest.mark.parametrize(
    ("previous", "pain", "fires"),
    [
        ([past(3, pain_now=2), past(1, pain_now=4)], 4, True),
        ([past(2, pain_now=2), past(1, pain_now=4)], 3, False),
        ([past(2, pain_now=2), past(1, pain_now=3)], 5, False),
        ([past(1, pain_now=2)], 6, False),
        ([past(9, pain_now=2), past(1, pain_now=4)], 6, False),
        ([past(9, pain_now=2), past(7, pain_now=4)], 6, False),
        ([past(3, pain_now=2), past(1, pain_now=4), past(1, pain_now=None)], 6, True),
        ([past(3, pain_now=2), past(1, pain_now=4)], None, False),
        ([], 6, False),
    ],
)
def test_pain_that_rises_twice_running_is_told(previous: list[PastCheckIn], pain: int | None, fires: bool) -> None:
    raised = evaluate(context({"pain_now": pain}, previous=previous, baseline_pain=8))
    assert ids(raised) == (["ES04"] if fires else [])


def test_a_flare_starts_the_flare_plan() -> None:
    (raised,) = evaluate(context({"flare": True}))
    assert (raised.rule_id, raised.level, raised.then) == ("ES05", AlertLevel.ROUTINE, "start_flare_plan")


@pytest.mark.parametrize(("days", "fires"), [(6, False), (7, True), (12, True)])
def test_a_flare_that_lasts_is_told(days: int, fires: bool) -> None:
    opened = TODAY - timedelta(days=days)
    assert ids(evaluate(context(flare_opened_on=opened))) == (["ES06"] if fires else [])
    assert ids(long_flare(opened, TODAY)) == (["ES06"] if fires else [])


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        (1, []),
        (2, [("ES07", AlertLevel.NONE, "reminder_other_channel")]),
        (3, [("ES08", AlertLevel.ROUTINE, "task_therapist_message")]),
        (4, []),
        (5, [("ES09", AlertLevel.HIGH, "task_therapist_call")]),
        (6, []),
    ],
)
def test_missed_check_ins_escalate_step_by_step(count: int, expected: list[tuple[str, AlertLevel, str]]) -> None:
    assert [(one.rule_id, one.level, one.then) for one in missed(count)] == expected


def test_low_adherence_needs_enough_sessions_to_judge() -> None:
    done, not_done = PlannedSession(1, 1), PlannedSession(1, 0)
    assert ids(low_adherence(adherence([done, not_done, not_done, not_done]))) == ["ES10"]
    assert low_adherence(adherence([done, done, not_done, not_done])) == []
    assert low_adherence(adherence([not_done] * 3)) == []
    assert adherence_window_days() == 14


def test_an_outcome_that_got_worse_is_told_for_the_named_instruments() -> None:
    worse = change(load().instruments["rmdq24"], Value(8), Value(13))
    (raised,) = outcome_worse("rmdq24", worse)
    assert (raised.rule_id, raised.level) == ("ES11", AlertLevel.HIGH)
    assert raised.inputs == {"instrument": "rmdq24", "points": "5", "yardstick": "both"}
    assert outcome_worse("nprs", worse) == []
    assert outcome_worse("rmdq24", change(load().instruments["rmdq24"], Value(13), Value(8))) == []
    activities = change(load().instruments["psfs"], Value(Decimal(8), {"a": 8}), Value(Decimal(4), {"a": 4}))
    assert ids(outcome_worse("psfs", activities)) == ["ES11"]


@pytest.mark.parametrize(
    ("answers", "previous", "fires"),
    [
        ({"opioid_use": True}, [], True),
        ({"opioid_use": True}, [past(7, opioid_use=False)], True),
        ({"opioid_use": True}, [past(7, opioid_use=True)], False),
        ({"opioid_use": True}, [past(7, opioid_use=True), past(1, pain_now=2)], False),
        ({"opioid_use": False}, [], False),
        ({"care_used": "emergency_department"}, [past(7, care_used="none")], True),
        ({"care_used": "emergency_department"}, [past(7, care_used="emergency_department")], False),
        ({"care_used": "primary_care"}, [], False),
    ],
)
def test_new_opioid_or_emergency_care_is_told_once(
    answers: dict[str, Any], previous: list[PastCheckIn], fires: bool
) -> None:
    assert ids(evaluate(context(answers, previous=previous))) == (["ES12"] if fires else [])


def test_every_alert_has_a_time_to_answer() -> None:
    for level in AlertLevel:
        limit = response(level)
        if level is AlertLevel.NONE:
            assert limit is None
        else:
            assert limit is not None
            assert [limit.minutes, limit.hours, limit.working_days].count(None) == 2


@given(
    st.integers(0, 10),
    st.none() | st.integers(0, 10),
    st.lists(st.tuples(st.integers(1, 9), st.none() | st.integers(0, 10)), max_size=6),
)
def test_more_pain_now_never_silences_an_alert(
    pain: int, baseline: int | None, earlier: list[tuple[int, int | None]]
) -> None:
    previous = [past(days, pain_now=value) for days, value in sorted(earlier, reverse=True, key=lambda one: one[0])]
    lower = ids(evaluate(context({"pain_now": pain}, previous=previous, baseline_pain=baseline)))
    higher = ids(evaluate(context({"pain_now": 10}, previous=previous, baseline_pain=baseline)))
    assert set(lower) <= set(higher)


@given(st.text(max_size=80))
def test_what_is_kept_of_a_check_in_never_holds_its_text(text: str) -> None:
    for raised in evaluate(context({"note": f"{text} suicide", "flare": True})):
        assert all(not isinstance(value, str) for value in raised.inputs.values())


def test_a_clinic_may_set_its_own_limits() -> None:
    assert ids(evaluate(context({"pain_now": 6}, baseline_pain=4))) == []
    assert ids(evaluate(context({"pain_now": 6}, baseline_pain=4, high_pain=6))) == ["ES03"]
    rising = [past(2, pain_now=2), past(1, pain_now=4)]
    assert ids(evaluate(context({"pain_now": 5}, previous=rising))) == ["ES04"]
    assert ids(evaluate(context({"pain_now": 5}, previous=rising, pain_rise=4))) == []
    half = adherence([PlannedSession(4, done) for done in (4, 4, 4, 0, 0)])
    assert ids(low_adherence(half)) == []
    assert ids(low_adherence(half, 70)) == ["ES10"]
