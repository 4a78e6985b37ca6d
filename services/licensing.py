"""May this therapist treat this patient now? The one gate before every act of care.

What counts is where the patient is at that moment. The answer names everything that is missing at once, and nothing
about the patient: neither the place nor why he is here. `untreated` asks the same of all running programs at once, by
the same rule.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
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

_LICENSES = """
  t.id AS therapist_id, t.profession AS holder, t.status AS holder_status, c.zone,
  l.profession, l.jurisdiction, l.kind, l.status, l.issued_on, l.expires_on
FROM therapists t
JOIN clinics c ON c.id = t.clinic_id
LEFT JOIN licenses l ON l.clinic_id = t.clinic_id AND l.therapist_id = t.id
"""

_PLACE = """
LEFT JOIN LATERAL (
  SELECT p.country, p.region FROM patient_locations p
  WHERE p.clinic_id = $1 AND p.patient_id = {patient} AND p.attested_at <= {at}
  ORDER BY p.attested_at DESC, p.id DESC LIMIT 1
) place ON true
"""

# One row per license of the therapist, or one without any.
_FACTS = f"""
SELECT place.country, place.region,
  EXISTS (SELECT FROM care_links k
          WHERE k.clinic_id = $1 AND k.therapist_id = $2 AND k.patient_id = $3 AND k.during @> $4::timestamptz
         ) AS linked, {_LICENSES}
{_PLACE.format(patient="$3", at="$4")}
WHERE t.clinic_id = $1 AND t.id = $2
"""  # noqa: S608 - built of constants

_HOLDERS = f"SELECT {_LICENSES} WHERE t.clinic_id = $1 AND t.id = ANY ($2::uuid[])"

# Patients with a program in use, by where they are and who is linked to them, the lead first.
_SITUATIONS = f"""
WITH running AS (
  SELECT DISTINCT g.patient_id FROM programs g
  WHERE g.clinic_id = $1 AND g.status = 'active' AND ($3::uuid[] IS NULL OR g.patient_id = ANY ($3))
), seen AS (
  SELECT r.patient_id, place.country, place.region, array(
    SELECT k.therapist_id FROM care_links k
    WHERE k.clinic_id = $1 AND k.patient_id = r.patient_id AND k.during @> $2::timestamptz
    ORDER BY k.role = 'lead' DESC, k.therapist_id) AS therapists
  FROM running r
  {_PLACE.format(patient="r.patient_id", at="$2")}
)
SELECT country, region, therapists, array_agg(patient_id ORDER BY patient_id) AS patients
FROM seen WHERE $4::uuid IS NULL OR $4 = ANY (therapists)
GROUP BY country, region, therapists
"""  # noqa: S608 - built of constants


class MayNotTreat(Conflict):
    """The therapist may not treat this patient now."""


@dataclass(frozen=True)
class _Holder:
    """A therapist as the gate sees him, with all his licenses, whatever they are worth, on the clinic's day."""

    profession: str
    active: bool
    licenses: Sequence[rules.License]
    today: date


async def may_treat(
    session: AsyncSession, clinic_id: UUID, therapist_id: UUID | None, patient_id: UUID, *, at: datetime
) -> None:
    """Let pass a physical therapist who is linked to the patient and licensed for the place where the patient is.

    Raises MayNotTreat, with all that is missing.
    """
    facts = await fetch(session, _FACTS, clinic_id, therapist_id, patient_id, at)
    _refuse(_treating(_holder(facts, at), _place(facts), linked=bool(facts) and facts[0]["linked"]))


async def may_link(
    session: AsyncSession, clinic_id: UUID, therapist_id: UUID, patient_id: UUID, *, at: datetime
) -> None:
    """Let pass a therapist or assistant who may be linked to the patient.

    As `may_treat`, but without the link; and as long as the patient has not said where he is (a new one can only do so
    after accepting the invitation), one license in force anywhere is enough. Raises MayNotTreat.
    """
    facts = await fetch(session, _FACTS, clinic_id, therapist_id, patient_id, at)
    holder = _holder(facts, at)
    _refuse(_person(holder) + ([] if holder is None else _missing(holder, _place(facts))))


