"""Many clinics with full caseloads, as big as a test of the worklist wants them: set-based, in a database of its own.

Written as `dataset` writes: as the superuser, foreign-key triggers off, nobody has a name. The indexes of the big tables
are taken away first and built afterwards from their own definitions, which is several times quicker.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import asyncpg

from benchmarks import databases, dataset
from dev.cluster import Cluster

CASELOAD = 200
"""Patients of one therapist, who is the lead of every one of them."""
THERAPISTS = 5
"""Of one clinic; the first is the one who signs in."""


@dataclass(frozen=True)
class Scale:
    """So many patients, each with a check-in on each of so many days, a session on three of seven."""

    patients: int
    days: int

    @property
    def clinics(self) -> int:
        """Clinics of THERAPISTS full caseloads each; at least one, however small."""
        return max(1, self.patients // (CASELOAD * THERAPISTS))

    @property
    def check_ins(self) -> int:
        """Check-ins in all."""
        return self.clinics * (self.patients // self.clinics) * self.days


_PEOPLE = """
INSERT INTO clinics (name, country, zone) SELECT 'Clinic ' || n, 'US', 'UTC' FROM generate_series(1, {clinics}) n;
INSERT INTO therapists (clinic_id, given_name, family_name, email, profession)
SELECT id, 'Therapist', n::text, 'therapist' || n || '@bench.example', 'PT' FROM clinics, generate_series(1, {therapists}) n;
INSERT INTO licenses (clinic_id, therapist_id, profession, jurisdiction, kind, number, status, issued_on, expires_on)
SELECT clinic_id, id, 'PT', 'US-CA', 'license', id::text, 'verified', current_date - 300,
       current_date + family_name::int * 20
FROM therapists;
INSERT INTO patients (clinic_id, record_number, given_name, family_name, birth_date, zone, created_at)
SELECT id, 'B-' || n, 'Patient', n::text, '1980-01-01',
       (ARRAY['Europe/Berlin', 'America/New_York', 'Asia/Tokyo', 'Australia/Sydney'])[1 + n % 4],
       now() - make_interval(days => {days})
FROM clinics, generate_series(1, {per_clinic}) n;
INSERT INTO patient_locations (clinic_id, patient_id, country, region, attested_at, attested_by)
SELECT clinic_id, id, 'US', 'CA', created_at, id FROM patients;
INSERT INTO care_links (clinic_id, patient_id, therapist_id, role, during)
SELECT p.clinic_id, p.id, t.id, 'lead', tstzrange(p.created_at, NULL)
FROM patients p JOIN therapists t ON t.clinic_id = p.clinic_id
  AND t.family_name::int = 1 + (p.family_name::int - 1) * {therapists} / {per_clinic};
INSERT INTO consents (clinic_id, patient_id, purpose, status, text_version, method, given_at, given_by, expires_on)
SELECT clinic_id, id, purpose, 'given', '1', 'electronic', created_at, id,
       CASE family_name::int % 50 WHEN 0 THEN current_date + 10 END
FROM patients, unnest(ARRAY['telehealth', 'remote_monitoring', 'reminders']) purpose;
INSERT INTO episodes (clinic_id, patient_id, title, body_region, status, started_on, created_at, updated_at)
SELECT clinic_id, id, 'Low back pain', 'low_back', CASE family_name::int % 40 WHEN 0 THEN 'on_hold' ELSE 'active' END,
       created_at::date, created_at, created_at FROM patients;
INSERT INTO programs (clinic_id, patient_id, episode_id, title, status, created_at, activated_at)
SELECT clinic_id, patient_id, id, 'Back to work', 'active', created_at, created_at FROM episodes;
INSERT INTO program_versions (clinic_id, program_id, patient_id, author_id, number, reason, starts_on,
  pain_ceiling, in_force)
SELECT clinic_id, id, patient_id, id, 1, '', created_at::date, 5, daterange(created_at::date, NULL) FROM programs;
INSERT INTO check_in_plans (clinic_id, patient_id, episode_id, question_set, frequency, weekdays, steps, local_time, zone,
  starts_on, next_on, next_due_at)
SELECT e.clinic_id, e.patient_id, e.id, 'daily', 'daily', '{{1,2,3,4,5,6,7}}', '{{1,1,1,1,1,1,1}}', '08:00', p.zone,
       e.started_on, current_date + 2, (current_date + 2 + time '08:00') AT TIME ZONE 'UTC'
FROM episodes e JOIN patients p ON p.clinic_id = e.clinic_id AND p.id = e.patient_id;
INSERT INTO identity.accounts (id, email) SELECT id, id || '.' || email FROM therapists;
INSERT INTO identity.memberships (account_id, clinic_id, role, subject_id)
SELECT id, clinic_id, 'therapist', id FROM therapists;
UPDATE therapists SET account_id = id;
ANALYZE
"""

_CHECK_INS = """
INSERT INTO check_ins (clinic_id, id, patient_id, episode_id, plan_id, local_date, question_set, zone, status, opens_at,
  due_at, closes_at, late_until, answered_at, created_at)
