"""May this therapist treat this patient now? The one gate before every act of care.

What counts is where the patient is at that moment. The answer names everything that is missing at once, and nothing
about the patient: neither the place nor why he is here.
"""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import licensing as rules
from clinical.licensing import Gap
from core.database import fetch
from core.errors import Conflict, Problem
from models.therapists import Profession, TherapistStatus

MESSAGES = {
    "care_link_missing": "There is no active care link between therapist and patient",
    "therapist_inactive": "The therapist is not active in this clinic",
    "profession_not_allowed": "An assistant may not evaluate, nor set or change a plan of care",
    "location_missing": "The patient has not said where he is",
    "license_missing": "The therapist has no license for the patient's place",
    "license_unverified": "The license has not been verified",
    "license_expired": "The license has expired",
    "license_not_yet_valid": "The license is not in force yet",
    "license_restricted": "The license is restricted or revoked",
    "license_profession": "The license is for another profession",
    "home_license_missing": "The compact privilege needs a license of the home state that is in force",
}
"""Every code of a refusal, with its sentence."""

_GAPS = {
    Gap.WRONG_PROFESSION: "license_profession",
    Gap.WRONG_PLACE: "license_missing",
    Gap.NOT_VERIFIED: "license_unverified",
    Gap.ENCUMBERED: "license_restricted",
    Gap.NOT_YET_VALID: "license_not_yet_valid",
    Gap.EXPIRED: "license_expired",
    Gap.HOME_LICENSE_MISSING: "home_license_missing",
}

# One row per license of the therapist, or one without any.
_FACTS = """
SELECT t.profession AS holder, t.status AS holder_status, c.zone, place.country, place.region,
       EXISTS (SELECT FROM care_links k
               WHERE k.clinic_id = $1 AND k.therapist_id = $2 AND k.patient_id = $3 AND k.during @> $4::timestamptz
              ) AS linked,
       l.profession, l.jurisdiction, l.kind, l.status, l.issued_on, l.expires_on
FROM therapists t
JOIN clinics c ON c.id = t.clinic_id
LEFT JOIN LATERAL (
  SELECT p.country, p.region FROM patient_locations p
  WHERE p.clinic_id = $1 AND p.patient_id = $3 AND p.attested_at <= $4
  ORDER BY p.attested_at DESC, p.id DESC LIMIT 1
) place ON true
LEFT JOIN licenses l ON l.clinic_id = t.clinic_id AND l.therapist_id = t.id
WHERE t.clinic_id = $1 AND t.id = $2
"""


class MayNotTreat(Conflict):
    """The therapist may not treat this patient now."""


async def may_treat(
    session: AsyncSession, clinic_id: UUID, therapist_id: UUID | None, patient_id: UUID, *, at: datetime
) -> None:
    """Let pass a physical therapist who is linked to the patient and licensed for the place where the patient is.

    Raises MayNotTreat, with all that is missing.
    """
    facts = await fetch(session, _FACTS, clinic_id, therapist_id, patient_id, at)
    codes = _person(facts)
    if facts and not facts[0]["linked"]:
        codes.append("care_link_missing")
    if facts and facts[0]["holder"] != Profession.PT:
        codes.append("profession_not_allowed")
    place = _place(facts)
    if facts and place is None:
        codes.append("location_missing")
    elif facts:
        codes += _missing(facts, place, at)
    _refuse(codes)


async def may_link(
    session: AsyncSession, clinic_id: UUID, therapist_id: UUID, patient_id: UUID, *, at: datetime
) -> None:
    """Let pass a therapist or assistant who may be linked to the patient.

    As `may_treat`, but without the link; and as long as the patient has not said where he is (a new one can only do so
    after accepting the invitation), one license in force anywhere is enough. Raises MayNotTreat.
    """
    facts = await fetch(session, _FACTS, clinic_id, therapist_id, patient_id, at)
    codes = _person(facts)
    if facts:
        codes += _missing(facts, _place(facts), at)
    _refuse(codes)


def _person(facts: list[asyncpg.Record]) -> list[str]:
    if facts and facts[0]["holder_status"] == TherapistStatus.ACTIVE:
        return []
    return ["therapist_inactive"]


def _place(facts: list[asyncpg.Record]) -> str | None:
    """Name the jurisdiction where the patient is; None when nobody said, or not down to the state that decides."""
    if not facts or facts[0]["country"] is None:
        return None
    try:
        return rules.jurisdiction(facts[0]["country"], facts[0]["region"])
    except rules.UnknownPlace:
        return None


def _missing(facts: list[asyncpg.Record], place: str | None, at: datetime) -> list[str]:
    """Say what keeps the best of the therapist's licenses from counting; of those for the place, if it has any."""
    first = facts[0]
    today = at.astimezone(ZoneInfo(first["zone"])).date()
    held = [_license(row) for row in facts if row["jurisdiction"] is not None]
    here = [each for each in held if place in {None, each.jurisdiction}]
    if not here:
        return ["license_missing"]
    found = [rules.gaps(each, place or each.jurisdiction, today, first["holder"], held) for each in here]
    return [_GAPS[gap] for gap in min(found, key=len)]


def _license(row: asyncpg.Record) -> rules.License:
    facts: dict[str, Any] = {name: row[name] for name in rules.License.__dataclass_fields__}
    return rules.License(**facts)


def _refuse(codes: list[str]) -> None:
    if codes:
        raise MayNotTreat(*(Problem("", code, MESSAGES[code]) for code in codes))
