"""Who is told by which channel, and when: decided from rows at the moment of sending, by pure functions.

Every message to an account is in the app whatever is decided here; this is about what rings or arrives elsewhere. A
category that must be heard (`mandatory`) cannot be switched off, one that is `urgent` does not wait for the morning.
"""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from types import MappingProxyType

from clinical.recurrence import instant, local_date, outside_quiet_hours
from models.notifications import NotificationCategory as Category
from models.notifications import NotificationChannel as Channel
from models.notifications import NotificationStatus as Status

EMAIL, SMS, PUSH, IN_APP = Channel.EMAIL, Channel.SMS, Channel.PUSH, Channel.IN_APP

RINGS = frozenset({SMS, PUSH})
"""Channels that make a sound."""
RINGS_A_DAY = 2
"""Messages that may ring on one day of a patient's; by e-mail or in the app after that."""
CONTACTS_A_WEEK = 10
"""Messages of limited categories in any seven days, whatever the channel."""
WEEK = timedelta(days=7)
QUIET_FROM, QUIET_UNTIL = time(21, 0), time(8, 0)
"""A patient's quiet hours as long as he says nothing else."""

ATTEMPTS = 8
"""After so many failures on the last channel a message is dropped, and stays visible as dropped."""
PATIENCE = timedelta(minutes=2)
"""Wait before the second attempt; doubled for each one more. So long waits, too, what goes by a silent channel only."""

QUIET, SILENT = "quiet_hours", "silent"
"""Why a message waits; what failed before keeps its own reason."""
WAITS = frozenset({QUIET, SILENT})


@dataclass(frozen=True)
class Rule:
    """How a category is told. `order` says where to go on after the channel that was asked for.

    tries: failures on one channel before the next. confirm: minutes in which a channel's receipt, or a look into the
    app, is waited for before the next channel is taken. limited: the caps hold. merges: one message stands for several.
    """

    order: tuple[Channel, ...]
    mandatory: bool = False
    urgent: bool = False
    limited: bool = False
    merges: bool = False
    tries: int = 3
    confirm: Mapping[Channel, int] = field(default_factory=dict)


RULES: Mapping[Category, Rule] = MappingProxyType(
    {
        Category.INVITATION: Rule((EMAIL,), mandatory=True, urgent=True),
        Category.CHECK_IN: Rule((PUSH, EMAIL, SMS), limited=True, merges=True, confirm={SMS: 60}),
        Category.ALERT: Rule((EMAIL, PUSH, SMS), merges=True, confirm={PUSH: 60, SMS: 30}),
        Category.RED_FLAG: Rule((PUSH, SMS, EMAIL), mandatory=True, urgent=True, tries=1, confirm={PUSH: 10, SMS: 10}),
        Category.SECURITY: Rule((EMAIL, PUSH), mandatory=True, urgent=True),
    }
)

CATEGORIES: Mapping[str, Category] = MappingProxyType(
    {
        "invitation": Category.INVITATION,
        "check_in_open": Category.CHECK_IN,
        "check_in_reminder": Category.CHECK_IN,
        "alert_raised": Category.ALERT,
        "alert_overdue": Category.ALERT,
        "alert_escalated": Category.ALERT,
        "alert_unanswered": Category.ALERT,
        "jobs_overdue": Category.ALERT,
        "device_added": Category.SECURITY,
    }
)
"""What a message is by its template, where whoever owes it does not say."""


FIRST = (Category.RED_FLAG, Category.SECURITY)
"""What goes out before everything else; `ix_notifications_urgent` finds it."""

MOST_ATTEMPTS = ATTEMPTS * 2
"""After so many attempts, on all channels, a message is dropped also when no attempt was ever recorded."""


@dataclass(frozen=True)
class Facts:
    """What is known about one owed message at the moment it could be sent.

    asked: the channel to begin with. known: channels that have an address nobody has closed, and a provider of ours.
    switched: what the person has chosen for this category. quiet: the quiet hours on the clock of `zone`, if any.
    rung, contacts: limited messages that rang today, and that went out within a week. done: nothing is left to tell.
    silent: known channels whose provider does not answer at present.
    """

    category: Category
    asked: Channel
    at: datetime
    zone: str
    known: AbstractSet[Channel]
    tried: AbstractSet[Channel] = frozenset()
    switched: Mapping[Channel, bool] = field(default_factory=dict)
    quiet: tuple[time, time] | None = None
    muted_until: datetime | None = None
    rung: int = 0
    contacts: int = 0
    contacts_a_week: int = CONTACTS_A_WEEK
    done: bool = False
    silent: AbstractSet[Channel] = frozenset()


