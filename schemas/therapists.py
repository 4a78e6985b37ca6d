"""The people who treat."""

from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from models.therapists import Profession, TherapistStatus
from schemas.base import EmailAddress, In, Line, Record, unchanged

Npi = Annotated[str, Line(10), Field(description="US National Provider Identifier, 10 digits", examples=["1234567893"])]


class TherapistIn(In):
    """A therapist or assistant who joins the clinic; an invitation gives the person an account."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "given_name": "Bob",
                    "family_name": "Keller",
                    "email": "bob.keller@example.org",
                    "profession": "PT",
                    "credentials": "PT, DPT",
                    "npi": "1234567893",
                }
            ]
        }
    )

    given_name: Annotated[str, Line(100)]
    family_name: Annotated[str, Line(100)]
    email: EmailAddress
    profession: Profession
    phone: Annotated[str, Line(40)] | None = None
    credentials: Annotated[str, Line(100)] | None = Field(None, description="As written behind the name")
    npi: Npi | None = None


class TherapistChange(In):
    """What changes. The profession does not: another one is another record, with licenses of its own."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"credentials": "PT, DPT, OCS"}]})

    given_name: Annotated[str, Line(100)] = unchanged()
    family_name: Annotated[str, Line(100)] = unchanged()
    email: EmailAddress = unchanged()
    phone: Annotated[str, Line(40)] | None = None
    credentials: Annotated[str, Line(100)] | None = None
    npi: Npi | None = None
    status: TherapistStatus = unchanged()


class TherapistOut(Record):
    """A therapist or assistant of the clinic; `account_id` is null until the invitation is accepted."""

    account_id: UUID | None
    given_name: str
    family_name: str
    email: str
    phone: str
    credentials: str
    profession: Profession
    npi: str | None
    status: TherapistStatus
