"""How a flare-up ends: the usual dose is due again, and questions come as planned."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models.flares import Flare, FlareEnd, FlareStep
from services import audit
from services import flare_records as records
from services.access import Actor
from services.check_ins import flaring


async def end(
    session: AsyncSession,
    flare: Flare,
    why: FlareEnd,
    today: date,
    *,
    actor: Actor | None,
    inputs: Mapping[str, Any] | None = None,
    at: datetime,
) -> None:
    """Close an open flare-up whose row is locked. actor: None where the rules did it; inputs: what they looked at."""
    looked = {"reason": why.value, **(records.stands(flare) if inputs is None else inputs), **records.who(actor)}
    by = None if actor is None else actor.account_id
    reasons = flare.reasons if actor is None else [why.value]
    records.set_step(flare, FlareStep.FULL, reasons, today, at=at)
    flare.closed_at, flare.closed_on, flare.closed_by, flare.close_reason = at, today, by, why
    flare.held_until = flare.held_by = None
    await session.flush()
    records.note(session, flare, records.CLOSED, today, at=at, by=by, inputs=looked)
    await audit.record_many(
        session, flare.clinic_id, actor, "flare.close", "flare", [(flare.id, flare.patient_id)], at=at
    )
    await flaring.ask_as_planned(session, flare, actor=actor, at=at)


async def end_with_episode(
    session: AsyncSession, clinic_id: UUID, episode_id: UUID, *, actor: Actor, at: datetime
) -> None:
    """Close the flare-up of an episode that is over, if one is open."""
    query = select(Flare).where(Flare.clinic_id == clinic_id, Flare.episode_id == episode_id, Flare.closed_at.is_(None))
    flare = await session.scalar(query.with_for_update())
    if flare is not None:
        today = await records.day_of(session, flare, at)
        await end(session, flare, FlareEnd.EPISODE_DISCHARGED, today, actor=actor, at=at)
