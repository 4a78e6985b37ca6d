"""Read what progress is made of: a fixed number of statements, whatever the period and the history."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from uuid import UUID

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.recurrence import local_date
from core.database import fetch
from core.errors import Invalid, NotFound, Problem
from models.episodes import Episode
from models.outcomes import Outcome
from models.patients import Patient
from schemas.progress import PainSeries, Progress, Series, SleepSeries
from services import access, audit, programs
from services.access import Action, Actor
from services.progress import changes, measuring

USUAL_DAYS = 28
"""How long a period is when nobody says."""

LONGEST_DAYS = 400

FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 12, 31)

ANSWERED_WITHIN = timedelta(days=16)
"""A check-in is answered at most so long after its day: a week until it closes, another week for late answers."""

# Answers of the days before the period, too: they may have come late, and a flare-up may have begun.
_CHECK_INS = """
SELECT c.local_date, c.status, c.question_set, c.plan_id IS NOT NULL AS planned, a.late,
       local_day(a.answered_at, c.zone) AS answered_on, a.pain_now::float8 AS pain_now,
       (a.answers ->> 'pain_worst_24h')::float8 AS pain_worst_24h,
       (a.answers ->> 'function_limit')::float8 AS function_limit,
       (a.answers ->> 'sleep_hours')::float8 AS sleep_hours,
       (a.answers ->> 'sleep_quality')::float8 AS sleep_quality,
       (a.answers ->> 'flare')::boolean AS flare
FROM check_ins c
LEFT JOIN check_in_answers a ON a.clinic_id = c.clinic_id AND a.check_in_id = c.id AND a.answered_at <= $6
WHERE c.clinic_id = $1 AND c.patient_id = $2 AND c.episode_id = $3 AND c.due_at >= $4 AND c.due_at < $5
ORDER BY a.answered_at, c.id
"""
_SESSIONS = """
SELECT s.program_id, s.local_date, s.slot, max(s.items_done)::int AS items_done, max(s.dose_done)::int AS dose_done
FROM exercise_sessions s
JOIN programs p ON p.clinic_id = s.clinic_id AND p.id = s.program_id
WHERE s.clinic_id = $1 AND s.patient_id = $2 AND p.episode_id = $3 AND s.local_date BETWEEN $4 AND $5
  AND NOT EXISTS (SELECT FROM exercise_sessions n WHERE n.clinic_id = $1 AND n.supersedes_id = s.id)
