"""Reports from draft to signature. What is signed is sealed, and the database lets nobody change it."""

from datetime import datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.recurrence import local_date
from core.crypto import new_id
from core.errors import Conflict, Invalid, NotFound, Problem
from models.assessments import DocumentStatus
from models.clinics import Clinic
from models.episodes import Episode
from models.identity import Role
from models.patients import Patient
from models.reports import Report, ReportKind
from schemas.reports import (
    Narrative,
    NarrativeUpdate,
    ReportCreate,
    ReportRead,
    ReportSnapshot,
    ReportSummary,
    Signature,
)
from services import access, audit, episode_gate, licensing, signatures
from services.access import Action, Actor
from services.documents import Paper
from services.progress import Period
from services.reports.building import build

NEEDED = {
    ReportKind.PROGRESS: ("assessment_of_progress", "justification_for_skilled_care", "plan"),
    ReportKind.DISCHARGE: ("assessment_of_progress", "plan"),
}
"""Parts of the narrative without which nothing is signed; at discharge no more skilled care is justified."""


class ReportPeriodRefused(Invalid):
    """The period of the report does not fit the episode."""


class ReportSigned(Conflict):
    """This report is signed, and final."""


class ReportIncomplete(Conflict):
    """Parts are missing without which a report is not signed."""


async def create(
    session: AsyncSession, actor: Actor, episode_id: UUID, form: ReportCreate, *, at: datetime
) -> ReportRead:
    """Build a report and freeze its contents; a discharged episode takes a discharge summary only.

    Raises NotFound, EpisodeClosed, ReportPeriodRefused.
    """
    episode = await access.subject(session, actor, Action.WRITE_REPORTS, Episode, episode_id, at=at)
    if form.kind is not ReportKind.DISCHARGE:
        episode_gate.require_open(episode)
    patient = await session.get_one(Patient, (actor.clinic_id, episode.patient_id))
    period = Period(form.period_from, form.period_to, local_date(at, patient.zone))
    _check_period(period, episode)
    assert actor.therapist_id is not None
    report_id = new_id(at)
    snapshot = await build(
        session, patient, episode, period, report_id=report_id, author_id=actor.therapist_id, kind=form.kind, at=at
    )
    row = Report(
        clinic_id=actor.clinic_id,
        id=report_id,
        patient_id=patient.id,
        episode_id=episode.id,
        author_id=actor.therapist_id,
        kind=form.kind,
        period_from=form.period_from,
        period_to=form.period_to,
        snapshot=snapshot.model_dump(mode="json"),
        narrative={},
        status=DocumentStatus.DRAFT,
    )
    session.add(row)
    await session.flush()
    await _record(session, actor, "report.create", row, at=at)
    return read(row)


async def get(session: AsyncSession, actor: Actor, report_id: UUID, *, at: datetime) -> ReportRead:
    """Give a report; a draft is not there for a patient. Raises NotFound."""
    row = await _seen(session, actor, report_id, at=at)
    await _record(session, actor, "report.read", row, at=at)
    return read(row)


async def printed(
    session: AsyncSession, actor: Actor, report_id: UUID, *, paper: Paper | None, at: datetime
) -> tuple[ReportRead, Paper]:
    """Give a report that will be printed, and the paper for it: the clinic's unless another is asked for.

    Raises NotFound.
    """
    row = await _seen(session, actor, report_id, at=at)
    usual = paper or await session.scalar(select(Clinic.paper).where(Clinic.id == actor.clinic_id))
    await _record(session, actor, "report.print", row, at=at)
    return read(row), cast("Paper", usual)  # the table allows no other words


async def update(
    session: AsyncSession, actor: Actor, report_id: UUID, change: NarrativeUpdate, *, version: int, at: datetime
) -> ReportRead:
    """Change the narrative of a draft: parts that are sent replace those there are. Raises NotFound, ReportSigned, Stale."""
    row = await _draft(session, actor, report_id, version, at=at)
    row.narrative = row.narrative | change.model_dump(exclude_unset=True)
    await signatures.save(session, row)
    await _record(session, actor, "report.update", row, at=at)
    return read(row)


async def sign(session: AsyncSession, actor: Actor, report_id: UUID, *, version: int, at: datetime) -> ReportRead:
    """Sign a draft, for good. Raises NotFound, ReportSigned, Stale, ReportIncomplete, MayNotTreat."""
    row = await _draft(session, actor, report_id, version, at=at)
    missing = [name for name in NEEDED[row.kind] if not row.narrative.get(name)]
    if missing:
        raise ReportIncomplete(
            *(Problem(f"/{name}", "part_missing", "This part is needed to sign.") for name in missing)
        )
    await licensing.may_treat(session, actor.clinic_id, actor.therapist_id, row.patient_id, at=at)
    row.status, row.signed_at = DocumentStatus.SIGNED, at
    row.signed_as = await signatures.signed_as(session, actor, row.patient_id, at=at)
    row.content_sha256 = seal(row)
    await signatures.save(session, row)
    await _record(session, actor, "report.sign", row, at=at)
    return read(row)


def seal(row: Report) -> str:
    """Return the SHA-256, in hex, of a signed report: its frozen contents, the therapist's words, who signed when."""
    assert row.signed_at is not None
    return signatures.seal(
        {
            "snapshot": row.snapshot,
            "narrative": row.narrative,
            "signed_as": row.signed_as,
            "signed_at": row.signed_at.isoformat(),
        }
    )


def read(row: Report) -> ReportRead:
    """Give the report with what the row says now: the narrative, the status and the signature."""
    snapshot = ReportSnapshot.model_validate(
        row.snapshot
        | {
            "status": row.status,
            "narrative": dict.fromkeys(Narrative.model_fields) | row.narrative,
            "signature": _signature(row),
        }
    )
    columns: dict[str, Any] = {name: getattr(row, name) for name in ReportSummary.model_fields}
    return ReportRead.model_validate({**columns, "content_sha256": row.content_sha256, "snapshot": snapshot})


def _signature(row: Report) -> Signature | None:
    if row.signed_as is None or row.signed_at is None or row.content_sha256 is None:
        return None
    held = row.signed_as["license"]
    return Signature(
        name=row.signed_as["name"],
        credentials=row.signed_as["credentials"],
        license_jurisdiction=held["jurisdiction"],
        license_number=held["number"],
        signed_at=row.signed_at,
        content_sha256=row.content_sha256,
    )


def _check_period(period: Period, episode: Episode) -> None:
    if period.last > period.today:
        raise ReportPeriodRefused(Problem("/period_to", "in_the_future", "The period lies in the future."))
    if period.last < episode.started_on:
        raise ReportPeriodRefused(
            Problem("/period_to", "before_the_episode", "The period ends before the episode began.")
        )


async def _seen(session: AsyncSession, actor: Actor, report_id: UUID, *, at: datetime) -> Report:
    row = await access.subject(session, actor, Action.READ_RECORD, Report, report_id, at=at)
    if actor.role is Role.PATIENT and row.status is DocumentStatus.DRAFT:
        raise NotFound
    return row


async def _draft(session: AsyncSession, actor: Actor, report_id: UUID, version: int, *, at: datetime) -> Report:
    """Give a draft to be changed. Raises NotFound, ReportSigned, Stale."""
    row = await access.subject(session, actor, Action.WRITE_REPORTS, Report, report_id, at=at)
    return signatures.changeable(row, version, ReportSigned)


async def _record(session: AsyncSession, actor: Actor, action: str, row: Report, *, at: datetime) -> None:
    await audit.record(session, actor, action, subject=("report", row.id), patient_id=row.patient_id, at=at)
