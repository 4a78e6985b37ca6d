"""How patients and staff join a clinic."""

from typing import Annotated, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from models.identity import Role
from schemas.base import EmailAddress, In, Line, Out, Password, Secret, UtcDatetime, ZoneName

_ID = "0198c0de-7a11-7000-8000-000000000001"


class InvitationIn(In):
    """Whom to invite: a patient, a therapist, or by e-mail address an admin or auditor."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"email": "erin@example.org", "role": "auditor"}, {"patient_id": _ID}, {"therapist_id": _ID}]
        }
    )

    patient_id: UUID | None = None
    therapist_id: UUID | None = None
    email: EmailAddress | None = None
    role: Literal["clinic_admin", "auditor"] | None = None

    @model_validator(mode="after")
    def _one_person(self) -> Self:
        by_address = self.email is not None and self.role is not None
        half = (self.email is None) != (self.role is None)
        if half or [self.patient_id is not None, self.therapist_id is not None, by_address].count(True) != 1:
            raise PydanticCustomError(
                "invitation_person", "Name one person: patient_id, or therapist_id, or email and role"
            )
        return self


class InvitationOut(Out):
    """An invitation; its code goes to the invited address."""

    id: UUID
    role: Role
    email: str
    subject_id: UUID | None = Field(description="The patient's or therapist's record it is bound to")
    expires_at: UtcDatetime
    created_at: UtcDatetime
    code: str | None = Field(
        description="Null: the code is in the e-mail to the invited person, and nowhere else. "
        "Only a demo or a developer's own server shows it here, too"
    )


class InvitationAcceptance(In):
    """The code, and the password: of the account with the invited address, or for a new one (15 characters or more)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"code": "physio_in_from-the-invitation", "password": "a short sentence is good", "language": "en"}
            ]
        }
    )

    code: Secret
    password: Password
    language: (
        Annotated[
            str,
            StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Z]{2})?$"),
            Field(description="A patient's language", examples=["de"]),
        ]
        | None
    ) = None
    zone: ZoneName | None = Field(None, description="A patient's time zone")
    device: Annotated[str, Line(80)] | None = Field(None, description="A name by which the person knows the device")
