"""What belongs to the caller: the patient's day."""

from api.dependencies import Caller, Now, Session
from api.routes import Router
from schemas.today import Today
from services import today

router = Router("/v1/me", tags=["today"])


@router.get("/today")
async def get_today(session: Session, actor: Caller, now: Now) -> Today:
    """Give the patient's day: due check-ins, planned sessions with dose and pain ceiling, and the emergency advice."""
    return await today.get(session, actor, at=now)
