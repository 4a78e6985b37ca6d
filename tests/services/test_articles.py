"""Articles: who may write, approve and read them, who is given which, and what the patient says of them."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, cast

import pytest
from pydantic import ValidationError
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Sessions
from core.errors import Forbidden, NotFound, Stale
from models.articles import Article, ArticleAssignment, ArticleStatus, WithdrawnReason
from models.audit import AuditEvent
from models.patients import Patient
from schemas.articles import (
    EXAMPLE,
    ArticleApprovals,
    ArticleAssignmentCreate,
    ArticleAssignmentRead,
    ArticleCreate,
    ArticleFilter,
    ArticleRead,
    ArticleReading,
    ArticleUpdate,
)
from schemas.flares import FlareClose, FlareCreate
from schemas.pages import Page
from services import article_assignments, articles, education, flares, jobs, today
from services.access import Actor
from services.article_assignments import ArticleWaiting, ArticleWasRead, ArticleWithdrawn
from services.articles import ArticleCodeTaken, ArticleRefused, ArticleRetired, ShippedArticle
from tests.factories import NOW, TOKENS, make_patient
from tests.services.caring import DAY, Care, care, pointers
from tests.services.histories import check_in

HOUR = timedelta(hours=1)


@pytest.fixture
async def ward(sessions: Sessions) -> Care:
    return await care(sessions)


@pytest.fixture
async def here(session: AsyncSession, ward: Care) -> AsyncSession:
    await ward.open(session)
    return session


async def write(session: AsyncSession, ward: Care, **changes: Any) -> ArticleRead:
    return await articles.create(session, ward.bob, ArticleCreate.model_validate(EXAMPLE | changes), at=NOW)


async def approved(session: AsyncSession, ward: Care, **changes: Any) -> ArticleRead:
    row = await write(session, ward, **changes)
    return await articles.approve(session, ward.bob, row.id, expected=row.version, at=NOW)


async def approve_all(session: AsyncSession, ward: Care) -> None:
    page = await articles.browse(session, ward.bob, ArticleFilter(status=ArticleStatus.DRAFT), Page(limit=200))
    form = ArticleApprovals.model_validate(
        {"approvals": [{"article_id": row.id, "version": row.version} for row in page.items]}
    )
    assert len((await articles.approve_many(session, ward.bob, form, at=NOW)).items) == len(page.items)


async def assign(
    session: AsyncSession, ward: Care, code: str = "sitting_breaks", **changes: Any
) -> ArticleAssignmentRead:
    form = ArticleAssignmentCreate.model_validate({"code": code} | changes)
    return await article_assignments.create(session, ward.bob, ward.world.alice.id, form, at=NOW)


async def read(
    session: AsyncSession, ward: Care, row: ArticleAssignmentRead, *, at: Any = NOW, **said: Any
) -> ArticleAssignmentRead:
    form = ArticleReading.model_validate(said)
    return await article_assignments.acknowledge(session, ward.alice, row.id, form, at=at)


async def titles(session: AsyncSession, actor: Actor, **wanted: Any) -> Sequence[str]:
    page = await articles.browse(session, actor, ArticleFilter.model_validate(wanted), Page(limit=200))
    return [row.title for row in page.items]


# ------------------------------------------------------------------ the shelf


async def test_only_what_a_therapist_approved_reaches_patients(here: AsyncSession, ward: Care) -> None:
    row = await write(here, ward)
    assert await titles(here, ward.alice) == []
    with pytest.raises(NotFound):
        await articles.get(here, ward.alice, row.id)
    for actor in (ward.alice, ward.world.actors["dana"]):
        with pytest.raises(Forbidden):
            await articles.approve(here, actor, row.id, expected=row.version, at=NOW)
    with pytest.raises(Stale):
        await articles.approve(here, ward.bob, row.id, expected=row.version + 1, at=NOW)
    done = await articles.approve(here, ward.bob, row.id, expected=row.version, at=NOW)
    assert (done.status, done.approved_at, done.approved_by_id) == ("approved", NOW, ward.world.bob.id)
    assert await titles(here, ward.alice) == [EXAMPLE["title"]]
    shown = (await articles.get(here, ward.alice, row.id)).check_question
    assert shown is not None
    assert (shown.answer, shown.explanation) == (None, None)
    again = await articles.approve(here, ward.world.actors["carol"], row.id, expected=done.version, at=NOW + HOUR)
    assert again == await articles.get(here, ward.bob, row.id) == done


async def test_a_change_makes_a_draft_of_it_and_whoever_has_it_keeps_the_text(here: AsyncSession, ward: Care) -> None:
    row = await approved(here, ward)
    given = await assign(here, ward)
    form = ArticleUpdate.model_validate({"title": "Better", "check_question": None})
    changed = await articles.update(here, ward.bob, row.id, form, expected=row.version, at=NOW)
    assert (changed.title, changed.check_question) == ("Better", None)
    assert (changed.status, changed.approved_at, changed.approved_by_id) == ("draft", None, None)
    kept = (await article_assignments.get(here, ward.alice, given.id, at=NOW)).article
    assert (kept.title, kept.sources) == (EXAMPLE["title"], EXAMPLE["sources"])
    with pytest.raises(Stale):
        await articles.update(here, ward.bob, row.id, form, expected=row.version, at=NOW)
    again = await articles.approve(here, ward.bob, row.id, expected=changed.version, at=NOW)
    same = ArticleUpdate(title="Better")
    untouched = await articles.update(here, ward.bob, row.id, same, expected=again.version, at=NOW)
    assert (untouched.status, untouched.version) == ("approved", again.version)


async def test_what_is_refused_says_where_and_writes_nothing(here: AsyncSession, ward: Care) -> None:
    for sources in ([], [" "]):
        with pytest.raises(ValidationError, match="sources"):
            await write(here, ward, sources=sources)
    asked = EXAMPLE["check_question"] | {"options": ["Same", "Same"], "answer": 2}
    with pytest.raises(ArticleRefused) as refused:
        await write(here, ward, check_question=asked)
    assert pointers(refused.value.problems) == {
        "/check_question/answer": "answer_unknown",
        "/check_question/options": "option_repeated",
    }
    await write(here, ward)
    with pytest.raises(ArticleCodeTaken):
        await write(here, ward)
    await write(here, ward, language="de")
    assert await here.scalar(select(func.count()).where(Article.code == "sitting_breaks")) == 2


async def test_a_shipped_text_cannot_be_changed_but_approved_retired_and_translated(
    here: AsyncSession, ward: Care
) -> None:
    shipped = (await here.scalars(select(Article).where(Article.code == "ed_sleep"))).one()
    with pytest.raises(ShippedArticle):
        await articles.update(here, ward.bob, shipped.id, ArticleUpdate(title="Ours"), expected=1, at=NOW)
    await write(here, ward, code="ed_sleep", language="de", title="Schlaf und Schmerz")
    retired = await articles.retire(here, ward.bob, shipped.id, expected=1, at=NOW)
    assert (retired.status, retired.retired_at) == ("retired", NOW)
    back = await articles.approve(here, ward.bob, shipped.id, expected=retired.version, at=NOW)
    assert (back.status, back.retired_at) == ("approved", None)


async def test_all_are_approved_at_once_or_none(here: AsyncSession, ward: Care) -> None:
    rows = (await here.scalars(select(Article).order_by(Article.code).limit(2))).all()
    wrong = [{"article_id": rows[0].id, "version": 1}, {"article_id": rows[1].id, "version": 2}]
    wrong.append({"article_id": ward.clinic_id, "version": 1})
    with pytest.raises(ArticleRefused) as refused:
        await articles.approve_many(here, ward.bob, ArticleApprovals.model_validate({"approvals": wrong}), at=NOW)
    assert pointers(refused.value.problems) == {
        "/approvals/1/version": "version_stale",
        "/approvals/2/article_id": "article_unknown",
    }
    assert await titles(here, ward.alice) == []
    await approve_all(here, ward)
    assert len(await titles(here, ward.alice)) == 15


async def test_articles_are_found_by_topic_words_and_the_nearest_language(here: AsyncSession, ward: Care) -> None:
    await approve_all(here, ward)
    await approved(here, ward, code="ed_sleep", language="de", title="Schlaf und Schmerz", topic="sleep")
    await write(here, ward, code="ed_sleep", language="de-AT", title="Schlafen in Graz", topic="sleep")
    english = "Sleep and pain feed each other"
    assert await titles(here, ward.alice, topic="sleep") == ["Schlaf und Schmerz", english]
    for wanted, shown in (
        (["de-AT"], "Schlaf und Schmerz"),
        (["fr", "de-CH", "en"], "Schlaf und Schmerz"),
        (["en", "de"], english),
        (["fr"], english),
    ):
        assert await titles(here, ward.alice, topic="sleep", languages=wanted) == [shown]
        assert len(await titles(here, ward.alice, languages=wanted)) == 15
    assert await titles(here, ward.bob, topic="sleep", languages=["de-AT"]) == ["Schlafen in Graz"]
    assert await titles(here, ward.alice, q="STICK handrail%") == []
    assert await titles(here, ward.alice, q="film HANDRAIL") == ["Pacing, and celebrating small victories"]
    assert await titles(here, ward.alice, status="draft") == []


# ------------------------------------------------------------------ given and read


async def test_a_patient_reads_once_and_the_first_answer_stands(here: AsyncSession, ward: Care) -> None:
    await approved(here, ward)
    given = await assign(here, ward, note="For your desk")
    day = await today.get(here, ward.alice, at=NOW)
    assert [(one.assignment_id, one.title, one.note) for one in day.articles] == [
        (given.id, EXAMPLE["title"], "For your desk")
    ]
    for said, where in (
        ({"answer": 4}, {"/answer": "answer_unknown"}),
        ({"read_at": NOW + DAY}, {"/read_at": "out_of_range"}),
        ({"read_at": NOW - DAY}, {"/read_at": "out_of_range"}),
    ):
        with pytest.raises(ArticleRefused) as refused:
            await read(here, ward, given, **said)
        assert pointers(refused.value.problems) == where
    first = await read(here, ward, given, at=NOW + 2 * HOUR, read_at=NOW + HOUR)
    assert first.article.check_question is not None
    assert (first.read_at, first.answer, first.article.check_question.answer) == (NOW + HOUR, None, None)
    wrong = await read(here, ward, given, at=NOW + DAY, answer=0)
    assert (wrong.read_at, wrong.answer, wrong.correct, wrong.answered_at) == (NOW + HOUR, 0, False, NOW + DAY)
    assert wrong.article.check_question is not None
    assert (wrong.article.check_question.answer, bool(wrong.article.check_question.explanation)) == (1, True)
    assert await read(here, ward, given, at=NOW + 2 * DAY, answer=1) == wrong
    assert (await today.get(here, ward.alice, at=NOW)).articles == []
    with pytest.raises(ArticleWasRead):
        await article_assignments.withdraw(here, ward.bob, given.id, expected=wrong.version, at=NOW)


async def test_what_was_taken_back_is_gone_for_the_patient_and_on_record(here: AsyncSession, ward: Care) -> None:
    article = await approved(here, ward)
    first = await assign(here, ward)
    with pytest.raises(ArticleWaiting):
        await assign(here, ward)
    with pytest.raises(Stale):
        await article_assignments.withdraw(here, ward.bob, first.id, expected=7, at=NOW)
    await article_assignments.withdraw(here, ward.bob, first.id, expected=first.version, at=NOW)
    with pytest.raises(ArticleWithdrawn):
        await read(here, ward, first)
    with pytest.raises(NotFound):
        await article_assignments.get(here, ward.alice, first.id, at=NOW)
    second = await assign(here, ward)
    await articles.retire(here, ward.bob, article.id, expected=article.version, at=NOW)
    with pytest.raises(ArticleWithdrawn):
        await read(here, ward, second)
    alice = ward.world.alice.id
    taken = await article_assignments.browse(here, ward.bob, alice, Page(), state="withdrawn", at=NOW)
    assert {row.id: row.withdrawn_reason for row in taken.items} == {
        first.id: WithdrawnReason.BY_THERAPIST,
        second.id: WithdrawnReason.ARTICLE_RETIRED,
    }
    own = await article_assignments.browse(here, ward.alice, alice, Page(), state=None, at=NOW)
    assert list(own.items) == []
    done = select(AuditEvent.action).where(AuditEvent.resource_type == "article_assignment")
    kept = list(await here.scalars(done.where(AuditEvent.patient_id == alice)))
    assert kept.count("article_assignment.withdraw") == kept.count("article_assignment.create") == 2
    form = ArticleUpdate(title="Too late")
    with pytest.raises(ArticleRetired):
        await articles.update(here, ward.bob, article.id, form, expected=article.version + 1, at=NOW)


async def test_an_article_is_given_in_the_patients_language_and_only_if_approved(
    here: AsyncSession, ward: Care
) -> None:
    with pytest.raises(ArticleRefused) as refused:
        await assign(here, ward, "ed_nothing")
    assert pointers(refused.value.problems) == {"/code": "article_unknown"}
    with pytest.raises(ArticleRefused) as refused:
        await assign(here, ward, "ed_sleep")
    assert pointers(refused.value.problems) == {"/code": "article_not_approved"}
    await approve_all(here, ward)
    await approved(here, ward, code="ed_sleep", language="de", title="Schlaf", check_question=None)
    with pytest.raises(ArticleRefused) as refused:
        await assign(here, ward, "ed_sleep", language="fr")
    assert pointers(refused.value.problems) == {"/language": "language_missing"}
    await here.execute(update(Patient).where(Patient.id == ward.world.alice.id).values(language="de-AT"))
    given = await assign(here, ward, "ed_sleep")
    assert (given.language, given.title) == ("de", "Schlaf")
    with pytest.raises(ArticleRefused) as refused:
        await read(here, ward, given, answer=0)
    assert pointers(refused.value.problems) == {"/answer": "question_missing"}
    assert (await assign(here, ward, "ed_desk", language="en")).language == "en"
    with pytest.raises(NotFound):
        await article_assignments.get(here, ward.world.actors["carol"], given.id, at=NOW)


# ------------------------------------------------------------------ by the clock


async def review(session: AsyncSession, ward: Care, *, at: Any, dry_run: bool = False) -> int:
    count, rest = await education.review(session, ward.clinic_id, at=at, dry_run=dry_run)
    assert rest is None
    return count


async def test_articles_come_by_answers_and_by_phase_once_and_never_too_many(sessions: Sessions, ward: Care) -> None:
    await ward.running(at=NOW)
    for day in range(3):
        await check_in(ward, (NOW + day * DAY).date(), sleep_hours=4.5, flare=day == 2)
    at = NOW + 2 * DAY + 3 * HOUR
    async with sessions.begin() as session:
        await ward.open(session)
        assert await review(session, ward, at=at) == 0, "nothing is approved"
        await approve_all(session, ward)
        assert await review(session, ward, at=at, dry_run=True) == 2
        assert await review(session, ward, at=at) == 2
        assert await review(session, ward, at=at + 6 * HOUR) == 1, "three may wait for her"
        assert await review(session, ward, at=at + 12 * HOUR) == 0
        found = await session.scalars(select(ArticleAssignment).order_by(ArticleAssignment.id))
        rows = {row.code: row for row in found}
        assert [(row.code, row.reason, row.rule_id, row.inputs) for row in rows.values()] == [
            ("ed_flare_plan", "trigger", "ET01", {"days": 1, "latest": "2026-03-04"}),
            ("ed_sleep", "trigger", "ET03", {"days": 3, "latest": "2026-03-04"}),
            ("ed_traffic_light", "phase", "phase", {"phase": "mobility"}),
        ]
        for row in rows.values():
            await article_assignments.acknowledge(session, ward.alice, row.id, ArticleReading(), at=at + 12 * HOUR)
        assert await review(session, ward, at=at + 13 * HOUR) == 1, "the other one of the phase, and none again"
        assert await review(session, ward, at=at + 14 * HOUR) == 0
        assert await review(session, ward, at=at + 14 * DAY) == 2, "strength has begun"
        by_system = select(func.count()).where(
            AuditEvent.clinic_id == ward.clinic_id,
            AuditEvent.action == "article_assignment.create",
            AuditEvent.role == "system",
        )
        assert await session.scalar(by_system) == 6


async def test_a_flare_up_brings_its_article_however_it_was_reported(sessions: Sessions, ward: Care) -> None:
    async with sessions.begin() as session:
        await ward.open(session)
        await approve_all(session, ward)
        flare = await flares.create(session, ward.alice, ward.world.alice.id, FlareCreate(), at=NOW)
        assert await review(session, ward, at=NOW + 4 * DAY, dry_run=True) == 0, "three days later it is no news"
        assert await review(session, ward, at=NOW + DAY, dry_run=True) == 1
        form = FlareClose.model_validate({"reason": "mistake"})
        await flares.close(session, ward.bob, flare.id, form, version=flare.version, at=NOW + HOUR)
        assert await review(session, ward, at=NOW + DAY, dry_run=True) == 0


async def test_patients_are_looked_at_in_bunches_each_in_its_own_transaction(
    sessions: Sessions, ward: Care, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(education, "AT_ONCE", 1)
    await ward.running(at=NOW)
    async with sessions.begin() as session:
        await ward.open(session)
        await approve_all(session, ward)
        await make_patient(session, ward.clinic_id, "Not In Treatment")
    reach = jobs.Reach(sessions, sessions, cast("Any", None), "https://app.example", ward.clinic_id, key=TOKENS.key)
    assert (await jobs.run("education.assign", reach, at=NOW + HOUR, dry_run=True)).counts == {"assigned": 2}
    assert (await jobs.run("education.assign", reach, at=NOW + HOUR)).counts == {"assigned": 2}
    assert (await jobs.run("education.assign", reach, at=NOW + HOUR)).counts == {"assigned": 0}
