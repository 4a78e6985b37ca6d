"""The progression rules look at every item in use: how long for 1 000 and for 10 000, and whether one costs the same.

Everybody has five exercises, three weeks of sessions done in full, and answers about the day after; so every item gets a
suggestion, which is the dearest thing that can happen to it.
"""

import asyncio
import time
from datetime import UTC, datetime

from benchmarks import databases, dataset
from benchmarks.measures import Bench
from benchmarks.report import Result, at_most
from core.database import CLINIC, make_engine, make_sessions
from dev.cluster import Cluster
from services import library, suggestions

DATABASE = "physio_progression"
CLINICS = 5
ITEMS = 5
"""Exercises of a program."""
LIMIT = 10.0
"""Seconds for ten thousand items."""
FLAT = 1.3
"""So much more an item may cost among ten times as many."""

AT = datetime(2026, 3, 24, 3, tzinfo=UTC)

_CLINICS = (
    "INSERT INTO clinics (name, country, zone) SELECT 'Clinic ' || n, 'US', 'UTC' FROM generate_series(1, $1::int) n"
)

_PROGRAMS = """
INSERT INTO therapists (clinic_id, given_name, family_name, email, profession)
SELECT id, 'Terry', '1', 't@clinic.example', 'PT' FROM clinics;
INSERT INTO patients (clinic_id, record_number, given_name, family_name, birth_date, zone)
SELECT id, n::text, 'Patient', n::text, '1980-01-01', 'UTC' FROM clinics, generate_series(1, {per_clinic}) n;
INSERT INTO episodes (clinic_id, patient_id, title, body_region, status)
SELECT clinic_id, id, 'Low back pain', 'low_back', 'active' FROM patients;
INSERT INTO programs (clinic_id, patient_id, episode_id, title, status, activated_at)
SELECT clinic_id, patient_id, id, 'Home', 'active', '2026-03-01' FROM episodes;
INSERT INTO program_versions (clinic_id, program_id, patient_id, author_id, number, starts_on, in_force, pain_ceiling)
SELECT p.clinic_id, p.id, p.patient_id, t.id, 1, '2026-03-01', '[2026-03-01,)', 5
FROM programs p JOIN therapists t ON t.clinic_id = p.clinic_id;
INSERT INTO program_phases (clinic_id, version_id, position, name, kind)
SELECT clinic_id, id, 1, 'Only', 'strength' FROM program_versions;
INSERT INTO program_items (clinic_id, version_id, phase_id, exercise_id, exercise_code, exercise, position, sets, reps,
  weekdays)
SELECT h.clinic_id, h.version_id, h.id, e.id, e.code, jsonb_build_object('name', e.name), e.place, 2, 8, '{{1,2,3,4,5,6,7}}'
FROM program_phases h JOIN (
  SELECT *, row_number() OVER (PARTITION BY clinic_id ORDER BY code) AS place FROM exercises
  WHERE default_dosage ->> 'reps' IS NOT NULL AND default_dosage ->> 'hold_seconds' IS NULL AND type = 'strength'
) e ON e.clinic_id = h.clinic_id AND e.place <= {items};
INSERT INTO exercise_sessions (clinic_id, id, patient_id, program_id, version_id, local_date, performed_at, device_zone,
  received_at, pain_before, effort, items_prescribed, items_done, dose_prescribed, dose_done, body_sha256)
SELECT v.clinic_id, uuidv7(), v.patient_id, v.program_id, v.id, day, day + time '17:00', 'UTC', day + time '18:00', 1, 4,
  {items}, {items}, 16 * {items}, 16 * {items}, ''
FROM program_versions v, generate_series(timestamptz '2026-03-02', '2026-03-22', '1 day') day;
INSERT INTO session_items (clinic_id, session_id, item_id, position, done, dose_prescribed, dose_done, effort, pain_before,
  pain_during, prescribed)
SELECT s.clinic_id, s.id, i.id, i.position, true, 16, 16, 4, 1, 1, '{{}}'
FROM exercise_sessions s JOIN program_items i ON i.clinic_id = s.clinic_id AND i.version_id = s.version_id;
INSERT INTO check_ins (clinic_id, patient_id, episode_id, local_date, question_set, zone, status, opens_at, due_at,
  closes_at, late_until, answered_at)
SELECT e.clinic_id, e.patient_id, e.id, day, 'daily', 'UTC', 'submitted', day, day + time '08:00', day + time '20:00',
  day + time '23:00', day + time '09:00'
FROM episodes e, generate_series(timestamptz '2026-03-03', '2026-03-23', '1 day') day;
INSERT INTO check_in_answers (clinic_id, check_in_id, patient_id, question_set, question_set_version, answers, pain_now,
  late, answered_at, answered_by, body_sha256)
SELECT clinic_id, id, patient_id, 'daily', '1', '{{"pain_24h_after_session": 1}}', 1, false, answered_at, patient_id, ''
FROM check_ins;
"""


def evaluate(bench: Bench) -> list[Result]:
    """Measure the nightly look at all programs, as `physio_worker` does it."""
    cluster = bench.postgres.cluster
    many = bench.plan.progression_items
    found = []
    for items in (many // 10, many):
        bench.tell(f"progression: {items} items")
        with databases.empty(cluster, DATABASE):
            found.append(asyncio.run(_measure(bench, cluster, items)))
    (few, quick), (all_, slow) = found
    return [
        at_most(f"evaluating {_count(few)} items", quick, "s", None, LIMIT / 10),
        at_most(f"evaluating {_count(all_)} items", slow, "s", None, LIMIT),
        at_most("an item among ten times as many", (slow / all_) / (quick / few), "times", None, FLAT),
    ]


async def _measure(bench: Bench, cluster: Cluster, items: int) -> tuple[int, float]:
    admin = await dataset.connect(cluster, DATABASE)
    await admin.execute(_CLINICS, CLINICS)
    clinics = [row["id"] for row in await admin.fetch("SELECT id FROM clinics ORDER BY id")]
    engine = make_engine(cluster.url("physio_worker", DATABASE), pool_size=1)
    sessions = make_sessions(engine)
    for clinic_id in clinics:
        async with sessions(info={CLINIC: clinic_id}) as session, session.begin():
            await library.sync(session, clinic_id)
    await admin.execute(_PROGRAMS.format(per_clinic=max(1, items // ITEMS // CLINICS), items=ITEMS))
    await admin.execute("VACUUM (ANALYZE)")
    await admin.execute("CHECKPOINT")
    await admin.close()
    bench.tell(f"progression: looking at {items} items")
    began = time.perf_counter()
    made = 0
    for clinic_id in clinics:
        last = None
        while True:
            async with sessions(info={CLINIC: clinic_id}) as session, session.begin():
                programs = await suggestions.running(session, clinic_id, last)
                done = await suggestions.evaluate(session, clinic_id, programs, at=AT)
            made, last = made + done.suggestions, done.last
            if last is None:
                break
    seconds = time.perf_counter() - began
    await engine.dispose()
    return made, seconds


def _count(items: int) -> str:
    return f"{items:,}".replace(",", " ")
