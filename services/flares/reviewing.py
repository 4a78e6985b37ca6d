"""The rules look at open flare-ups: steps move, the therapist is called, a new assessment is asked for.

What is decided hangs on rows alone, so a look that comes late, as after an outage, decides the same. Nothing is decided for
an episode on hold.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import flares as rules
from clinical import levels
from clinical.escalation import Raised
from clinical.flares import Day, Decision, Standing, Trained
from clinical.library import load
from core.database import fetch
from models.flares import Flare, FlareEnd, FlareStep
from services import alerts, audit, symptoms
from services import flare_records as records
from services.check_ins.beginning import REVIEWED_EVERY
from services.flares.ending import end

AT_ONCE = 200
"""Flare-ups that are looked at together: a handful of statements for all of them."""

# $1 the clinic, $2 flare-ups, $3 the moment, $4 percent of a session that must be done, $5 days that symptoms look
# back, $6 pain that stops an exercise. A day is as bad as the worst that was answered on it: a calm evening
# does not take back the morning.
_SEEN = """
SELECT f.id, greatest(local_day($3, p.zone), f.step_on) AS today, e.status = 'on_hold' AS resting,
  f.screen_id IS NOT NULL AND NOT EXISTS (
    SELECT FROM red_flag_screens s WHERE s.clinic_id = $1 AND s.patient_id = f.patient_id AND s.status <> 'closed'
      AND s.level IN ('urgent_same_day', 'emergency_now')) AS cleared,
  coalesce({symptoms} > (SELECT max(s.screened_at) FROM red_flag_screens s
                         WHERE s.clinic_id = $1 AND s.patient_id = f.patient_id AND s.complete), false) AS symptom_waits,
  (SELECT jsonb_agg(jsonb_build_array(d.day, d.pain, d.limitation, d.flare) ORDER BY d.day) FROM (
     SELECT local_day(a.answered_at, p.zone) AS day, max(a.pain_now) AS pain,
       max((a.answers ->> 'function_limit')::int) AS limitation, bool_or((a.answers ->> 'flare')::boolean) AS flare
     FROM check_in_answers a JOIN check_ins c ON c.clinic_id = $1 AND c.id = a.check_in_id
     WHERE a.clinic_id = $1 AND a.patient_id = f.patient_id AND c.episode_id = f.episode_id
       AND a.answered_at BETWEEN f.opened_at AND $3 AND a.question_set <> 'after_session'
     GROUP BY 1) d) AS days,
  (SELECT jsonb_agg(jsonb_build_array(t.id, t.day, t.done, t.pain) ORDER BY t.performed_at) FROM (
     SELECT s.id, local_day(s.performed_at, p.zone) AS day, s.performed_at,
       s.items_done >= 1 AND s.items_done * 100 >= s.items_prescribed * $4
         AND NOT s.new_neurological_symptom AS done,
       greatest(s.pain_after, (SELECT max(i.pain_during) FROM session_items i
                               WHERE i.clinic_id = $1 AND i.session_id = s.id)) AS pain
     FROM exercise_sessions s JOIN programs g ON g.clinic_id = $1 AND g.id = s.program_id
     WHERE s.clinic_id = $1 AND s.patient_id = f.patient_id AND g.episode_id = f.episode_id
       AND s.performed_at > f.step_at AND s.performed_at <= $3
       AND NOT EXISTS (SELECT FROM exercise_sessions n WHERE n.clinic_id = $1 AND n.supersedes_id = s.id)) t) AS sessions
FROM flares f
JOIN patients p ON p.clinic_id = $1 AND p.id = f.patient_id
JOIN episodes e ON e.clinic_id = $1 AND e.id = f.episode_id
WHERE f.clinic_id = $1 AND f.id = ANY ($2::uuid[])
""".replace("{symptoms}", symptoms.TOLD_AT.replace("$2", "f.patient_id").replace("$4", "$5"))

# Why it stays where it stands, and when the next look is: no change of the flare-up, so no new version of it.
_LOOKED = """
UPDATE flares f SET review_at = $3, reasons = CASE WHEN f.closed_at IS NULL THEN string_to_array(u.reasons, ',')
                                                   ELSE f.reasons END
FROM unnest($2::uuid[], $4::text[]) AS u(id, reasons) WHERE f.clinic_id = $1 AND f.id = u.id
"""


@dataclass(frozen=True)
class _Seen:
    """A flare-up, the patient's day, and what the rules say."""

    flare: Flare
    today: date
    decision: Decision

    @property
    def moves(self) -> bool:
        return FlareStep(self.decision.step.value) is not self.flare.step

    @property
    def changes(self) -> bool:
        return self.moves or bool(self.decision.contact) or self.decision.reassess


