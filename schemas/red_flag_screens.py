"""Red-flag screens as they cross our border."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from models.red_flag_screens import RedFlagLevel, ScreenOutcome, ScreenStatus, ScreenTrigger
from schemas.advice import Advice
from schemas.base import In, Out, PainRating, Record, Text, UtcDatetime

Answer = Literal["no", "yes", "unsure"]
QuestionId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")]

QUESTIONS = (
    "saddle",
    "bladder",
    "bowel",
    "sexual",
    "both_legs",
    "leg_weak",
    "both_legs_weak",
    "gait_hands",
    "major_trauma",
    "minor_trauma",
    "bone_risk",
    "cancer",
    "weight_loss",
    "night_pain",
    "fever",
    "infection_risk",
    "very_ill",
    "tearing",
    "chest",
    "thunderclap",
    "neck_unlike",
    "brain_signs",
    "stiff_neck_fever",
    "temple_jaw",
    "calf",
    "one_leg_tingle",
)

EXAMPLE: dict[str, Any] = {
    "trigger": "intake",
    "answers": dict.fromkeys(QUESTIONS, "no"),
    "facts": {"pain_0_10": 4, "weeks_without_improvement": 1},
}


class RedFlagQuestion(Out):
    """A question about a warning sign; a problem of these `regions` must answer it, one of any other region answers all."""

    id: QuestionId
    text: str
    emergency: bool
    regions: list[str]


class RedFlagQuestions(Out):
    """The questions of the present rules in the order in which they are asked, and what may be answered to each."""

    version: str
    answers: list[Answer]
    questions: list[RedFlagQuestion]


class RedFlagFacts(In):
    """Numbers that some rules look at; what is left out is not known. The age follows from the birth date.

    The axspa facts are about inflammatory back pain: age at onset, months since then, and how many of the nine
    criteria (NICE NG65) are met.
    """

    pain_0_10: PainRating | None = None
    weeks_without_improvement: Annotated[int, Field(ge=0, le=5_000)] | None = None
    axspa_onset_age: Annotated[int, Field(ge=0, le=130)] | None = None
    axspa_months: Annotated[int, Field(ge=0, le=1_500)] | None = None
    axspa_criteria_count: Annotated[int, Field(ge=0, le=9)] | None = None


class RedFlagScreenCreate(In):
    """Answers to the screening questions by their ids; `episode_id` decides which questions its region must answer."""

    model_config = ConfigDict(json_schema_extra={"examples": [EXAMPLE]})

    trigger: ScreenTrigger
    episode_id: UUID | None = None
    answers: Annotated[dict[QuestionId, Answer], Field(max_length=60)]
    facts: RedFlagFacts = RedFlagFacts()


class RedFlagScreenClose(In):
    """How a human ended it. Without `outcome`: a clinician has contacted the patient, and the screen stays open."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"outcome": "seen_by_clinician", "note": "Seen today; no neurological deficit."}]
        }
    )

    outcome: ScreenOutcome | None = None
    note: Annotated[str, Text(2_000)]


class FiredRule(Out):
    """A rule that the answers met."""

    id: str
    category: str
    level: RedFlagLevel


class RedFlagNoteRead(Out):
    """What a clinician noted, with the account that wrote it; never changed."""

    at: UtcDatetime
    by: UUID
    note: str


class RedFlagScreenRead(Record):
    """A screen. `advice` is what the patient must read now; `missing` are JSON pointers to what was not answered.

    A screen that is not `complete` never counts as negative, and a complete one without findings clears nobody.
    `outcome_note` is the text of all `notes` in one.
    """

    patient_id: UUID
    episode_id: UUID | None
    trigger: ScreenTrigger
    answers: dict[str, Answer]
    facts: dict[str, int | None]
    rule_version: str
    fired: list[FiredRule]
    level: RedFlagLevel
    complete: bool
    missing: list[str]
    advice: Advice
    status: ScreenStatus
    screened_at: UtcDatetime
    outcome: ScreenOutcome | None
    outcome_note: str | None
    notes: list[RedFlagNoteRead] = Field(default_factory=list)
    closed_at: UtcDatetime | None
