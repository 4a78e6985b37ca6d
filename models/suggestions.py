"""What the progression rules suggest for a prescribed exercise, what became of it, and which programs to look at."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, OfClinic, Versioned, check, index, of_clinic, within, words


class SuggestionOutcome(StrEnum):
    """What to do with the dose. What stays as it is, is not suggested."""

    STOP = "stop"
    REGRESS = "regress"
    HOLD = "hold"
    PROGRESS = "progress"


class SuggestionStatus(StrEnum):
    """open → accepted | rejected (by a therapist) | applied (by itself, within bounds) | superseded."""

    OPEN = "open"
    ACCEPTED = "accepted"
    REJECTED = "rejected"
    APPLIED = "applied"
    SUPERSEDED = "superseded"


class Suggestion(Identified, Versioned, Base):
    """One suggestion for one item of a program version; an item has one open one at most.

    `change` names what changes (a field of the dose, or `exercise`), from `from_dose` to `to_dose`; both are empty where
    nothing changes. `inputs` are the sessions that it was made of (`session_id` the last of them), `explanation` says it
    in words. `within_bounds`: whether the version's bounds let it happen without a human. `reason`: why it was rejected,
    or what the therapist added. `written_version_id` is the version that came of it.
    """

    __tablename__ = "suggestions"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        within("program_id", "programs"),
        within("version_id", "program_versions"),
        within("item_id", "program_items"),
        within("session_id", "exercise_sessions"),
        within("decided_by", "therapists"),
        within("written_version_id", "program_versions"),
        check("change", "(change IS NULL) = (to_dose IS NULL)"),
        check("open", "(status = 'open') = (decided_at IS NULL)"),
        check("decided", "decided_by IS NULL OR status IN ('accepted', 'rejected')"),
        check("reason", "char_length(reason) <= 500"),
        check("explanation", "char_length(explanation) BETWEEN 1 AND 1000"),
        index("uq_suggestions_open", "item_id", unique=True, postgresql_where=text("status = 'open'")),
        index("ix_suggestions_program_id", "program_id", "created_at"),
        index("ix_suggestions_patient_id", "patient_id", "created_at", "id"),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID]
    program_id: Mapped[UUID]
    version_id: Mapped[UUID]
    item_id: Mapped[UUID]
    exercise_code: Mapped[str]
    outcome: Mapped[SuggestionOutcome] = mapped_column(words("outcome", SuggestionOutcome))
    change: Mapped[str | None]
    from_dose: Mapped[Json]
    to_dose: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    reasons: Mapped[list[str]]
    rule_version: Mapped[str]
    inputs: Mapped[Json]
    explanation: Mapped[str]
    within_bounds: Mapped[bool] = mapped_column(server_default=text("false"))
    session_id: Mapped[UUID | None]
    status: Mapped[SuggestionStatus] = mapped_column(
        words("status", SuggestionStatus), server_default=SuggestionStatus.OPEN.value
    )
    decided_by: Mapped[UUID | None]
    decided_at: Mapped[datetime | None]
    reason: Mapped[str] = mapped_column(server_default="")
    written_version_id: Mapped[UUID | None]


class EvaluationOwed(OfClinic, Base):
    """A session was logged, so its program is to be looked at; gone once that is done.

    Written by the statement that keeps the session, so it is as light as can be: no key to other tables is checked, no
    further index is kept (there are few rows), and nobody waits for the job that takes it up.
    """

    __tablename__ = "evaluations_owed"
    session_id: Mapped[UUID] = mapped_column(primary_key=True)
    program_id: Mapped[UUID]
    owed_at: Mapped[datetime]
