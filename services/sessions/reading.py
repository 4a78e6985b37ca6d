"""Sessions as they are shown: what was done next to what was prescribed."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.progression import stop_at_once
from models.sessions import ExerciseSession, SessionItem
from schemas import pages
from schemas.sessions import SessionItemRead, SessionRead
from services import access, audit
from services.access import Action, Actor


async def browse(
    session: AsyncSession, actor: Actor, patient_id: UUID, page: pages.Page, *, at: datetime
) -> pages.Paged[SessionRead]:
    """List a patient's sessions, newest first; as many statements for one as for two hundred. Raises NotFound."""
    await access.patient(session, actor, Action.READ_RECORD, patient_id, at=at)
    await audit.record(session, actor, "session.list", subject=("session", None), patient_id=patient_id, at=at)
    query = select(ExerciseSession).where(
        ExerciseSession.clinic_id == actor.clinic_id, ExerciseSession.patient_id == patient_id
    )
    keys = (ExerciseSession.performed_at, ExerciseSession.id)
    page_of = await pages.fetch(session, query, page, keys=keys, descending=True)
    return pages.Paged(await with_items(session, actor.clinic_id, page_of.items), page_of.next_cursor)


async def with_items(session: AsyncSession, clinic_id: UUID, rows: Sequence[ExerciseSession]) -> list[SessionRead]:
    """Read the items of all sessions in one statement."""
    found = await session.scalars(
        select(SessionItem)
        .where(SessionItem.clinic_id == clinic_id, SessionItem.session_id.in_([row.id for row in rows]))
        .order_by(SessionItem.position, SessionItem.item_id)
    )
    by_session: dict[UUID, list[SessionItem]] = {row.id: [] for row in rows}
    for item in found:
        by_session[item.session_id].append(item)
    return [_session(row, by_session[row.id]) for row in rows]


def _session(row: ExerciseSession, items: Sequence[SessionItem]) -> SessionRead:
    pain = max((item.pain_during for item in items if item.pain_during is not None), default=None)
    content = {name: getattr(row, name) for name in SessionRead.model_fields if name not in {"items", "stop"}}
    content["stop"] = stop_at_once(pain, new_neurological_symptom=row.new_neurological_symptom)
    content["items"] = [SessionItemRead.model_validate(item) for item in items]
    return SessionRead.model_validate(content)
