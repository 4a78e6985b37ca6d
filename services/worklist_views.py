"""Filters of the worklist under a name, each therapist's own: nobody else sees, changes or removes them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from core.constraints import violated
from core.errors import Conflict, NotFound, Problem, Stale
from models.therapists import Therapist
from models.worklist_views import NAME_IS_UNIQUE, WorklistView
from schemas.pages import Page, Paged, fetch
from schemas.worklist_views import WorklistViewChange, WorklistViewCreate
from services import audit, worklist
from services.access import Action, Actor, require

MOST = 20
"""Views of one therapist: more is no help, and a list without an end is a risk."""


class ViewNameTaken(Conflict):
    """There is a view of this name already."""


class TooManyViews(Conflict):
    """There is no room for another view: remove one first."""


async def browse(session: AsyncSession, actor: Actor, page: Page) -> Paged[WorklistView]:
    """List the caller's views, oldest first."""
    return await fetch(session, _own(actor), page, keys=(WorklistView.created_at, WorklistView.id))


async def create(session: AsyncSession, actor: Actor, form: WorklistViewCreate, *, at: datetime) -> WorklistView:
    """Keep filters under a name. Raises ViewNameTaken, TooManyViews, UnknownRegion."""
    own = _own(actor)
    worklist.check_regions(form.filters.body_region, "/filters/body_region")
    # Two at once would count the same: they wait for each other at their owner's row.
    owner = select(Therapist.id).where(Therapist.clinic_id == actor.clinic_id, Therapist.id == actor.therapist_id)
    await session.execute(owner.with_for_update(key_share=True))
    kept = await session.scalar(select(func.count()).select_from(own.subquery()))
    if kept is not None and kept >= MOST:
        raise TooManyViews(Problem("", "too_many", f"A therapist keeps at most {MOST} views."))
    values = form.model_dump(mode="json")
    row = WorklistView(clinic_id=actor.clinic_id, therapist_id=actor.therapist_id, **values)
    await _save(session, row)
    return await _done(session, actor, "worklist_view.create", row, at=at)


async def update(
    session: AsyncSession, actor: Actor, view_id: UUID, change: WorklistViewChange, *, version: int, at: datetime
) -> WorklistView:
    """Change a view's name or its filters. Raises NotFound, Stale, ViewNameTaken, UnknownRegion."""
    row = await _get(session, actor, view_id, version)
    if "filters" in change.model_fields_set:
        worklist.check_regions(change.filters.body_region, "/filters/body_region")
    await _save(session, row, **change.model_dump(mode="json", include=change.model_fields_set))
    return await _done(session, actor, "worklist_view.update", row, at=at)


async def remove(session: AsyncSession, actor: Actor, view_id: UUID, *, version: int, at: datetime) -> None:
    """Remove a view. Raises NotFound, Stale."""
    row = await _get(session, actor, view_id, version)
    await session.delete(row)
    await session.flush()
    await _done(session, actor, "worklist_view.remove", row, at=at)


def _own(actor: Actor) -> Select[Any]:
    require(actor, Action.KEEP_VIEWS)
    return select(WorklistView).where(
        WorklistView.clinic_id == actor.clinic_id, WorklistView.therapist_id == actor.therapist_id
    )


async def _get(session: AsyncSession, actor: Actor, view_id: UUID, version: int) -> WorklistView:
    row: WorklistView | None = await session.scalar(_own(actor).where(WorklistView.id == view_id).with_for_update())
    if row is None:
        raise NotFound
    if row.version != version:
        raise Stale(row.version)
    return row


async def _save(session: AsyncSession, row: WorklistView, **changes: Any) -> None:
    try:
        async with session.begin_nested():
            for name, value in changes.items():
                setattr(row, name, value)
            session.add(row)
            await session.flush()
    except IntegrityError as error:
        if violated(error) != NAME_IS_UNIQUE:
            raise
        raise ViewNameTaken(Problem("/name", "name_taken", "This name is in use.")) from error


async def _done(session: AsyncSession, actor: Actor, action: str, row: WorklistView, *, at: datetime) -> WorklistView:
    await audit.record(session, actor, action, subject=("worklist_view", row.id), at=at)
    return row
