"""Articles for patients: browse them, write them, and let a clinician approve what patients may read."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, case, exists, func, select, tuple_
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from clinical.education import ENGLISH
from core.constraints import violated
from core.errors import Conflict, Invalid, NotFound, Problem, Stale
from models.articles import Article, ArticleAssignment, ArticleScope, ArticleStatus, WithdrawnReason
from models.identity import Role
from schemas.articles import (
    ArticleApprovals,
    ArticleCreate,
    ArticleFilter,
    ArticleRead,
    ArticlesApproved,
    ArticleSummary,
    ArticleUpdate,
)
from schemas.pages import Page, Paged, fetch
from services import audit
from services.access import Action, Actor, require

CODE_IS_UNIQUE = "uq_articles_code"
"""The index that lets a code stand once in a clinic for each language."""


class ArticleCodeTaken(Conflict):
    """There is an article of this code in this language already."""


class ArticleRefused(Invalid):
    """The article breaks a rule; see errors for each place."""


class ShippedArticle(Conflict):
    """The text of a shipped article cannot be changed: write one of your own."""


class ArticleRetired(Conflict):
    """This article is retired: approve it to use it again."""


async def browse(session: AsyncSession, actor: Actor, wanted: ArticleFilter, page: Page) -> Paged[Article]:
    """Articles by title; patients see approved ones only."""
    require(actor, Action.READ_ARTICLES)
    query = select(Article).where(_visible(actor, Article, wanted.status))
    if wanted.languages:
        other = aliased(Article)
        nearer = tuple_(_rank(wanted.languages, other), other.language) < tuple_(
            _rank(wanted.languages, Article), Article.language
        )
        query = query.where(~exists().where(_visible(actor, other, wanted.status), other.code == Article.code, nearer))
    if wanted.topic is not None:
        query = query.where(Article.topic == wanted.topic)
    if wanted.q is not None:
        said = func.lower(Article.title + " " + Article.body)
        query = query.where(*(said.contains(word, autoescape=True) for word in wanted.q.lower().split()[:8]))
    return await fetch(session, query, page, keys=(Article.title, Article.id))


async def get(session: AsyncSession, actor: Actor, article_id: UUID) -> ArticleRead:
    """One article; the right answer to its question is for staff. Raises NotFound."""
    require(actor, Action.READ_ARTICLES)
    return shown(actor, await _find(session, actor, article_id))


async def create(session: AsyncSession, actor: Actor, form: ArticleCreate, *, at: datetime) -> ArticleRead:
    """Write an article of the clinic, as a draft. Raises ArticleRefused, ArticleCodeTaken."""
    require(actor, Action.WRITE_ARTICLES)
    _check(form)
    content = {name: value for name, value in form.model_dump(mode="json").items() if value is not None}
    row = Article(clinic_id=actor.clinic_id, scope=ArticleScope.CLINIC, status=ArticleStatus.DRAFT, **content)
    try:
        async with session.begin_nested():
            session.add(row)
            await session.flush()
    except IntegrityError as error:
        if violated(error) != CODE_IS_UNIQUE:
            raise
        raise ArticleCodeTaken(Problem("/code", "code_taken", "This code is in use for this language.")) from error
    await audit.record(session, actor, "article.create", subject=("article", row.id), at=at)
    return shown(actor, row)


async def update(
    session: AsyncSession, actor: Actor, article_id: UUID, form: ArticleUpdate, *, expected: int, at: datetime
) -> ArticleRead:
    """Change an article of the clinic; if it was approved, this text is not.

    Whoever was given it before keeps the text of then. Raises NotFound, ShippedArticle, ArticleRetired, Stale,
    ArticleRefused.
    """
    require(actor, Action.WRITE_ARTICLES)
    row = await _find(session, actor, article_id, lock=True)
    if row.scope is ArticleScope.LIBRARY:
        raise ShippedArticle
    if row.status is ArticleStatus.RETIRED:
        raise ArticleRetired
    if row.version != expected:
        raise Stale(row.version)
    _check(form)
    given = form.model_dump(mode="json", exclude_unset=True)
    changes = {name: value for name, value in given.items() if getattr(row, name) != value}
    for name, value in changes.items():
        setattr(row, name, value)
    if changes:
        row.status, row.approved_at, row.approved_by_id = ArticleStatus.DRAFT, None, None
    await session.flush()
    await audit.record(session, actor, "article.update", subject=("article", row.id), at=at)
    return shown(actor, row)


async def approve(session: AsyncSession, actor: Actor, article_id: UUID, *, expected: int, at: datetime) -> ArticleRead:
    """Let patients have an article, in the version that the therapist has read. Raises NotFound, Stale."""
    require(actor, Action.APPROVE_ARTICLES)
    row = await _find(session, actor, article_id, lock=True)
    if row.version != expected:
        raise Stale(row.version)
    _approve(actor, row, at)
    await session.flush()
    await audit.record(session, actor, "article.approve", subject=("article", row.id), at=at)
    return shown(actor, row)


async def approve_many(
    session: AsyncSession, actor: Actor, form: ArticleApprovals, *, at: datetime
) -> ArticlesApproved:
    """Approve several articles, all or none, each in the version that was read. Raises ArticleRefused."""
    require(actor, Action.APPROVE_ARTICLES)
    wanted = select(Article).where(
        Article.clinic_id == actor.clinic_id, Article.id.in_({each.article_id for each in form.approvals})
    )
    found = await session.scalars(wanted.order_by(Article.id).with_for_update())
    rows = {row.id: row for row in found}
    problems = []
    for place, each in enumerate(form.approvals):
        row = rows.get(each.article_id)
        pointer = f"/approvals/{place}"
        if row is None:
            problems.append(Problem(f"{pointer}/article_id", "article_unknown", "There is no such article."))
        elif row.version != each.version:
            problems.append(Problem(f"{pointer}/version", "version_stale", "Somebody changed it: read it again."))
    if problems:
        raise ArticleRefused(*problems)
    for row in rows.values():
        _approve(actor, row, at)
    await session.flush()
    for row in rows.values():
        await audit.record(session, actor, "article.approve", subject=("article", row.id), at=at)
    return ArticlesApproved(items=[ArticleSummary.model_validate(rows[each.article_id]) for each in form.approvals])


async def retire(session: AsyncSession, actor: Actor, article_id: UUID, *, expected: int, at: datetime) -> ArticleRead:
    """Take an article out of use, and back from every patient for whom it still waits. Raises NotFound, Stale."""
    require(actor, Action.APPROVE_ARTICLES)
    row = await _find(session, actor, article_id, lock=True)
    if row.version != expected:
        raise Stale(row.version)
    if row.status is not ArticleStatus.RETIRED:
        row.status, row.retired_at = ArticleStatus.RETIRED, at
        await session.flush()
    waiting = select(ArticleAssignment).where(
        ArticleAssignment.clinic_id == actor.clinic_id,
        ArticleAssignment.article_id == row.id,
        ArticleAssignment.waiting(),
    )
    taken = list(await session.scalars(waiting.order_by(ArticleAssignment.id).with_for_update()))
    for each in taken:
        each.withdrawn_at, each.withdrawn_reason = at, WithdrawnReason.ARTICLE_RETIRED
    await session.flush()
    await audit.record(session, actor, "article.retire", subject=("article", row.id), at=at)
    pairs = [(each.id, each.patient_id) for each in taken]
    kind = "article_assignment"
    await audit.record_many(session, actor.clinic_id, actor, f"{kind}.withdraw", kind, pairs, at=at)
    return shown(actor, row)


async def variants(session: AsyncSession, clinic_id: UUID, codes: Sequence[str] | None = None) -> list[Article]:
    """Give every language of these articles, whatever its status; without codes all that are approved.

    Until the transaction ends none of them changes: else one could be given while it is retired.
    """
    query = select(Article).where(Article.clinic_id == clinic_id)
    query = query.where(Article.status == ArticleStatus.APPROVED if codes is None else Article.code.in_(codes))
    return list(await session.scalars(query.order_by(Article.id).with_for_update(read=True)))


def shown(actor: Actor, row: Article) -> ArticleRead:
    """Shape an article for the caller."""
    content: dict[str, Any] = {name: getattr(row, name) for name in ArticleRead.model_fields}
    content["check_question"] = question(row.check_question, told=actor.role is not Role.PATIENT)
    return ArticleRead.model_validate(content)


def question(asked: dict[str, Any] | None, *, told: bool) -> dict[str, Any] | None:
    """Give the check question, with the right answer only to whom it is told."""
    return asked if asked is None or told else asked | {"answer": None, "explanation": None}


async def _find(session: AsyncSession, actor: Actor, article_id: UUID, *, lock: bool = False) -> Article:
    query = select(Article).where(_visible(actor, Article, None), Article.id == article_id)
    row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound
    return row


def _visible(actor: Actor, article: type[Article], status: ArticleStatus | None) -> ColumnElement[bool]:
    """Say which articles the caller may see, and of those only the ones in this status."""
    allowed = [ArticleStatus.APPROVED] if actor.role is Role.PATIENT else list(ArticleStatus)
    wanted = [each for each in allowed if status in {None, each}]
    return and_(article.clinic_id == actor.clinic_id, article.status.in_(wanted))


def _rank(wanted: Sequence[str], article: type[Article]) -> ColumnElement[int]:
    """Say in SQL what `clinical.education.language_rank` says."""
    order: list[ColumnElement[bool]] = []
    for one in wanted:
        base = one.partition("-")[0]
        spoken = func.split_part(article.language, "-", 1)
        order += [article.language == one, article.language == base, spoken == base]
    order.append(article.language == ENGLISH)
    return case(*((holds, place) for place, holds in enumerate(order)), else_=len(order))


def _approve(actor: Actor, row: Article, at: datetime) -> None:
    """Approve what is not approved; who approved it first stays on record."""
    if row.status is not ArticleStatus.APPROVED:
        row.status, row.retired_at = ArticleStatus.APPROVED, None
        row.approved_at, row.approved_by_id = at, actor.therapist_id


def _check(form: ArticleCreate | ArticleUpdate) -> None:
    asked = form.check_question
    if asked is None:
        return
    problems = []
    if asked.answer >= len(asked.options):
        problems.append(Problem("/check_question/answer", "answer_unknown", "This is none of the options."))
    if len(set(asked.options)) < len(asked.options):
        problems.append(Problem("/check_question/options", "option_repeated", "Each option stands once."))
    if problems:
        raise ArticleRefused(*problems)
