"""The shipped exercises and articles in a clinic: complete, safe to bring in again, never over somebody's own."""

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from models.articles import Article, ArticleStatus
from models.exercises import Exercise, ExerciseScope
from services import library
from tests.factories import NOW, make_clinic, make_therapist


async def test_a_clinic_gets_every_shipped_exercise(session: AsyncSession) -> None:
    clinic = await make_clinic(session)
    shipped = load().exercises
    assert await library.sync(session, clinic.id) == len(shipped) + len(load().articles)
    rows = {row.code: row for row in await session.scalars(select(Exercise))}
    assert rows.keys() == shipped.keys()
    for code, row in rows.items():
        assert (row.name, row.scope, row.owner_id) == (shipped[code].name, ExerciseScope.LIBRARY, None)
        assert row.instructions == list(shipped[code].instructions)


async def test_bringing_it_in_again_touches_nothing(session: AsyncSession) -> None:
    clinic = await make_clinic(session)
    await library.sync(session, clinic.id)
    assert await library.sync(session, clinic.id) == 0
    assert await session.scalar(select(func.max(Exercise.version))) == 1


async def test_what_changed_is_brought_up_to_date_and_counted(session: AsyncSession) -> None:
    clinic = await make_clinic(session)
    await library.sync(session, clinic.id)
    old = update(Exercise).where(Exercise.code == "hp_bridge").values(name="Old bridge", tags=["old"])
    await session.execute(old)
    assert await library.sync(session, clinic.id) == 1
    row = (await session.scalars(select(Exercise).where(Exercise.code == "hp_bridge"))).one()
    await session.refresh(row)
    assert (row.name, row.version) == (load().exercises["hp_bridge"].name, 2)


async def test_a_clinics_own_exercise_under_the_same_code_is_left_alone(session: AsyncSession) -> None:
    clinic = await make_clinic(session)
    await library.sync(session, clinic.id)
    own = update(Exercise).where(Exercise.code == "hp_bridge").values(scope=ExerciseScope.CLINIC, name="Our bridge")
    await session.execute(own)
    assert await library.sync(session, clinic.id) == 0
    assert await session.scalar(select(Exercise.name).where(Exercise.code == "hp_bridge")) == "Our bridge"


async def test_a_clinic_gets_every_shipped_article_and_has_approved_none(session: AsyncSession) -> None:
    clinic = await make_clinic(session)
    await library.sync(session, clinic.id)
    rows = {row.code: row for row in await session.scalars(select(Article))}
    assert rows.keys() == load().articles.keys()
    for code, row in rows.items():
        shipped = load().articles[code]
        assert (row.title, row.language, row.status, row.approved_at) == (
            shipped.title,
            "en",
            ArticleStatus.DRAFT,
            None,
        )
        assert (row.sources, row.check_question) == (list(shipped.sources), shipped.check.model_dump(mode="json"))


async def test_a_new_text_waits_for_approval_again_and_what_was_retired_stays_so(session: AsyncSession) -> None:
    clinic = await make_clinic(session)
    await library.sync(session, clinic.id)
    bob = await make_therapist(session, clinic.id)
    approved = {"approved_at": NOW, "approved_by_id": bob.id}
    await session.execute(update(Article).values(status=ArticleStatus.APPROVED, **approved))
    retired = {"status": ArticleStatus.RETIRED, "retired_at": NOW}
    await session.execute(update(Article).where(Article.code == "ed_desk").values(**retired))
    old = update(Article).where(Article.code.in_(["ed_sleep", "ed_desk"])).values(body="An old text.")
    await session.execute(old)
    assert await library.sync(session, clinic.id) == 2
    statuses = {
        row.code: row for row in await session.scalars(select(Article).execution_options(populate_existing=True))
    }
    assert (statuses["ed_sleep"].status, statuses["ed_sleep"].approved_at) == (ArticleStatus.DRAFT, None)
    assert statuses["ed_desk"].status is ArticleStatus.RETIRED
    assert statuses["ed_walking"].status is ArticleStatus.APPROVED
    assert statuses["ed_sleep"].version == statuses["ed_desk"].version == 2
