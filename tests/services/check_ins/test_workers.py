"""Four workers at once, one of them killed: every occurrence exactly once."""

import asyncio
import signal
import sys
from datetime import datetime
from pathlib import Path

import asyncpg

from core.database import make_engine, make_sessions
from tests.conftest import Database
from tests.services.check_ins.scene import berlin, scene

WORKER = """
import asyncio, sys
from datetime import datetime, timedelta
from core.database import make_engine, make_sessions
from services import check_ins

async def main(url, at, last):
    sessions = make_sessions(make_engine(url, pool_size=1))
    print("ready", flush=True)
    sys.stdin.readline()
    while True:
        async with sessions.begin() as session:
            await check_ins.dispatch(session, at=at)
            await check_ins.close_due(session, at=at)
        if at >= last:
            print("round", flush=True)
        at = min(last, at + timedelta(hours=12))

asyncio.run(main(sys.argv[1], *map(datetime.fromisoformat, sys.argv[2:])))
"""
PATIENTS, DAYS = 120, 9


async def _start(database: Database, first: datetime, last: datetime) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        WORKER,
        database.sweeper,
        first.isoformat(),
        last.isoformat(),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=Path.cwd(),
    )


async def test_every_occurrence_is_made_and_closed_once_whoever_dies(fresh_database: Database) -> None:
    engine = make_engine(fresh_database.api)
    stage = await scene(make_sessions(engine))
    plan = await stage.plan(at=berlin(2, 7))
    owner = await asyncpg.connect(fresh_database.superuser.replace("+asyncpg", ""))
    columns = (
        "clinic_id, patient_id, episode_id, question_set, frequency, weekdays, steps, local_time, zone, starts_on,"
        " next_on, next_due_at"
    )
    person = "clinic_id, family_name, birth_date, zone"
    await owner.execute(
        f"INSERT INTO patients (record_number, given_name, {person})"
        f" SELECT 'N-' || n, 'Patient ' || n, {person} FROM patients, generate_series(2, {PATIENTS}) n"
    )
    await owner.execute(
        "INSERT INTO episodes (clinic_id, patient_id, title, body_region, status)"
        " SELECT clinic_id, id, 'Low back pain', 'low_back', 'active' FROM patients WHERE record_number LIKE 'N-%'"
    )
    rest = columns.removeprefix("clinic_id, patient_id, episode_id, ")
    await owner.execute(
        f"INSERT INTO check_in_plans ({columns}) SELECT e.clinic_id, e.patient_id, e.id, {rest}"
        " FROM (SELECT clinic_id, patient_id, id FROM episodes WHERE patient_id <> $1) e,"
        f" (SELECT {rest} FROM check_in_plans) p",
        plan.patient_id,
    )
    workers = [await _start(fresh_database, berlin(2, 8), berlin(9, 9)) for _ in range(4)]
    for worker in workers:
        assert worker.stdout is not None
        assert await worker.stdout.readline() == b"ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write(b"go\n")
    await asyncio.sleep(0.05)
    workers[0].send_signal(signal.SIGKILL)
    for worker in workers[1:]:
        assert worker.stdout is not None
        for _ in range(2):
            assert await asyncio.wait_for(worker.stdout.readline(), 60) == b"round\n"
    for worker in workers[1:]:
        worker.kill()
    for worker in workers:
        await worker.wait()
    rows = await owner.fetch(
        "SELECT plan_id, count(*) AS made, count(DISTINCT local_date) AS days,"
        " count(*) FILTER (WHERE status = 'missed') AS missed FROM check_ins GROUP BY plan_id"
    )
    assert len(rows) == PATIENTS
    assert {(row["made"], row["days"], row["missed"]) for row in rows} == {(DAYS, DAYS, DAYS - 2)}
    reminders = await owner.fetchval("SELECT count(*) FROM notifications WHERE template = 'check_in_reminder'")
    assert reminders == 1  # only alice has an account
    raised = await owner.fetch(
        "SELECT rule_id, count(*), sum(repeats)::int FROM alerts GROUP BY rule_id ORDER BY rule_id"
    )
    assert [tuple(row) for row in raised] == [("ES08", PATIENTS, 0), ("ES09", PATIENTS, 0)]
    await owner.close()
    await engine.dispose()
