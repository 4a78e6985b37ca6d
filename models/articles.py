"""Articles for patients: what ships with Physio, what a clinic writes, and who was given which to read."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import ColumnElement, and_, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from models.base import Base, Identified, Json, Versioned, check, index, of_clinic, within, words


class ArticleScope(StrEnum):
    """Whose article it is: shipped with Physio, or the clinic's."""

    LIBRARY = "library"
    CLINIC = "clinic"


class ArticleStatus(StrEnum):
    """draft → approved ⇄ retired; what changes in an approved one makes it a draft again."""

    DRAFT = "draft"
    APPROVED = "approved"
    RETIRED = "retired"


class Article(Identified, Versioned, Base):
    """A piece of general education in one language; only an approved one reaches patients.

    One `code` is one article, with a row for each language. `check_question` follows schemas/articles.py. Every clinic
    holds its own copy of the shipped ones, synchronized by code and language; whoever is given one keeps the text that
    was approved then. `approved_by_id` is the therapist who approved this very text.
    """

    __tablename__ = "articles"
    __table_args__ = (
        of_clinic(),
        within("approved_by_id", "therapists"),
        check("title", "char_length(title) BETWEEN 1 AND 200"),
        check("sources", "cardinality(sources) >= 1"),
        check("approved", "status <> 'approved' OR approved_at IS NOT NULL"),
        check("approval", "(approved_at IS NULL) = (approved_by_id IS NULL)"),
        check("retired", "(status = 'retired') = (retired_at IS NOT NULL)"),
        index("uq_articles_code", "code", "language", unique=True),
        index("ix_articles_title", "title", "id"),
    )

    scope: Mapped[ArticleScope] = mapped_column(words("scope", ArticleScope))
    code: Mapped[str]
    language: Mapped[str]
    title: Mapped[str]
    topic: Mapped[str]
    reading_level: Mapped[str] = mapped_column(server_default="")
    concepts: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    body: Mapped[str]
    sources: Mapped[list[str]]
    check_question: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    status: Mapped[ArticleStatus] = mapped_column(
        words("status", ArticleStatus), server_default=ArticleStatus.DRAFT.value
    )
    approved_at: Mapped[datetime | None]
    approved_by_id: Mapped[UUID | None]
    retired_at: Mapped[datetime | None]


class AssignmentReason(StrEnum):
    """Why a patient was given an article: by a therapist, by the phase of the program, or by what was answered."""

    THERAPIST = "therapist"
    PHASE = "phase"
    TRIGGER = "trigger"


class WithdrawnReason(StrEnum):
    """Why an article is not to be read any more."""

    BY_THERAPIST = "by_therapist"
    ARTICLE_RETIRED = "article_retired"


class ArticleAssignment(Identified, Versioned, Base):
    """An article that a patient was given: waiting → read | withdrawn. An article waits for a patient once.

    `article` pins title, text, sources and question as they were approved that day. Only what the patient and the
    withdrawal say is ever set after the insert. `answer` is the first one to the check question, from 0; `inputs` are
    what the rule looked at, numbers, days and codes only.
    """

    __tablename__ = "article_assignments"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        within("article_id", "articles"),
        within("assigned_by_id", "therapists"),
        check("by", "(reason = 'therapist') = (assigned_by_id IS NOT NULL)"),
        check("rule", "(reason = 'therapist') = (rule_id IS NULL) AND (rule_id IS NULL) = (rule_version IS NULL)"),
        check("read", "read_at IS NULL OR withdrawn_at IS NULL"),
        check("withdrawn", "(withdrawn_at IS NULL) = (withdrawn_reason IS NULL)"),
        check(
            "answered",
            "(answer IS NULL) = (correct IS NULL) AND (answer IS NULL) = (answered_at IS NULL)"
            " AND (answer IS NULL OR read_at IS NOT NULL)",
        ),
        index(
            "uq_article_assignments_waiting",
            "patient_id",
            "code",
            unique=True,
            postgresql_where=text("read_at IS NULL AND withdrawn_at IS NULL"),
        ),
        index("ix_article_assignments_patient_id", "patient_id", "assigned_at", "id"),
        index("ix_article_assignments_article_id", "article_id"),
    )

    patient_id: Mapped[UUID]
    article_id: Mapped[UUID]
    article_version: Mapped[int]
    code: Mapped[str]
    language: Mapped[str]
    article: Mapped[Json]
    reason: Mapped[AssignmentReason] = mapped_column(words("reason", AssignmentReason))
    rule_id: Mapped[str | None]
    rule_version: Mapped[str | None]
    inputs: Mapped[Json | None] = mapped_column(JSONB(none_as_null=True))
    note: Mapped[str] = mapped_column(server_default="")
    assigned_at: Mapped[datetime]
    assigned_by_id: Mapped[UUID | None]
    read_at: Mapped[datetime | None]
    answer: Mapped[int | None]
    correct: Mapped[bool | None]
    answered_at: Mapped[datetime | None]
    withdrawn_at: Mapped[datetime | None]
    withdrawn_reason: Mapped[WithdrawnReason | None] = mapped_column(words("withdrawn_reason", WithdrawnReason))

    @classmethod
    def waiting(cls) -> ColumnElement[bool]:
        """Given, and neither read nor withdrawn."""
        return and_(cls.read_at.is_(None), cls.withdrawn_at.is_(None))
