"""Time passes over 100 000 open check-ins: all are missed, as the third in a row, and every therapist is asked to write."""

import asyncio
import time
from datetime import UTC, datetime

from benchmarks import databases, dataset
from benchmarks.measures import Bench
from benchmarks.report import Result, at_most
from core.database import make_engine, make_sessions
from dev.cluster import Cluster
from services import check_ins

DATABASE = "physio_escalation"
CLINICS = 2_000
LIMIT = 20.0
"""Seconds for all of it."""

CLOSING = datetime(2026, 3, 5, 9, tzinfo=UTC)

_PEOPLE = """
INSERT INTO clinics (name, country, zone, staffed_hours)
SELECT 'Clinic ' || n, 'US', (ARRAY['Europe/Berlin', 'America/New_York'])[1 + n % 2],
       '{{"1": [["08:00", "18:00"]], "2": [["08:00", "18:00"]], "3": [["08:00", "18:00"]], "4": [["08:00", "18:00"]],
          "5": [["08:00", "16:00"]]}}'
FROM generate_series(1, {clinics}) n;
INSERT INTO patients (clinic_id, record_number, given_name, family_name, birth_date, zone)
SELECT id, n::text, 'Patient', n::text, '1980-01-01', 'UTC' FROM clinics, generate_series(1, {per_clinic}) n;
INSERT INTO identity.accounts (id, email)
SELECT md5(id || '-' || n)::uuid, md5(id || '-' || n) || '@clinic.example' FROM clinics, generate_series(1, 2) n;
INSERT INTO therapists (clinic_id, account_id, given_name, family_name, email, profession)
SELECT id, md5(id || '-' || n)::uuid, 'Terry', n::text, 't' || n || '@clinic.example', 'PT'
FROM clinics, generate_series(1, 2) n;
INSERT INTO licenses (clinic_id, therapist_id, profession, jurisdiction, kind, number, status, issued_on, expires_on)
SELECT clinic_id, id, 'PT', 'US-CA', 'license', left(id::text, 40), 'verified', '2020-01-01', '2035-01-01' FROM therapists;
INSERT INTO care_links (clinic_id, patient_id, therapist_id, role, during)
SELECT p.clinic_id, p.id, t.id, CASE t.family_name WHEN '1' THEN 'lead' ELSE 'covering' END,
       '[2026-01-01 00:00Z, 2027-01-01 00:00Z)'
FROM patients p JOIN therapists t ON t.clinic_id = p.clinic_id;
INSERT INTO episodes (clinic_id, patient_id, title, body_region, status)
SELECT clinic_id, id, 'Low back pain', 'low_back', 'active' FROM patients;
INSERT INTO check_in_plans (clinic_id, patient_id, episode_id, question_set, frequency, weekdays, steps, local_time, zone,
  starts_on, next_on, next_due_at)
SELECT clinic_id, patient_id, id, 'daily', 'daily', '{{1,2,3,4,5,6,7}}', '{{1,1,1,1,1,1,1}}', '08:00', 'UTC',
       DATE '2026-03-01', DATE '2026-03-06', '2026-03-06 08:00Z'
FROM episodes;
INSERT INTO check_ins (clinic_id, patient_id, episode_id, plan_id, local_date, question_set, zone, status, opens_at, due_at,
  closes_at, late_until)
SELECT clinic_id, patient_id, episode_id, id, DATE '2026-03-05' - n, question_set, zone,
       CASE n WHEN 1 THEN 'open' ELSE 'missed' END, due, due, due + interval '20 hours', due + interval '44 hours'
FROM check_in_plans, generate_series(1, 3) n, LATERAL (SELECT timestamptz '2026-03-05 08:00Z' - n * interval '1 day') d(due);
"""


def escalate(bench: Bench) -> list[Result]:
    """Measure closing them, counting misses in a row and raising ES08, as `physio_sweeper` does it."""
    cluster = bench.postgres.cluster
    bench.tell("escalation: check-ins")
    with databases.empty(cluster, DATABASE):
        count, seconds = asyncio.run(_measure(bench, cluster))
    return [at_most(f"escalating {count:,} open check-ins".replace(",", " "), seconds, "s", None, LIMIT)]


async def _measure(bench: Bench, cluster: Cluster) -> tuple[int, float]:
    admin = await dataset.connect(cluster, DATABASE)
    clinics = max(20, CLINICS * bench.plan.sweep_plans // 100_000)
    per_clinic = max(1, bench.plan.sweep_plans // clinics)
    await admin.execute(_PEOPLE.format(clinics=clinics, per_clinic=per_clinic))
    await admin.execute("VACUUM (ANALYZE)")
    await admin.execute("CHECKPOINT")
    await admin.close()
    engine = make_engine(cluster.url("physio_sweeper", DATABASE), pool_size=1)
    sessions = make_sessions(engine)
    bench.tell("escalation: closing")
    began = time.perf_counter()
    missed = 0
    while missed < clinics * per_clinic:
        async with sessions.begin() as session:
            closed = await check_ins.close_due(session, at=CLOSING)
        assert closed.missed == closed.alerts > 0
        missed += closed.missed
    seconds = time.perf_counter() - began
    await engine.dispose()
    return missed, seconds
