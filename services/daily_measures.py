"""What patients answered day by day, as the measures of `clinical.habits`: one value for each local day."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Literal
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from clinical.habits import ASKED_IN, Days
from core.database import fetch

Source = Literal["self", "device"]

AROUND = timedelta(days=16)
"""A check-in is due at most so long before its answer: late answers tell of the day on which they are given."""

# An answer in time tells of the day of its check-in, a late one of the day on which it was given. Of several on one day the
# daily question counts, and of those the last one.
_ANSWERS = """
SELECT k.key, g.* FROM unnest($2::uuid[], $3::uuid[], $4::uuid[], $6::date[], $7::date[], $8::timestamptz[],
                             $9::timestamptz[]) AS k(key, patient_id, episode_id, first, last, begin, until)
CROSS JOIN LATERAL (
SELECT DISTINCT ON (x.code, d.day) x.code, d.day, (a.answers ->> x.code)::numeric AS value,
  CASE WHEN x.code IN ('steps', 'activity_minutes') THEN a.answers ->> 'activity_source' END AS source
FROM check_ins c
JOIN check_in_answers a ON a.clinic_id = c.clinic_id AND a.check_in_id = c.id
CROSS JOIN LATERAL (SELECT CASE WHEN a.late THEN local_day(a.answered_at, c.zone) ELSE c.local_date END AS day) d
CROSS JOIN unnest($5::text[]) AS x(code)
WHERE c.clinic_id = $1 AND c.patient_id = k.patient_id AND (k.episode_id IS NULL OR c.episode_id = k.episode_id)
  AND c.due_at >= k.begin AND c.due_at < k.until AND a.question_set = ANY ($10::text[])
  AND d.day BETWEEN k.first AND k.last AND a.answers ->> x.code IS NOT NULL
ORDER BY x.code, d.day, a.question_set = 'daily' DESC, a.answered_at DESC, a.check_in_id DESC) g
ORDER BY k.key, g.code, g.day
"""


@dataclass(frozen=True)
class Answered:
    """A value of one local day. source: as the patient said of minutes and steps; None where nobody was asked."""

    on: date
    value: Decimal
    source: Source | None


async def of_patient(
    session: AsyncSession,
    clinic_id: UUID,
    patient_id: UUID,
    codes: Collection[str],
    first: date,
    last: date,
    *,
    episode_id: UUID | None = None,
) -> dict[str, list[Answered]]:
    """Give the answers from `first` to `last` of each measure, in order; of one episode if it is named. One statement."""
    found = await of_many(session, clinic_id, codes, {patient_id: (patient_id, episode_id, first, last)})
    return found[patient_id]


async def of_many(
    session: AsyncSession,
    clinic_id: UUID,
    codes: Collection[str],
    asked: Mapping[UUID, tuple[UUID, UUID | None, date, date]],
) -> dict[UUID, dict[str, list[Answered]]]:
    """Do as `of_patient` for each key of `asked`: patient, episode, first and last day. One statement."""
    found: dict[UUID, dict[str, list[Answered]]] = {key: {code: [] for code in codes} for key in asked}
    if not asked or not codes:
        return found
    patients, episodes, first, last = (list(column) for column in zip(*asked.values(), strict=True))
    begin = [datetime.combine(day, time(), UTC) - AROUND for day in first]
    until = [datetime.combine(day, time(), UTC) + timedelta(days=2) for day in last]
    columns = (list(asked), patients, episodes, list(codes), first, last, begin, until, list(ASKED_IN))
    for row in await fetch(session, _ANSWERS, clinic_id, *columns):
        found[row["key"]][row["code"]].append(Answered(row["day"], row["value"], row["source"]))
    return found


def by_day(answers: Collection[Answered]) -> Days:
    """Give the value of each day."""
    return {each.on: each.value for each in answers}
