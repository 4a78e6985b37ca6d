"""Articles for patients over HTTP: the clinic's shelf, and what a patient is given to read."""

from dataclasses import replace
from typing import Annotated
from uuid import UUID

from fastapi import Body, Depends, Query, Response

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.negotiation import AcceptLanguage, told_in
from api.pages import Page
from api.routes import Router
from models.articles import Article, ArticleStatus
from models.identity import Role
from schemas.articles import (
    ArticleApprovals,
    ArticleAssignmentCreate,
    ArticleAssignmentRead,
    ArticleAssignmentSummary,
    ArticleCreate,
    ArticleFilter,
    ArticleRead,
    ArticleReading,
    ArticlesApproved,
    ArticleSummary,
    ArticleUpdate,
    AssignmentState,
)
from schemas.base import Line, Listing
from schemas.exercises import Code
from schemas.pages import Paged
from schemas.patients import Language
from services import article_assignments, articles

router = Router("/v1", tags=["education"])

READ = ArticleReading()
"""Read just now, and nothing answered: what is meant without a body."""


async def _wanted(
    actor: Caller,
    accepted: AcceptLanguage,
    topic: Code | None = None,
    language: Annotated[
        Language | None,
        Query(
            description="Each article once, in this language or the nearest there is; else a patient's `Accept-Language`"
            " decides, and staff see all languages"
        ),
    ] = None,
    q: Annotated[Annotated[str, Line(80)] | None, Query(description="Words of title and text")] = None,
    status: Annotated[ArticleStatus | None, Query(description="Patients are shown approved ones only")] = None,
) -> ArticleFilter:
    # Whoever looks after the articles must not miss a translation because his browser speaks another language.
    heard = accepted if actor.role is Role.PATIENT else ()
    languages = heard if language is None else (language,)
    return ArticleFilter(topic=topic, languages=languages, q=q, status=status)


@router.get("/articles", response_model=Listing[ArticleSummary])
async def list_articles(
    session: Session,
    actor: Caller,
    page: Page,
    wanted: Annotated[ArticleFilter, Depends(_wanted)],
    response: Response,
) -> Paged[Article]:
    """Browse the articles by title, without their text."""
    page = replace(page, scope=f"{page.scope} {wanted.languages}")  # which articles there are hangs on the header, too
    paged = await articles.browse(session, actor, wanted, page)
    told_in(response, (one.language for one in paged.items))
    return paged


@router.post("/articles", status_code=201)
async def create_article(
    session: Session, actor: Caller, form: ArticleCreate, now: Now, response: Response
) -> ArticleRead:
    """Write an article of the clinic; it is a draft until a therapist approves it."""
    article = await articles.create(session, actor, form, at=now)
    created(response, f"/v1/articles/{article.id}", article.version)
    return article


@router.post("/article-approvals")
async def approve_articles(session: Session, actor: Caller, form: ArticleApprovals, now: Now) -> ArticlesApproved:
    """Approve several articles that you have read: all of them, or none."""
    return await articles.approve_many(session, actor, form, at=now)


@router.get("/articles/{article_id}")
async def get_article(session: Session, actor: Caller, article_id: UUID, response: Response) -> ArticleRead:
    """Read one article."""
    article = await articles.get(session, actor, article_id)
    etag(response, article.version, article)
    return article


@router.patch("/articles/{article_id}")
async def update_article(
    session: Session,
    actor: Caller,
    article_id: UUID,
    form: ArticleUpdate,
    expected: IfMatch,
    now: Now,
    response: Response,
) -> ArticleRead:
    """Change an article of the clinic: what was approved is a draft again, and who was given it keeps the old text."""
    article = await articles.update(session, actor, article_id, form, expected=expected, at=now)
    etag(response, article.version)
    return article


@router.post("/articles/{article_id}/approve")
async def approve_article(
    session: Session, actor: Caller, article_id: UUID, expected: IfMatch, now: Now, response: Response
) -> ArticleRead:
    """Let patients have an article, as you have read it; also one that was retired."""
    article = await articles.approve(session, actor, article_id, expected=expected, at=now)
    etag(response, article.version)
    return article


@router.post("/articles/{article_id}/retire")
async def retire_article(
    session: Session, actor: Caller, article_id: UUID, expected: IfMatch, now: Now, response: Response
) -> ArticleRead:
    """Take an article out of use, and back from every patient who has not read it yet."""
    article = await articles.retire(session, actor, article_id, expected=expected, at=now)
    etag(response, article.version)
    return article


# ------------------------------------------------------------------ what a patient is given


@router.get("/patients/{patient_id}/article-assignments", response_model=Listing[ArticleAssignmentSummary])
async def list_article_assignments(
    session: Session,
    actor: Caller,
    patient_id: UUID,
    page: Page,
    now: Now,
    state: Annotated[
        AssignmentState | None, Query(description="Only those that wait, were read, or taken back")
    ] = None,
) -> Paged[ArticleAssignmentSummary]:
    """List the articles that a patient was given, newest first."""
    return await article_assignments.browse(session, actor, patient_id, page, state=state, at=now)


@router.post("/patients/{patient_id}/article-assignments", status_code=201)
async def create_article_assignment(
    session: Session, actor: Caller, patient_id: UUID, form: ArticleAssignmentCreate, now: Now, response: Response
) -> ArticleAssignmentRead:
    """Give a patient an approved article to read, in his language or the nearest there is."""
    assignment = await article_assignments.create(session, actor, patient_id, form, at=now)
    created(response, f"/v1/article-assignments/{assignment.id}", assignment.version)
    return assignment


@router.get("/article-assignments/{assignment_id}")
async def get_article_assignment(
    session: Session, actor: Caller, assignment_id: UUID, now: Now, response: Response
) -> ArticleAssignmentRead:
    """Read an article that was given, as it was approved then."""
    assignment = await article_assignments.get(session, actor, assignment_id, at=now)
    etag(response, assignment.version, assignment)
    return assignment


@router.post("/article-assignments/{assignment_id}/read")
async def read_article(
    session: Session,
    actor: Caller,
    assignment_id: UUID,
    now: Now,
    response: Response,
    form: Annotated[ArticleReading, Body()] = READ,
) -> ArticleAssignmentRead:
    """Say that you have read it, and answer its question; the first time and the first answer stand."""
    assignment = await article_assignments.acknowledge(session, actor, assignment_id, form, at=now)
    etag(response, assignment.version)
    return assignment


@router.post("/article-assignments/{assignment_id}/withdraw")
async def withdraw_article_assignment(
    session: Session, actor: Caller, assignment_id: UUID, expected: IfMatch, now: Now, response: Response
) -> ArticleAssignmentRead:
    """Take back an article that the patient has not read yet."""
    assignment = await article_assignments.withdraw(session, actor, assignment_id, expected=expected, at=now)
    etag(response, assignment.version)
    return assignment