async def clinics_to_review(session: AsyncSession, *, at: datetime) -> list[UUID]:
    """Clinics in which a flare-up is due for a look. Runs as the sweeper, too."""
    query = select(Flare.clinic_id).where(Flare.closed_at.is_(None), Flare.review_at <= at).distinct()
    return list(await session.scalars(query))


async def review(session: AsyncSession, clinic_id: UUID, *, at: datetime, dry_run: bool = False) -> int:
    """Let the rules look at every flare-up that is due for it; give how many changed. Safe to repeat.

    One that somebody is handling at that moment has its turn the next time.
    """
    changed, last = 0, None
    while True:
        due = select(Flare).where(Flare.clinic_id == clinic_id, Flare.closed_at.is_(None), Flare.review_at <= at)
        if last is not None:
            due = due.where(Flare.id > last)
        locked = due.order_by(Flare.id).limit(AT_ONCE).with_for_update(skip_locked=True)
        batch = (await session.scalars(locked.execution_options(populate_existing=True))).all()
        if batch:
            last = batch[-1].id
            changed += await _review(session, clinic_id, batch, at, dry_run=dry_run)
        if len(batch) < AT_ONCE:
            return changed


async def _review(
    session: AsyncSession, clinic_id: UUID, batch: Sequence[Flare], at: datetime, *, dry_run: bool
) -> int:
    wanted = [flare.id for flare in batch]
    limits = load().screening.weekly_days, load().progression.thresholds.stop_pain
    share = load().adherence.completed_from_share
    rows = {row["id"]: row for row in await fetch(session, _SEEN, clinic_id, wanted, at, share, *limits)}
    going = [flare for flare in batch if not rows[flare.id]["resting"]]
    seen = [_decide(flare, rows[flare.id], at) for flare in going]
    changing = [one for one in seen if one.changes]
    if dry_run:
        return len(changing)
    await session.flush()
    for one in changing:
        await _follow(session, one, at)
    await session.flush()
    await alerts.raise_many(session, [each for one in changing for each in _findings(one)], at=at)
    reasons = {one.flare.id: ",".join(one.decision.reasons) for one in seen}
    told = [reasons.get(flare.id, "episode_on_hold") for flare in batch]
    await fetch(session, _LOOKED, clinic_id, wanted, at + REVIEWED_EVERY, told)
    return len(changing)


def _decide(flare: Flare, row: asyncpg.Record, at: datetime) -> _Seen:
    standing = Standing(
        step=levels.FlareStep(flare.step.value),
        opened_on=flare.opened_on,
        since=flare.step_on,
        hours=(at - flare.step_at) // timedelta(hours=1),
        cleared=row["cleared"],
        symptom_waits=row["symptom_waits"],
        held_until=flare.held_until,
        baseline_pain=flare.baseline_pain,
        baseline_limitation=flare.baseline_limitation,
        contacted=flare.contacted_at is not None,
        reassessing=flare.reassess_at is not None,
    )
    days = [Day(date.fromisoformat(day), pain, limit, said) for day, pain, limit, said in row["days"] or ()]
    sessions = [
        Trained(date.fromisoformat(day), completed=done, pain=pain, session_id=key)
        for key, day, done, pain in row["sessions"] or ()
    ]
    return _Seen(flare, row["today"], rules.next_step(standing, days, sessions, row["today"]))


async def _follow(session: AsyncSession, one: _Seen, at: datetime) -> None:
    """Write down what the rules say about one flare-up."""
    flare, decision, today = one.flare, one.decision, one.today
    flare.reasons, flare.updated_at = list(decision.reasons), at
    if decision.contact:
        flare.contacted_at = at
        records.note(session, flare, records.CONTACT, today, at=at, inputs=_inputs(decision.contact))
    if decision.reassess:
        flare.reassess_at = at
        records.note(session, flare, records.REASSESS, today, at=at, inputs={"days": (today - flare.opened_on).days})
    if one.moves and decision.step is levels.FlareStep.FULL:
        await end(session, flare, FlareEnd.RECOVERED, today, actor=None, inputs=decision.inputs, at=at)
        return
    if one.moves:
        records.set_step(flare, FlareStep(decision.step.value), decision.reasons, today, at=at)
        records.note(session, flare, records.STEP, today, at=at, inputs=decision.inputs)
    await audit.record_many(
        session, flare.clinic_id, None, "flare.update", "flare", [(flare.id, flare.patient_id)], at=at
    )


def _inputs(raised: Sequence[Raised]) -> dict[str, int | str | bool | None]:
    return {name: value for each in raised for name, value in each.inputs.items()}


def _findings(one: _Seen) -> list[alerts.Finding]:
    flare = one.flare
    return [
        alerts.Finding.of(
            raised,
            clinic_id=flare.clinic_id,
            patient_id=flare.patient_id,
            episode_id=flare.episode_id,
            source=("flare", flare.id),
        )
        for raised in one.decision.contact
    ]
