"""Taking one message to send: what is known about it is read in one statement, then the policy decides."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import asyncpg
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import as_identity, fetch, fetchrow
from models.identity import AccountStatus, SignIn
from models.notifications import (
    Device,
    Notification,
    NotificationCategory,
    NotificationChannel,
    NotificationStatus,
    Platform,
)
from services.notifications import addresses, passing, policy
from services.notifications.policy import CATEGORIES, Defer, Facts, Settle

EMAIL, SMS, PUSH = NotificationChannel.EMAIL, NotificationChannel.SMS, NotificationChannel.PUSH

LEASE = timedelta(minutes=5)
"""How long one process may take to send one message."""

DEVICES = 5
"""Devices of one account that a message rings on, the one seen last first."""

PATIENTS_OWN = frozenset({NotificationCategory.CHECK_IN})
"""What a patient may be reminded of only as long as the consent to reminders is not withdrawn."""

SENT_BY_EMAIL = frozenset({EMAIL})


@dataclass(frozen=True)
class Target:
    """A device: a Firebase token, or a browser's subscription."""

    device_id: UUID
    platform: Platform
    token: str | None = field(default=None, repr=False)
    endpoint: str | None = field(default=None, repr=False)
    p256dh: str | None = field(default=None, repr=False)
    auth: str | None = field(default=None, repr=False)

    @property
    def provider(self) -> str:
        """Who takes its messages; of browsers, each push service for itself, as the client named it."""
        return PUSH.value if self.endpoint is None else f"{PUSH.value} {urlsplit(self.endpoint).netloc}"


@dataclass(frozen=True)
class Leased:
    """A message that this process may send now. `attempts` counts this one; `address` is an e-mail address or number.

    tries: failures on this channel so far. further: channels that are left if this one fails. targets: for a push.
    """

    id: UUID
    clinic_id: UUID
    template: str
    parameters: Mapping[str, Any]
    address: str | None
    clinic_name: str
    attempts: int
    channel: NotificationChannel = EMAIL
    category: NotificationCategory = NotificationCategory.CHECK_IN
    language: str = "en"
    tries: int = 0
    further: tuple[NotificationChannel, ...] = ()
    targets: tuple[Target, ...] = ()

    @property
    def provider(self) -> str:
        """Who takes it, where it does not go to devices."""
        return self.channel.value


@dataclass(frozen=True)
class Settled:
    """A message that needed no sending, or not now (status owed)."""

    id: UUID
    status: NotificationStatus


_UNCONFIRMED = """
WITH late AS (
  UPDATE notifications SET status = 'failed', due_at = $2, confirm_by = NULL, tries = 0,
    tried = array_append(tried, channel::text), last_error = 'unconfirmed'
  WHERE clinic_id = $1 AND status = 'sent' AND confirm_by <= $2
  RETURNING id, channel
)
INSERT INTO notification_receipts (clinic_id, notification_id, channel, status, at)
SELECT $1, id, channel, 'unconfirmed', $2 FROM late
"""

# The one that is sent stays, and says no less than the others; it knows what it stands for.
_MERGE = """
WITH merged AS (
  UPDATE notifications SET status = 'merged'
  WHERE clinic_id = $1 AND id IN (
    SELECT id FROM notifications
    WHERE clinic_id = $1 AND account_id = $3 AND category = $4 AND template = $5 AND channel = $6
      AND status = 'owed' AND due_at <= $7 AND attempts = 0 AND id <> $2
    FOR UPDATE SKIP LOCKED)
  RETURNING id
)
UPDATE notifications SET parameters = parameters || jsonb_build_object('merged', (SELECT jsonb_agg(id) FROM merged))
WHERE clinic_id = $1 AND id = $2 AND EXISTS (SELECT FROM merged)
"""

