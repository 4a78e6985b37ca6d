"""Exercise sessions over HTTP."""

from uuid import UUID

from fastapi import Response

from api.dependencies import Caller, Now, Session
from api.etags import created
from api.pages import Page
from api.routes import Router
from schemas.base import Listing
from schemas.pages import Paged
from schemas.sessions import SessionLog, SessionLogged, SessionRead
from services import sessions

router = Router("/v1", tags=["sessions"])


@router.put("/sessions/{session_id}", responses={201: {"model": SessionLogged}})
async def log_session(
    session: Session, actor: Caller, session_id: UUID, form: SessionLog, now: Now, response: Response
) -> SessionLogged:
    """Log a session under the device's own id, set by set; sent again, the stored one is the answer."""
    logged = await sessions.log(session, actor, session_id, form, at=now)
    if logged.created:
        response.status_code = 201
        created(response, f"/v1/sessions/{session_id}")
    return logged.session


@router.get("/patients/{patient_id}/sessions", response_model=Listing[SessionRead])
async def list_sessions(session: Session, actor: Caller, patient_id: UUID, page: Page, now: Now) -> Paged[SessionRead]:
    """List a patient's sessions, newest first, what was prescribed next to what was done."""
    return await sessions.browse(session, actor, patient_id, page, at=now)
