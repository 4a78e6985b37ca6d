"""Patients: registering them, keeping their details, and where they say they are."""

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, cast, func, or_, select, tuple_
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import library, places
from clinical.recurrence import local_date
from core.constraints import violated
from core.errors import Conflict, Forbidden, Invalid, Problem, Stale
from models.care_team import CareLink, CareRole
from models.clinics import Clinic
from models.identity import Role
from models.patients import Patient, PatientLocation, PatientStatus
from schemas.pages import Page, Paged
from schemas.patients import (
    LocationCreate,
    PatientChange,
    PatientContact,
    PatientCreate,
    PatientRead,
    PlaceRead,
)
from services import access, audit, check_ins, licensing, programs
from services.access import Action, Actor

EARLIEST = date(1900, 1, 1)
"""Nobody alive was born earlier; the table refuses it, too."""

OWN_FIELDS = frozenset({"email", "phone", "language", "zone", "emergency_contact"})
"""What a patient may change of himself."""

CLINICAL_FIELDS = frozenset({"conditions"})
NUMBER_IS_UNIQUE = "uq_patients_clinic_id_record_number"
"""The constraint that lets a record number stand once in a clinic."""
MAY_BE_EMPTY = frozenset({"gender", "email", "phone", "emergency_contact"})


class FieldNotYours(Forbidden):
    """Your role may not set one of these fields."""


class PatientRefused(Invalid):
    """A detail of the patient breaks a rule."""


class RecordNumberTaken(Conflict):
    """Another patient of the clinic has this record number."""


# ------------------------------------------------------------------ reading


async def browse(
    session: AsyncSession,
    actor: Actor,
    page: Page,
    *,
    status: PatientStatus | None,
    q: str | None,
    at: datetime,
) -> Paged[Patient]:
    """Patients within reach by family name, given name, id. q: the beginning of either name, or a whole record number.

    The cursor holds an id only, never a name: the page continues behind that patient's present place in the order.
    """
    query = select(Patient).where(
        Patient.clinic_id == actor.clinic_id, Patient.id.in_(access.patients(actor, Action.READ_PATIENTS, at))
    )
    if status is not None:
        query = query.where(Patient.status == status)
    if q is not None:
        begins = q.lower()
        query = query.where(
            or_(
                func.lower(Patient.family_name).startswith(begins, autoescape=True),
                func.lower(Patient.given_name).startswith(begins, autoescape=True),
                Patient.record_number == q,
            )
        )
    order = (Patient.family_name, Patient.given_name, Patient.id)
    after = page.after
    if after is not None:
        there = select(*order).where(Patient.clinic_id == actor.clinic_id, Patient.id == after[0])
        query = query.where(tuple_(*order) > there.scalar_subquery())
    rows = (await session.scalars(query.order_by(*order).limit(page.limit + 1))).all()
    await audit.record(session, actor, "patient.list", subject=("patient", None), at=at)
    return page.cut(rows, lambda row: (row.id,))


async def get(session: AsyncSession, actor: Actor, patient_id: UUID, *, at: datetime) -> PatientRead | PatientContact:
    """Give the record; the office sees no clinical field. Raises NotFound."""
    row = await access.patient(session, actor, Action.READ_PATIENTS, patient_id, at=at)
    await audit.record(session, actor, "patient.read", subject=("patient", row.id), patient_id=row.id, at=at)
    return await _read(session, actor, row)


async def _read(session: AsyncSession, actor: Actor, row: Patient) -> PatientRead | PatientContact:
    columns = {column: getattr(row, column) for column in PatientContact.model_fields if column != "signed_up"}
    columns["signed_up"] = row.account_id is not None
    if actor.role is Role.CLINIC_ADMIN:
        return PatientContact(**columns)
    place = await session.scalar(
        select(PatientLocation)
        .where(PatientLocation.clinic_id == actor.clinic_id, PatientLocation.patient_id == row.id)
        .order_by(PatientLocation.attested_at.desc(), PatientLocation.id.desc())
        .limit(1)
    )
    return PatientRead(
        **columns, conditions=row.conditions, place=None if place is None else PlaceRead.model_validate(place)
    )


# ------------------------------------------------------------------ changing


async def create(
    session: AsyncSession, actor: Actor, form: PatientCreate, *, at: datetime
) -> PatientRead | PatientContact:
    """Register a patient. A therapist becomes the lead of the care team; an admin's registration links nobody.

    Raises FieldNotYours, PatientRefused, RecordNumberTaken, MayNotTreat (the therapist has no license in force).
    """
    access.require(actor, Action.REGISTER_PATIENTS)
    values = form.model_dump()
    _check_fields(actor, {name for name in CLINICAL_FIELDS if values[name]})
    values["record_number"] = form.record_number or await _next_number(session, actor)
    _check_values(values, local_date(at, form.zone))
    row = Patient(clinic_id=actor.clinic_id, **values)
    await _save(session, row)
    session.info[access.SUBJECT] = row.id
    if actor.therapist_id is not None:
        await licensing.may_link(session, actor.clinic_id, actor.therapist_id, row.id, at=at)
        lead = CareLink(
            clinic_id=actor.clinic_id,
            patient_id=row.id,
            therapist_id=actor.therapist_id,
            role=CareRole.LEAD,
            during=Range(at, None),
        )
        session.add(lead)
        await session.flush()
        await audit.record(session, actor, "care_link.create", subject=("care_link", lead.id), patient_id=row.id, at=at)
    await audit.record(session, actor, "patient.create", subject=("patient", row.id), patient_id=row.id, at=at)
    return await _read(session, actor, row)