_NEXT = """
WITH urgent AS MATERIALIZED (
  SELECT * FROM notifications
  WHERE clinic_id = $1 AND status IN ('owed', 'failed') AND due_at <= $2 AND category IN ('red_flag', 'security')
    AND (tries = 0 OR id <> ALL ($4::uuid[]))
  ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
), other AS MATERIALIZED (
  SELECT * FROM notifications
  WHERE clinic_id = $1 AND status IN ('owed', 'failed') AND due_at <= $2 AND NOT $3 AND NOT EXISTS (SELECT FROM urgent)
    AND (tries = 0 OR id <> ALL ($4::uuid[]))
  ORDER BY due_at LIMIT 1 FOR UPDATE SKIP LOCKED
), next AS (
  SELECT * FROM urgent UNION ALL SELECT * FROM other
)
SELECT n.id, n.account_id, n.patient_id, n.address, n.channel, n.category, n.template, n.parameters, n.attempts,
  n.tries, n.tried, n.sent_at, n.last_error,
  c.name AS clinic_name, coalesce(p.zone, d.zone, c.zone) AS zone, p.id AS owner_id, p.language AS spoken,
  coalesce(p.phone, t.phone) AS phone, r.language, r.quiet_from, r.quiet_until, r.muted_until, r.channels,
  (SELECT s.status FROM consents s WHERE s.clinic_id = $1 AND s.patient_id = p.id AND s.purpose = 'reminders'
    AND s.status IN ('given', 'withdrawn') ORDER BY s.created_at DESC LIMIT 1) AS consent,
  n.category = 'check_in' AND (
    SELECT bool_and(coalesce(i.status IN ('submitted', 'late', 'excused'), g.next_on IS DISTINCT FROM g.reminded_on))
    FROM notifications o
    LEFT JOIN check_ins i ON i.clinic_id = $1 AND i.id = (o.parameters ->> 'check_in_id')::uuid
    LEFT JOIN instrument_plans g ON g.clinic_id = $1 AND g.id = (o.parameters ->> 'instrument_plan_id')::uuid
    WHERE o.clinic_id = $1 AND (i.id IS NOT NULL OR g.id IS NOT NULL) AND o.id = ANY (ARRAY[n.id] || ARRAY(
      SELECT jsonb_array_elements_text(coalesce(n.parameters -> 'merged', '[]'))::uuid))) AS done
FROM next n
JOIN clinics c ON c.id = $1
LEFT JOIN patients p ON p.clinic_id = $1 AND p.account_id = n.account_id
LEFT JOIN therapists t ON t.clinic_id = $1 AND t.account_id = n.account_id AND p.id IS NULL
LEFT JOIN notification_preferences r ON r.clinic_id = $1 AND r.account_id = n.account_id
LEFT JOIN LATERAL (
  SELECT zone FROM devices WHERE clinic_id = $1 AND account_id = n.account_id AND retired_at IS NULL
  ORDER BY last_seen_at DESC LIMIT 1
) d ON true
"""

# By its name of then the provider of another channel knows a message: no receipt will bear it any more.
_TAKE = """
UPDATE notifications SET attempts = attempts + 1, due_at = $3, channel = $4::text, tries = $5,
  reference = CASE WHEN channel = $4::text THEN reference END
WHERE clinic_id = $1 AND id = $2
"""

# The first in line, as _NEXT has it, but without a look at what is in it.
_SET_ASIDE = f"""
WITH first AS (
  SELECT id FROM notifications
  WHERE clinic_id = $1 AND status IN ('owed', 'failed') AND due_at <= $2 AND (tries = 0 OR id <> ALL ($4::uuid[]))
    AND (NOT $3 OR category IN ('red_flag', 'security'))
  ORDER BY category IN ('red_flag', 'security') DESC, due_at LIMIT 1 FOR UPDATE SKIP LOCKED
)
UPDATE notifications n SET attempts = n.attempts + 1, due_at = $5, last_error = 'internal',
  status = CASE WHEN n.attempts + 1 >= {policy.MOST_ATTEMPTS} THEN 'dropped' ELSE 'failed' END
FROM first WHERE n.clinic_id = $1 AND n.id = first.id
RETURNING n.id, n.status, n.category
"""  # noqa: S608 - a number of ours

# created_at is the database's own moment, for the index: a sandbox's clock may be months ahead of it.
_CONTACTS = """
SELECT count(*)::int AS contacts,
  (count(*) FILTER (WHERE sent_at >= $4 AND channel IN ('push', 'sms')))::int AS rung
FROM notifications
WHERE clinic_id = $1 AND account_id = $2 AND created_at >= now() - interval '14 days' AND sent_at >= $3
  AND category = ANY($5::text[]) AND id <> $6
"""

_ACCOUNT = "SELECT status, email FROM identity.accounts WHERE id = $1"

_DEVICES = """
SELECT id, sign_in_id, platform, token, endpoint, p256dh, auth FROM devices
WHERE clinic_id = $1 AND account_id = $2 AND retired_at IS NULL
ORDER BY last_seen_at DESC LIMIT $3
"""

_LIMITED = [category.value for category, rule in policy.RULES.items() if rule.limited]


async def prepare(session: AsyncSession, clinic_id: UUID, *, at: datetime) -> None:
    """Before a clinic's messages are sent: take up what nobody confirmed in time."""
    await fetch(session, _UNCONFIRMED, clinic_id, at)


