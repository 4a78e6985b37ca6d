"""Consents: given, given again, withdrawn. What needs one asks `require` at every request."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Date, cast, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import consents as texts
from clinical.recurrence import local_date
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
    await session.execute(  # two that are given at once wait for each other
        select(Patient.id)
        .where(Patient.clinic_id == actor.clinic_id, Patient.id == patient.id)
        .with_for_update(key_share=True)
    )
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
    row = await access.subject(session, actor, Action.GIVE_CONSENT, Consent, consent_id, at=at, lock=True)
    if row.status is not ConsentStatus.GIVEN:
        raise ConsentNotGiven
    if row.version != version:
        raise Stale(row.version)
    row.status, row.withdrawn_at = ConsentStatus.WITHDRAWN, at
    await session.flush()
    if row.purpose is ConsentPurpose.TELEHEALTH:  # no program runs without it
        reason = "Telehealth consent was withdrawn"
        await programs.rest(session, actor.clinic_id, row.patient_id, reason=reason, at=at)
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


async def expire(session: AsyncSession, clinic_id: UUID, *, at: datetime, dry_run: bool = False) -> int:
    """Mark the consents whose last day has passed where the patient is; what rests on one, rests. Safe to repeat."""
    today = cast(func.timezone(Patient.zone, literal(at)), Date)
    gone = await session.scalars(
        select(Consent)
        .join(Patient, (Patient.clinic_id == Consent.clinic_id) & (Patient.id == Consent.patient_id))
        .where(Consent.clinic_id == clinic_id, Consent.status.in_(RUNS_OUT), Consent.expires_on < today)
        .with_for_update(of=Consent, skip_locked=True)
    )
    rows = list(gone)
    if dry_run:
        return len(rows)
    for row in rows:
        given, row.status = row.status is ConsentStatus.GIVEN, ConsentStatus.EXPIRED
        await session.flush()
        if given and row.purpose is ConsentPurpose.TELEHEALTH:
            await programs.rest(session, clinic_id, row.patient_id, reason="Telehealth consent has run out", at=at)
    return len(rows)


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
