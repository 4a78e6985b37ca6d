"""Raising alerts: what a rule found becomes something that a human must look at, by a certain time.

One unresolved alert per patient and rule. A repeat appends an event and counts; it may raise the level, never lower it,
and an alert whose level rose must be acknowledged again. What was resolved within the last 72 hours is not opened again
by the same rule at the same level or below: the event is kept with it. Red flags of whatever level and other urgent ones
are never muted, and each repeat of theirs must be acknowledged again, and is told again.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from types import MappingProxyType
from typing import Any, Self
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import adverse_events, escalation, levels, recurrence
from clinical.library import load
from core.database import fetch
from models.alerts import Alert, AlertLevel, AlertStatus
from models.clinics import Clinic
from models.notifications import NotificationCategory, NotificationChannel
from services import notifications

ORDER: Sequence[AlertLevel] = tuple(AlertLevel)
"""Levels, the least urgent first."""

RED_FLAG = "ES01"
"""The rule of urgent red-flag screens; what can wait is raised under the rule that found it."""

UNSURE = "RF-unsure"
"""Stands as the rule where no rule found it, but an answer was unsure."""

UNTREATED = "ES13"
"""The rule of programs that were paused because nobody may treat."""

TOLD_FROM = AlertLevel.HIGH
"""From this level on the lead therapist is told; below it the worklist is enough."""

URGENT = frozenset({AlertLevel.URGENT_SAME_DAY, AlertLevel.EMERGENCY_NOW})
"""Levels of which the therapist is told at any hour, by what rings."""


def never_muted() -> Collection[str]:
    """Give the rules of which every finding is a new fact, however lately the last one was resolved.

    They are those of red-flag screens, whatever the level, ES13, and AE01 of adverse events. No pause and no switch of
    one person keeps word of them from him.
    """
    return {UNTREATED, RED_FLAG, adverse_events.RULE, UNSURE, *(rule.id for rule in load().red_flags.rules)}


@dataclass(frozen=True)
class Finding:
    """What a rule found. source: type and id of the row it looked at. inputs: codes and numbers, no text."""

    clinic_id: UUID
    patient_id: UUID
    episode_id: UUID | None
    rule_id: str
    rule_version: str
    level: AlertLevel
    task: str | None
    source: tuple[str, UUID]
    inputs: Mapping[str, Any]

    @classmethod
    def of(
        cls,
        raised: escalation.Raised,
        *,
        clinic_id: UUID,
        patient_id: UUID,
        episode_id: UUID | None,
        source: tuple[str, UUID],
    ) -> Self:
        """Make one of what a rule raised at a patient; its level is not none."""
        level = AlertLevel(raised.level.value)
        return cls(
            clinic_id,
            patient_id,
            episode_id,
            raised.rule_id,
            raised.rule_version,
            level,
            raised.then,
            source,
            raised.inputs,
        )


_ROSE = "array_position($13::text[], excluded.level::text) > array_position($13::text[], alerts.level::text)"

# What is never muted is a new fact also for whoever has seen, and may have dealt with, the one before.
_AGAIN = """(alerts.status IN ('acknowledged', 'assigned') AND (alerts.rule_id = ANY ($15::text[])
      OR array_position($13::text[], excluded.level::text) >= array_position($13::text[], 'urgent_same_day')))"""

# $13: levels in order. $15: rules that are never muted. An alert that is muted gets the event and nothing else.
_RAISE = f"""
WITH found AS (
  SELECT * FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::text[], $8::text[],
                       $9::uuid[], $10::text[]::jsonb[], $11::timestamptz[])
    AS f(clinic_id, patient_id, episode_id, rule_id, rule_version, level, task, source_type, source_id, inputs,
         respond_by)
), muted AS (
  SELECT f.clinic_id, f.patient_id, f.rule_id, r.id FROM found f CROSS JOIN LATERAL (
    SELECT a.id FROM alerts a
    WHERE a.clinic_id = f.clinic_id AND a.patient_id = f.patient_id AND a.rule_id = f.rule_id
      AND a.status = 'resolved' AND a.resolved_at > $14
      AND array_position($13::text[], f.level) < array_position($13::text[], 'urgent_same_day')
      AND array_position($13::text[], f.level) <= array_position($13::text[], a.level::text)
    ORDER BY a.resolved_at DESC LIMIT 1
  ) r
  WHERE f.rule_id <> ALL ($15::text[]) AND NOT EXISTS (
    SELECT FROM alerts a WHERE a.clinic_id = f.clinic_id AND a.patient_id = f.patient_id AND a.rule_id = f.rule_id
      AND a.status <> 'resolved')
), put AS (
  INSERT INTO alerts (clinic_id, patient_id, episode_id, rule_id, rule_version, level, task, status, source_type,
                      source_id, inputs, raised_at, respond_by)
  SELECT f.clinic_id, f.patient_id, f.episode_id, f.rule_id, f.rule_version, f.level, f.task, 'open', f.source_type,
         f.source_id, f.inputs, $12, f.respond_by
  FROM found f
  WHERE NOT EXISTS (SELECT FROM muted m
                    WHERE (m.clinic_id, m.patient_id, m.rule_id) = (f.clinic_id, f.patient_id, f.rule_id))
  ORDER BY f.clinic_id, f.patient_id, f.rule_id  -- whoever raises locks in this order, and meets nobody head-on
  ON CONFLICT (clinic_id, patient_id, rule_id) WHERE status <> 'resolved' DO UPDATE SET
    repeats = alerts.repeats + 1, version = alerts.version + 1, updated_at = $12,
    status = CASE WHEN {_ROSE} OR {_AGAIN} THEN 'open' ELSE alerts.status END,
    respond_by = CASE WHEN {_AGAIN} THEN excluded.respond_by
                      WHEN {_ROSE} THEN least(alerts.respond_by, excluded.respond_by) ELSE alerts.respond_by END,
    overdue_at = CASE WHEN {_ROSE} OR {_AGAIN} THEN NULL ELSE alerts.overdue_at END,
    escalations = CASE WHEN {_ROSE} OR {_AGAIN} THEN 0 ELSE alerts.escalations END,
    escalate_at = CASE WHEN {_ROSE} OR {_AGAIN} THEN NULL ELSE alerts.escalate_at END,
    owner_id = CASE WHEN {_ROSE} OR {_AGAIN} THEN NULL ELSE alerts.owner_id END,
    acknowledged_at = CASE WHEN {_ROSE} OR {_AGAIN} THEN NULL ELSE alerts.acknowledged_at END,
    acknowledged_by = CASE WHEN {_ROSE} OR {_AGAIN} THEN NULL ELSE alerts.acknowledged_by END,
    level = CASE WHEN {_ROSE} THEN excluded.level ELSE alerts.level END
  RETURNING clinic_id, id, patient_id, rule_id, level, repeats
), events AS (
  INSERT INTO alert_events (clinic_id, alert_id, kind, at, source_type, source_id, inputs)
  SELECT f.clinic_id, coalesce(p.id, m.id), CASE WHEN p.repeats = 0 THEN 'raised' ELSE 'repeated' END, $12,
         f.source_type, f.source_id, f.inputs
  FROM found f
  LEFT JOIN put p ON (p.clinic_id, p.patient_id, p.rule_id) = (f.clinic_id, f.patient_id, f.rule_id)
  LEFT JOIN muted m ON (m.clinic_id, m.patient_id, m.rule_id) = (f.clinic_id, f.patient_id, f.rule_id)
), told AS (
  INSERT INTO events (clinic_id, action, resource_id, patient_id, at)
  SELECT clinic_id, CASE repeats WHEN 0 THEN 'alert.raise' ELSE 'alert.repeat' END, id, patient_id, $12 FROM put
)
SELECT clinic_id, id, patient_id, rule_id, level::text AS level, repeats, false AS muted FROM put
UNION ALL SELECT clinic_id, id, patient_id, rule_id, NULL, NULL, true FROM muted
"""  # noqa: S608 - built of constants


async def raise_alert(
    session: AsyncSession,
    *,
    clinic_id: UUID,
    patient_id: UUID,
    episode_id: UUID | None,
    rule_id: str,
    rule_version: str,
    level: levels.AlertLevel | AlertLevel | str,
    task: str | None,
    source: tuple[str, UUID],
    inputs: Mapping[str, Any],
    at: datetime,
) -> Alert:
    """Raise an alert, or add to the one that stands for this patient and rule; give its row.

    level: routine or above (a rule whose level is none raises none). source: type and id of what the rule looked at.
    """
    await session.flush()
    finding = Finding(
        clinic_id, patient_id, episode_id, rule_id, rule_version, AlertLevel(str(level)), task, source, inputs
    )
    (alert_id,) = await raise_many(session, [finding], at=at)
    query = select(Alert).where(Alert.clinic_id == clinic_id, Alert.id == alert_id)
    return (await session.scalars(query.execution_options(populate_existing=True))).one()


async def raise_many(session: AsyncSession, findings: Sequence[Finding], *, at: datetime) -> list[UUID]:
    """Raise alerts of any clinics in a few statements; give the ids of the alerts that they ended up in.

    Runs the same as the sweeper over all clinics and as a role bound to one.
    """
    alert_ids: list[UUID] = []
    left = list(findings)
    while left:  # one statement may not touch an alert twice: the second finding of a rule waits for the next round
        batch: dict[tuple[UUID, UUID, str], Finding] = {}
        rest: list[Finding] = []
        for finding in left:
            key = (finding.clinic_id, finding.patient_id, finding.rule_id)
            if key in batch:
                rest.append(finding)
            else:
                batch[key] = finding
        alert_ids += await _raise(session, list(batch.values()), at)
        left = rest
    return alert_ids


async def _raise(session: AsyncSession, findings: list[Finding], at: datetime) -> list[UUID]:
    limits = await deadlines(session, {(finding.clinic_id, finding.level) for finding in findings}, at)
    rows = await fetch(
        session,
        _RAISE,
        [one.clinic_id for one in findings],
        [one.patient_id for one in findings],
        [one.episode_id for one in findings],
        [one.rule_id for one in findings],
        [one.rule_version for one in findings],
        [one.level.value for one in findings],
        [one.task for one in findings],
        [one.source[0] for one in findings],
        [one.source[1] for one in findings],
        [orjson.dumps(dict(one.inputs)).decode() for one in findings],
        [limits[one.clinic_id, one.level] for one in findings],
        at,
        [level.value for level in ORDER],
        at - timedelta(hours=load().escalation.dedupe.reopen_after_hours),
        list(never_muted()),
    )
    loud = {level.value for level in ORDER[ORDER.index(TOLD_FROM) :]}
    told = [row for row in rows if row["level"] in loud]
    fresh = {row["id"]: row["repeats"] for row in told if row["repeats"] and _is_fresh(row)}
    await tell(session, "alert_raised", [about(row) for row in told], at, times=fresh)
    return [row["id"] for row in rows]


def _is_fresh(row: asyncpg.Record) -> bool:
    return row["rule_id"] in never_muted() or AlertLevel(row["level"]) in URGENT


@dataclass(frozen=True)
class About:
    """An alert that somebody is to be told of."""

    clinic_id: UUID
    patient_id: UUID
    alert_id: UUID
    rule_id: str
    level: AlertLevel


def about(row: asyncpg.Record) -> About:
    """Read it from an alert's row."""
    return About(row["clinic_id"], row["patient_id"], row["id"], row["rule_id"], AlertLevel(row["level"]))