async def lease(
    session: AsyncSession,
    clinic_id: UUID,
    *,
    at: datetime,
    channels: AbstractSet[NotificationChannel] = SENT_BY_EMAIL,
    platforms: AbstractSet[Platform] = frozenset(),
    urgent: bool = False,
    without: AbstractSet[UUID] = frozenset(),
    silent: AbstractSet[str] = frozenset(),
) -> Leased | Settled | None:
    """Take the message of a clinic that is due longest, the urgent ones first; nobody else gets it for five minutes.

    channels, platforms: those that this process can send by. urgent: only what goes before everything else. without:
    messages that failed in this run, which have their next try on the same channel in a later one. silent: providers that
    are left out, as they do not answer. Where nothing is to be sent, or not yet, that is settled at once; word of an alert
    that reaches nobody, or somebody who wants a pause, goes to the next one in line.
    """
    row = await fetchrow(session, _NEXT, clinic_id, at, urgent, list(without))
    if row is None:
        return None
    category = NotificationCategory(row["category"] or CATEGORIES.get(row["template"], NotificationCategory.CHECK_IN))
    reached = await _reach(session, clinic_id, row, category, platforms, at)
    unanswered = _pass_by(reached, silent)
    decision = await _decide(session, clinic_id, row, category, set(reached) & channels, unanswered, at)
    mine = update(Notification).where(Notification.clinic_id == clinic_id, Notification.id == row["id"])
    if isinstance(decision, Defer):
        why = func.coalesce(Notification.last_error, decision.code)
        await session.execute(mine.values(due_at=decision.until, last_error=why))
        return Settled(row["id"], NotificationStatus.OWED)
    if isinstance(decision, Settle):
        values = _settled(row, decision)
        await session.execute(mine.values(**values))
        if values["status"] in passing.LOST and category in passing.PASSED_ON:
            await passing.pass_on(session, clinic_id, row["id"], at=at)
        return Settled(row["id"], values["status"])
    written = category is NotificationCategory.RED_FLAG and row["channel"] == EMAIL  # one that rings stands for itself
    if (policy.RULES[category].merges or written) and row["attempts"] == 0 and row["account_id"] is not None:
        kind = (row["account_id"], category.value, row["template"], row["channel"])
        await fetch(session, _MERGE, clinic_id, row["id"], *kind, at)
    tries = row["tries"] if decision.channel.value == row["channel"] else 0
    await fetch(session, _TAKE, clinic_id, row["id"], at + LEASE, decision.channel.value, tries)
    address, targets = reached[decision.channel]
    return Leased(
        id=row["id"],
        clinic_id=clinic_id,
        template=row["template"],
        parameters=row["parameters"],
        address=address,
        clinic_name=row["clinic_name"],
        attempts=row["attempts"] + 1,
        channel=decision.channel,
        category=category,
        language=row["language"] or row["spoken"] or "en",
        tries=tries,
        further=decision.further,
        targets=targets,
    )


async def set_aside(
    session: AsyncSession, clinic_id: UUID, *, at: datetime, urgent: bool, without: AbstractSet[UUID]
) -> bool:
    """Let the message that `lease` would take and cannot wait, so that those behind it go out; whether there was one.

    The same arguments as for `lease`. After as many attempts as any message has it is dropped.
    """
    row = await fetchrow(session, _SET_ASIDE, clinic_id, at, urgent, list(without), at + LEASE)
    if row is not None and row["status"] == NotificationStatus.DROPPED and row["category"] in passing.PASSED_ON:
        await passing.pass_on(session, clinic_id, row["id"], at=at)
    return row is not None


def _settled(row: asyncpg.Record, decision: Settle) -> dict[str, Any]:
    """Give what a message that is not sent becomes: one that has gone out before stays sent, one that failed says why."""
    if decision.status is not NotificationStatus.REFUSED:
        error = None if decision.status is NotificationStatus.DELIVERED else decision.code
        return {"status": decision.status, "last_error": error, "confirm_by": None}
    if row["sent_at"] is not None:
        return {"status": NotificationStatus.SENT, "confirm_by": None}
    failed = row["last_error"] if row["last_error"] not in policy.WAITS else None
    return {"status": decision.status, "last_error": failed or decision.code, "confirm_by": None}


async def _decide(
    session: AsyncSession,
    clinic_id: UUID,
    row: asyncpg.Record,
    category: NotificationCategory,
    known: AbstractSet[NotificationChannel],
    silent: AbstractSet[NotificationChannel],
    at: datetime,
) -> policy.Decision:
    rule, patient = policy.RULES[category], row["owner_id"] is not None
    contacts = rung = 0
    if rule.limited and row["account_id"] is not None:
        counted = await fetchrow(
            session,
            _CONTACTS,
            clinic_id,
            row["account_id"],
            at - policy.WEEK,
            policy.midnight(at, row["zone"]),
            _LIMITED,
            row["id"],
        )
        assert counted is not None
        contacts, rung = counted["contacts"], counted["rung"]
    if row["attempts"] >= policy.MOST_ATTEMPTS:  # whoever took it died of it, again and again
        return Settle(NotificationStatus.DROPPED, "attempts")
    if patient and category in PATIENTS_OWN and row["consent"] == "withdrawn":
        return Settle(NotificationStatus.MUTED, "consent_withdrawn")
    return policy.decide(
        Facts(
            category=category,
            asked=NotificationChannel(row["channel"]),
            at=at,
            zone=row["zone"],
            known=known,
            tried=frozenset(map(NotificationChannel, row["tried"])),
            switched=switched(row["channels"], category),
            quiet=quiet(row["quiet_from"], row["quiet_until"], patient=patient),
            muted_until=row["muted_until"],
            rung=rung,
            contacts=contacts,
            done=bool(row["done"]),
            silent=silent,
        )
    )


