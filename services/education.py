"""Articles that nobody has to think of: given by what a patient answered, and by the phase of the program.

It runs by the clock, never while a patient answers. Only what a therapist of the clinic approved is given.
"""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import education
from clinical.education import Answered, Suggestion
from clinical.library import load
from clinical.prescription import PhaseSpan, phase_on
from core.database import fetch
from models.articles import Article, ArticleAssignment, AssignmentReason
from models.episodes import Episode, EpisodeStatus
from services import article_assignments, articles, audit

AT_ONCE = 200
"""Patients who are looked at together, in one transaction: six statements for all of them."""

FIRST = UUID(int=0)
"""Stands before the first patient."""

TREATED = (EpisodeStatus.INTAKE, EpisodeStatus.ACTIVE, EpisodeStatus.MAINTENANCE)
"""Episodes in which a patient is given articles."""

MARGIN = timedelta(days=1)
"""So much earlier than in UTC a patient's day may begin, at most."""

_PATIENTS = """
SELECT p.id, coalesce(n.language, p.language) AS language, local_day($2, p.zone) AS today
FROM patients p LEFT JOIN notification_preferences n ON n.clinic_id = p.clinic_id AND n.account_id = p.account_id
WHERE p.clinic_id = $1 AND p.id > $3 AND p.status = 'active'
  AND EXISTS (SELECT FROM episodes e WHERE e.clinic_id = $1 AND e.patient_id = p.id AND e.status = ANY ($4::text[]))
ORDER BY p.id LIMIT $5
"""
# a flare-up that was reported without a check-in is as good as the answer
_ANSWERS = """
SELECT a.patient_id, c.local_date, a.question_set,
  (SELECT coalesce(jsonb_object_agg(key, value), '{}') FROM jsonb_each(a.answers) WHERE key = ANY ($4::text[])) AS answers
FROM unnest($2::uuid[]) AS asked(patient_id)
JOIN check_in_answers a ON a.clinic_id = $1 AND a.patient_id = asked.patient_id AND a.answered_at > $3
JOIN check_ins c ON c.clinic_id = $1 AND c.id = a.check_in_id
UNION ALL
SELECT f.patient_id, f.opened_on, 'daily', '{"flare": true}'::jsonb FROM flares f
WHERE f.clinic_id = $1 AND f.patient_id = ANY ($2::uuid[]) AND f.opened_at > $3
  AND f.close_reason IS DISTINCT FROM 'mistake'
"""
_PHASES = """
SELECT v.patient_id, v.starts_on,
  jsonb_agg(jsonb_build_object('position', h.position, 'weeks', h.weeks, 'kind', h.kind)) AS phases
FROM unnest($2::uuid[], $3::date[]) AS asked(patient_id, today)
JOIN program_versions v ON v.clinic_id = $1 AND v.patient_id = asked.patient_id AND v.in_force @> asked.today
JOIN programs g ON g.clinic_id = $1 AND g.id = v.program_id AND g.status = 'active'
JOIN program_phases h ON h.clinic_id = $1 AND h.version_id = v.id
GROUP BY v.patient_id, v.id, v.starts_on, g.created_at ORDER BY v.patient_id, g.created_at, v.id
"""
_GIVEN = """
SELECT patient_id, code, max(assigned_at) AS given_at, bool_or(read_at IS NULL AND withdrawn_at IS NULL) AS waits
FROM article_assignments
WHERE clinic_id = $1 AND patient_id = ANY ($2::uuid[])
  AND (assigned_at > $3 OR (read_at IS NULL AND withdrawn_at IS NULL))
GROUP BY patient_id, code
"""

Shelf = Mapping[str, Mapping[str, Article]]
"""Approved articles by code and language."""


async def clinics_to_review(session: AsyncSession) -> list[UUID]:
    """Clinics in which somebody is in treatment. Runs as the sweeper, too."""
    query = select(Episode.clinic_id).where(Episode.status.in_(TREATED)).distinct()
    return list(await session.scalars(query))


