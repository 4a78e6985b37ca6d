"""Outcome instruments over HTTP, and the licensed texts of those that ship without."""

from fastapi import Response

from api.dependencies import Caller, Now, Session
from api.pages import Page
from api.routes import Router
from schemas.base import Listing
from schemas.instrument_imports import InstrumentFill, InstrumentGiveUp, InstrumentImportRead
from schemas.outcomes import InstrumentList, InstrumentRead
from schemas.pages import Paged
from services import instrument_imports, instruments

router = Router("/v1/instruments", tags=["instruments"])


@router.get("")
async def list_instruments(session: Session, actor: Caller, now: Now) -> InstrumentList:
    """List the instruments, with the attribution that must be shown with each."""
    return InstrumentList(items=await instruments.browse(session, actor, at=now), next_cursor=None)


@router.get("/{code}")
async def get_instrument(session: Session, actor: Caller, code: str, now: Now) -> InstrumentRead:
    """Give one instrument with its items and how it is scored."""
    return await instruments.get(session, actor, code, at=now)


@router.get("/{slot_code}/imports", response_model=Listing[InstrumentImportRead])
async def list_instrument_imports(
    session: Session, actor: Caller, slot_code: str, page: Page, now: Now
) -> Paged[InstrumentImportRead]:
    """List who accepted which terms of a licensed instrument, and when; the newest first."""
    return await instrument_imports.browse(session, actor, slot_code, page, at=now)


@router.post("/{slot_code}/imports", status_code=201)
async def fill_instrument(
    session: Session, actor: Caller, slot_code: str, form: InstrumentFill, now: Now, response: Response
) -> InstrumentImportRead:
    """Accept the terms of a licensed instrument and fill in its text; the one before is used no more."""
    made = await instrument_imports.fill(session, actor, slot_code, form, at=now)
    response.headers["Location"] = f"/v1/instruments/{slot_code}"
    return made


@router.post("/{slot_code}/give-up", status_code=201)
async def give_up_instrument(
    session: Session, actor: Caller, slot_code: str, form: InstrumentGiveUp, now: Now
) -> InstrumentImportRead:
    """Use a licensed instrument no more; what was answered stays."""
    return await instrument_imports.give_up(session, actor, slot_code, form, at=now)