async def update(
    session: AsyncSession, actor: Actor, patient_id: UUID, change: PatientChange, *, version: int, at: datetime
) -> PatientRead | PatientContact:
    """Change details; check-in plans follow a new zone from the next local day.

    Raises NotFound, FieldNotYours, Stale, PatientRefused, RecordNumberTaken.
    """
    row = await access.patient(session, actor, Action.CHANGE_PATIENTS, patient_id, at=at, lock=True)
    values = change.model_dump(exclude_unset=True)
    _check_fields(actor, values.keys())
    if row.version != version:
        raise Stale(row.version)
    _check_values(values, local_date(at, values.get("zone") or row.zone))
    moved = "zone" in values and values["zone"] != row.zone
    for name, value in values.items():
        setattr(row, name, value)
    await _save(session, row)
    if moved:
        await check_ins.follow_zone(session, actor.clinic_id, row.id, row.zone, actor=actor, at=at)
    await audit.record(session, actor, "patient.update", subject=("patient", row.id), patient_id=row.id, at=at)
    return await _read(session, actor, row)


def _check_fields(actor: Actor, names: AbstractSet[str]) -> None:
    """Refuse fields that are not the role's to set. Raises FieldNotYours."""
    refused: AbstractSet[str] = frozenset()
    if actor.role is Role.PATIENT:
        refused = names - OWN_FIELDS
    elif actor.role is Role.CLINIC_ADMIN:
        refused = names & CLINICAL_FIELDS
    if refused:
        raise FieldNotYours(
            *(Problem(f"/{name}", "field_not_yours", "Your role may not set this.") for name in sorted(refused))
        )


def _check_values(values: Mapping[str, Any], today: date) -> None:
    """Refuse what no patient can have; `today` is the patient's day. Raises PatientRefused."""
    problems = [
        Problem(f"/{name}", "null_refused", "This cannot be empty.")
        for name, value in values.items()
        if value is None and name not in MAY_BE_EMPTY
    ]
    born = values.get("birth_date")
    if born is not None and born > today:
        problems.append(Problem("/birth_date", "in_the_future", "The day of birth lies in the future."))
    if born is not None and born < EARLIEST:
        problems.append(Problem("/birth_date", "too_long_ago", "The day of birth lies too far back."))
    conditions: list[str] = values.get("conditions") or []
    known = library.load().contraindications
    problems += [
        Problem(f"/conditions/{place}", "condition_unknown", "The vocabulary of contraindications has no such code.")
        for place, code in enumerate(conditions)
        if code not in known
    ]
    if len(set(conditions)) != len(conditions):
        problems.append(Problem("/conditions", "repeated", "A condition is named twice."))
    if problems:
        raise PatientRefused(*problems)


async def _next_number(session: AsyncSession, actor: Actor) -> str:
    """Give the clinic's next record number (P000001 and so on); two registrations wait for each other."""
    clinic = select(Clinic.id).where(Clinic.id == actor.clinic_id)
    await session.execute(clinic.with_for_update(key_share=True))
    counted = cast(func.substr(Patient.record_number, 2), BigInteger)
    last = await session.scalar(
        select(func.max(counted)).where(
            Patient.clinic_id == actor.clinic_id, Patient.record_number.regexp_match("^P[0-9]{6,15}$")
        )
    )
    return f"P{(last or 0) + 1:06}"


async def _save(session: AsyncSession, row: Patient) -> None:
    """Write the row. Raises RecordNumberTaken."""
    session.add(row)
    try:
        await session.flush()
    except IntegrityError as error:
        if violated(error) != NUMBER_IS_UNIQUE:
            raise
        raise RecordNumberTaken(
            Problem("/record_number", "taken", "Another patient of the clinic has this number.")
        ) from error


# ------------------------------------------------------------------ places


async def attest_location(
    session: AsyncSession, actor: Actor, patient_id: UUID, form: LocationCreate, *, at: datetime
) -> PatientLocation:
    """Keep where the patient is now, as he or his therapist says; the license gate goes by the newest.

    Where nobody linked to him may treat him his programs are paused.
    Raises NotFound, PlaceUnknown.
    """
    patient = await access.patient(session, actor, Action.ATTEST_LOCATION, patient_id, at=at)
    places.check_place(form.country, form.region)
    row = PatientLocation(
        clinic_id=actor.clinic_id,
        patient_id=patient.id,
        country=form.country,
        region=form.region,
        attested_at=at,
        attested_by=actor.account_id,
    )
    session.add(row)
    await session.flush()
    await audit.record(
        session, actor, "location.attest", subject=("patient_location", row.id), patient_id=patient.id, at=at
    )
    await programs.review(session, actor.clinic_id, patient_id=patient.id, actor=actor, at=at)
    return row
