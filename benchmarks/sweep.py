"""Materializing check-ins, against a plain INSERT … SELECT of the same rows into the same table."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from statistics import median

import asyncpg

from benchmarks import databases, dataset
from benchmarks.measures import Bench
from benchmarks.report import Result, at_least
from core.database import Sessions, make_engine, make_sessions
from dev.cluster import Cluster
from services import check_ins

DATABASE = "physio_sweep"
PLANS_PER_PATIENT = 50
FEW_CLINICS, MANY_CLINICS = 20, 2_000

_COLUMNS = (
    "clinic_id, id, patient_id, episode_id, plan_id, local_date, question_set, zone, status, opens_at, due_at,"
    " closes_at, late_until"
)
_PEOPLE = """
INSERT INTO clinics (name, country, zone) SELECT 'Clinic ' || n, 'US', 'UTC' FROM generate_series(1, {clinics}) n;
INSERT INTO patients (clinic_id, record_number, given_name, family_name, birth_date, zone)
SELECT id, n::text, 'Patient', n::text, '1980-01-01',
       (ARRAY['Europe/Berlin', 'America/New_York', 'Asia/Tokyo', 'Australia/Sydney'])[1 + n % 4]
FROM clinics, generate_series(1, {per_clinic}) n;
INSERT INTO episodes (clinic_id, patient_id, title, body_region)
SELECT clinic_id, id, 'Low back pain', 'low_back' FROM patients;
INSERT INTO check_in_plans (clinic_id, patient_id, episode_id, question_set, frequency, weekdays, steps, local_time, zone,
  starts_on, next_on, next_due_at)
SELECT e.clinic_id, e.patient_id, e.id, 'daily', 'daily', '{{1,2,3,4,5,6,7}}', '{{1,1,1,1,1,1,1}}', '08:00', p.zone,
       DATE '2026-03-02', DATE '2026-03-03', local_instant(DATE '2026-03-03', '08:00', p.zone)
FROM episodes e JOIN patients p ON p.clinic_id = e.clinic_id AND p.id = e.patient_id, generate_series(1, {plans}) n
"""

BEFORE = datetime(2026, 3, 2, 15, tzinfo=UTC)
"""One day's check-ins of every plan are due within the sweep's next 24 hours, none of the day after, and none opens yet."""


def materialize(bench: Bench) -> list[Result]:
    """Measure the sweep as `physio_sweeper` runs it."""
    count, ours, plain = _in_a_database(bench, bench.plan.sweep_plans, FEW_CLINICS, bench.plan.rounds)
    return [at_least(f"materializing {_count(count)} check-ins", count / ours, "rows/s", count / plain, 0.5)]


def materialize_a_million(bench: Bench) -> list[Result]:
    """Measure the same over 2 000 clinics with ten times as many, and whether that is as quick per row."""
    few, quick, _ = _in_a_database(bench, bench.plan.sweep_plans, MANY_CLINICS, bench.plan.rounds)
    many, ours, plain = _in_a_database(bench, 10 * bench.plan.sweep_plans, MANY_CLINICS, 1)
    name = f"materializing {_count(many)} check-ins of many clinics"
    return [
        at_least(name, many / ours, "rows/s", many / plain, 0.6),
        at_least(f"{name}, beside {_count(few)}", many / ours, "rows/s", few / quick, 0.8),
    ]


def _count(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _in_a_database(bench: Bench, plans: int, clinics: int, rounds: int) -> tuple[int, float, float]:
    cluster = bench.postgres.cluster
    bench.tell("sweep: plans")
    with databases.empty(cluster, DATABASE):
        return asyncio.run(_measure(bench, cluster, plans, clinics, rounds))


async def _measure(bench: Bench, cluster: Cluster, plans: int, clinics: int, rounds: int) -> tuple[int, float, float]:
    admin = await dataset.connect(cluster, DATABASE)
    patients = max(FEW_CLINICS, plans // PLANS_PER_PATIENT)
    clinics = min(clinics, patients)
    await admin.execute(_PEOPLE.format(clinics=clinics, per_clinic=patients // clinics, plans=PLANS_PER_PATIENT))
    await admin.execute("VACUUM (ANALYZE)")
    engine = make_engine(cluster.url("physio_sweeper", DATABASE), pool_size=1)
    sessions = make_sessions(engine)
    ours, plain = [], []
    count = 0
    for turn in range(rounds + 1):  # the first warms up
        bench.tell(f"sweep: ours, {turn} of {rounds}")
        count, seconds = await _sweep(sessions, admin, BEFORE + timedelta(days=turn))
        ours.append(seconds)
        bench.tell(f"sweep: plain, {turn} of {rounds}")
        plain.append(await _plain(admin))
    await engine.dispose()
    await admin.close()
    return count, median(ours[1:]), median(plain[1:])


async def _sweep(sessions: Sessions, admin: "asyncpg.Connection[asyncpg.Record]", at: datetime) -> tuple[int, float]:
    await _tidy(admin)
    made, more = 0, True
    began = time.perf_counter()
    while more:  # as the job does
        async with sessions.begin() as session:
            done = await check_ins.dispatch(session, at=at)
        made, more = made + done.materialized, done.more
    return made, time.perf_counter() - began


async def _plain(admin: "asyncpg.Connection[asyncpg.Record]") -> float:
    await admin.execute(f"DROP TABLE IF EXISTS source; CREATE TABLE source AS SELECT {_COLUMNS} FROM check_ins")
    await _tidy(admin)
    columns = _COLUMNS.replace(" id,", "")  # ids are made anew, as the sweep makes them
    began = time.perf_counter()
    await admin.execute(f"INSERT INTO check_ins ({columns}) SELECT {columns} FROM source")
    return time.perf_counter() - began


async def _tidy(admin: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Empty the table and give both sides the same quiet disk."""
    await admin.execute("TRUNCATE check_ins CASCADE")
    await admin.execute("VACUUM (ANALYZE) check_in_plans")
    await admin.execute("CHECKPOINT")