@dataclass(frozen=True)
class Send:
    """Send it by this channel now; `further` are left if it fails."""

    channel: Channel
    further: tuple[Channel, ...] = ()


@dataclass(frozen=True)
class Defer:
    """Look again then; code says why."""

    until: datetime
    code: str


@dataclass(frozen=True)
class Settle:
    """Nothing is sent; code says why."""

    status: Status
    code: str


Decision = Send | Defer | Settle


def decide(facts: Facts) -> Decision:
    """Decide what happens with an owed message."""
    rule = RULES[facts.category]
    if facts.done:
        return Settle(Status.MUTED, "obsolete")
    if facts.asked is IN_APP:
        return Settle(Status.DELIVERED, "in_app")
    wanted = [channel for channel in order(rule, facts.asked) if is_on(facts.category, channel, facts.switched)]
    left = tuple(channel for channel in wanted if channel in facts.known and channel not in facts.tried)
    if not left:
        return Settle(Status.REFUSED, "no_address") if wanted else Settle(Status.MUTED, "switched_off")
    return _held_back(facts, rule) or _limited(facts, rule, left)


def _held_back(facts: Facts, rule: Rule) -> Decision | None:
    """Keep it in the app as long as the person wants a pause, and from the person who sleeps until the morning."""
    if not rule.mandatory and facts.muted_until is not None and facts.at < facts.muted_until:
        return Settle(Status.MUTED, "muted")
    if not rule.urgent and facts.quiet is not None:
        until = outside_quiet_hours(facts.at, facts.zone, *facts.quiet)
        if until > facts.at:
            return Defer(until, QUIET)
    return None


def _limited(facts: Facts, rule: Rule, left: tuple[Channel, ...]) -> Decision:
    if rule.limited:
        if facts.contacts >= facts.contacts_a_week:
            return Settle(Status.MUTED, "weekly_limit")
        left = tuple(channel for channel in left if channel not in RINGS or facts.rung < RINGS_A_DAY)
        if not left:
            return Settle(Status.MUTED, "daily_limit")
    return _answering(facts, rule, left)


def _answering(facts: Facts, rule: Rule, left: tuple[Channel, ...]) -> Decision:
    """Pass by a channel that does not answer, with what somebody must hear; the rest waits, as it has no hurry."""
    first = left[0]
    if first in facts.silent:
        able = [channel for channel in left if channel not in facts.silent]
        if rule.limited or not able:
            return Defer(facts.at + PATIENCE, SILENT)
        first = able[0]
    return Send(first, tuple(channel for channel in left if channel is not first))


def order(rule: Rule, asked: Channel) -> tuple[Channel, ...]:
    """Give the channels in the order in which they are tried."""
    return tuple(dict.fromkeys((*((asked,) if asked in rule.order else ()), *rule.order)))


def is_on(category: Category, channel: Channel, switched: Mapping[Channel, bool]) -> bool:
    """Tell whether a category goes by a channel; what must be heard always does."""
    return RULES[category].mandatory or switched.get(channel, True)


def retry(rule: Rule, *, tries: int, attempts: int, further: bool, asked: float | None) -> timedelta | None:
    """How long to wait for the next attempt on this channel; None when this one was the last on it.

    tries: failures on this channel, this one included. further: whether another channel is left. asked: seconds that
    the provider wants us to wait.
    """
    if tries >= (rule.tries if further else ATTEMPTS) or attempts >= MOST_ATTEMPTS:
        return None
    return max(PATIENCE * int(2 ** (tries - 1)), timedelta(seconds=asked or 0))


def confirm_by(category: Category, channel: Channel, at: datetime, *, further: bool) -> datetime | None:
    """By when somebody must have seen it before the next channel is taken; None when being sent is enough."""
    minutes = RULES[category].confirm.get(channel)
    return at + timedelta(minutes=minutes) if minutes is not None and further else None


def midnight(at: datetime, zone: str) -> datetime:
    """Give the instant at which the day of `at` began in `zone`."""
    return min(instant(local_date(at, zone), time(0, 0), zone), at)
