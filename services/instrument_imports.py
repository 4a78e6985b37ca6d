"""Licensed instruments: a clinic accepts the owner's terms and fills in the text, or gives the instrument up.

Nothing is overwritten: a new text is a new row, and the one with the highest number holds. Answers name the number of the
text that they were given to.
"""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from clinical.recurrence import local_date
from clinical.slots import Slot, misfits
from core.errors import Conflict, Invalid, NotFound, Problem
from models.clinics import Clinic
from models.instrument_imports import InstrumentImport
from schemas.instrument_imports import InstrumentFill, InstrumentGiveUp, InstrumentImportRead
from schemas.pages import Page, Paged, fetch
from services import access, audit
from services.access import Action, Actor


class InstrumentTextRefused(Invalid):
    """This text does not fit the instrument; see errors for each place."""


class InstrumentNotFilled(Conflict):
    """The clinic has not filled in this instrument, or has given it up."""


async def browse(
    session: AsyncSession, actor: Actor, code: str, page: Page, *, at: datetime
) -> Paged[InstrumentImportRead]:
    """List what the clinic did with a slot, the newest first. Raises NotFound."""
    access.require(actor, Action.MANAGE_INSTRUMENTS)
    _slot(code)
    query = select(InstrumentImport).where(InstrumentImport.clinic_id == actor.clinic_id, InstrumentImport.code == code)
    await audit.record(session, actor, "instrument.list", subject=("instrument", None), at=at)
    paged = await fetch(session, query, page, keys=(InstrumentImport.number, InstrumentImport.id), descending=True)
    return Paged([_read(row) for row in paged.items], paged.next_cursor)


async def fill(
    session: AsyncSession, actor: Actor, code: str, form: InstrumentFill, *, at: datetime
) -> InstrumentImportRead:
    """Accept the terms and fill a slot; from now on it is asked with this text. Raises NotFound, InstrumentTextRefused."""
    access.require(actor, Action.MANAGE_INSTRUMENTS)
    slot = _slot(code)
    problems = misfits(
        slot,
        [[option.value for option in item.options] for item in form.items],
        [option.value for option in form.options],
    )
    if form.valid_until is not None and form.valid_until < await _today(session, actor.clinic_id, at):
        problems.append(Problem("/valid_until", "in_the_past", "The license has ended."))
    if problems:
        raise InstrumentTextRefused(*problems)
    content = form.model_dump(include={"language", "recall", "stem", "options", "items"})
    await _wait(session, actor)
    return await _add(
        session,
        actor,
        slot,
        "instrument.fill",
        at=at,
        content=content,
        terms_version=form.terms_version,
        valid_until=form.valid_until,
        note=form.note or "",
    )


async def give_up(
    session: AsyncSession, actor: Actor, code: str, form: InstrumentGiveUp, *, at: datetime
) -> InstrumentImportRead:
    """Use an instrument no more; what was answered stays. Raises NotFound, InstrumentNotFilled."""
    access.require(actor, Action.MANAGE_INSTRUMENTS)
    slot = _slot(code)
    await _wait(session, actor)
    newest = (await newest_of(session, actor.clinic_id)).get(code)
    if newest is None or newest.content is None:
        raise InstrumentNotFilled
    return await _add(session, actor, slot, "instrument.give_up", at=at, content=None, note=form.note)


async def newest_of(session: AsyncSession, clinic_id: UUID) -> dict[str, InstrumentImport]:
    """Give, by code, what the clinic did last with each slot."""
    rows = await session.scalars(
        select(InstrumentImport)
        .where(InstrumentImport.clinic_id == clinic_id)
        .ext(distinct_on(InstrumentImport.code))
        .order_by(InstrumentImport.code, InstrumentImport.number.desc())
    )
    return {row.code: row for row in rows}


async def in_force(session: AsyncSession, clinic_id: UUID, *, at: datetime) -> dict[str, InstrumentImport]:
    """Give, by code, the texts that may be used on the clinic's day."""
    found = await newest_of(session, clinic_id)
    today = await _today(session, clinic_id, at) if found else date.min
    return {
        code: row
        for code, row in found.items()
        if row.content is not None and (row.valid_until is None or row.valid_until >= today)
    }


async def unusable(session: AsyncSession, clinic_id: UUID, *, at: datetime) -> list[str]:
    """Give the codes of the slots that cannot be answered: no text, given up, or its license has ended."""
    texts = await in_force(session, clinic_id, at=at)
    return [code for code in load().slots if code not in texts]


def _slot(code: str) -> Slot:
    found = load().slots.get(code)
    if found is None:
        raise NotFound
    return found


async def _today(session: AsyncSession, clinic_id: UUID, at: datetime) -> date:
    zone = (await session.scalars(select(Clinic.zone).where(Clinic.id == clinic_id))).one()
    return local_date(at, zone)


async def _wait(session: AsyncSession, actor: Actor) -> None:
    """Let one at a time fill slots or give them up: what the second finds is what the first has left, and its word holds."""
    await session.execute(select(Clinic.id).where(Clinic.id == actor.clinic_id).with_for_update(key_share=True))


async def _add(
    session: AsyncSession, actor: Actor, slot: Slot, action: str, *, at: datetime, **values: Any
) -> InstrumentImportRead:
    last = select(func.coalesce(func.max(InstrumentImport.number), 0)).where(
        InstrumentImport.clinic_id == actor.clinic_id, InstrumentImport.code == slot.code
    )
    number = (await session.scalars(last)).one() + 1
    row = InstrumentImport(
        clinic_id=actor.clinic_id, code=slot.code, number=number, at=at, by=actor.account_id, **values
    )
    session.add(row)
    await session.flush()
    await audit.record(session, actor, action, subject=("instrument", row.id), at=at)
    return _read(row)


def _read(row: InstrumentImport) -> InstrumentImportRead:
    shown = {name: getattr(row, name) for name in InstrumentImportRead.model_fields if name != "filled"}
    return InstrumentImportRead(**shown, filled=row.content is not None)
