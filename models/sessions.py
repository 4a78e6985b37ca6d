"""Exercise sessions as they were done, next to what was prescribed."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import LargeBinary, Numeric, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, OfClinic, check, index, within


class ExerciseSession(Identified, Base):
    """One session logged by the patient under the client's own id; never changed.

    `local_date` is the day of `performed_at` in `device_zone`; `body_sha256` tells a repeat from another session.
    `new_neurological_symptom`: new weakness, numbness or tingling while exercising. A correction is a new session that
    `supersedes_id` names.
    """

    __tablename__ = "exercise_sessions"
    __table_args__ = (  # no key to the clinic itself: the patient's holds it, and a log is checked often
        within("patient_id", "patients"),
        within("program_id", "programs"),
        within("version_id", "program_versions"),
        within("supersedes_id", "exercise_sessions"),
        check("pain_before", "pain_before BETWEEN 0 AND 10"),
        check("pain_after", "pain_after BETWEEN 0 AND 10"),
        check("effort", "effort BETWEEN 0 AND 10"),
        check("items", "items_done BETWEEN 0 AND items_prescribed"),
        index("ix_exercise_sessions_patient_id", "patient_id", "performed_at", "id"),
        index(
            "uq_exercise_sessions_supersedes_id",
            "supersedes_id",
            unique=True,
            postgresql_where=text("supersedes_id IS NOT NULL"),
        ),
        index("ix_exercise_sessions_local_date", "patient_id", "local_date"),
    )

    patient_id: Mapped[UUID]
    program_id: Mapped[UUID]
    version_id: Mapped[UUID]
    local_date: Mapped[date]
    slot: Mapped[int] = mapped_column(server_default=text("1"))
    performed_at: Mapped[datetime]
    device_zone: Mapped[str]
    received_at: Mapped[datetime]
    pain_before: Mapped[int | None]
    pain_after: Mapped[int | None]
    effort: Mapped[int | None]
    new_neurological_symptom: Mapped[bool] = mapped_column(server_default=text("false"))
    note: Mapped[str] = mapped_column(server_default="")
    items_prescribed: Mapped[int]
    items_done: Mapped[int]
    dose_prescribed: Mapped[int]
    dose_done: Mapped[int]
    body_sha256: Mapped[bytes] = mapped_column(LargeBinary)
    supersedes_id: Mapped[UUID | None]


class SessionItem(OfClinic, Base):
    """One prescribed exercise within a session: set by set what was done, or why not.

    `sets` is a list of {reps, hold_seconds, duration_seconds, load_kg}; `dose_done` and `dose_prescribed` are in the
    unit of the item (sets x reps, sets x hold seconds, or seconds).
    """

    __tablename__ = "session_items"
    __table_args__ = (
        within("session_id", "exercise_sessions"),
        within("item_id", "program_items"),
        check("pain_before", "pain_before BETWEEN 0 AND 10"),
        check("pain_during", "pain_during BETWEEN 0 AND 10"),
        check("pain_after", "pain_after BETWEEN 0 AND 10"),
        check("effort", "effort BETWEEN 0 AND 10"),
        check(
            "skip_reason",
            "skip_reason IN ('pain', 'too_hard', 'no_time', 'forgot', 'bored', 'not_sure_how', 'no_equipment',"
            " 'ill', 'other')",
        ),
        index("ix_session_items_item_id", "item_id"),
    )

    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    item_id: Mapped[UUID] = mapped_column(primary_key=True)
    position: Mapped[int]
    done: Mapped[bool]
    sets: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    load_kg: Mapped[Decimal | None] = mapped_column(Numeric(5, 2))
    dose_prescribed: Mapped[int]
    dose_done: Mapped[int]
    effort: Mapped[int | None]
    pain_before: Mapped[int | None]
    pain_during: Mapped[int | None]
    pain_after: Mapped[int | None]
    skip_reason: Mapped[str | None]
    note: Mapped[str] = mapped_column(server_default="")
    prescribed: Mapped[Json]
