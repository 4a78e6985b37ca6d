"""Outcome instruments answered by patients: raw answers and what was derived from them."""

from datetime import date, datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import Numeric, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Made, check, index, of_clinic, within


class Outcome(Identified, Made, Base):
    """One administration of an instrument. Scores are derived, never typed; a correction is a new row that supersedes.

    `scores` holds every score by id, `score` the primary one; `fired` lists the instrument's safety rules that matched.
    `change` compares with the first response of the same instrument in the episode.
    """

    __tablename__ = "outcomes"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        within("supersedes_id", "outcomes"),
        check("answers", "jsonb_typeof(answers) = 'object'"),
        index("ix_outcomes_episode_id", "episode_id", "instrument_code", "administered_at"),
        index("ix_outcomes_patient_id", "patient_id", "administered_at"),
        index("uq_outcomes_supersedes_id", "supersedes_id", unique=True),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    instrument_code: Mapped[str]
    instrument_version: Mapped[str]
    answers: Mapped[Json]
    scores: Mapped[Json]
    score_id: Mapped[str | None]
    score: Mapped[Decimal | None] = mapped_column(Numeric(7, 2))
    band: Mapped[str | None]
    prorated: Mapped[bool] = mapped_column(server_default=text("false"))
    safety_unknown: Mapped[bool] = mapped_column(server_default=text("false"))
    fired: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    change: Mapped[Json | None]
    administered_at: Mapped[datetime]
    administered_on: Mapped[date]
    recorded_by: Mapped[UUID]
    supersedes_id: Mapped[UUID | None]
