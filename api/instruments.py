"""Outcome instruments over HTTP."""

from api.dependencies import Caller
from api.routes import Router
from schemas.outcomes import InstrumentList, InstrumentRead
from services import instruments

router = Router("/v1/instruments", tags=["instruments"])


@router.get("")
async def list_instruments(actor: Caller) -> InstrumentList:
    """List the instruments, with the attribution that must be shown with each."""
    return InstrumentList(items=instruments.browse(actor), next_cursor=None)


@router.get("/{code}")
async def get_instrument(actor: Caller, code: str) -> InstrumentRead:
    """Give one instrument with its items and how it is scored."""
    return instruments.get(actor, code)
