"""Documents that are signed: drafts to be changed, who signs under which license, the seal of what was signed."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, TypeVar
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm.exc import StaleDataError

from clinical import licensing as rules
from core.errors import Conflict, Stale
from models.assessments import Assessment, DocumentStatus
from models.clinics import Clinic
from models.patients import PatientLocation
from models.reports import Report
from models.therapists import License, Therapist
from services.access import Actor

Document = TypeVar("Document", Assessment, Report)


def changeable(row: Document, version: int, signed: type[Conflict]) -> Document:
    """Give the document when it is a draft in the version that the caller has seen. Raises `signed`, Stale."""
    if row.status is not DocumentStatus.DRAFT:
        raise signed
    if row.version != version:
        raise Stale(row.version)
    return row


async def save(session: AsyncSession, row: Assessment | Report) -> None:
    """Write the document, unless somebody was faster (signed rows cannot be locked beforehand). Raises Stale."""
    before = row.version
    try:
        await session.flush()
    except StaleDataError as error:
        raise Stale(before + 1) from error


def seal(content: Mapping[str, Any]) -> str:
    """Return the SHA-256, in hex, of `content` in canonical JSON: sorted keys, no spaces, UTF-8 (as RFC 8785)."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return hashlib.sha256(canonical.encode()).hexdigest()


async def signed_as(session: AsyncSession, actor: Actor, patient_id: UUID, *, at: datetime) -> dict[str, Any]:
    """Say who signs, with the license that counts where the patient is; `may_treat` has found that there is one."""
    therapist = await session.get_one(Therapist, (actor.clinic_id, actor.therapist_id))
    zone = await session.scalar(select(Clinic.zone).where(Clinic.id == actor.clinic_id))
    place = await session.scalar(
        select(PatientLocation)
        .where(
            PatientLocation.clinic_id == actor.clinic_id,
            PatientLocation.patient_id == patient_id,
            PatientLocation.attested_at <= at,
        )
        .order_by(PatientLocation.attested_at.desc(), PatientLocation.id.desc())
        .limit(1)
    )
    held = await session.scalars(
        select(License)
        .where(License.clinic_id == actor.clinic_id, License.therapist_id == therapist.id)
        .order_by(License.expires_on.desc(), License.id)
    )
    assert place is not None
    assert zone is not None
    today = at.astimezone(ZoneInfo(zone)).date()
    where = rules.jurisdiction(place.country, place.region)
    licenses = held.all()
    used = next(each for each in licenses if rules.authorizes(each, where, today, therapist.profession.value, licenses))
    return {
        "therapist_id": str(therapist.id),
        "name": f"{therapist.given_name} {therapist.family_name}",
        "credentials": therapist.credentials,
        "profession": therapist.profession.value,
        "license": {"jurisdiction": used.jurisdiction, "kind": used.kind.value, "number": used.number},
    }
