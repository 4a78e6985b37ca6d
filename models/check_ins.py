"""Check-in plans, the check-ins they make, and the answers."""

from datetime import date, datetime, time
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, LargeBinary, Time, UniqueConstraint, and_, text
from sqlalchemy.dialects.postgresql import DATEMULTIRANGE, JSONB
from sqlalchemy.dialects.postgresql.ranges import MultiRange
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, OfClinic, Versioned, check, in_zone, index, of_clinic, within, words


class PlanFrequency(StrEnum):
    """How a plan makes its check-ins."""

    DAILY = "daily"
    WEEKDAYS = "weekdays"
    TIMES_PER_WEEK = "times_per_week"
    AFTER_SESSION = "after_session"


class PlanStatus(StrEnum):
    """active ⇄ paused → ended."""

    ACTIVE = "active"
    PAUSED = "paused"
    ENDED = "ended"


class CheckInPlan(Identified, Versioned, Base):
    """When a patient is asked what.

    A plan stores a wall time and an IANA zone, which moves with the patient's unless `follow_zone` is off. `next_on` is
    the local date of the occurrence that comes next and `next_due_at` its instant; `steps` gives, for each ISO weekday
    1..7, the days to the following occurrence, so that one set-based statement can move every due plan on with
    immutable arithmetic. A check-in opens `opens_minutes` before it is due, closes `closes_minutes` after, and is
    answerable as late until `late_minutes` after closing.

    `notify_on_open` tells the patient when a check-in opens, `remind_after_hours` reminds him once, so long after it was
    due, `reminders_per_week` caps all reminders to him. Before the local day `muted_until` nothing is sent; on `holidays`
    nothing is sent either, and what he does not answer is excused.

    `flare_id` names a flare-up as long as which the plan asks every day, whatever its weekdays; a plan that is there for
    the flare-up alone is `flare_only`, and ends with it.
    """

    __tablename__ = "check_in_plans"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        within("flare_id", "flares"),
        in_zone(),
        check("steps", "cardinality(steps) = 7"),
        check("dates", "ends_on IS NULL OR ends_on >= starts_on"),
        check("closes_minutes", "closes_minutes BETWEEN 15 AND 10080"),
        check("opens_minutes", "opens_minutes BETWEEN 0 AND 1440"),
        check("late_minutes", "late_minutes BETWEEN 0 AND 10080"),
        check("next", "(next_on IS NULL) = (next_due_at IS NULL)"),
        check("times_per_week", "times_per_week BETWEEN 1 AND 7"),
        check("remind_after_hours", "remind_after_hours BETWEEN 1 AND 48"),
        check("reminders_per_week", "reminders_per_week BETWEEN 0 AND 14"),
        check("flare_only", "NOT flare_only OR flare_id IS NOT NULL"),
        # A plan is moved on with every check-in: entries packed together would be pulled apart each time.
        index("ix_check_in_plans_episode_id", "episode_id", postgresql_with={"deduplicate_items": "off"}),
        index("ix_check_in_plans_after_session", "patient_id", postgresql_where=text("frequency = 'after_session'")),
        index("ix_check_in_plans_due", "next_due_at", postgresql_where=text("status = 'active'")),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    question_set: Mapped[str]
    frequency: Mapped[PlanFrequency] = mapped_column(words("frequency", PlanFrequency))
    weekdays: Mapped[list[int]]
    times_per_week: Mapped[int | None]
    steps: Mapped[list[int]]
    local_time: Mapped[time] = mapped_column(Time)
    zone: Mapped[str]
    follow_zone: Mapped[bool] = mapped_column(server_default=text("true"))
    opens_minutes: Mapped[int] = mapped_column(server_default=text("0"))
    closes_minutes: Mapped[int] = mapped_column(server_default=text("1200"))
    late_minutes: Mapped[int] = mapped_column(server_default=text("1440"))
    after_hours: Mapped[int] = mapped_column(server_default=text("0"))
    starts_on: Mapped[date]
    ends_on: Mapped[date | None]
    next_on: Mapped[date | None]
    next_due_at: Mapped[datetime | None]
    status: Mapped[PlanStatus] = mapped_column(words("status", PlanStatus), server_default=PlanStatus.ACTIVE.value)
    status_reason: Mapped[str] = mapped_column(server_default="")
    notify_on_open: Mapped[bool] = mapped_column(server_default=text("false"))
    remind_after_hours: Mapped[int | None]
    reminders_per_week: Mapped[int | None]
    muted_until: Mapped[date | None]
    holidays: Mapped[MultiRange[date]] = mapped_column(DATEMULTIRANGE, server_default=text("'{}'"))
    flare_id: Mapped[UUID | None]
    flare_only: Mapped[bool] = mapped_column(server_default=text("false"))


