"""Suggestions as therapists see them."""

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from models.suggestions import Suggestion, SuggestionOutcome, SuggestionStatus
from schemas.pages import Page, Paged, fetch
from services import access, audit
from services.access import Action, Actor


async def browse(
    session: AsyncSession,
    actor: Actor,
    page: Page,
    *,
    status: Collection[SuggestionStatus] | None = None,
    outcome: Collection[SuggestionOutcome] | None = None,
    patient_id: UUID | None = None,
    program_id: UUID | None = None,
    at: datetime,
) -> Paged[Suggestion]:
    """Suggestions within reach, the newest first; open ones only, unless `status` says otherwise.

    Raises Forbidden; NotFound when `patient_id` is out of reach.
    """
    if patient_id is not None:
        await access.patient(session, actor, Action.READ_SUGGESTIONS, patient_id, at=at)
    query = select(Suggestion).where(
        Suggestion.clinic_id == actor.clinic_id,
        Suggestion.patient_id.in_(access.patients(actor, Action.READ_SUGGESTIONS, at)),
        Suggestion.status.in_(status or [SuggestionStatus.OPEN]),
    )
    if outcome:
        query = query.where(Suggestion.outcome.in_(outcome))
    if patient_id is not None:
        query = query.where(Suggestion.patient_id == patient_id)
    if program_id is not None:
        query = query.where(Suggestion.program_id == program_id)
    await audit.record(session, actor, "suggestion.list", subject=("suggestion", None), patient_id=patient_id, at=at)
    return await fetch(session, query, page, keys=(Suggestion.created_at, Suggestion.id), descending=True)


async def get(session: AsyncSession, actor: Actor, suggestion_id: UUID, *, at: datetime) -> Suggestion:
    """One suggestion. Raises NotFound."""
    row = await access.subject(session, actor, Action.READ_SUGGESTIONS, Suggestion, suggestion_id, at=at)
    subject = ("suggestion", suggestion_id)
    await audit.record(session, actor, "suggestion.read", subject=subject, patient_id=row.patient_id, at=at)
    return row
