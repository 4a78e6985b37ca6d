"""The therapist's caseload over HTTP."""

from api.dependencies import Caller, Now, Session
from api.pages import Page
from api.routes import Router
from schemas.base import Listing
from schemas.pages import Paged
from schemas.worklist import WorklistEntry
from services import worklist

router = Router("/v1/worklist", tags=["worklist"])


@router.get("", response_model=Listing[WorklistEntry])
async def list_worklist(session: Session, actor: Caller, page: Page, now: Now) -> Paged[WorklistEntry]:
    """List your patients, the most urgent first, each with the reasons."""
    return await worklist.browse(session, actor, page, at=now)