async def tell(
    session: AsyncSession,
    template: str,
    alerts: Sequence[About],
    at: datetime,
    *,
    again: bool = False,
    team: bool = False,
    times: Mapping[UUID, int] = MappingProxyType({}),
) -> int:
    """Owe word of alerts to the patient's lead, else to another who treats him.

    team: to all who treat him. Where nobody treats him any more it goes to the clinic's own address: an alert without a
    reader is the worst one. Once per alert, template and level, or once more for an alert that is open `again`, and for
    each of its `times` (by alert, a number that no earlier one had); the message names the alert, never the patient or
    the finding.
    """
    if not alerts:
        return 0
    rules = {one.alert_id: one.rule_id for one in alerts}
    readers = await fetch(
        session,
        """
        SELECT DISTINCT ON (a.alert_id, CASE WHEN $6 THEN t.account_id END) a.clinic_id, a.alert_id, a.level, t.account_id,
          CASE WHEN t.account_id IS NULL THEN nullif(c.email, '') END AS address
        FROM unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[]) AS a(clinic_id, patient_id, alert_id, level)
        JOIN clinics c ON c.id = a.clinic_id
        LEFT JOIN (
          care_links l JOIN therapists t ON t.clinic_id = l.clinic_id AND t.id = l.therapist_id
            AND t.account_id IS NOT NULL AND t.status = 'active'
        ) ON l.clinic_id = a.clinic_id AND l.patient_id = a.patient_id AND l.during @> $5::timestamptz
        ORDER BY a.alert_id, CASE WHEN $6 THEN t.account_id END, (l.role = 'lead') DESC NULLS LAST, lower(l.during)
        """,
        [one.clinic_id for one in alerts],
        [one.patient_id for one in alerts],
        [one.alert_id for one in alerts],
        [one.level.value for one in alerts],
        at,
        team,
    )
    return await notifications.owe_many(
        session,
        [
            {
                "clinic_id": row["clinic_id"],
                "template": template,
                **loudness(AlertLevel(row["level"]), rules[row["alert_id"]]),
                "dedupe_key": f"{template}:{row['alert_id']}:{row['level']}"
                + (f":{at.timestamp():.0f}" if again else "")
                + (f":{times[row['alert_id']]}" if row["alert_id"] in times else "")
                + (f"{notifications.TO}{row['account_id'] or 'clinic'}" if team else ""),
                "due_at": at,
                "account_id": row["account_id"],
                "address": row["address"],
                "patient_id": None,
                "parameters": {"alert_id": str(row["alert_id"])},
            }
            for row in readers
            if row["account_id"] is not None or row["address"] is not None
        ],
    )