SELECT p.clinic_id, uuidv7(due_at - now()), p.patient_id, p.episode_id, p.id, due_at::date, 'daily', p.zone,
       CASE WHEN done THEN 'submitted' ELSE 'missed' END, due_at, due_at, due_at + interval '20 hours',
       due_at + interval '44 hours', CASE WHEN done THEN due_at + interval '1 hour' END, due_at
FROM generate_series({first}, {last}) n
CROSS JOIN LATERAL (SELECT date_trunc('hour', now()) - make_interval(days => {days} - n, hours => 2) AS due_at) d
CROSS JOIN check_in_plans p
CROSS JOIN LATERAL (SELECT random() < 0.85 OR p.id IS NULL AS done) r
"""
_ANSWERS = """
INSERT INTO check_in_answers (clinic_id, check_in_id, patient_id, question_set, question_set_version, answers, pain_now,
  late, answered_at, answered_by, body_sha256)
SELECT clinic_id, id, patient_id, 'daily', '1', (ARRAY[
         '{{"flare": false, "pain_now": 3, "sleep_hours": 6.5, "new_symptoms": false, "function_limit": 3}}',
         '{{"flare": true, "pain_now": 7, "sleep_hours": 5.5, "new_symptoms": false, "function_limit": 6}}'
       ]::jsonb[])[1 + (random() < 0.04)::int], 3, false, answered_at, patient_id, '\\x00'
FROM check_ins WHERE status = 'submitted'
"""
_SESSIONS = """
INSERT INTO exercise_sessions (clinic_id, id, patient_id, program_id, version_id, local_date, performed_at, device_zone,
  received_at, pain_before, pain_after, effort, items_prescribed, items_done, dose_prescribed, dose_done, body_sha256)
SELECT v.clinic_id, uuidv7(done_at - now()), v.patient_id, v.program_id, v.id, done_at::date, done_at, 'UTC', done_at, 3,
       3, 5, 3, 3, 90, 90, '\\x00'
FROM generate_series(1, {days}) n
CROSS JOIN LATERAL (SELECT now() - make_interval(days => {days} - n, hours => 1) AS done_at) d
CROSS JOIN program_versions v WHERE n % 7 IN (1, 3, 5) AND (n < {days} - 7 OR random() < 0.6)
"""
_PAPERS = """
INSERT INTO outcomes (clinic_id, patient_id, episode_id, instrument_code, instrument_version, answers, scores, score_id,
  score, change, administered_at, administered_on, recorded_by)
SELECT clinic_id, patient_id, id, code, '1', '{{"now": 5}}', '{{"total": 8}}', 'total', 8,
       jsonb_build_object('worsened_points', random() < 0.03, 'worsened_percent', false), at, at::date, patient_id
FROM generate_series({days} / 28, 0, -1) n
CROSS JOIN LATERAL (SELECT now() - make_interval(days => 28 * n, hours => 3) AS at) a
CROSS JOIN episodes, unnest(ARRAY['rmdq24', 'nprs']) code;
INSERT INTO assessments (clinic_id, patient_id, episode_id, author_id, kind, assessed_on, status, signed_at,
  content_sha256, created_at)
SELECT clinic_id, patient_id, id, patient_id, 'initial', started_on, 'signed', created_at, 'x', created_at FROM episodes;
INSERT INTO reports (clinic_id, patient_id, episode_id, author_id, kind, period_from, period_to, snapshot, status,
  signed_at, content_sha256, created_at)
SELECT e.clinic_id, e.patient_id, e.id, e.patient_id, 'progress', at::date - 28, at::date, '{{}}', 'signed', at, 'x', at
FROM generate_series({days} / 28, 0, -1) n CROSS JOIN episodes e
JOIN patients p ON p.clinic_id = e.clinic_id AND p.id = e.patient_id
CROSS JOIN LATERAL (SELECT now() - make_interval(days => 28 * n + p.family_name::int % 32) AS at) a;
INSERT INTO alerts (clinic_id, patient_id, episode_id, rule_id, rule_version, level, status, source_type, raised_at,
  respond_by, resolved_at, outcome)
SELECT e.clinic_id, e.patient_id, e.id, 'ES0' || r, '1', CASE r WHEN 5 THEN 'high' ELSE 'routine' END,
       CASE WHEN n = 0 THEN 'open' ELSE 'resolved' END, 'check_in', at, at + interval '1 day',
       CASE WHEN n > 0 THEN at + interval '2 hours' END, CASE WHEN n > 0 THEN 'patient_contacted' END
