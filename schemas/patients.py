"""Patients, and where they say they are."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from models.patients import PatientStatus
from schemas.base import EmailAddress, In, Line, Out, Record, Text, UtcDatetime, ZoneName

Gender = Literal["female", "male", "other", "unknown"]
Name = Annotated[str, Line(100)]
RecordNumber = Annotated[
    str,
    Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9./-]{0,39}$", description="The clinic's own number", examples=["P000123"]),
]
Phone = Annotated[str, Field(pattern=r"^\+?[0-9][0-9 ()./-]{2,38}$", examples=["+49 30 901820"])]
Language = Annotated[
    str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$", description="BCP 47 tag", examples=["en", "de-AT"])
]
ConditionCode = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,59}$")]
Conditions = Annotated[
    list[ConditionCode],
    Field(max_length=40, description="Codes of the vocabulary of contraindications; therapists only"),
]


class PatientCreate(In):
    """A person to register. Without `record_number` the clinic's next one is taken."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "given_name": "Alice",
                    "family_name": "Moreau",
                    "birth_date": "1984-05-17",
                    "zone": "Europe/Berlin",
                    "email": "alice@example.org",
                    "phone": "+49 30 901820",
                    "language": "en",
                }
            ]
        }
    )

    given_name: Name
    family_name: Name
    birth_date: date
    zone: ZoneName
    record_number: RecordNumber | None = None
    gender: Gender | None = None
    email: EmailAddress | None = None
    phone: Phone | None = None
    language: Language = "en"
    emergency_contact: Annotated[str, Text(300)] | None = None
    conditions: Conditions = Field(default_factory=list)


class PatientChange(In):
    """What to change; null empties gender, email, phone and emergency contact.

    A patient changes his own email, phone, language, zone and emergency contact; `conditions` are the therapist's.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"phone": "+49 30 901821", "zone": "Europe/Paris"}]})

    given_name: Name | None = None
    family_name: Name | None = None
    birth_date: date | None = None
    record_number: RecordNumber | None = None
    gender: Gender | None = None
    email: EmailAddress | None = None
    phone: Phone | None = None
    language: Language | None = None
    zone: ZoneName | None = None
    emergency_contact: Annotated[str, Text(300)] | None = None
    conditions: Conditions | None = None
    status: PatientStatus | None = None


class PatientSummary(Record):
    """A patient in a list: no clinical field, for nobody."""

    record_number: str
    given_name: str
    family_name: str
    birth_date: date
    zone: str
    status: PatientStatus


class PatientContact(PatientSummary):
    """A patient as the office sees the person: name, contact, nothing clinical."""

    gender: str | None
    email: str | None
    phone: str | None
    language: str
    emergency_contact: str | None
    signed_up: bool = Field(description="Whether the person has an account here")


class PlaceRead(Out):
    """Where the patient said he is."""

    country: str = Field(description="ISO 3166-1 alpha-2")
    region: str | None = Field(description="ISO 3166-2 without the country")
    attested_at: UtcDatetime


class PatientRead(PatientSummary):
    """A patient as the person and the care team see the record."""

    gender: str | None
    email: str | None
    phone: str | None
    language: str
    emergency_contact: str | None
    signed_up: bool = Field(description="Whether the person has an account here")
    conditions: list[str] = Field(description="Codes of the vocabulary of contraindications")
    place: PlaceRead | None = Field(description="The newest attested place; null until there is one")


class LocationCreate(In):
    """Where the patient is now: the license gate goes by the newest one. In US, CA and AU the region is needed."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"country": "DE"}, {"country": "US", "region": "CA"}]})

    country: Annotated[str, Field(pattern=r"^[A-Z]{2}$", description="ISO 3166-1 alpha-2")]
    region: Annotated[
        str | None,
        Field(pattern=r"^[A-Z0-9]{1,3}$", description="State or province: ISO 3166-2 without the country"),
    ] = None


class LocationRead(PlaceRead):
    """A place that was attested; never changed."""

    id: UUID
    patient_id: UUID
    attested_by: UUID = Field(description="The account that said so")
