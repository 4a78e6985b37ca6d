"""What every table has in common: names of constraints, the clinic in front of every key, versions, moments."""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar
from uuid import UUID

from sqlalchemy import (
    CheckConstraint,
    Column,
    DateTime,
    Enum,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, declared_attr, mapped_column

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}

IDENTITY = "identity"
"""The schema of accounts and sign-ins, outside the clinics."""

Json = dict[str, Any]
Moment = Annotated[datetime, mapped_column(DateTime(timezone=True))]


class Base(DeclarativeBase):
    """A table."""

    __mapper_args__ = {"eager_defaults": True}  # noqa: RUF012 - SQLAlchemy declares it as an instance's

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map: ClassVar[Mapping[Any, Any]] = {
        datetime: DateTime(timezone=True),
        str: Text(),
        Json: JSONB(),
        list[str]: ARRAY(Text()),
        list[int]: ARRAY(Integer()),
    }


class OfClinic:
    """A table of one clinic: the clinic stands first in the key, row-level security is forced (see the migrations)."""

    clinic_id: Mapped[UUID] = mapped_column(primary_key=True, sort_order=-20)


class Identified(OfClinic):
    """A row of one clinic with an id of its own (UUIDv7, made by the client or by PostgreSQL)."""

    id: Mapped[UUID] = mapped_column(primary_key=True, server_default=func.uuidv7(), sort_order=-19)


class Made:
    """When the row was written."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=90)


class Versioned(Made):
    """A row that changes: `version` is its ETag, counted up by the ORM at every change."""

    updated_at: Mapped[datetime] = mapped_column(server_default=func.now(), onupdate=func.now(), sort_order=91)
    version: Mapped[int] = mapped_column(server_default=text("1"), default=1, sort_order=92)

    @declared_attr.directive
    def __mapper_args__(cls) -> Json:  # noqa: N805 - SQLAlchemy calls it on the class
        return {"version_id_col": cls.version, "eager_defaults": True}


def words(name: str, values: type[StrEnum]) -> Enum:
    """Column type for a closed set of words: text, with a CHECK that lists them."""
    return Enum(
        values,
        name=name,
        native_enum=False,
        create_constraint=True,
        values_callable=lambda members: [member.value for member in members],
        length=40,
        validate_strings=True,
    )


def of_clinic() -> ForeignKeyConstraint:
    """Tie the row to its clinic."""
    return ForeignKeyConstraint(["clinic_id"], ["clinics.id"])


def in_zone() -> ForeignKeyConstraint:
    """Tie `zone` to a zone whose rules the database knows."""
    return ForeignKeyConstraint(["zone"], ["time_zones.name"])


def within(column: str, target: str, *, name: str | None = None, ondelete: str | None = None) -> ForeignKeyConstraint:
    """Tie `column` to a row of `target` in the same clinic; a link across clinics is impossible."""
    return ForeignKeyConstraint(
        ["clinic_id", column], [f"{target}.clinic_id", f"{target}.id"], name=name, ondelete=ondelete
    )


def check(name: str, condition: str) -> CheckConstraint:
    """State a rule that the database holds."""
    return CheckConstraint(condition, name=name)


def index(name: str, *columns: str | Any, **options: Any) -> Index:
    """Make a named index; `clinic_id` comes first in every one of them."""
    return Index(name, "clinic_id", *columns, **options)


__all__ = [
    "IDENTITY",
    "Base",
    "Column",
    "Identified",
    "Json",
    "Made",
    "Moment",
    "OfClinic",
    "Versioned",
    "check",
    "in_zone",
    "index",
    "of_clinic",
    "within",
    "words",
]
