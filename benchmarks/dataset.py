"""A clinic group with a year of history, made by plain set-based SQL from a seed.

Rows are written as the superuser with foreign-key triggers off: the data is consistent by construction, and the
generator is not what is measured. Nobody in it has a name: the people are numbered.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import cycle, islice
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Sessions, as_identity, bind_clinic, make_engine, make_sessions
from dev.cluster import DATABASE, Cluster
from models.identity import Account, Membership
from services import authentication, library

PER_CLINIC = 100
"""Patients of one clinic; its first therapist has a care link to every one of them."""

DAYS = 365
QUESTIONS_SHARE = 0.85
"""Share of check-ins that were answered."""

OTHER_ZONES = ("Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Sydney")
DOSES = 3
"""Exercises of each program, hence items of each session."""


@dataclass(frozen=True)
class Size:
    """How much is made. The seed decides every random draw."""

    patients: int = 2_000
    days: int = DAYS
    seed: int = 7

    @property
    def clinics(self) -> int:
        """Clinics that share the patients."""
        return max(1, self.patients // PER_CLINIC)


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in: the record the membership stands for, and the access token."""

    clinic_id: UUID
    subject_id: UUID
    token: str


STEPS: tuple[tuple[str, str], ...] = (
    (
        "clinics",
        """
        INSERT INTO clinics (name, country, zone)
        SELECT 'Clinic ' || n, 'US', (ARRAY[{zones}])[1 + n % 4] FROM generate_series(1, {clinics}) n
        """,
    ),
    (
        "therapists",
        """
        INSERT INTO therapists (clinic_id, given_name, family_name, email, profession)
        SELECT id, 'Therapist', n::text, 'therapist' || n || '@bench.example', 'PT'
        FROM clinics, generate_series(1, 3) n ORDER BY clinics.name, n
        """,
    ),
    (
        "patients",
        """
        INSERT INTO patients (clinic_id, record_number, given_name, family_name, email, birth_date, zone, created_at)
        SELECT id, 'B-' || n, 'Patient', n::text, 'patient' || n || '@bench.example',
               DATE '1950-01-01' + (random() * 18000)::int, zone, now() - make_interval(days => {days})
        FROM clinics, generate_series(1, {per_clinic}) n ORDER BY clinics.name, n
        """,
    ),
    (
        "places, consents, episodes",
        """
        INSERT INTO patient_locations (clinic_id, patient_id, country, attested_at, attested_by)
        SELECT clinic_id, id, 'US', created_at, uuidv7() FROM patients;
        INSERT INTO consents (clinic_id, patient_id, purpose, status, text_version, method, given_at, given_by)
        SELECT clinic_id, id, purpose, 'given', '1', 'electronic', created_at, uuidv7()
        FROM patients, unnest(ARRAY['telehealth', 'remote_monitoring', 'reminders']) purpose;
        INSERT INTO episodes (clinic_id, patient_id, title, body_region, status, started_on, created_at)
        SELECT clinic_id, id, 'Low back pain', 'low_back', 'active', created_at::date, created_at FROM patients;
        INSERT INTO red_flag_screens (clinic_id, patient_id, episode_id, trigger, answers, facts, rule_version, level,
          complete, advice, status, screened_at, screened_by)
        SELECT clinic_id, patient_id, id, 'intake', '{{}}', '{{}}', '1', 'none', true, '{{}}', 'open', created_at,
               uuidv7() FROM episodes
        """,
    ),
    (
        "care links",
        """
        INSERT INTO care_links (clinic_id, patient_id, therapist_id, role, during)
        SELECT p.clinic_id, p.id, t.id, CASE t.family_name WHEN '1' THEN 'lead' ELSE 'member' END,
               tstzrange(p.created_at, NULL)
        FROM patients p JOIN therapists t ON t.clinic_id = p.clinic_id
          AND (t.family_name = '1' OR p.family_name::int % 3 = t.family_name::int - 1)
        """,
    ),
    (
        "programs",
        """
        INSERT INTO programs (clinic_id, patient_id, episode_id, title, status, created_at, activated_at)
        SELECT clinic_id, patient_id, id, 'Back to work', 'active', created_at, created_at FROM episodes;
        INSERT INTO program_versions (clinic_id, program_id, patient_id, author_id, number, reason, starts_on,
          pain_ceiling, in_force, created_at)
        SELECT p.clinic_id, p.id, p.patient_id, t.id, n, 'Progressed', current_date - n_days, 5,
               daterange(current_date - n_days, CASE WHEN n < 4 THEN current_date - n_days + {days} / 4 END),
               now() - make_interval(days => n_days)
        FROM programs p JOIN therapists t ON t.clinic_id = p.clinic_id AND t.family_name = '1'
        CROSS JOIN LATERAL (SELECT n, {days} - (n - 1) * ({days} / 4) AS n_days FROM generate_series(1, 4) n) v;
        INSERT INTO program_phases (clinic_id, version_id, position, name, kind)
        SELECT clinic_id, id, 1, 'Strength', 'strength' FROM program_versions;
        INSERT INTO program_items (clinic_id, version_id, phase_id, exercise_id, exercise_code, exercise, position,
          sets, reps, weekdays, side)
        SELECT h.clinic_id, h.version_id, h.id, e.id, e.code,
               jsonb_build_object('code', e.code, 'name', e.name, 'instructions', e.instructions, 'cues', e.cues),
               e.position, 3, 10, '{{1,2,3,4,5,6,7}}', 'none'
        FROM program_phases h CROSS JOIN LATERAL (
          SELECT id, code, name, instructions, cues, row_number() OVER (ORDER BY code) AS position FROM exercises
          WHERE clinic_id = h.clinic_id AND target_region = 'low_back' ORDER BY code LIMIT {doses}) e
        """,
    ),
    (
        "check-in plans",
        """
        INSERT INTO check_in_plans (clinic_id, patient_id, episode_id, question_set, frequency, weekdays, steps,
          local_time, zone, starts_on, next_on, next_due_at)
        SELECT e.clinic_id, e.patient_id, e.id, 'daily', 'daily', '{{1,2,3,4,5,6,7}}', '{{1,1,1,1,1,1,1}}', '08:00',
               p.zone, e.started_on, current_date + 2, local_instant(current_date + 2, '08:00', p.zone)
        FROM episodes e JOIN patients p ON p.clinic_id = e.clinic_id AND p.id = e.patient_id
        """,
    ),
    (
        "check-ins",
        """
        INSERT INTO check_ins (clinic_id, id, patient_id, episode_id, plan_id, local_date, question_set, zone, status,
          opens_at, due_at, closes_at, late_until, answered_at, created_at)
        SELECT p.clinic_id, uuidv7(due_at - now()), p.patient_id, p.episode_id, p.id, day, 'daily', p.zone,
               CASE WHEN at_hand THEN 'open' WHEN done THEN 'submitted' ELSE 'missed' END,
               due_at, due_at, due_at + interval '20 hours', due_at + interval '44 hours',
               CASE WHEN done AND NOT at_hand THEN due_at + interval '1 hour' END, due_at
        FROM generate_series(1, {days}) n
        CROSS JOIN LATERAL (SELECT (current_date - {days} + n) AS day) d
        CROSS JOIN check_in_plans p
        CROSS JOIN LATERAL (SELECT local_instant(day, p.local_time, p.zone) AS due_at, random() < {share} AS done) r
        CROSS JOIN LATERAL (SELECT due_at + interval '20 hours' > now() AS at_hand) t
        WHERE due_at <= now() ORDER BY n, p.id
        """,
    ),
    (
        "answers",
        """
        INSERT INTO check_in_answers (clinic_id, check_in_id, patient_id, question_set, question_set_version, answers,
          pain_now, late, answered_at, answered_by, body_sha256)
        SELECT clinic_id, id, patient_id, 'daily', '1',
               jsonb_build_object('pain_now', pain, 'pain_worst_24h', least(10, pain + 2), 'function_limit', pain,
                 'flare', pain > 8, 'sleep_hours', 6.5, 'new_symptoms', false),
               pain, false, answered_at, patient_id, sha256(id::text::bytea)
        FROM (SELECT *, 2 + (random() * 2)::int AS pain FROM check_ins WHERE status = 'submitted' OFFSET 0) c
        ORDER BY answered_at
        """,
    ),
    (
        "sessions",
        """
        INSERT INTO exercise_sessions (clinic_id, id, patient_id, program_id, version_id, local_date, performed_at,
          device_zone, received_at, pain_before, pain_after, effort, items_prescribed, items_done, dose_prescribed,
          dose_done, body_sha256)
        SELECT v.clinic_id, uuidv7(done_at - now()), v.patient_id, v.program_id, v.id, done_at::date, done_at, 'UTC',
               done_at, 3, 3, 5, {doses}, {doses}, 30 * {doses}, 30 * {doses}, sha256(n::text::bytea)
        FROM generate_series(1, {days}) n
        CROSS JOIN LATERAL (SELECT date_trunc('hour', now() - make_interval(days => {days} - n + 1)) AS done_at) d
        JOIN program_versions v ON v.in_force @> done_at::date
        WHERE extract(isodow FROM done_at) IN (1, 3, 5) ORDER BY n, v.id;
        INSERT INTO session_items (clinic_id, session_id, item_id, position, done, sets, dose_prescribed, dose_done,
          effort, pain_during, prescribed)
        SELECT s.clinic_id, s.id, i.id, i.position, true, '[{{"reps": 10}}, {{"reps": 10}}, {{"reps": 10}}]', 30, 30,
               5, 3, jsonb_build_object('exercise_code', i.exercise_code, 'sets', 3, 'reps', 10, 'side', 'none')
        FROM exercise_sessions s JOIN program_items i ON i.clinic_id = s.clinic_id AND i.version_id = s.version_id
        ORDER BY s.id
        """,
    ),
    (
        "outcomes, assessments, reports",
        """
        INSERT INTO outcomes (clinic_id, patient_id, episode_id, instrument_code, instrument_version, answers, scores,
          score_id, score, change, administered_at, administered_on, recorded_by)
        SELECT clinic_id, patient_id, id, code, '1', '{{"now": 5}}', '{{"total": 8}}', 'total', 8,
               jsonb_build_object('worsened_points', random() < 0.03, 'worsened_percent', false), at, at::date,
               patient_id
        FROM episodes, unnest(ARRAY['rmdq24', 'nprs', 'psfs']) code,
          LATERAL (SELECT now() - make_interval(days => 28 * n) AS at
                   FROM generate_series(0, {days} / 28) n) a ORDER BY a.at;
        INSERT INTO assessments (clinic_id, patient_id, episode_id, author_id, kind, assessed_on, status, signed_at,
          content_sha256)
        SELECT e.clinic_id, e.patient_id, e.id, t.id, 'initial', e.started_on, 'signed', e.created_at, 'x'
        FROM episodes e JOIN therapists t ON t.clinic_id = e.clinic_id AND t.family_name = '1';
        INSERT INTO reports (clinic_id, patient_id, episode_id, author_id, kind, period_from, period_to, snapshot,
          status, signed_at, content_sha256)
        SELECT e.clinic_id, e.patient_id, e.id, t.id, 'progress', current_date - 28 * n - 28, current_date - 28 * n,
               '{{}}', 'signed', now() - make_interval(days => 28 * n), 'x'
        FROM episodes e JOIN therapists t ON t.clinic_id = e.clinic_id AND t.family_name = '1',
          generate_series(0, {days} / 28) n
        """,
    ),
    (
        "alerts",
        """
        INSERT INTO alerts (clinic_id, patient_id, episode_id, rule_id, rule_version, level, status, source_type,
          raised_at, respond_by, resolved_at, outcome)
        SELECT e.clinic_id, e.patient_id, e.id, 'ES0' || r, '1', CASE r WHEN 5 THEN 'high' ELSE 'routine' END,
               CASE WHEN n = 0 THEN 'open' ELSE 'resolved' END, 'check_in', at, at + interval '1 day',
               CASE WHEN n > 0 THEN at + interval '2 hours' END, CASE WHEN n > 0 THEN 'patient_contacted' END
        FROM episodes e, generate_series(5, 7) r, generate_series(0, {days} / 60) n,
          LATERAL (SELECT now() - make_interval(days => 60 * n, hours => 5) AS at) a
        WHERE random() < 0.3
        """,
    ),
    (
        "audit trail",
        """
        INSERT INTO audit_events (clinic_id, id, at, account_id, role, action, resource_type, resource_id, patient_id)
        SELECT clinic_id, uuidv7(answered_at - now()), answered_at, answered_by, 'patient', 'check_in.answer',
               'check_in', check_in_id, patient_id
        FROM check_in_answers ORDER BY answered_at
        """,
    ),
    (
        "accounts",
        """
        INSERT INTO identity.accounts (id, email)
        SELECT id, email FROM (
          SELECT id, clinic_id || '.' || email AS email FROM patients
          UNION ALL SELECT id, clinic_id || '.' || email FROM therapists) people;
        INSERT INTO identity.memberships (account_id, clinic_id, role, subject_id)
        SELECT id, clinic_id, 'patient', id FROM patients
        UNION ALL SELECT id, clinic_id, 'therapist', id FROM therapists;
        UPDATE patients SET account_id = id;
        UPDATE therapists SET account_id = id
        """,
    ),
)
"""Name and SQL of each step, in order."""


