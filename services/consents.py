"""Consents: given, given again, withdrawn. What needs one asks `require` at every request."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import consents as texts
from clinical.recurrence import local_date
from core.database import fetch as fetch_rows
from core.errors import Conflict, Invalid, Problem, Stale
from models.consents import Consent, ConsentMethod, ConsentPurpose, ConsentStatus
from models.identity import Role
from models.patients import Patient
from schemas.consents import ConsentCreate, ConsentList, ConsentRead, ConsentTextRead
from schemas.pages import Page, fetch
from services import access, audit, programs
from services.access import Action, Actor

RUNS_OUT = (ConsentStatus.GIVEN, ConsentStatus.OFFERED)


class ConsentRefused(Invalid):
    """This consent cannot be given in this way."""


class ConsentNotGiven(Conflict):
    """This consent is not in force, so it cannot be withdrawn."""


async def browse(
    session: AsyncSession, actor: Actor, patient_id: UUID, page: Page, *, purpose: ConsentPurpose | None, at: datetime
) -> ConsentList:
    """List a patient's consents, newest first, with the texts that can be agreed to now. Raises NotFound."""
    patient = await access.patient(session, actor, Action.READ_CONSENTS, patient_id, at=at)
    query = select(Consent).where(Consent.clinic_id == actor.clinic_id, Consent.patient_id == patient.id)
    if purpose is not None:
        query = query.where(Consent.purpose == purpose)
    paged = await fetch(session, query, page, keys=(Consent.created_at, Consent.id), descending=True)
    await audit.record(session, actor, "consent.list", subject=("consent", None), patient_id=patient.id, at=at)
    return ConsentList(
        items=[ConsentRead.model_validate(row) for row in paged.items],
        next_cursor=paged.next_cursor,
        texts=[ConsentTextRead.model_validate(text) for text in texts.current()],
    )


async def create(
    session: AsyncSession, actor: Actor, patient_id: UUID, form: ConsentCreate, *, at: datetime
) -> Consent:
    """Give consent now; one to the same purpose that was in force is superseded. Raises NotFound, ConsentRefused."""
    patient = await access.patient(session, actor, Action.GIVE_CONSENT, patient_id, at=at)
    _check(actor, form, patient, at)
    await _lock(session, actor.clinic_id, [patient.id])
    await session.execute(
        update(Consent)
        .where(
            Consent.clinic_id == actor.clinic_id,
            Consent.patient_id == patient.id,
            Consent.purpose == form.purpose,
            Consent.status == ConsentStatus.GIVEN,
        )
        .values(status=ConsentStatus.SUPERSEDED, updated_at=at, version=Consent.version + 1)
    )
    row = Consent(
        clinic_id=actor.clinic_id,
        patient_id=patient.id,
        purpose=form.purpose,
        status=ConsentStatus.GIVEN,
        text_version=form.text_version,
        language=form.language,
        method=form.method,
        explained_by=form.explained_by or "",
        given_at=at,
        given_by=actor.account_id,
        expires_on=form.expires_on,
    )
    session.add(row)
    await session.flush()
    await audit.record(session, actor, "consent.create", subject=("consent", row.id), patient_id=patient.id, at=at)
    return row


async def withdraw(session: AsyncSession, actor: Actor, consent_id: UUID, *, version: int, at: datetime) -> Consent:
    """Take a consent back; the next request that needs it is refused. Raises NotFound, ConsentNotGiven, Stale."""
    row = await access.subject(session, actor, Action.GIVE_CONSENT, Consent, consent_id, at=at)
    await _lock(session, actor.clinic_id, [row.patient_id])
    await session.refresh(row, with_for_update=True)
    if row.status is not ConsentStatus.GIVEN:
        raise ConsentNotGiven
    if row.version != version:
        raise Stale(row.version)
    row.status, row.withdrawn_at = ConsentStatus.WITHDRAWN, at
    await session.flush()
    if row.purpose is ConsentPurpose.TELEHEALTH:  # no program runs without it
        halts = {row.patient_id: programs.CONSENT_WITHDRAWN}
        await programs.rest(session, actor.clinic_id, halts, actor=actor, at=at)
    await audit.record(
        session, actor, "consent.withdraw", subject=("consent", row.id), patient_id=row.patient_id, at=at
    )
    return row