async def tell_owner(session: AsyncSession, alert: About, account_id: UUID, at: datetime, *, version: int) -> None:
    """Owe word of an alert to the therapist whom it was given to, once per version of it.

    An occasion of its own: that he was told of it stands for no word of the alert being raised, or raised again.
    """
    if ORDER.index(alert.level) < ORDER.index(TOLD_FROM):
        return
    letter = {
        "clinic_id": alert.clinic_id,
        "template": "alert_raised",
        **loudness(alert.level, alert.rule_id),
        "dedupe_key": f"alert_given:{alert.alert_id}:{version}{notifications.TO}{account_id}",
        "due_at": at,
        "account_id": account_id,
        "address": None,
        "patient_id": None,
        "parameters": {"alert_id": str(alert.alert_id)},
    }
    await notifications.owe_many(session, [letter])


def loudness(level: AlertLevel, rule_id: str) -> Mapping[str, Any]:
    """Begin with what rings where it is urgent, and by e-mail otherwise; the policy of the category goes on from there.

    What is never muted is of the category that nobody can switch off, also where it need not ring.
    """
    if level in URGENT:
        return {"category": NotificationCategory.RED_FLAG, "channel": NotificationChannel.PUSH}
    heard = NotificationCategory.RED_FLAG if rule_id in never_muted() else NotificationCategory.ALERT
    return {"category": heard, "channel": NotificationChannel.EMAIL}


