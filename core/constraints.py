"""Which rule of the database was broken."""

from sqlalchemy.exc import IntegrityError


def violated(error: IntegrityError) -> str:
    """Name the constraint or unique index that refused a row; nothing when PostgreSQL did not say (NOT NULL)."""
    cause = error.orig.__cause__ if error.orig is not None else None
    return getattr(cause, "constraint_name", None) or ""
