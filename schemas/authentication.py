"""Signing in: what is sent, and what is given out."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from models.identity import Role
from schemas.base import EmailAddress, In, Line, Out, Password, Secret, UtcDatetime

_EXAMPLE_ID = "0198c0de-7a11-7000-8000-0000000000c1"


class SignInRequest(In):
    """Who signs in. A person with several memberships says which one is meant."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"email": "therapist@demo.example", "password": "physio-demo-2026"}]}
    )

    email: EmailAddress
    password: Password
    clinic_id: UUID | None = None
    role: Role | None = None
    device: Annotated[str, Line(80)] | None = Field(None, description="A name by which the person knows the device")


class RefreshRequest(In):
    """The refresh token that was given out last."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"refresh_token": "physio_rt_AZjA3noRcACAAAAAAAAAwQAAAAHExampleOnly"}]}
    )

    refresh_token: Secret


class AccountOut(Out):
    """Who signs in."""

    id: UUID
    email: str


class MembershipOut(Out):
    """As what, and where; the record that the person has there."""

    id: UUID
    clinic_id: UUID
    role: Role
    therapist_id: UUID | None
    patient_id: UUID | None


class SignedIn(Out):
    """A signed-in device. The refresh token works once: each refresh gives the next one."""

    access_token: str = Field(description="Send it as `Authorization: Bearer …`")
    refresh_token: str
    token_type: Literal["Bearer"]
    expires_in: int = Field(description="Seconds for which the access token is good")
    refresh_expires_at: UtcDatetime = Field(description="After this, sign in anew")
    account: AccountOut
    membership: MembershipOut


class ClinicName(Out):
    """The clinic, as far as everybody in it may know."""

    id: UUID
    name: str
    zone: str
    country: str


class Me(Out):
    """Who the caller is, and as what."""

    account: AccountOut
    membership: MembershipOut
    clinic: ClinicName
    scopes: list[str] = Field(description="What a service may do; empty for people")
