"""Who is told by which channel, and when: what holds for every message, whatever its facts."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.recurrence import local_time, outside_quiet_hours
from models.notifications import NotificationCategory as Category
from models.notifications import NotificationChannel as Channel
from models.notifications import NotificationStatus as Status
from services.notifications import policy
from services.notifications.policy import Defer, Facts, Send, Settle, decide

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
NIGHT = datetime(2026, 3, 2, 23, tzinfo=UTC)
QUIET = (time(21), time(8))
ALL = frozenset({Channel.EMAIL, Channel.SMS, Channel.PUSH})

ZONES = ("Europe/Berlin", "America/Santiago", "Australia/Lord_Howe", "Africa/Cairo", "Pacific/Apia", "Asia/Kolkata")


def facts(category: Category = Category.CHECK_IN, asked: Channel = Channel.PUSH, **changes: object) -> Facts:
    values = {"at": NOON, "zone": "UTC", "known": ALL} | changes
    return Facts(category=category, asked=asked, **values)  # type: ignore[arg-type]


MOMENTS = st.datetimes(
    NOON.replace(year=2025, tzinfo=None), NOON.replace(year=2037, tzinfo=None), timezones=st.just(UTC)
)
TIMES = st.times().map(lambda at: at.replace(second=0, microsecond=0))

every_fact = st.builds(
    Facts,
    category=st.sampled_from(Category),
    asked=st.sampled_from(Channel),
    at=MOMENTS,
    zone=st.sampled_from(ZONES),
    known=st.frozensets(st.sampled_from(sorted(ALL))),
    tried=st.frozensets(st.sampled_from(sorted(ALL))),
    switched=st.dictionaries(st.sampled_from(Channel), st.booleans()),
    quiet=st.none() | st.tuples(TIMES, TIMES),
    muted_until=st.none() | MOMENTS,
    rung=st.integers(0, 5),
    contacts=st.integers(0, 20),
    contacts_a_week=st.integers(1, 20),
    done=st.booleans(),
)


@given(every_fact)
def test_what_is_sent_goes_by_a_channel_that_is_known_wanted_and_not_tried_yet(given_facts: Facts) -> None:
    decision = decide(given_facts)
    if not isinstance(decision, Send):
        return
    for channel in (decision.channel, *decision.further):
        assert channel in given_facts.known - given_facts.tried
        assert policy.is_on(given_facts.category, channel, given_facts.switched)
        assert channel in policy.RULES[given_facts.category].order
    assert len({decision.channel, *decision.further}) == 1 + len(decision.further)
    assert not given_facts.done


@given(every_fact)
def test_nothing_rings_in_quiet_hours_but_what_is_urgent_and_what_waits_comes_at_their_end(given_facts: Facts) -> None:
    decision = decide(given_facts)
    rule = policy.RULES[given_facts.category]
    if isinstance(decision, Defer):
        assert not rule.urgent
        assert given_facts.at < decision.until <= given_facts.at + timedelta(hours=50)
        assert given_facts.quiet is not None
        again = decide(Facts(**{**vars(given_facts), "at": decision.until}))
        assert not isinstance(again, Defer), "deferred once is enough"
    if isinstance(decision, Send) and not rule.urgent and given_facts.quiet is not None:
        now, (from_, until) = local_time(given_facts.at, given_facts.zone).time(), given_facts.quiet
        asleep = from_ <= now < until if from_ <= until else now >= from_ or now < until
        assert not asleep or outside_quiet_hours(given_facts.at, given_facts.zone, from_, until) == given_facts.at


@given(every_fact)
def test_what_must_be_heard_is_sent_whatever_the_person_chose_and_however_much_was_sent(given_facts: Facts) -> None:
    rule = policy.RULES[given_facts.category]
    open_ = (given_facts.known & set(rule.order)) - given_facts.tried
    if rule.mandatory and open_ and not given_facts.done and given_facts.asked is not Channel.IN_APP:
        assert isinstance(decide(given_facts), Send)


@given(every_fact)
def test_limits_hold_for_limited_categories_and_for_no_others(given_facts: Facts) -> None:
    decision, rule = decide(given_facts), policy.RULES[given_facts.category]
    if isinstance(decision, Send) and rule.limited:
        assert given_facts.contacts < given_facts.contacts_a_week
        assert decision.channel not in policy.RINGS or given_facts.rung < policy.RINGS_A_DAY
    if isinstance(decision, Settle) and decision.code.endswith("_limit"):
        assert rule.limited


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, Send(Channel.PUSH, (Channel.EMAIL, Channel.SMS))),
        ({"asked": Channel.EMAIL}, Send(Channel.EMAIL, (Channel.PUSH, Channel.SMS))),
        ({"tried": frozenset({Channel.PUSH})}, Send(Channel.EMAIL, (Channel.SMS,))),
        ({"switched": {Channel.PUSH: False, Channel.EMAIL: False}}, Send(Channel.SMS)),
        ({"switched": dict.fromkeys(Channel, False)}, Settle(Status.MUTED, "switched_off")),
        ({"known": frozenset()}, Settle(Status.REFUSED, "no_address")),
        ({"at": NIGHT, "quiet": QUIET}, Defer(datetime(2026, 3, 3, 8, tzinfo=UTC), policy.QUIET)),
        ({"muted_until": NIGHT}, Settle(Status.MUTED, "muted")),
        ({"rung": 2}, Send(Channel.EMAIL)),
        ({"rung": 2, "known": frozenset({Channel.PUSH})}, Settle(Status.MUTED, "daily_limit")),
        ({"contacts": 10}, Settle(Status.MUTED, "weekly_limit")),
        ({"contacts": 3, "contacts_a_week": 3}, Settle(Status.MUTED, "weekly_limit")),
        ({"done": True}, Settle(Status.MUTED, "obsolete")),
        ({"asked": Channel.IN_APP}, Settle(Status.DELIVERED, "in_app")),
        (
            {"category": Category.RED_FLAG, "at": NIGHT, "quiet": QUIET, "muted_until": NIGHT + timedelta(days=1)},
            Send(Channel.PUSH, (Channel.SMS, Channel.EMAIL)),
        ),
    ],
)
def test_decisions(changes: dict[str, object], expected: policy.Decision) -> None:
    assert decide(facts(**changes)) == expected  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("at", "until"),
    [
        ("2026-03-28T22:30+01:00", "2026-03-29T08:00+02:00"),  # a night of nine and a half hours less one
        ("2026-10-24T22:30+02:00", "2026-10-25T08:00+01:00"),
    ],
)
def test_the_night_ends_at_eight_on_the_persons_clock_also_when_it_changes(at: str, until: str) -> None:
    decision = decide(facts(at=datetime.fromisoformat(at), zone="Europe/Berlin", quiet=QUIET))
    assert decision == Defer(datetime.fromisoformat(until), policy.QUIET)
    assert isinstance(decision, Defer)
    assert decision.until.astimezone(ZoneInfo("Europe/Berlin")).time() == time(8)


def test_attempts_come_later_and_later_never_before_the_provider_asks_and_end() -> None:
    rule = policy.RULES[Category.CHECK_IN]
    waits = [policy.retry(rule, tries=tries, attempts=tries, further=False, asked=None) for tries in range(1, 9)]
    assert waits == [timedelta(minutes=2**tries) for tries in range(1, 8)] + [None]
    assert policy.retry(rule, tries=1, attempts=1, further=False, asked=900.0) == timedelta(minutes=15)
    assert policy.retry(rule, tries=2, attempts=2, further=True, asked=1.0) == timedelta(minutes=4)
    assert policy.retry(rule, tries=3, attempts=3, further=True, asked=None) is None, "the next channel"
    assert policy.retry(policy.RULES[Category.RED_FLAG], tries=1, attempts=1, further=True, asked=None) is None
    assert policy.retry(rule, tries=1, attempts=16, further=False, asked=None) is None


def test_only_where_another_channel_is_left_somebody_must_confirm() -> None:
    assert policy.confirm_by(Category.RED_FLAG, Channel.PUSH, NOON, further=True) == NOON + timedelta(minutes=10)
    assert policy.confirm_by(Category.RED_FLAG, Channel.PUSH, NOON, further=False) is None
    assert policy.confirm_by(Category.SECURITY, Channel.EMAIL, NOON, further=True) is None


def test_the_day_of_the_limit_begins_at_the_persons_midnight() -> None:
    assert policy.midnight(NIGHT, "Europe/Berlin") == datetime(2026, 3, 2, 23, tzinfo=UTC)
    assert policy.midnight(NOON, "America/New_York") == datetime(2026, 3, 2, 5, tzinfo=UTC)


def test_every_template_has_a_category_and_every_category_a_rule() -> None:
    assert set(policy.RULES) == set(Category)
    assert set(policy.CATEGORIES.values()) | {Category.RED_FLAG} == set(Category)


@given(every_fact, st.frozensets(st.sampled_from(sorted(ALL))))
def test_a_provider_that_does_not_answer_delays_a_message_or_sends_it_elsewhere_and_never_ends_it(
    known: Facts, silent: frozenset[Channel]
) -> None:
    usual, decision = decide(known), decide(replace(known, silent=silent))
    if not isinstance(usual, Send) or usual.channel not in silent:
        assert decision == usual
        return
    others = set(usual.further) - silent
    if policy.RULES[known.category].limited or not others:
        assert decision == Defer(known.at + policy.PATIENCE, policy.SILENT)
        return
    assert isinstance(decision, Send)
    assert decision.channel in others
    assert {decision.channel, *decision.further} == {usual.channel, *usual.further}
