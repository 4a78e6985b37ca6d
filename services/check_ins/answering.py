"""Answering a check-in, once: the hot path.

One statement reads what the decision always needs, one writes answers, status and audit row. The server's clock decides
what is in time; answers are never changed. The advice for an emergency answer is made here and now, from packaged text.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import check_ins as forms
from clinical import escalation, recurrence, red_flags
from clinical.escalation import CheckInContext, PastCheckIn, Raised
from clinical.levels import AlertLevel as Urgency
from core.database import fetchrow
from core.errors import Conflict, Invalid, NotFound, Problem
from models.check_ins import CheckInStatus
from schemas.advice import Advice
from schemas.check_ins import AdHocIn, Answered, AnswersIn, NextStep
from services import access, alerts, audit, places
from services.access import Action, Actor
from services.check_ins import beginning
from services.crisis import told_in_refusals

CRISIS = "ES02"
OUTAGE = "outage"
"""Why a check-in was excused that nobody was asked about; a phone that had it already may still answer, late."""
UUID_VERSION = 7
WEEKLY = "weekly"
"""The questions that ask about care and medicines."""

STEPS: Mapping[str, str] = {
    "crisis_help": "Show the advice now, before anything else.",
    "red_flag_screen": "Ask the questions about warning signs now.",
    "flare_plan": "Show how to get through a flare-up: `flare` of GET /v1/me/today says what is due and what comes next.",
}


class CheckInNotOpen(Conflict):
    """This check-in is not open for answers."""


class AlreadyAnswered(Conflict):
    """This check-in was answered before; answers are never changed."""


class CheckInIdTaken(Conflict):
    """This id stands for something else already."""


class NoEpisode(Conflict):
    """There is no course of treatment that this check-in could belong to."""


# What the rules always look at: $1 is the clinic, $3 the patient, $4 the moment.
_CONTEXT = (
    "(SELECT nullif(c.settings, '{}')::text FROM clinics c WHERE c.id = $1) AS settings, past.pain_at, past.pains"
)

_PAST = """
CROSS JOIN (
  SELECT array_agg(answered_at) AS pain_at, array_agg(pain_now) AS pains FROM (
    SELECT answered_at, pain_now FROM check_in_answers
    WHERE clinic_id = $1 AND patient_id = $3 AND pain_now IS NOT NULL AND answered_at < $4
    ORDER BY answered_at DESC LIMIT 12
  ) latest
) past
"""

_READ = f"""
SELECT x.id, x.episode_id, x.question_set, x.zone, x.status, x.excused_reason, x.opens_at, x.closes_at, x.late_until,
  a.body_sha256, a.late, a.answered_at, a.raised::text AS raised, a.answers::text AS answers, {_CONTEXT}
FROM check_ins x
LEFT JOIN check_in_answers a ON a.clinic_id = x.clinic_id AND a.check_in_id = x.id
{_PAST}
WHERE x.clinic_id = $1 AND x.id = $2 AND x.patient_id = $3
"""  # noqa: S608 - built of constants

_READ_AD_HOC = f"""
SELECT x.*, k.patient_id AS taken_by, k.plan_id IS NULL AS ad_hoc, k.status,
  a.body_sha256, a.late, a.answered_at, a.raised::text AS raised, a.answers::text AS answers, {_CONTEXT}