async def untreated(
    session: AsyncSession,
    clinic_id: UUID,
    *,
    patients: Sequence[UUID] | None = None,
    therapist_id: UUID | None = None,
    at: datetime,
) -> Mapping[UUID, str]:
    """Give the patients with an active program whom nobody linked to them may treat at `at`, with the code why.

    The code is the first that `may_treat` gives of the one whom least keeps from it, the lead before others. patients:
    look at these only. therapist_id: only at those who are linked to this one.
    """
    rows = await fetch(session, _SITUATIONS, clinic_id, at, patients, therapist_id)
    named = {therapist for row in rows for therapist in row["therapists"]}
    holders = await _holders(session, clinic_id, named, at)
    found: dict[UUID, str] = {}
    for row in rows:
        place = _place([row])
        gaps = [_treating(holders[each], place, linked=True) for each in row["therapists"]]
        nearest = min(gaps, key=len, default=["care_link_missing"])
        if nearest:
            found |= dict.fromkeys(row["patients"], nearest[0])
    return found


async def _holders(
    session: AsyncSession, clinic_id: UUID, therapists: Iterable[UUID], at: datetime
) -> Mapping[UUID, _Holder | None]:
    by_therapist: dict[UUID, list[asyncpg.Record]] = {each: [] for each in therapists}
    for row in await fetch(session, _HOLDERS, clinic_id, list(by_therapist)):
        by_therapist[row["therapist_id"]].append(row)
    return {each: _holder(rows, at) for each, rows in by_therapist.items()}


def _holder(facts: Sequence[asyncpg.Record], at: datetime) -> _Holder | None:
    """Make the therapist of his rows; None when the clinic has no such therapist."""
    if not facts:
        return None
    first = facts[0]
    return _Holder(
        profession=first["holder"],
        active=first["holder_status"] == TherapistStatus.ACTIVE,
        licenses=[_license(row) for row in facts if row["jurisdiction"] is not None],
        today=at.astimezone(ZoneInfo(first["zone"])).date(),
    )


def _treating(holder: _Holder | None, place: str | None, *, linked: bool) -> list[str]:
    """Say everything that keeps a therapist from treating a patient who is at `place`."""
    codes = _person(holder)
    if holder is None:
        return codes
    if not linked:
        codes.append("care_link_missing")
    if holder.profession != Profession.PT:
        codes.append("profession_not_allowed")
    return codes + (["location_missing"] if place is None else _missing(holder, place))


def _person(holder: _Holder | None) -> list[str]:
    return [] if holder is not None and holder.active else ["therapist_inactive"]


def _place(facts: Sequence[asyncpg.Record]) -> str | None:
    """Name the jurisdiction where the patient is; None when nobody said, or not down to the state that decides."""
    if not facts or facts[0]["country"] is None:
        return None
    try:
        return rules.jurisdiction(facts[0]["country"], facts[0]["region"])
    except rules.UnknownPlace:
        return None


def _missing(holder: _Holder, place: str | None) -> list[str]:
    """Say what keeps the best of the therapist's licenses from counting; of those for the place, if it has any."""
    here = [each for each in holder.licenses if place in {None, each.jurisdiction}]
    if not here:
        return ["license_missing"]
    found = [
        rules.gaps(each, place or each.jurisdiction, holder.today, holder.profession, holder.licenses) for each in here
    ]
    return [_GAPS[gap] for gap in min(found, key=len)]


def _license(row: asyncpg.Record) -> rules.License:
    facts: dict[str, Any] = {name: row[name] for name in rules.License.__dataclass_fields__}
    return rules.License(**facts)


def _refuse(codes: list[str]) -> None:
    if codes:
        raise MayNotTreat(*(Problem("", code, MESSAGES[code]) for code in codes))