FROM generate_series({days} / 14, 0, -1) n
CROSS JOIN LATERAL (SELECT now() - make_interval(days => 14 * n, hours => 5) AS at) a
CROSS JOIN episodes e CROSS JOIN generate_series(5, 6) r WHERE random() < 0.2;
INSERT INTO instrument_plans (clinic_id, patient_id, episode_id, instrument_code, asked_of, starts_on, intake, every_weeks,
  next_on, occasion)
SELECT clinic_id, patient_id, id, code, 'patient', started_on, true, 4, current_date + 21 - (random() * 32)::int, 'interval'
FROM episodes, unnest(ARRAY['rmdq24', 'nprs']) code;
INSERT INTO adverse_events (clinic_id, patient_id, episode_id, kind, description, occurred_on, grade, seriousness,
  relatedness, outcome, rule_version, reported_via, reported_at, reported_by, status, conclusion, reviewed_at, reviewed_by)
SELECT clinic_id, patient_id, id, 'soreness', '-', at::date, 1, '{{}}', 'possible', 'recovered', '1', 'patient', at,
       patient_id, CASE n WHEN 0 THEN 'reported' ELSE 'reviewed' END, CASE WHEN n > 0 THEN 'no_action_needed' END,
       CASE WHEN n > 0 THEN at END, CASE WHEN n > 0 THEN patient_id END
FROM generate_series({days} / 28, 0, -1) n
CROSS JOIN LATERAL (SELECT now() - make_interval(days => 28 * n, hours => 6) AS at) a
CROSS JOIN episodes WHERE random() < 0.2
"""

# Everything but the primary key, which others refer to.
_INDEXES = """
SELECT i.indexrelid::regclass::text AS name, c.conname, CASE WHEN c.oid IS NULL THEN pg_get_indexdef(i.indexrelid)
         ELSE format('ALTER TABLE %s ADD CONSTRAINT %I %s', $1::text, c.conname, pg_get_constraintdef(c.oid))
       END AS definition
FROM pg_index i LEFT JOIN pg_constraint c ON c.conindid = i.indexrelid AND c.contype = 'u'
WHERE i.indrelid = $1::text::regclass AND NOT i.indisprimary
"""


async def make(cluster: Cluster, database: str, scale: Scale, tell: Callable[[str], None]) -> None:
    """Make a migrated database of this scale; one of the same name is dropped first. tell: hears each step."""
    await asyncio.to_thread(databases.make, cluster, database)
    values = {
        "clinics": scale.clinics,
        "per_clinic": scale.patients // scale.clinics,
        "therapists": THERAPISTS,
        "days": scale.days,
    }
    first, second = [await _connect(cluster, database) for _ in range(2)]
    tell("people")
    await first.execute(_PEOPLE.format(**values))
    tell(f"{scale.check_ins} check-ins")
    half = scale.days // 2
    kept = await _strip(first, "check_ins")
    await asyncio.gather(  # two processors, two streams
        first.execute(_CHECK_INS.format(first=1, last=half, **values)),
        second.execute(_CHECK_INS.format(first=half + 1, last=scale.days, **values)),
    )
    tell("answers, sessions, papers")
    await asyncio.gather(
        _in_order(first, ("check_in_answers", _ANSWERS.format(**values)), built=kept),
        _in_order(second, ("exercise_sessions", _SESSIONS.format(**values)), ("outcomes", _PAPERS.format(**values))),
    )
    tell("vacuum, analyze")
    await first.execute("VACUUM (ANALYZE)")
    await first.execute("CHECKPOINT")
    for each in (first, second):
        await each.close()


async def _connect(cluster: Cluster, database: str) -> "asyncpg.Connection[asyncpg.Record]":
    connection = await dataset.connect(cluster, database)
    await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off; SET jit = off")
    await connection.execute("SET work_mem = '128MB'; SET maintenance_work_mem = '512MB'; SELECT setseed(0.7)")
    return connection


async def _in_order(
    connection: "asyncpg.Connection[asyncpg.Record]", *fills: tuple[str, str], built: Sequence[str] = ()
) -> None:
    """Build indexes that are left to do, then fill one table after the other."""
    for definition in built:
        await connection.execute(definition)
    for table, sql in fills:
        definitions = await _strip(connection, table)
        for each in (sql, *definitions):
            await connection.execute(each)


async def _strip(connection: "asyncpg.Connection[asyncpg.Record]", table: str) -> list[str]:
    """Take the indexes of a table away, and give what builds them again."""
    indexes = await connection.fetch(_INDEXES, table)
    for each in indexes:
        constraint = each["conname"]
        await connection.execute(
            f"DROP INDEX {each['name']}"
            if constraint is None
            else f'ALTER TABLE {table} DROP CONSTRAINT "{constraint}"'
        )
    return [each["definition"] for each in indexes]