# ------------------------------------------------------------------ the response clock
@dataclass(frozen=True)
class _Clock:
    zone: str
    staffed_hours: recurrence.StaffedHours
    holidays: Collection[date]

    def respond_by(self, level: AlertLevel, at: datetime) -> datetime:
        limit = escalation.response(levels.AlertLevel(level.value))
        assert limit is not None, "every level of an alert has a response time"
        return recurrence.respond_by(
            at,
            self.staffed_hours,
            self.zone,
            minutes=limit.minutes,
            hours=limit.hours,
            working_days=limit.working_days,
            holidays=self.holidays,
        )


async def deadlines(
    session: AsyncSession, wanted: Collection[tuple[UUID, AlertLevel]], at: datetime
) -> Mapping[tuple[UUID, AlertLevel], datetime]:
    """By when, in staffed time without holidays, clinics must answer alerts of these levels raised at `at`."""
    clocks = await _clocks(session, {clinic_id for clinic_id, _ in wanted})
    return {(clinic_id, level): clocks[clinic_id].respond_by(level, at) for clinic_id, level in wanted}


async def _clocks(session: AsyncSession, clinic_ids: Collection[UUID]) -> dict[UUID, _Clock]:
    query = select(Clinic.id, Clinic.zone, Clinic.staffed_hours, Clinic.holidays).where(Clinic.id.in_(clinic_ids))
    return {
        row.id: _Clock(row.zone, _staffed(row.staffed_hours), frozenset(map(date.fromisoformat, row.holidays)))
        for row in (await session.execute(query)).all()
    }


def _staffed(stored: Mapping[str, Sequence[Sequence[str]]]) -> recurrence.StaffedHours:
    return {
        int(weekday): [(_wall(start), _wall(end)) for start, end in spans] for weekday, spans in stored.items() if spans
    }


def _wall(text: str) -> time:
    return time.fromisoformat("00:00" if text == "24:00" else text)


def stands(clinic_id: Any, patient_id: Any, rule_id: str) -> ColumnElement[bool]:
    """Tell, within a query, whether a patient has an unresolved alert of a rule."""
    return exists().where(
        Alert.clinic_id == clinic_id,
        Alert.patient_id == patient_id,
        Alert.rule_id == rule_id,
        Alert.status != AlertStatus.RESOLVED,
    )


async def unresolved(session: AsyncSession, clinic_id: UUID, *, at: datetime) -> int:
    """How many alerts of a clinic are past their time and still nobody has looked; for the jobs' backlog."""
    query = select(func.count()).select_from(Alert)
    late = (Alert.clinic_id == clinic_id, Alert.status == AlertStatus.OPEN, Alert.respond_by <= at)
    return await session.scalar(query.where(*late)) or 0
