"""Episodes of care: opened at intake, held, discharged, reopened. Nothing runs on in one that is held or over."""

from collections.abc import Mapping
from datetime import date, datetime
from functools import cache
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import library
from clinical.recurrence import local_date
from core.errors import Conflict, Invalid, Problem, Stale
from models.assessments import Assessment, DocumentStatus
from models.episodes import Episode, EpisodeStatus
from models.identity import Role
from models.patients import Patient
from schemas.episodes import AssessmentBrief, EpisodeChange, EpisodeCreate, EpisodeDetail, EpisodeRead, EpisodeReason
from schemas.pages import Page, Paged, fetch
from services import access, audit, check_ins, episode_gate, flares, programs
from services.access import Action, Actor

NOT_PLACES = frozenset({"aerobic", "breathing"})
"""Regions of the exercise library that are no part of the body."""

MOVES: Mapping[EpisodeStatus, frozenset[EpisodeStatus]] = {
    EpisodeStatus.REFERRED: frozenset({EpisodeStatus.INTAKE, EpisodeStatus.ACTIVE}),
    EpisodeStatus.INTAKE: frozenset({EpisodeStatus.ACTIVE}),
    EpisodeStatus.ACTIVE: frozenset({EpisodeStatus.MAINTENANCE}),
    EpisodeStatus.MAINTENANCE: frozenset({EpisodeStatus.ACTIVE}),
    EpisodeStatus.ON_HOLD: frozenset(),
    EpisodeStatus.DISCHARGED: frozenset(),
}
"""Where a change of `status` may lead; holding, discharging and reopening are verbs of their own."""

BRIEFS = 50


class EpisodeRefused(Invalid):
    """A detail of the episode breaks a rule."""


class EpisodeNotInState(Conflict):
    """This is not possible in the episode's present state."""


@cache
def body_regions() -> frozenset[str]:
    """Return the words for where it hurts: regions of the red-flag screen and of the exercise library, and headache."""
    book = library.load()
    exercised = {region for each in book.exercises.values() for region in (each.target_region, *each.body_regions)}
    return (frozenset(book.red_flags.regions) | exercised | {"headache"}) - NOT_PLACES


# ------------------------------------------------------------------ reading


async def browse(
    session: AsyncSession, actor: Actor, patient_id: UUID, page: Page, *, status: EpisodeStatus | None, at: datetime
) -> Paged[Episode]:
    """List a patient's episodes, newest first. Raises NotFound."""
    patient = await access.patient(session, actor, Action.READ_RECORD, patient_id, at=at)
    query = select(Episode).where(Episode.clinic_id == actor.clinic_id, Episode.patient_id == patient.id)
    if status is not None:
        query = query.where(Episode.status == status)
    await audit.record(session, actor, "episode.list", subject=("episode", None), patient_id=patient.id, at=at)
    return await fetch(session, query, page, keys=(Episode.created_at, Episode.id), descending=True)


async def get(session: AsyncSession, actor: Actor, episode_id: UUID, *, at: datetime) -> EpisodeDetail:
    """Give an episode with its assessments; a patient is shown the signed ones. Raises NotFound."""
    row = await access.subject(session, actor, Action.READ_RECORD, Episode, episode_id, at=at)
    query = select(Assessment).where(Assessment.clinic_id == actor.clinic_id, Assessment.episode_id == row.id)
    if actor.role is Role.PATIENT:
        query = query.where(Assessment.status != DocumentStatus.DRAFT)
    newest = await session.scalars(query.order_by(Assessment.created_at.desc(), Assessment.id.desc()).limit(BRIEFS))
    await audit.record(session, actor, "episode.read", subject=("episode", row.id), patient_id=row.patient_id, at=at)
    return EpisodeDetail(
        **EpisodeRead.model_validate(row).model_dump(),
        assessments=[AssessmentBrief.model_validate(each) for each in reversed(newest.all())],
    )


# ------------------------------------------------------------------ changing


async def create(
    session: AsyncSession, actor: Actor, patient_id: UUID, form: EpisodeCreate, *, at: datetime
) -> Episode:
    """Open an episode at intake, or as referred when nobody has seen the patient yet. Raises NotFound, EpisodeRefused."""
    patient = await access.patient(session, actor, Action.MANAGE_EPISODES, patient_id, at=at)
    today = local_date(at, patient.zone)
    values = form.model_dump()
    values["started_on"] = form.started_on or today
    _check(values, patient, today)
    values["status"] = EpisodeStatus(form.status)
    row = Episode(clinic_id=actor.clinic_id, patient_id=patient.id, **values)
    session.add(row)
    return await _done(session, actor, "episode.create", row, at=at)


async def update(
    session: AsyncSession, actor: Actor, episode_id: UUID, change: EpisodeChange, *, version: int, at: datetime
) -> Episode:
    """Change an episode.

    Raises NotFound, EpisodeClosed, EpisodeNotInState, Stale, EpisodeRefused.
    """
    row = await _open(session, actor, episode_id, version, at=at)
    values = change.model_dump(exclude_unset=True)
    patient = await access.patient(session, actor, Action.MANAGE_EPISODES, row.patient_id, at=at)
    _check(values, patient, local_date(at, patient.zone))
    if "status" in values:
        wanted = EpisodeStatus(values.pop("status"))
        if wanted is not row.status and wanted not in MOVES[row.status]:
            raise EpisodeNotInState
        row.status = wanted
    for name, value in values.items():
        setattr(row, name, value)
    if values.get("body_region") is not None:
        await flares.follow_region(session, actor, row, at=at)
    return await _done(session, actor, "episode.update", row, at=at)