class CheckInStatus(StrEnum):
    """due → open → submitted | late | missed | excused.

    What was missed becomes late when it is answered before `late_until`. So does what was excused because of an outage,
    and submitted before it closes.
    """

    DUE = "due"
    OPEN = "open"
    SUBMITTED = "submitted"
    LATE = "late"
    MISSED = "missed"
    EXCUSED = "excused"


class CheckIn(Identified, Base):
    """One occurrence of a plan (plan, local date, slot: once), or one the patient began (`plan_id` empty).

    Rows are made by the hundred thousand: the clinic is known by the patient, so no key of its own is checked for it.
    """

    __tablename__ = "check_ins"
    __table_args__ = (
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        within("plan_id", "check_in_plans"),
        UniqueConstraint("clinic_id", "plan_id", "local_date", "slot", name="uq_check_ins_occurrence"),
        check("window", "opens_at <= due_at AND due_at < closes_at AND closes_at <= late_until"),
        check("slot", "slot >= 1"),
        check("answered", "(status IN ('submitted', 'late')) = (answered_at IS NOT NULL)"),
        index("ix_check_ins_patient_id", "patient_id", "due_at", "id"),
        index("ix_check_ins_opening", "opens_at", postgresql_where=text("status = 'due'")),
        index("ix_check_ins_closing", "closes_at", postgresql_where=text("status IN ('due', 'open')")),
        index(
            "ix_check_ins_reminding",
            "remind_at",
            postgresql_where=text("status = 'open' AND remind_at IS NOT NULL"),
        ),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    plan_id: Mapped[UUID | None]
    local_date: Mapped[date]
    slot: Mapped[int] = mapped_column(server_default=text("1"))
    question_set: Mapped[str]
    zone: Mapped[str]
    status: Mapped[CheckInStatus] = mapped_column(words("status", CheckInStatus))
    opens_at: Mapped[datetime]
    due_at: Mapped[datetime]
    closes_at: Mapped[datetime]
    late_until: Mapped[datetime]
    remind_at: Mapped[datetime | None]
    answered_at: Mapped[datetime | None]
    excused_reason: Mapped[str | None]
    session_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = mapped_column(server_default=text("now()"))

    @classmethod
    def answerable(cls, at: datetime) -> ColumnElement[bool]:
        """Offered for answers at `at`, in time or late.

        What was excused because of an outage is not offered, but takes the answers of a phone that had it already.
        """
        return and_(
            cls.status.in_([CheckInStatus.DUE, CheckInStatus.OPEN, CheckInStatus.MISSED]),
            cls.opens_at <= at,
            at < cls.late_until,
        )


class CheckInAnswer(OfClinic, Base):
    """The answers to one check-in, once, never changed; `pain_now` (0-10) stands beside them for the series."""

    __tablename__ = "check_in_answers"
    __table_args__ = (
        within("check_in_id", "check_ins"),
        check("pain_now", "pain_now BETWEEN 0 AND 10"),
        check("answers", "jsonb_typeof(answers) = 'object'"),
        index("ix_check_in_answers_patient_id", "patient_id", "answered_at", postgresql_include=["pain_now"]),
    )

    check_in_id: Mapped[UUID] = mapped_column(primary_key=True)
    patient_id: Mapped[UUID]
    question_set: Mapped[str]
    question_set_version: Mapped[str]
    answers: Mapped[Json]
    pain_now: Mapped[int | None]
    late: Mapped[bool]
    answered_at: Mapped[datetime]
    answered_by: Mapped[UUID]
    device_at: Mapped[datetime | None]
    device_zone: Mapped[str | None]
    raised: Mapped[list[Any]] = mapped_column(JSONB, server_default=text("'[]'::jsonb"))
    body_sha256: Mapped[bytes] = mapped_column(LargeBinary)