GROUP BY s.program_id, s.local_date, s.slot
"""
_FLARES = """
SELECT opened_on, closed_on, triggers FROM flares
WHERE clinic_id = $1 AND patient_id = $2 AND episode_id = $3 AND opened_at <= $4
"""


class PeriodRefused(Invalid):
    """The period is not one that can be looked at."""


@dataclass(frozen=True)
class Period:
    """Local days, both included; `today` is the patient's day at the moment of asking."""

    first: date
    last: date
    today: date

    @property
    def days(self) -> Sequence[date]:
        """All days, in order."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]

    @property
    def until(self) -> date:
        """The last day that has begun."""
        return min(self.last, self.today)


def period_of(first: date | None, last: date | None, today: date) -> Period:
    """Give the period from `first` to `last`; by default the 28 days up to today. Raises PeriodRefused."""
    for name, day in (("from", first), ("to", last)):
        if day is not None and not FIRST_DAY <= day <= LAST_DAY:
            raise PeriodRefused(Problem(f"#/query/{name}", "day_range", "The year lies between 2000 and 2100."))
    end = last or max(today, first or today)
    begin = first or end - timedelta(days=USUAL_DAYS - 1)
    if end < begin:
        raise PeriodRefused(Problem("#/query/to", "period_order", "The period must not end before it begins."))
    if (end - begin).days >= LONGEST_DAYS:
        raise PeriodRefused(Problem("#/query/from", "period_length", "A period has at most 400 days."))
    return Period(begin, end, today)


async def get(
    session: AsyncSession,
    actor: Actor,
    patient_id: UUID,
    *,
    first: date | None,
    last: date | None,
    episode_id: UUID | None,
    at: datetime,
) -> Progress:
    """Tell how a patient is doing in one episode (by default the newest).

    Raises NotFound, also where there is no episode; PeriodRefused.
    """
    patient = await access.patient(session, actor, Action.READ_RECORD, patient_id, at=at)
    period = period_of(first, last, local_date(at, patient.zone))
    episode = await episode_of(session, patient, episode_id)
    outcomes = await changes.standing_of_episode(session, episode, period.first, period.last)
    made = await of_episode(session, patient, episode, period, outcomes, at=at)
    await audit.record(session, actor, "progress.read", subject=("episode", episode.id), patient_id=patient.id, at=at)
    return made


async def episode_of(session: AsyncSession, patient: Patient, episode_id: UUID | None) -> Episode:
    """Give the episode that is named, by default the newest. Raises NotFound."""
    query = select(Episode).where(Episode.clinic_id == patient.clinic_id, Episode.patient_id == patient.id)
    if episode_id is not None:
        query = query.where(Episode.id == episode_id)
    episode: Episode | None = await session.scalar(
        query.order_by(Episode.created_at.desc(), Episode.id.desc()).limit(1)
    )
    if episode is None:
        raise NotFound
    return episode


async def sessions_of(session: AsyncSession, episode: Episode, first: date, last: date) -> list[asyncpg.Record]:
    """Give what was done from `first` to `last`, by program, local day and slot."""
    return await fetch(session, _SESSIONS, episode.clinic_id, episode.patient_id, episode.id, first, last)


async def of_episode(
    session: AsyncSession,
    patient: Patient,
    episode: Episode,
    period: Period,
    outcomes: Sequence[Outcome],
    *,
    at: datetime,
) -> Progress:
    """Put an episode's progress together. outcomes: those of `standing_of_episode`.

    Sessions of days to come do not count, nor does one of today that is not done yet.
    """
    clinic_id, until = patient.clinic_id, period.until
    midnight = datetime.combine(period.first, time(), UTC)
    check_ins = await fetch(
        session,
        _CHECK_INS,
        clinic_id,
        patient.id,
        episode.id,
        midnight - ANSWERED_WITHIN,
        datetime.combine(period.last, time(), UTC) + timedelta(days=2),
        at,
    )
    rows = await sessions_of(session, episode, period.first, until)
    planned = await programs.planned(session, clinic_id, patient.id, period.first, until, episode_id=episode.id)
    answers = measuring.answers_by_day(check_ins, period.last)
    kept = await fetch(session, _FLARES, clinic_id, patient.id, episode.id, at)
    flares = measuring.flares_of(kept, measuring.flares(answers, period.first, until), period.first, until)
    slots = measuring.slots(planned, rows, period.today)

    def series(name: str, *, higher_is_better: bool = False) -> Series:
        return measuring.series(name, period.days, answers, higher_is_better=higher_is_better)

    return Progress(
        patient_id=patient.id,
        episode_id=episode.id,
        period_from=period.first,
        period_to=period.last,
        zone=patient.zone,
        computed_at=at,
        pain=PainSeries(now=series("pain_now"), worst_24h=series("pain_worst_24h")),
        function=series("function_limit"),
        sleep=SleepSeries(
            hours=series("sleep_hours", higher_is_better=True), quality=series("sleep_quality", higher_is_better=True)
        ),
        sessions=measuring.weeks(slots, period.first, period.last),
        outcomes=changes.of_instruments(outcomes, episode.body_region, period.first, period.last),
        adherence=measuring.adherence_of(slots, measuring.check_ins_of(check_ins, period.first, period.last), flares),
        flares=flares,
        completeness=measuring.completeness(answers, {row["local_date"] for row in rows}, period.first, until),
    )