def switched(channels: Mapping[str, Mapping[str, bool]] | None, category: str) -> Mapping[NotificationChannel, bool]:
    """Give what a person has chosen for a category; what nobody knows any more is left out."""
    chosen = (channels or {}).get(category, {})
    known = {channel.value: channel for channel in NotificationChannel}
    return MappingProxyType({known[name]: on for name, on in chosen.items() if name in known})


def quiet(from_: time | None, until: time | None, *, patient: bool) -> tuple[time, time] | None:
    """Give somebody's quiet hours: his own, a patient's usual ones, none for staff. Equal times mean none."""
    if from_ is not None and until is not None:
        return from_, until
    return (policy.QUIET_FROM, policy.QUIET_UNTIL) if patient else None


# ------------------------------------------------------------------ where somebody is reached

Reached = dict[NotificationChannel, tuple[str | None, tuple[Target, ...]]]


async def _reach(
    session: AsyncSession,
    clinic_id: UUID,
    row: asyncpg.Record,
    category: NotificationCategory,
    platforms: AbstractSet[Platform],
    at: datetime,
) -> Reached:
    """Give the channels with an address that is open, and the addresses."""
    targets: list[asyncpg.Record] = []
    email, phone, active, ended = row["address"], None, True, set[UUID]()
    if row["account_id"] is not None:
        targets = await fetch(session, _DEVICES, clinic_id, row["account_id"], DEVICES)
        agreed = row["owner_id"] is None or row["consent"] == "given"
        phone = addresses.number(row["phone"]) if agreed else None  # no text message to a patient who did not agree
    async with as_identity(session):
        if row["account_id"] is not None:
            account = await fetchrow(session, _ACCOUNT, row["account_id"])
            assert account is not None, "a message's account is never deleted"
            active, email = account["status"] == AccountStatus.ACTIVE, email or account["email"]
            ended = await _ended(session, [one["sign_in_id"] for one in targets if one["sign_in_id"]])
        pairs = [(channel, each) for channel, each in ((EMAIL, email), (SMS, phone)) if each is not None and active]
        shut = await addresses.closed(session, pairs, insist=category in policy.FIRST, at=at)
    if category is NotificationCategory.INVITATION:
        shut = set()  # somebody has asked for it just now, by hand
    reached: Reached = {channel: (each, ()) for channel, each in pairs if (channel, each) not in shut}
    gone = [one["id"] for one in targets if one["sign_in_id"] in ended]
    if gone:
        await retire(session, clinic_id, gone, "signed_out", at=at)
    live = tuple(_target(one) for one in targets if one["id"] not in gone and one["platform"] in platforms)
    if live and active:
        reached[PUSH] = (None, live)
    return reached


def _pass_by(reached: Reached, silent: AbstractSet[str]) -> set[NotificationChannel]:
    """Give the channels on which nobody answers; a push message leaves out the devices of those who do not."""
    unanswered = {channel for channel in reached if channel is not PUSH and channel.value in silent}
    if PUSH in reached:
        live = tuple(one for one in reached[PUSH][1] if one.provider not in silent)
        if live:
            reached[PUSH] = (None, live)
        else:
            unanswered.add(PUSH)
    return unanswered


def _target(one: asyncpg.Record) -> Target:
    return Target(one["id"], Platform(one["platform"]), one["token"], one["endpoint"], one["p256dh"], one["auth"])


async def _ended(session: AsyncSession, sign_ins: list[UUID]) -> set[UUID]:
    if not sign_ins:
        return set()
    alive = select(SignIn.id).where(SignIn.id.in_(sign_ins), SignIn.revoked_at.is_(None))
    return set(sign_ins) - set(await session.scalars(alive))


async def retire(session: AsyncSession, clinic_id: UUID, devices: list[UUID], reason: str, *, at: datetime) -> None:
    """Send nothing to these devices any more, until they register again."""
    await session.execute(
        update(Device)
        .where(Device.clinic_id == clinic_id, Device.id.in_(devices), Device.retired_at.is_(None))
        .values(retired_at=at, retired_reason=reason, version=Device.version + 1)
    )