async def generate(cluster: Cluster, size: Size, tell: Callable[[str], None]) -> None:
    """Fill the migrated, empty database `physio`. tell: hears the name of each step before it begins."""
    values = {
        "clinics": size.clinics,
        "per_clinic": -(-size.patients // size.clinics),
        "days": size.days,
        "share": QUESTIONS_SHARE,
        "doses": DOSES,
        "zones": ", ".join(f"'{zone}'" for zone in OTHER_ZONES),
    }
    connection = await connect(cluster)
    await connection.execute("SET session_replication_role = replica; SET synchronous_commit = off")
    await connection.execute("SET work_mem = '256MB'; SET jit = off")
    await connection.execute(f"SELECT setseed({size.seed % 1000 / 1000})")
    for name, sql in STEPS:
        tell(name)
        await connection.execute(sql.format(**values))
        if name == "clinics":
            await _sync_library(cluster, [row["id"] for row in await connection.fetch("SELECT id FROM clinics")])
    tell("vacuum, analyze")
    await connection.execute("VACUUM (ANALYZE)")
    await connection.execute("CHECKPOINT")
    await connection.close()


async def _sync_library(cluster: Cluster, clinics: list[UUID]) -> None:
    engine = make_engine(cluster.url("physio_api"), pool_size=1)
    for clinic_id in clinics:
        async with make_sessions(engine).begin() as session:
            await bind_clinic(session, clinic_id)
            await library.sync(session, clinic_id)
    await engine.dispose()


async def connect(cluster: Cluster, database: str = DATABASE) -> "asyncpg.Connection[asyncpg.Record]":
    """Connect as the superuser."""
    return await asyncpg.connect(cluster.admin_url(database))


# ------------------------------------------------------------------ people who are signed in


async def sign_in(cluster: Cluster, secret: str, role: str, count: int, database: str = DATABASE) -> list[Person]:
    """Open sign-ins, through the house's own service, for `count` people of a role, spread over all clinics."""
    connection = await connect(cluster, database)
    rows = await connection.fetch(
        """
        SELECT id, clinic_id, subject_id FROM (
          SELECT m.*, row_number() OVER (PARTITION BY m.clinic_id ORDER BY m.subject_id) AS place
          FROM identity.memberships m
          LEFT JOIN therapists t ON t.clinic_id = m.clinic_id AND t.id = m.subject_id
          WHERE m.role = $1 AND (t.id IS NULL OR t.family_name = '1')) m
        ORDER BY place, clinic_id LIMIT $2
        """,
        role,
        count,
    )
    await connection.close()
    engine = make_engine(cluster.url("physio_api", database), pool_size=2)
    sessions = make_sessions(engine)
    tokens = authentication.tokens_of(secret, 3600)
    half = [rows[::2], rows[1::2]]
    made = await asyncio.gather(*(_sign_in(sessions, each, tokens) for each in half))
    await engine.dispose()
    return [person for part in made for person in part]


async def _sign_in(sessions: Sessions, rows: "list[asyncpg.Record]", tokens: authentication.Tokens) -> list[Person]:
    made = []
    for row in rows:
        async with sessions.begin() as session:
            token = await _token(session, row["id"], tokens)
        made.append(Person(row["clinic_id"], row["subject_id"], token))
    return made


async def _token(session: AsyncSession, membership_id: UUID, tokens: authentication.Tokens) -> str:
    async with as_identity(session):
        membership = await session.get_one(Membership, membership_id)
        account = await session.get_one(Account, membership.account_id)
    at = datetime.now(UTC)
    return (await authentication.open_sign_in(session, account, membership, tokens=tokens, at=at)).access_token


# ------------------------------------------------------------------ what there is to do


async def open_check_ins(cluster: Cluster, people: Sequence[Person], count: int) -> list[tuple[Person, UUID]]:
    """Make `count` more check-ins that are open now, spread evenly over the people."""
    chosen = list(islice(cycle(people), count))
    connection = await connect(cluster)
    rows = await connection.fetch(
        """
        INSERT INTO check_ins (clinic_id, patient_id, episode_id, local_date, question_set, zone, status, opens_at,
          due_at, closes_at, late_until)
        SELECT e.clinic_id, e.patient_id, e.id, current_date, 'daily', 'UTC', 'open', now(), now(),
               now() + interval '20 hours', now() + interval '44 hours'
        FROM unnest($1::uuid[], $2::uuid[]) WITH ORDINALITY AS who(clinic_id, patient_id, n)
        JOIN episodes e ON e.clinic_id = who.clinic_id AND e.patient_id = who.patient_id
        ORDER BY who.n RETURNING id, patient_id
        """,
        [person.clinic_id for person in chosen],
        [person.subject_id for person in chosen],
    )
    await connection.close()
    by_id = {person.subject_id: person for person in people}
    return [(by_id[row["patient_id"]], row["id"]) for row in rows]


async def items_in_force(cluster: Cluster) -> dict[UUID, list[UUID]]:
    """Give what is prescribed today, by patient."""
    connection = await connect(cluster)
    rows = await connection.fetch(
        """
        SELECT v.patient_id, array_agg(i.id ORDER BY i.position) AS items
        FROM program_versions v JOIN program_items i ON i.clinic_id = v.clinic_id AND i.version_id = v.id
        WHERE v.in_force @> current_date GROUP BY v.patient_id
        """
    )
    await connection.close()
    return {row["patient_id"]: row["items"] for row in rows}


async def is_there(cluster: Cluster) -> bool:
    """Tell whether the data set was made before."""
    connection = await connect(cluster)
    found = await connection.fetchval("SELECT to_regclass('audit_events')") and await connection.fetchval(
        "SELECT EXISTS (SELECT FROM audit_events WHERE action = 'check_in.answer')"
    )
    await connection.close()
    return bool(found)
