"""Care links: who treats whom, and when. Access to the record hangs on them, moment by moment."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, DateTime, Select, func, literal, select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from core.constraints import violated
from core.errors import Conflict, Invalid, NotFound, Problem, Stale
from models.care_team import CareLink, CareRole
from models.clinics import Clinic
from models.identity import Role
from models.therapists import Profession, Therapist, TherapistStatus
from schemas.care_team import CareLinkCreate, CareLinkEnd, CareLinkRead, CareTeam, TeamTherapist, Watch
from schemas.pages import Page, fetch
from services import access, audit, licensing, programs
from services.access import Action, Actor

SKEW = timedelta(minutes=5)
"""How far a client's clock may be behind when it says "from now on"."""

INSTANT = timedelta(microseconds=1)

STARTS_AT: ColumnElement[datetime] = func.lower(CareLink.during, type_=DateTime(timezone=True))


class CarePeriodRefused(Invalid):
    """This period is not one that a care link can have."""


class AlreadyLinked(Conflict):
    """The therapist is already in the patient's care team in this period."""


class LeadTaken(Conflict):
    """The patient has another lead therapist in this period: end that link first."""


class AssistantCannotLead(Conflict):
    """A physical therapist assistant cannot lead a care team."""


class TherapistNotActive(Conflict):
    """This therapist does not work at the clinic now."""


class CareLinkEnded(Conflict):
    """This link has ended already."""


CLASHES: Mapping[str, type[Conflict]] = {
    "ex_care_links_one_per_pair": AlreadyLinked,
    "ex_care_links_one_lead": LeadTaken,
}


async def browse(session: AsyncSession, actor: Actor, patient_id: UUID, page: Page, *, at: datetime) -> CareTeam:
    """List a patient's care links, newest first, and who is looking at this moment. Raises NotFound."""
    patient = await access.patient(session, actor, Action.READ_CARE_TEAM, patient_id, at=at)
    query = _joined(actor).where(CareLink.patient_id == patient.id)
    paged = await fetch(session, query, page, keys=(STARTS_AT, CareLink.id), descending=True)
    now = await session.scalars(
        select(Therapist)
        .join(CareLink, (CareLink.clinic_id == Therapist.clinic_id) & (CareLink.therapist_id == Therapist.id))
        .where(
            CareLink.clinic_id == actor.clinic_id,
            CareLink.patient_id == patient.id,
            CareLink.during.op("@>")(literal(at)),
        )
        .order_by(STARTS_AT, CareLink.id)
    )
    clinic = await session.get_one(Clinic, actor.clinic_id)
    await audit.record(session, actor, "care_link.list", subject=("care_link", None), patient_id=patient.id, at=at)
    return CareTeam(
        items=[_read(actor, row[0], row[1]) for row in paged.items],
        next_cursor=paged.next_cursor,
        watch=Watch(
            therapists=[TeamTherapist.model_validate(each) for each in now],
            zone=clinic.zone,
            staffed_hours=clinic.staffed_hours,
            phone=clinic.phone,
        ),
    )


async def create(
    session: AsyncSession, actor: Actor, patient_id: UUID, form: CareLinkCreate, *, at: datetime
) -> CareLinkRead:
    """Link a therapist who may treat the patient where he is.

    Raises NotFound (also for a therapist who is not of this clinic), CarePeriodRefused, TherapistNotActive,
    AssistantCannotLead, MayNotTreat, AlreadyLinked, LeadTaken.
    """
    patient = await access.patient(session, actor, Action.MANAGE_CARE_TEAM, patient_id, at=at)
    starts_at = _begin(form, at)
    therapist = await session.scalar(
        select(Therapist).where(Therapist.clinic_id == actor.clinic_id, Therapist.id == form.therapist_id)
    )
    if therapist is None:
        raise NotFound
    if therapist.status is not TherapistStatus.ACTIVE:
        raise TherapistNotActive
    if therapist.profession is Profession.PTA and form.role is CareRole.LEAD:
        raise AssistantCannotLead
    await licensing.may_link(session, actor.clinic_id, therapist.id, patient.id, at=starts_at)
    row = CareLink(
        clinic_id=actor.clinic_id,
        patient_id=patient.id,
        therapist_id=therapist.id,
        role=form.role,
        during=Range(starts_at, form.ends_at),
    )
    session.add(row)
    try:
        await session.flush()
    except IntegrityError as error:
        clash = CLASHES.get(violated(error))
        if clash is None:
            raise
        raise clash from error
    await audit.record(session, actor, "care_link.create", subject=("care_link", row.id), patient_id=patient.id, at=at)
    return _read(actor, row, therapist)


async def end(
    session: AsyncSession, actor: Actor, link_id: UUID, form: CareLinkEnd, *, version: int, at: datetime
) -> CareLinkRead:
    """End a link now; with the next request the therapist has no access. One that has not begun never gives any.

    Where nobody is left who may treat the patient his programs are paused.
    Raises NotFound, Stale, CareLinkEnded.
    """
    row = await access.subject(session, actor, Action.MANAGE_CARE_TEAM, CareLink, link_id, at=at, lock=True)
    starts_at, ends_at = row.during.lower, row.during.upper
    assert starts_at is not None
    if ends_at is not None and ends_at <= at:
        raise CareLinkEnded
    if row.version != version:
        raise Stale(row.version)
    # An empty period would forget what was planned; the shortest one keeps it on record.
    row.during = Range(starts_at, at if starts_at < at else starts_at + INSTANT)
    row.ended_reason = form.reason
    await session.flush()
    await programs.review(session, actor.clinic_id, patient_id=row.patient_id, actor=actor, at=at)
    therapist = await session.get_one(Therapist, (actor.clinic_id, row.therapist_id))
    await audit.record(session, actor, "care_link.end", subject=("care_link", row.id), patient_id=row.patient_id, at=at)
    return _read(actor, row, therapist)


def _begin(form: CareLinkCreate, at: datetime) -> datetime:
    """Tell when the link begins. Raises CarePeriodRefused."""
    starts_at = form.starts_at or at
    if starts_at < at - SKEW:
        raise CarePeriodRefused(Problem("/starts_at", "in_the_past", "A link begins now or later."))
    starts_at = max(starts_at, at)
    if form.ends_at is not None and form.ends_at <= starts_at:
        raise CarePeriodRefused(Problem("/ends_at", "ends_before_it_begins", "The link ends after it begins."))
    if form.ends_at is None and form.role is CareRole.COVERING:
        raise CarePeriodRefused(Problem("/ends_at", "end_missing", "Say until when the therapist covers."))
    return starts_at


def _joined(actor: Actor) -> Select[Any]:
    both: Any = select(CareLink, Therapist)
    query: Select[Any] = both.join(
        Therapist, (Therapist.clinic_id == CareLink.clinic_id) & (Therapist.id == CareLink.therapist_id)
    ).where(CareLink.clinic_id == actor.clinic_id)
    return query


def _read(actor: Actor, row: CareLink, therapist: Therapist) -> CareLinkRead:
    return CareLinkRead.model_validate(
        {
            "id": row.id,
            "version": row.version,
            "created_at": row.created_at,
            "updated_at": row.updated_at,
            "patient_id": row.patient_id,
            "therapist": TeamTherapist.model_validate(therapist),
            "role": row.role,
            "starts_at": row.during.lower,
            "ends_at": row.during.upper,
            "ended_reason": None if actor.role is Role.PATIENT else row.ended_reason,
        }
    )
