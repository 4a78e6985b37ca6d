"""What a patient agreed to, and the texts there are to agree to."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from models.consents import ConsentMethod, ConsentPurpose, ConsentStatus
from schemas.base import In, Line, Listing, Out, Record, UtcDatetime


class ConsentCreate(In):
    """Agreement to one purpose, now. The patient gives it electronically; staff record what was said or signed."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"purpose": "telehealth", "text_version": "1", "method": "electronic"},
                {"purpose": "reminders", "text_version": "1", "method": "verbal", "explained_by": "Bob Keller"},
            ]
        }
    )

    purpose: ConsentPurpose
    text_version: Annotated[str, Field(pattern=r"^[1-9][0-9]{0,5}$", description="The newest version of the text")]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")] = "en"
    method: ConsentMethod
    explained_by: Annotated[str, Line(200)] | None = Field(None, description="Who explained the text, if anybody")
    expires_on: date | None = Field(None, description="Last day, by the patient's calendar; null until withdrawn")


class ConsentRead(Record):
    """A consent; at most one per purpose is `given`."""

    patient_id: UUID
    purpose: ConsentPurpose
    status: ConsentStatus
    text_version: str
    language: str
    method: ConsentMethod
    explained_by: str
    given_at: UtcDatetime | None
    given_by: UUID | None = Field(description="The account that gave or recorded it")
    expires_on: date | None
    withdrawn_at: UtcDatetime | None


class ConsentSection(Out):
    """A part of a text under its own heading."""

    heading: str
    text: str


class ConsentTextRead(Out):
    """A text as the patient reads it, in its newest version."""

    purpose: ConsentPurpose
    version: str
    language: str
    title: str
    sections: list[ConsentSection]


class ConsentList(Listing[ConsentRead]):
    """A patient's consents, newest first, and the texts that can be agreed to now."""

    texts: list[ConsentTextRead]
