"""Who treats a patient, in which role, from when to when."""

from typing import Annotated, Any
from uuid import UUID

from pydantic import ConfigDict, Field

from models.care_team import CareRole
from models.therapists import Profession
from schemas.base import In, Instant, Listing, Out, Record, Text, UtcDatetime

_EXAMPLE_ID = "0198c0de-7a11-7000-8000-0000000000b0"


class CareLinkCreate(In):
    """A therapist for the patient. Without `starts_at` from now on; a covering therapist needs `ends_at`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"therapist_id": _EXAMPLE_ID, "role": "member"},
                {"therapist_id": _EXAMPLE_ID, "role": "covering", "ends_at": "2026-12-24T18:00:00+01:00"},
            ]
        }
    )

    therapist_id: UUID
    role: CareRole
    starts_at: Instant | None = None
    ends_at: Instant | None = None


class CareLinkEnd(In):
    """Why the link ends now."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Handed over to a colleague"}]})

    reason: Annotated[str, Text(500)]


class TeamTherapist(Out):
    """What a patient may know of a therapist."""

    id: UUID
    given_name: str
    family_name: str
    credentials: str
    profession: Profession


class CareLinkRead(Record):
    """A therapist's link to a patient; the therapist reaches the record from `starts_at` until before `ends_at`."""

    patient_id: UUID
    therapist: TeamTherapist
    role: CareRole
    starts_at: UtcDatetime
    ends_at: UtcDatetime | None
    ended_reason: str | None = Field(description="Null for patients")


class Watch(Out):
    """Who looks at what the patient sends, and when: nobody watches outside these hours."""

    therapists: list[TeamTherapist] = Field(description="Who is linked at this moment")
    zone: str = Field(description="IANA zone of the hours")
    staffed_hours: dict[str, Any] = Field(description='ISO weekday "1" to "7": lists of ["HH:MM", "HH:MM"]')
    phone: str


class CareTeam(Listing[CareLinkRead]):
    """A patient's care team, newest link first, and who is looking now."""

    watch: Watch
