"""Who is given which article to read, and what came of it."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.education import best_language
from core.constraints import violated
from core.errors import Conflict, NotFound, Problem, Stale
from models.articles import Article, ArticleAssignment, ArticleStatus, AssignmentReason, WithdrawnReason
from models.identity import Role
from models.notifications import NotificationPreference
from models.patients import Patient
from schemas.articles import (
    ArticleAssignmentCreate,
    ArticleAssignmentRead,
    ArticleAssignmentSummary,
    ArticleReading,
    AssignmentState,
)
from schemas.pages import Page, Paged, fetch
from services import access, articles, audit
from services.access import Action, Actor
from services.articles import ArticleRefused

WAITS_ONCE = "uq_article_assignments_waiting"
"""The index that lets an article wait for a patient once."""

SKEW = timedelta(minutes=5)
"""How far a device's clock may be ahead."""

GIVEN = ("title", "topic", "reading_level", "body", "sources", "check_question")
"""What is pinned of an article: the patient keeps the text that was approved when he was given it."""


class ArticleWaiting(Conflict):
    """This article waits for the patient already."""


class ArticleWithdrawn(Conflict):
    """This article was taken back, and is not to be read any more."""


class ArticleWasRead(Conflict):
    """The patient has read this article: it cannot be taken back any more."""


async def browse(
    session: AsyncSession, actor: Actor, patient_id: UUID, page: Page, *, state: AssignmentState | None, at: datetime
) -> Paged[ArticleAssignmentSummary]:
    """List what a patient was given, newest first; patients do not see what was taken back. Raises NotFound."""
    patient = await access.patient(session, actor, Action.READ_RECORD, patient_id, at=at)
    query = select(ArticleAssignment).where(
        ArticleAssignment.clinic_id == actor.clinic_id, ArticleAssignment.patient_id == patient.id
    )
    if actor.role is Role.PATIENT:
        query = query.where(ArticleAssignment.withdrawn_at.is_(None))
    match state:
        case "waiting":
            query = query.where(ArticleAssignment.waiting())
        case "read":
            query = query.where(ArticleAssignment.read_at.is_not(None))
        case "withdrawn":
            query = query.where(ArticleAssignment.withdrawn_at.is_not(None))
        case None:
            pass
    kind = "article_assignment"
    await audit.record(session, actor, f"{kind}.list", subject=(kind, None), patient_id=patient.id, at=at)
    keys = (ArticleAssignment.assigned_at, ArticleAssignment.id)
    paged = await fetch(session, query, page, keys=keys, descending=True)
    return Paged([_summary(row) for row in paged.items], paged.next_cursor)


async def get(session: AsyncSession, actor: Actor, assignment_id: UUID, *, at: datetime) -> ArticleAssignmentRead:
    """Give one with its text; for a patient one that was taken back is not there. Raises NotFound."""
    row = await access.subject(session, actor, Action.READ_RECORD, ArticleAssignment, assignment_id, at=at)
    if actor.role is Role.PATIENT and row.withdrawn_at is not None:
        raise NotFound
    await _record(session, actor, "read", row, at)
    return _shown(actor, row)


async def create(
    session: AsyncSession, actor: Actor, patient_id: UUID, form: ArticleAssignmentCreate, *, at: datetime
) -> ArticleAssignmentRead:
    """Give a patient an approved article, in his language or the nearest.

    Raises NotFound, ArticleRefused, ArticleWaiting.
    """
    patient = await access.patient(session, actor, Action.ASSIGN_ARTICLES, patient_id, at=at)
    found = {row.language: row for row in await articles.variants(session, actor.clinic_id, [form.code])}
    article = _choose(found, form, await _language(session, patient))
    row = ArticleAssignment(
        **given(article, patient.id, AssignmentReason.THERAPIST, at),
        assigned_by_id=actor.therapist_id,
        note=form.note or "",
    )
    try:
        async with session.begin_nested():
            session.add(row)
            await session.flush()
    except IntegrityError as error:
        if violated(error) != WAITS_ONCE:
            raise
        raise ArticleWaiting(Problem("/code", "article_waiting", "It was given, and is not read yet.")) from error
    await _record(session, actor, "create", row, at)
    return _shown(actor, row)


