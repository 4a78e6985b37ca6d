"""Accounts, memberships and sign-ins: outside the clinics, in schema `identity`, behind the role `physio_identity`."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ForeignKey, Index, LargeBinary, UniqueConstraint, func, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import IDENTITY, Base, Made, check, words


class Role(StrEnum):
    """Whom a caller acts as in one clinic."""

    PATIENT = "patient"
    THERAPIST = "therapist"
    ASSISTANT = "assistant"
    CLINIC_ADMIN = "clinic_admin"
    AUDITOR = "auditor"
    SERVICE = "service"


class AccountStatus(StrEnum):
    """Whether the account may sign in at all."""

    ACTIVE = "active"
    DISABLED = "disabled"


class Account(Made, Base):
    """A person (or a service) that signs in; `email` is stored in lower case, `password_hash` is argon2id."""

    __tablename__ = "accounts"
    __table_args__ = (
        check("email", "email = lower(email) AND char_length(email) BETWEEN 3 AND 254"),
        {"schema": IDENTITY},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.uuidv7())
    email: Mapped[str] = mapped_column(unique=True)
    password_hash: Mapped[str | None]
    status: Mapped[AccountStatus] = mapped_column(
        words("status", AccountStatus), server_default=AccountStatus.ACTIVE.value
    )


class Membership(Made, Base):
    """What an account is in one clinic; `subject_id` names its therapist, assistant or patient record there."""

    __tablename__ = "memberships"
    __table_args__ = (
        UniqueConstraint("account_id", "clinic_id", "role"),
        check("subject", "(role IN ('patient', 'therapist', 'assistant')) = (subject_id IS NOT NULL)"),
        Index("uq_memberships_subject", "clinic_id", "subject_id", unique=True),
        {"schema": IDENTITY},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.uuidv7())
    account_id: Mapped[UUID] = mapped_column(ForeignKey("identity.accounts.id"))
    clinic_id: Mapped[UUID] = mapped_column(ForeignKey("clinics.id"))
    role: Mapped[Role] = mapped_column(words("role", Role))
    subject_id: Mapped[UUID | None]
    scopes: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    ended_at: Mapped[datetime | None]


class SignIn(Made, Base):
    """One signed-in device: a family of rotating refresh tokens and the one access token that is good now.

    Tokens are derived from `seed`, `generation` and the server's key, so nothing stored here can be used as a token;
    `access_hash` is what a request is looked up by. A refresh token older than the one before the present one revokes
    the whole family; the one before is answered with its same successor for 60 seconds after `rotated_at`.
    """

    __tablename__ = "sign_ins"
    __table_args__ = (
        Index("uq_sign_ins_access_hash", "access_hash", unique=True),
        Index("ix_sign_ins_account_id", "account_id"),
        {"schema": IDENTITY},
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.uuidv7())
    account_id: Mapped[UUID] = mapped_column(ForeignKey("identity.accounts.id"))
    membership_id: Mapped[UUID] = mapped_column(ForeignKey("identity.memberships.id"))
    seed: Mapped[bytes] = mapped_column(LargeBinary)
    generation: Mapped[int] = mapped_column(server_default=text("1"))
    access_hash: Mapped[bytes] = mapped_column(LargeBinary)
    access_expires_at: Mapped[datetime]
    refresh_expires_at: Mapped[datetime]
    idle_expires_at: Mapped[datetime]
    rotated_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    revoked_reason: Mapped[str | None]
    device: Mapped[str] = mapped_column(server_default="")


class Throttle(Base):
    """How fast somebody may try: one theoretical arrival time (GCRA) per hashed key. The table is UNLOGGED."""

    __tablename__ = "throttles"
    __table_args__ = ({"schema": IDENTITY, "prefixes": ["UNLOGGED"]},)

    key: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    arrives_at: Mapped[datetime]
