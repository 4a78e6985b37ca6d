"""Articles for patients as a clinic keeps them, and as a patient is given them."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from models.articles import ArticleScope, ArticleStatus, AssignmentReason, WithdrawnReason
from schemas.base import In, Instant, Line, Out, Record, Text, UtcDatetime, Version, unchanged
from schemas.exercises import Code
from schemas.patients import Language

Body = Annotated[str, Text(20_000)]
Sources = Annotated[
    list[Annotated[str, Line(500)]],
    Field(min_length=1, max_length=20, description="Where it comes from; an article without a source is refused"),
]
Concepts = Annotated[list[Annotated[str, Line(100)]], Field(max_length=20)]
Answer = Annotated[int, Field(ge=0, le=4, description="The place of an option, from 0")]


class CheckQuestionIn(In):
    """One question to see whether the point came across, with the place of the right option, from 0."""

    question: Annotated[str, Line(300)]
    options: Annotated[list[Annotated[str, Line(200)]], Field(min_length=2, max_length=5)]
    answer: Answer
    explanation: Annotated[str, Text(1000)]


EXAMPLE: dict[str, Any] = {
    "code": "sitting_breaks",
    "language": "en",
    "title": "Short breaks beat one long stretch",
    "topic": "ergonomics",
    "reading_level": "about 12-13 years of age",
    "concepts": ["change position often"],
    "body": "Get up for a minute every half hour. Your back likes change more than any one posture.",
    "sources": ["NICE NG59, advice on staying active"],
    "check_question": {
        "question": "What does your back like best?",
        "options": ["One perfect posture", "Changing position often"],
        "answer": 1,
        "explanation": "The best posture is the next one.",
    },
}


class ArticleCreate(In):
    """A new article of the clinic in one language: a draft until a therapist approves it.

    A translation has the code of what it translates, also of a shipped article.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    code: Code
    language: Language
    title: Annotated[str, Line(200)]
    topic: Code
    reading_level: Annotated[str, Line(100)] | None = None
    concepts: Concepts = []
    body: Body
    sources: Sources
    check_question: CheckQuestionIn | None = None


class ArticleUpdate(In):
    """What changes; an approved article becomes a draft again. `check_question: null` takes the question away."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"title": "Many short breaks beat one long stretch"}]})

    title: Annotated[str, Line(200)] = unchanged()
    topic: Code = unchanged()
    reading_level: Annotated[str, Line(100)] = unchanged()
    concepts: Concepts = unchanged()
    body: Body = unchanged()
    sources: Sources = unchanged()
    check_question: CheckQuestionIn | None = None


class Approval(In):
    """An article, in the version that was read."""

    article_id: UUID
    version: Version


class ArticleApprovals(In):
    """Articles to approve at once, each in the version that was read; all of them, or none."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"approvals": [{"article_id": "0198c0de-7a11-7000-8000-000000000001", "version": 1}]}]
        }
    )

    approvals: Annotated[list[Approval], Field(min_length=1, max_length=200)]


class CheckQuestion(Out):
    """The check question. Patients are told `answer` and `explanation` once they have answered."""

    question: str
    options: list[str]
    answer: int | None
    explanation: str | None


class ArticleSummary(Record):
    """An article without its text."""

    scope: ArticleScope
    code: str
    language: str
    title: str
    topic: str
    reading_level: str
    status: ArticleStatus
    approved_at: UtcDatetime | None
    approved_by_id: UUID | None
    retired_at: UtcDatetime | None


class ArticleRead(ArticleSummary):
    """An article; general education, not personal advice. Paragraphs of `body` are separated by an empty line."""

    concepts: list[str]
    body: str
    sources: list[str]
    check_question: CheckQuestion | None


class ArticlesApproved(Out):
    """What was approved, in the order of the request."""

    items: list[ArticleSummary]


class ArticleFilter(In):
    """Which articles: every filter given must fit.

    `languages`, the best first, give each article once: in the first that there is, else the nearest, English before
    others.
    `q` looks for words in title and text.
    """

    topic: Code | None = None
    languages: tuple[Language, ...] = ()
    q: Annotated[str, Line(80)] | None = None
    status: ArticleStatus | None = None


# ------------------------------------------------------------------ what a patient is given
AssignmentState = Literal["waiting", "read", "withdrawn"]


class ArticleAssignmentCreate(In):
    """An approved article for a patient, by its code, with words of the therapist's own.

    Without `language` it is the patient's, or the nearest that there is.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"code": "ed_sleep", "note": "Try the part about getting up."}]}
    )

    code: Code
    language: Language | None = None
    note: Annotated[str, Text(500)] | None = None


class ArticleReading(In):
    """That the patient has read the article: when (now, if left out), and his answer to the check question.

    May be sent again, and later with an answer; the first time and the first answer stand.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"answer": 1}]})

    read_at: Instant | None = None
    answer: Answer | None = None


class GivenArticle(Out):
    """The text as it was approved when it was given."""

    title: str
    topic: str
    reading_level: str
    body: str
    sources: list[str]
    check_question: CheckQuestion | None


class ArticleAssignmentSummary(Record):
    """An article that a patient was given, without its text.

    `reason` says why: by a therapist, by the phase of the program, or by what was answered (then `rule_id` of
    `rules/education.yaml`). `correct` says whether the first answer to the check question was right.
    """

    patient_id: UUID
    article_id: UUID
    article_version: int
    code: str
    language: str
    title: str
    topic: str
    reason: AssignmentReason
    rule_id: str | None
    rule_version: str | None
    note: str
    assigned_at: UtcDatetime
    assigned_by_id: UUID | None
    read_at: UtcDatetime | None
    answer: int | None
    correct: bool | None
    answered_at: UtcDatetime | None
    withdrawn_at: UtcDatetime | None
    withdrawn_reason: WithdrawnReason | None


class ArticleAssignmentRead(ArticleAssignmentSummary):
    """An article that a patient was given, with its text."""

    article: GivenArticle
