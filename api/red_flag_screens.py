"""Red-flag screens over HTTP; the advice is in the answer."""

from uuid import UUID

from fastapi import Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from models.red_flag_screens import RedFlagScreen
from schemas.base import Listing
from schemas.pages import Paged
from schemas.red_flag_screens import RedFlagQuestions, RedFlagScreenClose, RedFlagScreenCreate, RedFlagScreenRead
from services import red_flag_screens

router = Router("/v1", tags=["red-flags"])


@router.get("/red-flag-questions")
async def get_red_flag_questions(actor: Caller) -> RedFlagQuestions:
    """Give the questions about warning signs, for an app to ask and to keep for when there is no network."""
    return red_flag_screens.questions(actor)


@router.post("/patients/{patient_id}/red-flag-screens", status_code=201, response_model=RedFlagScreenRead)
async def create_red_flag_screen(
    session: Session, actor: Caller, patient_id: UUID, form: RedFlagScreenCreate, now: Now, response: Response
) -> RedFlagScreen:
    """Answer the red-flag questions and read at once what to do; refusals after that carry the `advice` as well."""
    row = await red_flag_screens.create(session, actor, patient_id, form, at=now)
    created(response, f"/v1/patients/{patient_id}/red-flag-screens", row.version)
    return row


@router.get("/patients/{patient_id}/red-flag-screens", response_model=Listing[RedFlagScreenRead])
async def list_red_flag_screens(
    session: Session, actor: Caller, patient_id: UUID, page: Page, now: Now
) -> Paged[RedFlagScreenRead]:
    """List a patient's red-flag screens, newest first."""
    return await red_flag_screens.browse(session, actor, patient_id, page, at=now)


@router.post("/red-flag-screens/{screen_id}/close")
async def close_red_flag_screen(
    session: Session,
    actor: Caller,
    screen_id: UUID,
    form: RedFlagScreenClose,
    if_match: IfMatch,
    now: Now,
    response: Response,
) -> RedFlagScreenRead:
    """Close a red flag with its outcome, or note that the patient was contacted; only a human does this."""
    row = await red_flag_screens.close(session, actor, screen_id, form, version=if_match, at=now)
    etag(response, row.version)
    return row