async def acknowledge(
    session: AsyncSession, actor: Actor, assignment_id: UUID, form: ArticleReading, *, at: datetime
) -> ArticleAssignmentRead:
    """Keep that the patient has read an article, and his answer; the first time and the first answer stand.

    Raises NotFound, ArticleWithdrawn, ArticleRefused.
    """
    row = await access.subject(
        session, actor, Action.ACKNOWLEDGE_ARTICLES, ArticleAssignment, assignment_id, at=at, lock=True
    )
    if row.withdrawn_at is not None:
        raise ArticleWithdrawn
    asked = row.article["check_question"]
    problems = []
    if form.answer is not None and asked is None:
        problems.append(Problem("/answer", "question_missing", "This article asks nothing."))
    elif form.answer is not None and form.answer >= len(asked["options"]):
        problems.append(Problem("/answer", "answer_unknown", "This is none of the options."))
    if form.read_at is not None and not row.assigned_at - SKEW <= form.read_at <= at + SKEW:
        problems.append(Problem("/read_at", "out_of_range", "It was read after it was given, and before now."))
    if problems:
        raise ArticleRefused(*problems)
    if row.read_at is None:
        row.read_at = min(form.read_at or at, at)
    if form.answer is not None and row.answer is None:
        row.answer, row.correct, row.answered_at = form.answer, form.answer == asked["answer"], at
    await session.flush()
    await _record(session, actor, "acknowledge", row, at)
    return _shown(actor, row)


async def withdraw(
    session: AsyncSession, actor: Actor, assignment_id: UUID, *, expected: int, at: datetime
) -> ArticleAssignmentRead:
    """Take back an article that still waits. Raises NotFound, ArticleWasRead, Stale."""
    row = await access.subject(
        session, actor, Action.ASSIGN_ARTICLES, ArticleAssignment, assignment_id, at=at, lock=True
    )
    if row.read_at is not None:
        raise ArticleWasRead
    if row.version != expected:
        raise Stale(row.version)
    if row.withdrawn_at is None:
        row.withdrawn_at, row.withdrawn_reason = at, WithdrawnReason.BY_THERAPIST
    await session.flush()
    await _record(session, actor, "withdraw", row, at)
    return _shown(actor, row)


def given(article: Article, patient_id: UUID, reason: AssignmentReason, at: datetime) -> dict[str, Any]:
    """Make the columns of an assignment that come from the article and the moment."""
    return {
        "clinic_id": article.clinic_id,
        "patient_id": patient_id,
        "article_id": article.id,
        "article_version": article.version,
        "code": article.code,
        "language": article.language,
        "article": {name: getattr(article, name) for name in GIVEN},
        "reason": reason,
        "assigned_at": at,
    }


def _choose(found: dict[str, Article], form: ArticleAssignmentCreate, spoken: str) -> Article:
    """Choose among the languages of an article. Raises ArticleRefused when none of them may be given."""
    approved = {language: row for language, row in found.items() if row.status is ArticleStatus.APPROVED}
    if not found:
        raise ArticleRefused(Problem("/code", "article_unknown", "There is no article of this code."))
    if not approved:
        retired = all(row.status is ArticleStatus.RETIRED for row in found.values())
        code = "article_retired" if retired else "article_not_approved"
        raise ArticleRefused(Problem("/code", code, "No therapist has approved this article for patients."))
    if form.language is not None and form.language not in approved:
        raise ArticleRefused(Problem("/language", "language_missing", "It is not approved in this language."))
    return approved[form.language or best_language(spoken, approved)]


async def _language(session: AsyncSession, patient: Patient) -> str:
    """Give the language that the patient wants to read."""
    chosen = select(NotificationPreference.language).where(
        NotificationPreference.clinic_id == patient.clinic_id, NotificationPreference.account_id == patient.account_id
    )
    return await session.scalar(select(func.coalesce(chosen.scalar_subquery(), patient.language))) or patient.language


async def _record(session: AsyncSession, actor: Actor, verb: str, row: ArticleAssignment, at: datetime) -> None:
    subject = ("article_assignment", row.id)
    await audit.record(session, actor, f"article_assignment.{verb}", subject=subject, patient_id=row.patient_id, at=at)


_OWN = frozenset(ArticleAssignmentSummary.model_fields) - {"title", "topic"}


def _told(row: ArticleAssignment) -> dict[str, Any]:
    own = {name: getattr(row, name) for name in _OWN}
    return {**own, "title": row.article["title"], "topic": row.article["topic"]}


def _summary(row: ArticleAssignment) -> ArticleAssignmentSummary:
    return ArticleAssignmentSummary.model_validate(_told(row))


def _shown(actor: Actor, row: ArticleAssignment) -> ArticleAssignmentRead:
    told = actor.role is not Role.PATIENT or row.answer is not None
    question = articles.question(row.article["check_question"], told=told)
    return ArticleAssignmentRead.model_validate({**_told(row), "article": {**row.article, "check_question": question}})
