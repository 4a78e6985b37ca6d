"""Invitations: one person, one clinic, one role, once."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import LargeBinary
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Made, check, index, of_clinic, words
from models.identity import Role


class Invitation(Identified, Made, Base):
    """An invitation bound to one person's record and e-mail address; the code is stored as a hash only."""

    __tablename__ = "invitations"
    __table_args__ = (
        of_clinic(),
        check("expires", "expires_at > created_at"),
        index("ix_invitations_subject_id", "subject_id"),
    )

    email: Mapped[str]
    role: Mapped[Role] = mapped_column(words("role", Role))
    subject_id: Mapped[UUID | None]
    code_hash: Mapped[bytes] = mapped_column(LargeBinary)
    invited_by: Mapped[UUID]
    expires_at: Mapped[datetime]
    accepted_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
