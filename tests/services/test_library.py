"""The shipped library in a clinic: complete, safe to bring in again, never over somebody's own."""

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from models.exercises import Exercise, ExerciseScope
from services import library
from tests.factories import make_clinic


async def test_a_clinic_gets_every_shipped_exercise(session: AsyncSession) -> None:
    clinic = await make_clinic(session)
    shipped = load().exercises
    assert await library.sync(session, clinic.id) == len(shipped)
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
