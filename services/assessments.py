"""Assessments: drafted, then signed once. What is signed is sealed, and the database lets nobody change it."""

from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.recurrence import local_date
from core.errors import Conflict, Invalid, NotFound, Problem
from models.assessments import Assessment, AssessmentKind, DocumentStatus
from models.consents import ConsentPurpose
from models.episodes import Episode
from models.identity import Role
from models.patients import Patient
from schemas.assessments import AssessmentChange, AssessmentContent, AssessmentCreate, AssessmentRead
from services import access, agreements, audit, episode_gate, episodes, licensing, signatures
from services.access import Action, Actor

NEEDED = ("reason", "hypothesis", "plan")
"""Sections without which nothing is signed."""

SEALED = {"id", "patient_id", "episode_id", "kind", "assessed_on", "content", "signed_at", "signed_as"}


class AssessmentRefused(Invalid):
    """The day of the assessment does not fit the episode."""


class AssessmentSigned(Conflict):
    """This assessment is signed, and final."""


class AssessmentIncomplete(Conflict):
    """Sections are missing without which an assessment is not signed."""


async def create(
    session: AsyncSession, actor: Actor, episode_id: UUID, form: AssessmentCreate, *, at: datetime
) -> Assessment:
    """Write a draft; a discharged episode takes a discharge assessment only.

    Raises NotFound, EpisodeClosed, MayNotTreat, AssessmentRefused.
    """
    episode = await access.subject(session, actor, Action.WRITE_ASSESSMENTS, Episode, episode_id, at=at)
    if form.kind is not AssessmentKind.DISCHARGE:
        episode_gate.require_open(episode)
    assert actor.therapist_id is not None
    await licensing.may_treat(session, actor.clinic_id, actor.therapist_id, episode.patient_id, at=at)
    today = await _today(session, episode, at)
    assessed_on = form.assessed_on or today
    _check_day(assessed_on, episode, today)
    row = Assessment(
        clinic_id=actor.clinic_id,
        patient_id=episode.patient_id,
        episode_id=episode.id,
        author_id=actor.therapist_id,
        kind=form.kind,
        assessed_on=assessed_on,
        content=_merged({}, form.content),
        status=DocumentStatus.DRAFT,
    )
    session.add(row)
    await session.flush()
    await _record(session, actor, "assessment.create", row, at=at)
    return row


async def get(session: AsyncSession, actor: Actor, assessment_id: UUID, *, at: datetime) -> Assessment:
    """Give an assessment; a draft is not there for a patient. Raises NotFound."""
    row = await access.subject(session, actor, Action.READ_RECORD, Assessment, assessment_id, at=at)
    if actor.role is Role.PATIENT and row.status is DocumentStatus.DRAFT:
        raise NotFound
    await _record(session, actor, "assessment.read", row, at=at)
    return row


async def update(
    session: AsyncSession, actor: Actor, assessment_id: UUID, change: AssessmentChange, *, version: int, at: datetime
) -> Assessment:
    """Change a draft: sections that are sent replace those there are. Raises NotFound, AssessmentSigned, Stale."""
    row = await _draft(session, actor, assessment_id, version, at=at)
    if change.assessed_on is not None:
        episode = await access.subject(session, actor, Action.WRITE_ASSESSMENTS, Episode, row.episode_id, at=at)
        _check_day(change.assessed_on, episode, await _today(session, episode, at))
        row.assessed_on = change.assessed_on
    if change.content is not None:
        row.content = _merged(row.content, change.content)
    await signatures.save(session, row)
    await _record(session, actor, "assessment.update", row, at=at)
    return row


async def sign(session: AsyncSession, actor: Actor, assessment_id: UUID, *, version: int, at: datetime) -> Assessment:
    """Sign a draft, for good; the first assessment makes the episode active.

    Raises NotFound, AssessmentSigned, Stale, AssessmentIncomplete, MayNotTreat, ConsentMissing.
    """
    row = await _draft(session, actor, assessment_id, version, at=at)
    missing = [name for name in NEEDED if not row.content.get(name)]
    if missing:
        raise AssessmentIncomplete(
            *(Problem(f"/content/{name}", "section_missing", "This section is needed to sign.") for name in missing)
        )
    assert actor.therapist_id is not None
    await licensing.may_treat(session, actor.clinic_id, actor.therapist_id, row.patient_id, at=at)
    await agreements.require(session, actor.clinic_id, row.patient_id, ConsentPurpose.TELEHEALTH, at=at)
    row.status, row.signed_at = DocumentStatus.SIGNED, at
    row.signed_as = await signatures.signed_as(session, actor, row.patient_id, at=at)
    row.content_sha256 = seal(row)
    await signatures.save(session, row)
    episode = await session.scalar(
        select(Episode)
        .where(Episode.clinic_id == actor.clinic_id, Episode.id == row.episode_id)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    assert episode is not None
    episodes.begin(episode)
    await session.flush()
    await _record(session, actor, "assessment.sign", row, at=at)
    return row


def seal(row: Assessment) -> str:
    """Return the SHA-256, in hex, of a signed assessment in canonical JSON."""
    read = AssessmentRead.model_validate({**_columns(row), "content_sha256": None})
    return signatures.seal(read.model_dump(mode="json", include=SEALED))


def _columns(row: Assessment) -> dict[str, Any]:
    return {name: getattr(row, name) for name in AssessmentRead.model_fields}


async def _draft(session: AsyncSession, actor: Actor, assessment_id: UUID, version: int, *, at: datetime) -> Assessment:
    """Give a draft to be changed. Raises NotFound, AssessmentSigned, Stale."""
    row = await access.subject(session, actor, Action.WRITE_ASSESSMENTS, Assessment, assessment_id, at=at)
    return signatures.changeable(row, version, AssessmentSigned)


def _merged(content: dict[str, Any], sent: AssessmentContent) -> dict[str, Any]:
    """Return the content with the sections that were sent; one that was sent as null is gone."""
    said = sent.model_dump(mode="json", exclude_none=True)
    kept = {name: section for name, section in content.items() if name not in sent.model_fields_set}
    return kept | {name: said[name] for name in sent.model_fields_set if name in said}


async def _today(session: AsyncSession, episode: Episode, at: datetime) -> date:
    zone = await session.scalar(
        select(Patient.zone).where(Patient.clinic_id == episode.clinic_id, Patient.id == episode.patient_id)
    )
    assert zone is not None
    return local_date(at, zone)


def _check_day(assessed_on: date, episode: Episode, today: date) -> None:
    if assessed_on > today:
        raise AssessmentRefused(Problem("/assessed_on", "in_the_future", "The day lies in the future."))
    if assessed_on < episode.started_on:
        raise AssessmentRefused(Problem("/assessed_on", "before_the_episode", "The day lies before the episode began."))


async def _record(session: AsyncSession, actor: Actor, action: str, row: Assessment, *, at: datetime) -> None:
    await audit.record(session, actor, action, subject=("assessment", row.id), patient_id=row.patient_id, at=at)