# ------------------------------------------------------------------ time


async def clinics_to_review(session: AsyncSession, *, at: datetime) -> list[UUID]:
    """Clinics in which a consent may have run out, wherever the patient is. Runs as the sweeper, too."""
    query = select(Consent.clinic_id).where(
        Consent.status.in_(RUNS_OUT), Consent.expires_on < (at + timedelta(days=1)).date()
    )
    return list(await session.scalars(query.distinct()))


_EXPIRE = """
WITH over AS (
  SELECT c.id, c.status = 'given' AND c.purpose = 'telehealth' AS carried FROM consents c
  JOIN patients p ON p.clinic_id = c.clinic_id AND p.id = c.patient_id
  WHERE c.clinic_id = $1 AND c.patient_id = ANY ($4) AND c.status IN ('given', 'offered')
    AND c.expires_on < local_day($2, p.zone)
  FOR UPDATE OF c
), expired AS (
  UPDATE consents c SET status = 'expired', updated_at = $2, version = c.version + 1
  FROM over WHERE c.clinic_id = $1 AND c.id = over.id
  RETURNING c.clinic_id, c.id, c.patient_id, over.carried
), traced AS (
  INSERT INTO audit_events (clinic_id, at, action, resource_type, resource_id, patient_id, role)
  SELECT clinic_id, $2, 'consent.expire', 'consent', id, patient_id, $3 FROM expired
)
SELECT patient_id, carried FROM expired
"""

_OVER = """
SELECT c.patient_id FROM consents c JOIN patients p ON p.clinic_id = c.clinic_id AND p.id = c.patient_id
WHERE c.clinic_id = $1 AND c.status IN ('given', 'offered')
  AND c.expires_on < local_day($2, p.zone)
"""


async def expire(session: AsyncSession, clinic_id: UUID, *, at: datetime, dry_run: bool = False) -> int:
    """Mark the consents whose last day has passed where the patient is; what rests on one, rests. Safe to repeat."""
    over = [row["patient_id"] for row in await fetch_rows(session, _OVER, clinic_id, at)]
    if dry_run or not over:
        return len(over)
    await _lock(session, clinic_id, over)
    rows = await fetch_rows(session, _EXPIRE, clinic_id, at, audit.SYSTEM, over)
    halts = {row["patient_id"]: programs.CONSENT_EXPIRED for row in rows if row["carried"]}
    if halts:  # no program runs without it
        await programs.rest(session, clinic_id, halts, at=at)
    return len(rows)


async def _lock(session: AsyncSession, clinic_id: UUID, patients: Sequence[UUID]) -> None:
    """Lock the patients before their consents, as whoever changes a program does: in one order, nobody waits in a ring.

    So two consents that are given at once wait for each other, too.
    """
    query = select(Patient.id).where(Patient.clinic_id == clinic_id, Patient.id.in_(patients)).order_by(Patient.id)
    await session.execute(query.with_for_update(key_share=True))


def _check(actor: Actor, form: ConsentCreate, patient: Patient, at: datetime) -> None:
    """Refuse an outdated text, a method that is not the caller's, and a day that has passed. Raises ConsentRefused."""
    problems = []
    if texts.find(form.purpose.value, form.language, form.text_version) is None:
        problems.append(
            Problem("/text_version", "text_unknown", "This is not the newest text for the purpose in this language.")
        )
    if (actor.role is Role.PATIENT) != (form.method is ConsentMethod.ELECTRONIC):
        problems.append(
            Problem("/method", "method_refused", "The patient consents electronically; staff record word or paper.")
        )
    if form.expires_on is not None and form.expires_on < local_date(at, patient.zone):
        problems.append(Problem("/expires_on", "in_the_past", "The last day has passed."))
    if problems:
        raise ConsentRefused(*problems)
