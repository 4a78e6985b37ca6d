"""Flare-ups: since when, at which step of the dose, what led there, and how they ended."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Versioned, check, index, of_clinic, within, words


class FlareStep(StrEnum):
    """reduced ⇄ three_quarters → full, which is the end; the order is `clinical.levels`'."""

    REDUCED = "reduced"
    THREE_QUARTERS = "three_quarters"
    FULL = "full"


class FlareOpener(StrEnum):
    """Who began it: the patient by himself, rule ES05 by an answer of his, or a therapist."""

    PATIENT = "patient"
    RULE = "rule"
    THERAPIST = "therapist"


class FlareTrigger(StrEnum):
    """What came before it, as far as the patient knows."""

    DID_MORE = "did_more"
    LIFTING = "lifting"
    LONG_SITTING = "long_sitting"
    LONG_DRIVE = "long_drive"
    POOR_SLEEP = "poor_sleep"
    STRESS = "stress"
    ILLNESS = "illness"
    UNKNOWN = "unknown"
    OTHER = "other"


class FlareEnd(StrEnum):
    """How it ended: by the rules, or because somebody said so."""

    RECOVERED = "recovered"
    OVER = "over"
    MISTAKE = "mistake"
    PLAN_CHANGED = "plan_changed"
    EPISODE_DISCHARGED = "episode_discharged"


class Flare(Identified, Versioned, Base):
    """A flare-up of one episode, at most one open for a patient.

    `opened_on`, `step_on` and `closed_on` are the patient's local days; on `closed_on` the usual dose is due again.
    `reasons` are codes of why it stands at its step, `held_until` the last day for which a therapist chose the step.
    `baseline_pain` and `baseline_limitation` are of the days before it, 0-10. `review_at` is when the rules look again;
    `contacted_at` and `reassess_at` are when they asked for the therapist and for a new assessment.
    """

    __tablename__ = "flares"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        within("screen_id", "red_flag_screens"),
        check("baseline_pain", "baseline_pain BETWEEN 0 AND 10"),
        check("baseline_limitation", "baseline_limitation BETWEEN 0 AND 10"),
        check(
            "closed",
            "(closed_at IS NOT NULL) = (step = 'full') AND (closed_at IS NULL) = (closed_on IS NULL)"
            " AND (closed_at IS NULL) = (close_reason IS NULL)",
        ),
        check("held", "(held_until IS NULL) = (held_by IS NULL)"),
        check("days", "step_on >= opened_on AND closed_on >= opened_on"),
        index("uq_flares_open", "patient_id", unique=True, postgresql_where=text("closed_at IS NULL")),
        index("ix_flares_patient_id", "patient_id", "opened_at", "id"),
        index("ix_flares_review_at", "review_at", postgresql_where=text("closed_at IS NULL")),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    opened_via: Mapped[FlareOpener] = mapped_column(words("opened_via", FlareOpener))
    opened_at: Mapped[datetime]
    opened_on: Mapped[date]
    opened_by: Mapped[UUID]
    triggers: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    baseline_pain: Mapped[int | None]
    baseline_limitation: Mapped[int | None]
    screen_id: Mapped[UUID | None]
    step: Mapped[FlareStep] = mapped_column(words("step", FlareStep), server_default=FlareStep.REDUCED.value)
    step_at: Mapped[datetime]
    step_on: Mapped[date]
    reasons: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    rule_version: Mapped[str]
    held_until: Mapped[date | None]
    held_by: Mapped[UUID | None]
    contacted_at: Mapped[datetime | None]
    reassess_at: Mapped[datetime | None]
    review_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]
    closed_on: Mapped[date | None]
    closed_by: Mapped[UUID | None]
    close_reason: Mapped[FlareEnd | None] = mapped_column(words("close_reason", FlareEnd))


class FlareEvent(Identified, Base):
    """Something that happened to a flare-up; never changed. `step` is the one that held from then on.

    `check_in_id` is the answer that reported it. `by` is empty where the rules did it; `inputs` are numbers and codes that
    they looked at, `note` a therapist's words.
    """

    __tablename__ = "flare_events"
    __table_args__ = (
        of_clinic(),
        within("flare_id", "flares"),
        within("check_in_id", "check_ins"),
        check("kind", "kind IN ('opened', 'screened', 'step', 'overridden', 'contact', 'reassess', 'closed')"),
        check("note", "char_length(note) BETWEEN 1 AND 500"),
        index("ix_flare_events_flare_id", "flare_id", "at"),
    )

    flare_id: Mapped[UUID]
    kind: Mapped[str]
    check_in_id: Mapped[UUID | None]
    at: Mapped[datetime]
    local_date: Mapped[date]
    step: Mapped[FlareStep] = mapped_column(words("step", FlareStep))
    reasons: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    rule_version: Mapped[str]
    inputs: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    by: Mapped[UUID | None]
    note: Mapped[str | None]
