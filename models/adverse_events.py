"""The register of adverse events: what came to harm, how bad it was, what it had to do with treatment, who looked."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Versioned, check, index, of_clinic, within, words


class AdverseEventKind(StrEnum):
    """What it was."""

    MORE_PAIN = "more_pain"
    SORENESS = "soreness"
    FALL = "fall"
    INJURY = "injury"
    NEUROLOGICAL = "neurological"
    DIZZINESS = "dizziness"
    HEART_OR_BREATH = "heart_or_breath"
    SKIN = "skin"
    MOOD = "mood"
    OTHER = "other"


class AdverseEventReporter(StrEnum):
    """Who reported it."""

    PATIENT = "patient"
    THERAPIST = "therapist"
    ASSISTANT = "assistant"


class SeriousCriterion(StrEnum):
    """What makes it serious; see `rules/adverse_events.yaml`."""

    DEATH = "death"
    LIFE_THREATENING = "life_threatening"
    HOSPITAL = "hospital"
    DISABILITY = "disability"
    MEDICALLY_IMPORTANT = "medically_important"


class Relatedness(StrEnum):
    """What it had to do with treatment, in a clinician's judgment."""

    UNRELATED = "unrelated"
    UNLIKELY = "unlikely"
    POSSIBLE = "possible"
    PROBABLE = "probable"
    DEFINITE = "definite"


class AdverseEventOutcome(StrEnum):
    """What became of it."""

    RECOVERED = "recovered"
    RECOVERING = "recovering"
    NOT_RECOVERED = "not_recovered"
    LASTING_EFFECTS = "lasting_effects"
    FATAL = "fatal"
    UNKNOWN = "unknown"


class AdverseEventStatus(StrEnum):
    """reported → reviewed."""

    REPORTED = "reported"
    REVIEWED = "reviewed"


class ReviewConclusion(StrEnum):
    """What a review ended with."""

    NO_ACTION_NEEDED = "no_action_needed"
    PROGRAM_CHANGED = "program_changed"
    REFERRED = "referred"
    PROCESS_CHANGED = "process_changed"
    REPORTED_TO_AUTHORITY = "reported_to_authority"


class AdverseEvent(Identified, Versioned, Base):
    """One adverse event. What nobody has said yet is empty; `seriousness` without a criterion says that it is not serious.

    `version_id`, `item_id`, `session_id`: the program version, the prescribed exercise and the session that it came with.
    `rule_version` is that of the grades. After its review it is changed only by what makes it worse, which opens it again.
    """

    __tablename__ = "adverse_events"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("episode_id", "episodes"),
        within("version_id", "program_versions"),
        within("item_id", "program_items"),
        within("session_id", "exercise_sessions"),
        within("reviewed_by", "therapists"),
        check("description", "char_length(description) BETWEEN 1 AND 2000"),
        check("grade", "grade BETWEEN 1 AND 5"),
        check(
            "seriousness",
            "seriousness <@ ARRAY['death', 'life_threatening', 'hospital', 'disability', 'medically_important']::text[]",
        ),
        check("days", "ended_on >= occurred_on"),
        check("linked", "(item_id IS NULL AND session_id IS NULL) OR version_id IS NOT NULL"),
        check(
            "reviewed",
            "(status = 'reviewed') = (reviewed_at IS NOT NULL AND reviewed_by IS NOT NULL AND conclusion IS NOT NULL)",
        ),
        check(
            "complete",
            "status <> 'reviewed' OR (grade IS NOT NULL AND seriousness IS NOT NULL AND relatedness IS NOT NULL"
            " AND outcome IS NOT NULL)",
        ),
        check("review_note", "char_length(review_note) BETWEEN 1 AND 2000"),
        index("ix_adverse_events_patient_id", "patient_id", "occurred_on", "id"),
        index("ix_adverse_events_occurred_on", "occurred_on", "id"),
    )

    patient_id: Mapped[UUID]
    episode_id: Mapped[UUID | None]
    version_id: Mapped[UUID | None]
    item_id: Mapped[UUID | None]
    session_id: Mapped[UUID | None]
    kind: Mapped[AdverseEventKind] = mapped_column(words("kind", AdverseEventKind))
    description: Mapped[str]
    occurred_on: Mapped[date]
    ended_on: Mapped[date | None]
    grade: Mapped[int | None]
    seriousness: Mapped[list[str] | None]
    relatedness: Mapped[Relatedness | None] = mapped_column(words("relatedness", Relatedness))
    outcome: Mapped[AdverseEventOutcome | None] = mapped_column(words("outcome", AdverseEventOutcome))
    rule_version: Mapped[str]
    reported_via: Mapped[AdverseEventReporter] = mapped_column(words("reported_via", AdverseEventReporter))
    reported_at: Mapped[datetime]
    reported_by: Mapped[UUID]
    status: Mapped[AdverseEventStatus] = mapped_column(
        words("status", AdverseEventStatus), server_default=AdverseEventStatus.REPORTED.value
    )
    conclusion: Mapped[ReviewConclusion | None] = mapped_column(words("conclusion", ReviewConclusion))
    review_note: Mapped[str | None]
    reviewed_at: Mapped[datetime | None]
    reviewed_by: Mapped[UUID | None]


class AdverseEventChange(Identified, Base):
    """What somebody said about an adverse event; never changed. `changes` maps each field to what it was and became."""

    __tablename__ = "adverse_event_changes"
    __table_args__ = (
        of_clinic(),
        within("adverse_event_id", "adverse_events"),
        check("kind", "kind IN ('reported', 'changed', 'reviewed')"),
        check("note", "char_length(note) BETWEEN 1 AND 500"),
        index("ix_adverse_event_changes_adverse_event_id", "adverse_event_id", "at"),
    )

    adverse_event_id: Mapped[UUID]
    kind: Mapped[str]
    at: Mapped[datetime]
    by: Mapped[UUID]
    changes: Mapped[Json]
    note: Mapped[str | None]
