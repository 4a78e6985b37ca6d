"""The register of adverse events as a file, for whoever reviews it or must hand it on."""

from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.recurrence import local_date
from core.errors import Invalid, Problem
from models.adverse_events import AdverseEvent
from models.clinics import Clinic
from models.programs import ProgramItem
from schemas.adverse_events import AdverseEventRead
from services import audit
from services.access import Actor
from services.adverse_events import within_reach

SPAN = timedelta(days=400)
"""The longest span of days of one export."""

MOST = 20_000
"""The most events of one export."""

EXPORTED = (
    "id",
    "patient_id",
    "episode_id",
    "version_id",
    "item_id",
    "exercise_code",
    "session_id",
    "kind",
    "description",
    "occurred_on",
    "ended_on",
    "grade",
    "seriousness",
    "relatedness",
    "outcome",
    "rule_version",
    "reported_via",
    "reported_at",
    "status",
    "conclusion",
    "review_note",
    "reviewed_at",
    "reviewed_by",
)
"""What an export tells of each event: ids, no names."""


class SpanRefused(Invalid):
    """These days cannot be exported at once."""


async def export(
    session: AsyncSession, actor: Actor, *, first: date | None, last: date | None, at: datetime
) -> list[dict[str, Any]]:
    """Give the events of these days within a reviewer's reach, the first first; each look at one is on record.

    By default the 400 days up to today. Raises Forbidden, SpanRefused.
    """
    reach = within_reach(actor, at)
    zone = (await session.scalars(select(Clinic.zone).where(Clinic.id == actor.clinic_id))).one()
    end = local_date(at, zone) if last is None else last
    start = date.fromordinal(max(end.toordinal() - SPAN.days, 1)) if first is None else first
    if not timedelta() <= end - start <= SPAN:
        raise SpanRefused(Problem("#/query/from", "span_range", "From one day to a later one, 400 days at most."))
    query = (
        reach.add_columns(ProgramItem.exercise_code)
        .outerjoin(
            ProgramItem, (ProgramItem.clinic_id == AdverseEvent.clinic_id) & (ProgramItem.id == AdverseEvent.item_id)
        )
        .where(AdverseEvent.occurred_on.between(start, end))
        .order_by(AdverseEvent.occurred_on, AdverseEvent.id)
    )
    rows = (await session.execute(query.limit(MOST + 1))).all()
    if len(rows) > MOST:
        raise SpanRefused(Problem("#/query/from", "too_many", "These are too many: choose fewer days."))
    seen = [(row.id, row.patient_id) for row, _ in rows]
    await audit.record_many(session, actor.clinic_id, actor, "adverse_event.export", "adverse_event", seen, at=at)
    if not seen:
        await audit.record(session, actor, "adverse_event.export", subject=("adverse_event", None), at=at)
    return [_exported(row, code) for row, code in rows]


def _exported(row: AdverseEvent, exercise_code: str | None) -> dict[str, Any]:
    read = AdverseEventRead.model_validate(row).model_dump(mode="json")
    criteria = read["seriousness"]
    told = read | {"exercise_code": exercise_code, "seriousness": None if criteria is None else " ".join(criteria)}
    if criteria == []:
        told["seriousness"] = "none"
    return {name: told[name] for name in EXPORTED}