async def review(
    session: AsyncSession, clinic_id: UUID, *, at: datetime, after: UUID = FIRST, dry_run: bool = False
) -> tuple[int, UUID | None]:
    """Give the clinic's next patients behind `after` the articles that would help now.

    Returns how many articles that are, and behind whom to go on; None when these were the last. Never the same article
    twice within the time that the rules say, whoever gave it before.
    """
    shelf: dict[str, dict[str, Article]] = {}
    for row in await articles.variants(session, clinic_id):
        shelf.setdefault(row.code, {})[row.language] = row
    if not shelf:
        return 0, None
    treated = [status.value for status in TREATED]
    patients = await fetch(session, _PATIENTS, clinic_id, at, after, treated, AT_ONCE)
    rows = await _chosen(session, clinic_id, patients, shelf, at) if patients else []
    count = len(rows) if dry_run else await _give(session, clinic_id, rows, at)
    return count, patients[-1]["id"] if len(patients) == AT_ONCE else None


async def _chosen(
    session: AsyncSession, clinic_id: UUID, patients: Sequence[Any], shelf: Shelf, at: datetime
) -> list[dict[str, Any]]:
    """Choose for each patient; gives the rows to write."""
    ids = [row["id"] for row in patients]
    since = at - timedelta(days=education.days_looked_at()) - MARGIN
    answered: dict[UUID, list[Answered]] = {}
    for row in await fetch(session, _ANSWERS, clinic_id, ids, since, list(education.asked_about())):
        answers = Answered(row["local_date"], row["question_set"], row["answers"])
        answered.setdefault(row["patient_id"], []).append(answers)
    programs: dict[UUID, list[Any]] = {}
    for row in await fetch(session, _PHASES, clinic_id, ids, [row["today"] for row in patients]):
        programs.setdefault(row["patient_id"], []).append(row)
    recent = at - timedelta(days=load().education.repeat_after_days)
    given: dict[UUID, list[Any]] = {}
    for row in await fetch(session, _GIVEN, clinic_id, ids, recent):
        given.setdefault(row["patient_id"], []).append(row)
    rows = []
    for patient in patients:
        key, today = patient["id"], patient["today"]
        suggestions = education.triggered(answered.get(key, ()), today)
        suggestions += [each for row in programs.get(key, ()) for each in _for_phase(row, today)]
        before = given.get(key, ())
        chosen = education.choose(
            suggestions,
            available=shelf.keys(),
            given={row["code"]: today if row["waits"] else row["given_at"].date() for row in before},
            unread=sum(row["waits"] for row in before),
            today=today,
        )
        for code, why in chosen:
            language = education.best_language(patient["language"], shelf[code])
            rows.append(_row(shelf[code][language], key, why, at))
    return rows


def _for_phase(row: Any, today: date) -> list[Suggestion]:
    spans = [PhaseSpan(phase["position"], phase["weeks"]) for phase in row["phases"]]
    position = phase_on(spans, row["starts_on"], today)
    kind = next((phase["kind"] for phase in row["phases"] if phase["position"] == position), None)
    return [] if kind is None else education.for_phase(kind)


def _row(article: Article, patient_id: UUID, why: Suggestion, at: datetime) -> dict[str, Any]:
    reason = AssignmentReason.PHASE if why.rule_id == education.PHASE_RULE else AssignmentReason.TRIGGER
    rule = {"rule_id": why.rule_id, "rule_version": why.rule_version, "inputs": dict(why.inputs)}
    return {**article_assignments.given(article, patient_id, reason, at), **rule}


async def _give(session: AsyncSession, clinic_id: UUID, rows: Sequence[dict[str, Any]], at: datetime) -> int:
    """Write assignments; one that somebody has made meanwhile is not made twice."""
    if not rows:
        return 0
    table = ArticleAssignment.metadata.tables[ArticleAssignment.__tablename__]
    statement = insert(table).on_conflict_do_nothing().returning(table.c.id, table.c.patient_id)
    made = [(row.id, row.patient_id) for row in await session.execute(statement, rows)]
    subject = "article_assignment"
    await audit.record_many(session, clinic_id, None, f"{subject}.create", subject, made, at=at)
    return len(made)
