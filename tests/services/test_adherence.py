"""Too few sessions over two weeks: who is alerted about, and at what cost."""

from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import event, select

from core.database import Sessions, driver
from models.alerts import Alert
from services import adherence
from tests.factories import NOW
from tests.services.caring import DAY, Care, care
from tests.services.histories import exercised

LATER = NOW + 15 * DAY


async def review(here: Care, *, at: datetime = LATER, dry_run: bool = False) -> int:
    async with here.sessions.begin() as session:
        await here.open(session)
        return await adherence.review(session, here.clinic_id, at=at, dry_run=dry_run)


async def alerts(here: Care) -> list[tuple[str, Any]]:
    async with here.sessions() as session:
        await here.open(session)
        rows = await session.scalars(select(Alert).where(Alert.clinic_id == here.clinic_id))
        return [(row.rule_id, row.inputs) for row in rows]


@pytest.fixture
async def alices(sessions: Sessions) -> Care:
    return await care(sessions)


COPY = """
WITH p AS (
  INSERT INTO patients (clinic_id, record_number, given_name, family_name, birth_date, zone)
  SELECT clinic_id, 'copy ' || $2, given_name, family_name, birth_date, $3 FROM patients WHERE id = $1
  RETURNING clinic_id, id
), e AS (
  INSERT INTO episodes (clinic_id, patient_id, title, body_region, started_on, status)
  SELECT clinic_id, id, 'Low back pain', 'low_back', '2026-03-01', 'active' FROM p RETURNING id
), g AS (
  INSERT INTO programs (clinic_id, patient_id, episode_id, title, status, activated_at)
  SELECT p.clinic_id, p.id, e.id, 'Copy', 'active', '2026-03-02' FROM p, e RETURNING clinic_id, id, patient_id
), v AS (
  INSERT INTO program_versions (clinic_id, program_id, patient_id, author_id, number, reason, starts_on, in_force,
                                pain_ceiling)
  SELECT g.clinic_id, g.id, g.patient_id, o.author_id, 1, o.reason, o.starts_on, o.in_force, o.pain_ceiling
  FROM g, program_versions o WHERE o.patient_id = $1 RETURNING clinic_id, id
), h AS (
  INSERT INTO program_phases (clinic_id, version_id, position, name, kind)
  SELECT clinic_id, id, 1, 'Only', 'mobility' FROM v RETURNING clinic_id, id, version_id
)
INSERT INTO program_items (clinic_id, version_id, phase_id, exercise_id, exercise_code, exercise, position, sets,
                           reps, sessions_per_day, weekdays, pain_ceiling)
SELECT h.clinic_id, h.version_id, h.id, i.exercise_id, i.exercise_code, i.exercise, 1, 1, 10, 1, '{1,2,3,4,5,6,7}', 5
FROM h, (SELECT i.* FROM program_items i JOIN program_versions o ON o.id = i.version_id WHERE o.patient_id = $1 LIMIT 1) i
"""


async def copies(here: Care, count: int) -> None:
    """Give as many more patients a program like alice's, in three zones."""
    zones = ("Europe/Berlin", "America/New_York", "Pacific/Auckland")
    async with here.sessions.begin() as session:
        await here.open(session)
        connection = await driver(session)
        for number in range(count):
            await connection.execute(COPY, here.world.alice.id, str(number), zones[number % 3])


async def test_who_did_enough_is_left_alone_and_who_did_not_is_alerted_about_once(alices: Care) -> None:
    program = await alices.running()
    for day in range(15):
        for slot in (1, 2):
            await exercised(alices, program, (NOW + day * DAY).date(), slot=slot)
    await copies(alices, 2)
    assert await review(alices, dry_run=True) == 2
    assert await alerts(alices) == []
    assert await review(alices) == 2
    assert [rule for rule, _ in await alerts(alices)] == ["ES10", "ES10"]
    assert await review(alices) == 0


async def test_only_the_last_fourteen_full_days_on_the_patients_calendar_count(alices: Care) -> None:
    await alices.running()
    assert await review(alices) == 1
    ((_, inputs),) = await alerts(alices)
    # 3 to 16 March: two sessions on each of nine weekdays; the third week is another phase, with nothing on Mondays
    assert inputs == {"scheduled": 18, "completed": 0}


async def test_a_review_asks_as_much_for_many_patients_as_for_one(
    alices: Care, sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    await alices.running()
    sent: list[str] = []

    def by_driver(query: Any) -> None:
        sent.append(query.query)

    def by_sqlalchemy(_connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
        sent.append(sql)

    async def statements() -> tuple[int, int]:
        """Give how many alerts there would be, and how many statements that took."""
        async with alices.sessions.begin() as session:
            await alices.open(session)
            connection = await driver(session)
            sent.clear()
            connection.add_query_logger(by_driver)
            found = await adherence.review(session, alices.clinic_id, at=LATER, dry_run=True)
            connection.remove_query_logger(by_driver)
        return found, len(sent)

    event.listen(sessions.kw["bind"].sync_engine, "before_cursor_execute", by_sqlalchemy)
    try:
        _, needed = await statements()
        await copies(alices, 40)
        assert await statements() == (41, needed)
        monkeypatch.setattr(adherence, "AT_ONCE", 20)
        assert await statements() == (41, needed + 2 * 3)
    finally:
        event.remove(sessions.kw["bind"].sync_engine, "before_cursor_execute", by_sqlalchemy)
