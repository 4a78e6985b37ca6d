"""What a therapist may do where, and what the registers said about it."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from models.therapists import LicenseKind, LicenseStatus, Profession, VerificationMethod, VerificationResult
from schemas.base import In, Instant, Line, Out, Record, Text, UtcDatetime

Jurisdiction = Annotated[
    str,
    Line(6),
    Field(
        description="Country, with state or province where those license: `US-CA`, `CA-ON`, `GB`", examples=["US-CA"]
    ),
]


class LicenseIn(In):
    """An authority to practice, as the document says; it counts once a register has confirmed it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "jurisdiction": "GB",
                    "kind": "register",
                    "number": "PH123456",
                    "issued_on": "2024-05-01",
                    "expires_on": "2028-04-30",
                }
            ]
        }
    )

    jurisdiction: Jurisdiction
    kind: LicenseKind
    number: Annotated[str, Line(40)]
    issued_on: date
    expires_on: date = Field(description="Its last day")
    conditions: Annotated[str, Text(1000)] | None = Field(None, description="Conditions or restrictions, as written")


class VerificationIn(In):
    """What the register said. A renewal comes with its new last day, an encumbrance with its conditions."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "result": "verified",
                    "method": "primary_source_site",
                    "source": "HCPC register",
                    "evidence": {"reference": "screenshot 2026-03-02"},
                }
            ]
        }
    )

    result: VerificationResult
    method: VerificationMethod
    source: Annotated[str, Line(200)] = Field(description="Which register or document")
    evidence: Annotated[
        dict[Annotated[str, Line(40)], Annotated[str, Line(500)]],
        Field(max_length=20, description="References to what was seen; no copies"),
    ] = {}
    verified_at: Instant | None = Field(None, description="When it was looked up; now, if left out")
    expires_on: date | None = Field(None, description="The license's last day, if the register names another one")
    conditions: Annotated[str, Text(1000)] | None = Field(None, description="Conditions, as the register has them")
    next_check_on: date | None = Field(None, description="When to look again; in 30 days, if left out")


class LicenseOut(Record):
    """An authority to practice; only `verified` and `expiring` count."""

    therapist_id: UUID
    profession: Profession
    jurisdiction: str
    kind: LicenseKind
    number: str
    status: LicenseStatus
    issued_on: date
    expires_on: date
    conditions: str
    verified_at: UtcDatetime | None
    next_check_on: date | None


class VerificationOut(Out):
    """One look at the register, and the license as it stands after it."""

    id: UUID
    license_id: UUID
    result: VerificationResult
    method: VerificationMethod
    source: str
    evidence: dict[str, str]
    verified_by: UUID
    verified_at: UtcDatetime
    created_at: UtcDatetime
    license: LicenseOut