FROM (
  SELECT p.zone, $5::text AS question_set, (
    SELECT e.id FROM episodes e
    WHERE e.clinic_id = $1 AND e.patient_id = $3 AND e.status <> 'discharged' AND ($6::uuid IS NULL OR e.id = $6)
    ORDER BY e.started_on DESC, e.id DESC LIMIT 1) AS episode_id
  FROM patients p WHERE p.clinic_id = $1 AND p.id = $3
) x
LEFT JOIN check_ins k ON k.clinic_id = $1 AND k.id = $2
LEFT JOIN check_in_answers a ON a.clinic_id = $1 AND a.check_in_id = $2
{_PAST}
"""  # noqa: S608 - built of constants

# Pain at the start of the episode; asked for only when pain is high.
_BASELINE = """
SELECT coalesce(
  (SELECT (o.answers ->> 'now')::int FROM outcomes o
   WHERE o.clinic_id = $1 AND o.episode_id = $3 AND o.instrument_code = 'nprs'
     AND NOT EXISTS (SELECT FROM outcomes n WHERE n.clinic_id = $1 AND n.supersedes_id = o.id)
   ORDER BY o.administered_at LIMIT 1),
  (SELECT f.pain_now FROM check_in_answers f
   WHERE f.clinic_id = $1 AND f.patient_id = $2 AND f.pain_now IS NOT NULL
     AND f.answered_at >= (SELECT e.started_on::timestamp AT TIME ZONE 'UTC' FROM episodes e
                           WHERE e.clinic_id = $1 AND e.id = $3)
   ORDER BY f.answered_at LIMIT 1)
) AS pain
"""

# What was said last about care and medicines; asked for once a week.
_LAST_WEEKLY = """
SELECT answers::text AS answers FROM check_in_answers
WHERE clinic_id = $1 AND patient_id = $2 AND question_set = 'weekly' AND answered_at < $3
ORDER BY answered_at DESC LIMIT 1
"""

_KEEP = """
answer AS (
  INSERT INTO check_in_answers (clinic_id, check_in_id, patient_id, question_set, question_set_version, answers,
                                pain_now, late, answered_at, answered_by, device_at, device_zone, raised, body_sha256)
  SELECT $1, $2, $3, $4, $5, $6::text::jsonb, $7, $8, $9, $10, $11, $12, $13::text::jsonb, $14 FROM marked
  ON CONFLICT DO NOTHING RETURNING 1
), trail AS (
  INSERT INTO audit_events (clinic_id, at, account_id, role, sign_in_id, action, resource_type, resource_id,
                            patient_id, request_id)
  SELECT $1, $9, $10, $15, $16, 'check_in.answer', 'check_in', $2, $3, $17 FROM answer
)
SELECT count(*) AS kept FROM answer
"""

_WRITE = f"""
WITH marked AS (
  UPDATE check_ins SET status = $18, answered_at = $9, excused_reason = NULL
  WHERE clinic_id = $1 AND id = $2
    AND (status IN ('due', 'open', 'missed') OR status = 'excused' AND excused_reason = 'outage') RETURNING 1
), {_KEEP}
"""  # noqa: S608 - built of constants

_WRITE_AD_HOC = f"""
WITH marked AS (
  INSERT INTO check_ins (clinic_id, id, patient_id, episode_id, local_date, question_set, zone, status, opens_at,
                         due_at, closes_at, late_until, answered_at)
  VALUES ($1, $2, $3, $19, $20, $4, $21, $18, $9, $9, $22, $22, $9)
  ON CONFLICT (clinic_id, id) DO NOTHING RETURNING 1
), {_KEEP}
"""  # noqa: S608 - built of constants


@told_in_refusals
async def answer(
    session: AsyncSession, actor: Actor, check_in_id: UUID, form: AnswersIn, *, at: datetime
) -> tuple[Answered, bool]:
    """Answer the caller's own check-in; tell whether that is new (the same answers again are not, and change nothing).

    Raises NotFound, CheckInNotOpen, AlreadyAnswered, InvalidAnswers.
    """
    patient_id = _own(session, actor)
    row = await fetchrow(session, _READ, actor.clinic_id, check_in_id, patient_id, at)
    if row is None:
        raise NotFound
    digest = _digest(form)
    if row["body_sha256"] is not None:
        return await _again(session, actor, check_in_id, row, digest, at=at), False
    excused = row["status"] == CheckInStatus.EXCUSED and row["excused_reason"] != OUTAGE
    if excused or not row["opens_at"] <= at < row["late_until"]:
        raise CheckInNotOpen
    late = at >= row["closes_at"]
    status = CheckInStatus.LATE if late else CheckInStatus.SUBMITTED
    flare = await _flare(session, actor, patient_id, form)
    context = await _context(session, actor, patient_id, row, form, flare, at)
    raised, values = _decide(
        actor, patient_id, check_in_id, row, form, digest, context, late=late, status=status, at=at
    )
    written = await fetchrow(session, _WRITE, *values)
    if written is None or not written["kept"]:  # a twin was faster: its transaction is committed by now
        row = await fetchrow(session, _READ, actor.clinic_id, check_in_id, patient_id, at)
        if row is None or row["body_sha256"] is None:
            raise CheckInNotOpen
        return await _again(session, actor, check_in_id, row, digest, at=at), False
    found = await _follow(session, actor, check_in_id, row["episode_id"], form, flare, raised, at)
    return await _answered(session, actor, check_in_id, status, at, found, form.answers, late=late), True


@told_in_refusals
async def put(
    session: AsyncSession, actor: Actor, check_in_id: UUID, form: AdHocIn, *, at: datetime
) -> tuple[Answered, bool]:
    """Keep a check-in that the patient began, under the id his device made; tell whether it is new.

    Raises NotFound for an id or an episode out of reach, CheckInIdTaken, AlreadyAnswered, NoEpisode, InvalidAnswers.
    """
    patient_id = _own(session, actor)
    if check_in_id.version != UUID_VERSION:
        raise Invalid(Problem("#/path/check_in_id", "not_uuid7", "Make the id as a UUID of version 7."))
    digest = _digest(form)
    asked = (actor.clinic_id, check_in_id, patient_id, at, form.question_set, form.episode_id)
    row = await fetchrow(session, _READ_AD_HOC, *asked)
    if row is None:
        raise NotFound
    if row["taken_by"] is not None:
        return await _taken(session, actor, check_in_id, row, digest, at=at), False
    if row["episode_id"] is None:
        raise NotFound if form.episode_id is not None else NoEpisode
    submitted = CheckInStatus.SUBMITTED
    flare = await _flare(session, actor, patient_id, form)
    context = await _context(session, actor, patient_id, row, form, flare, at)
    raised, values = _decide(
        actor, patient_id, check_in_id, row, form, digest, context, late=False, status=submitted, at=at
    )
    end = at + timedelta(seconds=1)
    today = recurrence.local_date(at, row["zone"])
    written = await fetchrow(session, _WRITE_AD_HOC, *values, row["episode_id"], today, row["zone"], end)
    if written is None or not written["kept"]:
        row = await fetchrow(session, _READ_AD_HOC, *asked)
        if row is None or row["taken_by"] is None:
            raise CheckInIdTaken
        return await _taken(session, actor, check_in_id, row, digest, at=at), False
    found = await _follow(session, actor, check_in_id, row["episode_id"], form, flare, raised, at)
    return await _answered(session, actor, check_in_id, submitted, at, found, form.answers, late=False), True


def _own(session: AsyncSession, actor: Actor) -> UUID:
    """Give the caller's own patient record; answering is nobody else's. Raises Forbidden, NotFound."""
    access.require(actor, Action.ANSWER_CHECK_INS)
    if actor.patient_id is None:
        raise NotFound
    session.info[access.SUBJECT] = actor.patient_id
    return actor.patient_id


def _digest(form: AnswersIn) -> bytes:
    return sha256(orjson.dumps(form.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)).digest()


async def _context(
    session: AsyncSession,
    actor: Actor,
    patient_id: UUID,
    row: asyncpg.Record,
    form: AnswersIn,
    flare: asyncpg.Record | None,
    at: datetime,
) -> CheckInContext:
    """Check the answers, and give all that the rules look at. Raises InvalidAnswers."""
    try:
        given = forms.validate(forms.question_set(row["question_set"]), form.answers)
    except forms.InvalidAnswers as refusal:
        problems = (Problem(f"/answers{one.pointer}", one.code, one.message) for one in refusal.problems)
        raise forms.InvalidAnswers(*problems) from None
    own = orjson.loads(row["settings"] or "{}")
    whose = (actor.clinic_id, patient_id)
    baseline = weekly = None
    if escalation.is_high(given.get("pain_now"), own.get("high_pain")):
        baseline = await fetchrow(session, _BASELINE, *whose, row["episode_id"])
    if row["question_set"] == WEEKLY:
        weekly = await fetchrow(session, _LAST_WEEKLY, *whose, at)
    return CheckInContext(
        answers=given,
        on=recurrence.local_date(at, row["zone"]),
        previous=_previous(row, weekly),
        baseline_pain=None if baseline is None else baseline["pain"],
        flare_opened_on=flare["opened_on"] if flare is not None and flare["contacted_at"] is None else None,
        high_pain=own.get("high_pain"),
        pain_rise=own.get("pain_rise"),
    )


def _decide(
    actor: Actor,
    patient_id: UUID,
    check_in_id: UUID,
    row: asyncpg.Record,
    form: AnswersIn,
    digest: bytes,
    context: CheckInContext,
    *,
    late: bool,
    status: CheckInStatus,
    at: datetime,
) -> tuple[list[Raised], tuple[Any, ...]]:
    """Ask the rules; give what fired and what is to be written."""
    questions, given = forms.question_set(row["question_set"]), context.answers
    raised = escalation.evaluate(context)
    kept = [{"rule_id": one.rule_id, "level": one.level.value, "then": one.then} for one in raised]
    values = (
        actor.clinic_id,
        check_in_id,
        patient_id,
        questions.code,
        questions.version,
        orjson.dumps(given, default=_plain).decode(),
        given.get("pain_now"),
        late,
        at,
        actor.account_id,
        form.device_at,
        form.device_zone,
        orjson.dumps(kept).decode(),
        digest,
        actor.role.value,
        actor.sign_in_id,
        actor.request_id,
        status.value,
    )
    return raised, values


def _plain(value: Any) -> float:
    assert isinstance(value, Decimal)
    return float(value)


def _previous(row: asyncpg.Record, last_weekly: asyncpg.Record | None) -> list[PastCheckIn]:
    """Earlier check-ins by the day they were answered on: that is when the pain was felt."""
    zone = row["zone"]
    past = [
        PastCheckIn(recurrence.local_date(moment, zone), {"pain_now": pain})
        for moment, pain in zip(reversed(row["pain_at"] or ()), reversed(row["pains"] or ()), strict=True)
    ]
    if last_weekly is not None:
        weekly = orjson.loads(last_weekly["answers"])
        care = {key: weekly[key] for key in ("opioid_use", "care_used") if key in weekly}
        past.insert(0, PastCheckIn(date.min, care))
    return past


async def _flare(session: AsyncSession, actor: Actor, patient_id: UUID, form: AnswersIn) -> asyncpg.Record | None:
    """Give the open flare-up that these answers go on with; asked for only when they report one."""
    return await beginning.standing(session, actor.clinic_id, patient_id) if _flares(form.answers) else None


def _flares(answers: Mapping[str, Any]) -> bool:
    return answers.get("flare") is True


async def _follow(
    session: AsyncSession,
    actor: Actor,
    check_in_id: UUID,
    episode_id: UUID,
    form: AnswersIn,
    flare: asyncpg.Record | None,
    raised: list[Raised],
    at: datetime,
) -> list[str]:
    """Begin a flare-up that is reported, and do what the rules ask for; give the rules that fired.

    Whoever changes a flare-up and alerts locks in this order, and meets nobody head-on.
    """
    found = [one.rule_id for one in raised]
    if _flares(form.answers):
        assert actor.patient_id is not None
        await beginning.follow_answer(session, actor, actor.patient_id, episode_id, check_in_id, flare, found, at=at)
    await _alert(session, actor, check_in_id, episode_id, raised, at)
    return found


async def _alert(
    session: AsyncSession, actor: Actor, check_in_id: UUID, episode_id: UUID, raised: list[Raised], at: datetime
) -> None:
    for one in raised:
        if one.level is not Urgency.NONE:
            assert actor.patient_id is not None
            await alerts.raise_alert(
                session,
                clinic_id=actor.clinic_id,
                patient_id=actor.patient_id,
                episode_id=episode_id,
                rule_id=one.rule_id,
                rule_version=one.rule_version,
                level=one.level,
                task=one.then,
                source=("check_in", check_in_id),
                inputs=one.inputs,
                at=at,
            )


async def _again(
    session: AsyncSession, actor: Actor, check_in_id: UUID, row: asyncpg.Record, digest: bytes, *, at: datetime
) -> Answered:
    """Give the stored answer once more, if it is the same one. Raises AlreadyAnswered."""
    if row["body_sha256"] != digest:
        raise AlreadyAnswered
    subject = ("check_in", check_in_id)
    await audit.record(session, actor, "check_in.read", subject=subject, patient_id=actor.patient_id, at=at)
    found = [one["rule_id"] for one in orjson.loads(row["raised"])]
    return await _answered(
        session,
        actor,
        check_in_id,
        CheckInStatus.LATE if row["late"] else CheckInStatus.SUBMITTED,
        row["answered_at"],
        found,
        orjson.loads(row["answers"]),
        late=row["late"],
    )


async def _taken(
    session: AsyncSession, actor: Actor, check_in_id: UUID, row: asyncpg.Record, digest: bytes, *, at: datetime
) -> Answered:
    if row["taken_by"] != actor.patient_id:
        raise NotFound
    if not row["ad_hoc"] or row["body_sha256"] is None:
        raise CheckInIdTaken
    return await _again(session, actor, check_in_id, row, digest, at=at)


async def _answered(
    session: AsyncSession,
    actor: Actor,
    check_in_id: UUID,
    status: CheckInStatus,
    answered_at: datetime,
    found: list[str],
    answers: Mapping[str, Any],
    *,
    late: bool,
) -> Answered:
    assert actor.patient_id is not None
    codes = []
    advice = None
    if CRISIS in found:
        codes.append("crisis_help")
        told = red_flags.crisis_advice(await places.country_of(session, actor.clinic_id, actor.patient_id))
        advice = Advice.model_validate({**asdict(told), "actions": list(told.actions)})
    if answers.get("new_symptoms") is True:
        codes.append("red_flag_screen")
    if _flares(answers):
        codes.append("flare_plan")
    return Answered.model_construct(
        check_in_id=check_in_id,
        status=status,
        late=late,
        answered_at=answered_at.astimezone(UTC),
        next_steps=[NextStep.model_validate({"code": code, "text": STEPS[code]}) for code in codes],
        advice=advice,
    )
