"""Which instruments are asked in an episode, and when."""

from datetime import date
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Versioned, check, index, of_clinic, within, words


class InstrumentAsker(StrEnum):
    """Who answers: the patient himself in his app, or staff with him."""

    PATIENT = "patient"
    STAFF = "staff"


class InstrumentPlanStatus(StrEnum):
    """active → ended."""

    ACTIVE = "active"
    ENDED = "ended"


class InstrumentOccasion(StrEnum):
    """Why an instrument is due; the order is `clinical.administration`'s."""

    INTAKE = "intake"
    REPORT = "report"
    DISCHARGE = "discharge"
    INTERVAL = "interval"


class InstrumentPlan(Identified, Versioned, Base):
    """When one instrument is asked in an episode; days are the patient's.

    `next_on` is the day from which it is due and `occasion` why, worked out anew with every change and every answer; both
    are empty when nothing is left to ask. `reminded_on` is the `next_on` of which the patient was reminded.
    """

    __tablename__ = "instrument_plans"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        check("every_weeks", "every_weeks BETWEEN 1 AND 26"),
        check(
            "asks",
            "status = 'ended' OR intake OR every_weeks IS NOT NULL OR report_on IS NOT NULL OR discharge_on IS NOT NULL",
        ),
        check("due", "(next_on IS NULL) = (occasion IS NULL)"),
        index(
            "uq_instrument_plans_active",
            "episode_id",
            "instrument_code",
            unique=True,
            postgresql_where=text("status = 'active'"),
        ),
        index("ix_instrument_plans_episode_id", "episode_id", "created_at"),
        index("ix_instrument_plans_next_on", "next_on", postgresql_where=text("status = 'active'")),
        index("ix_instrument_plans_patient_id", "patient_id", postgresql_where=text("status = 'active'")),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    instrument_code: Mapped[str]
    asked_of: Mapped[InstrumentAsker] = mapped_column(words("asked_of", InstrumentAsker))
    starts_on: Mapped[date]
    intake: Mapped[bool]
    every_weeks: Mapped[int | None]
    report_on: Mapped[date | None]
    discharge_on: Mapped[date | None]
    status: Mapped[InstrumentPlanStatus] = mapped_column(
        words("status", InstrumentPlanStatus), server_default=InstrumentPlanStatus.ACTIVE.value
    )
    next_on: Mapped[date | None]
    occasion: Mapped[InstrumentOccasion | None] = mapped_column(words("occasion", InstrumentOccasion))
    reminded_on: Mapped[date | None]