async def hold(
    session: AsyncSession, actor: Actor, episode_id: UUID, form: EpisodeReason, *, version: int, at: datetime
) -> Episode:
    """Hold an episode in treatment; program and check-in plans are paused, and resumed by hand.

    Raises NotFound, EpisodeClosed, EpisodeNotInState, Stale.
    """
    row = await _open(session, actor, episode_id, version, at=at)
    if row.status not in {EpisodeStatus.ACTIVE, EpisodeStatus.MAINTENANCE}:
        raise EpisodeNotInState
    row.status, row.status_reason = EpisodeStatus.ON_HOLD, form.reason
    await _stop(session, actor, row, ended=False, at=at)
    return await _done(session, actor, "episode.hold", row, at=at)


async def discharge(
    session: AsyncSession, actor: Actor, episode_id: UUID, form: EpisodeReason, *, version: int, at: datetime
) -> Episode:
    """End an episode, its program and its check-in plans; no warning sign may be waiting for a human.

    Raises NotFound, EpisodeClosed, Stale, EpisodeUnsettled.
    """
    row = await _open(session, actor, episode_id, version, at=at)
    await programs.lock_patient(
        session, row.clinic_id, row.patient_id
    )  # a screen that comes meanwhile is seen, or waits
    await episode_gate.require_settled(session, row)
    row.status, row.status_reason, row.discharged_at = EpisodeStatus.DISCHARGED, form.reason, at
    await _stop(session, actor, row, ended=True, at=at)
    return await _done(session, actor, "episode.discharge", row, at=at)


async def reopen(
    session: AsyncSession, actor: Actor, episode_id: UUID, form: EpisodeReason, *, version: int, at: datetime
) -> Episode:
    """Make a held or discharged episode active again; programs wait to be resumed or written anew.

    Raises NotFound, EpisodeNotInState, Stale.
    """
    row = await access.subject(session, actor, Action.MANAGE_EPISODES, Episode, episode_id, at=at, lock=True)
    if row.status not in {EpisodeStatus.ON_HOLD, EpisodeStatus.DISCHARGED}:
        raise EpisodeNotInState
    if row.version != version:
        raise Stale(row.version)
    row.status, row.status_reason, row.discharged_at = EpisodeStatus.ACTIVE, form.reason, None
    return await _done(session, actor, "episode.reopen", row, at=at)


def begin(row: Episode) -> None:
    """Make an episode active whose first assessment is signed."""
    if row.status in {EpisodeStatus.REFERRED, EpisodeStatus.INTAKE}:
        row.status = EpisodeStatus.ACTIVE


async def _open(session: AsyncSession, actor: Actor, episode_id: UUID, version: int, *, at: datetime) -> Episode:
    """Lock an episode for change. Raises NotFound, EpisodeClosed, Stale."""
    row = await access.subject(session, actor, Action.MANAGE_EPISODES, Episode, episode_id, at=at, lock=True)
    episode_gate.require_open(row)
    if row.version != version:
        raise Stale(row.version)
    return row


async def _stop(session: AsyncSession, actor: Actor, row: Episode, *, ended: bool, at: datetime) -> None:
    """Let no program, no flare-up and no check-in plan of the episode run on.

    Who closes a flare-up locks it before the plans, which ask as usual again: here it is no other way.
    """
    await programs.halt(session, row.clinic_id, row.id, actor=actor, ended=ended, reason=row.status_reason, at=at)
    if ended:
        await flares.end_with_episode(session, row.clinic_id, row.id, actor=actor, at=at)
    await check_ins.follow_episode(session, row.clinic_id, row.id, actor=actor, ended=ended, at=at)


async def _done(session: AsyncSession, actor: Actor, action: str, row: Episode, *, at: datetime) -> Episode:
    await session.flush()
    await audit.record(session, actor, action, subject=("episode", row.id), patient_id=row.patient_id, at=at)
    return row


def _check(values: Mapping[str, Any], patient: Patient, today: date) -> None:
    """Refuse a region that is none, days that cannot be, and what may not be empty. Raises EpisodeRefused."""
    problems = [
        Problem(f"/{name}", "null_refused", "This cannot be empty.")
        for name, value in values.items()
        if value is None and name != "onset_on"
    ]
    region = values.get("body_region")
    if region is not None and region not in body_regions():
        problems.append(Problem("/body_region", "region_unknown", "This is not one of the body regions."))
    codes = values.get("icd10_codes") or []
    if len(set(codes)) != len(codes):
        problems.append(Problem("/icd10_codes", "repeated", "A code is named twice."))
    for name in ("onset_on", "started_on"):
        day = values.get(name)
        if day is not None and day > today:
            problems.append(Problem(f"/{name}", "in_the_future", "The day lies in the future."))
        if day is not None and day < patient.birth_date:
            problems.append(Problem(f"/{name}", "before_birth", "The day lies before the patient's birth."))
    if problems:
        raise EpisodeRefused(*problems)
