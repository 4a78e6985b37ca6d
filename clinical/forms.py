"""What an instrument, an exercise, an article and a question set consist of: the shapes of the library's files."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, StrictBool, StrictInt

from clinical.conditions import Condition
from clinical.levels import Level
from clinical.reading import Strict

Code = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
Score = Annotated[StrictInt, Field(ge=0, le=10)]


# ------------------------------------------------------------------ instruments
class License(Strict):
    """On what terms the text of an instrument is used; `attribution` must be shown with it."""

    status: Literal["free_no_permission", "public_domain", "method_free_with_attribution", "licensed"]
    may_ship_items: StrictBool
    attribution: str
    evidence: str


class Frequency(Strict):
    """How often an instrument is worth asking; a product default."""

    default: str
    formal: tuple[str, ...] = ()
    repeat_weeks: StrictInt | None = None
    never: Literal["intake", "daily_check_in"] | None = None


class Loinc(Strict):
    """LOINC codes of the panel and its score; `status` says how sure we are."""

    panel: str | None = None
    score: str | None = None
    status: str
    note: str | None = None


class Option(Strict):
    """One answer of a closed list."""

    value: StrictInt
    text: str
    loinc: str | None = None


class AnswerKind(Strict):
    """The one kind of answer that all items share."""

    type: Literal["boolean"]
    true_means: str


class ActivityField(Strict):
    """A field of a repeated item."""

    id: Literal["name", "rating"]
    type: Literal["text", "integer"]
    required: StrictBool
    min: StrictInt | None = None
    max: StrictInt | None = None
    max_length: StrictInt | None = None


class Item(Strict):
    """One question of an instrument. Without a range of its own it takes the instrument's options."""

    id: Code
    text: str | None = None
    type: Literal["integer"] | None = None
    min: StrictInt | None = None
    max: StrictInt | None = None
    required: StrictBool | None = None
    loinc: str | None = None
    note: str | None = None
    repeats: tuple[StrictInt, StrictInt] | None = None
    recommended: StrictInt | None = None
    fields: tuple[ActivityField, ...] = ()


class UnscoredItem(Strict):
    """A question that belongs to the form but not to its score; the answer is the option's place, from 0."""

    id: Code
    text: str
    options: tuple[str, ...]
    loinc: str | None = None


class ScoreRule(Strict):
    """How one score is made of the answers."""

    id: Code
    method: Literal["item", "mean", "count_true", "sum_prorated", "percent"]
    item: str | None = None
    items: tuple[str, ...] | Literal["all"] | None = None
    of: Literal["rating"] | None = None
    min_answered: StrictInt = 1
    max_missing: StrictInt = 0
    decimals: StrictInt = 0
    rounding: Literal["half_up"] = "half_up"
    range: tuple[StrictInt, StrictInt]
    lower_is_better: StrictBool
    source: str | None = None


class Validation(Strict):
    """Two items of which the first may not exceed the second."""

    lte: tuple[str, str]


class Scoring(Strict):
    """All scores of an instrument, and which of them stands for it."""

    primary: str
    scores: tuple[ScoreRule, ...] = Field(min_length=1)
    validation: tuple[Validation, ...] = ()
    missing: str
    follow_up: str | None = None


class Band(Strict):
    """A named range of a score, both ends included."""

    code: Code
    min: StrictInt
    max: StrictInt


class Bands(Strict):
    """Names for the ranges of one score; not `official` means: for display, never for a decision."""

    score: str
    official: StrictBool = True
    list: tuple[Band, ...]
    note: str | None = None
    source: str | None = None


class SafetyRule(Strict):
    """What must happen at a score or at an answer."""

    id: Code
    when: Condition
    action: Literal["assign_phq9", "assign_gad7", "refer_mental_health", "safety_flow"]
    level: Level
    tell_patient: str | None = None


class ChangeRule(Strict):
    """What counts as a change: the minimal important change (MIC), or what exceeds measurement error (MDC90)."""

    mic_points: StrictInt | None = None
    mic_percent_of_baseline: StrictInt | None = None
    mdc90_average: StrictInt | None = None
    mdc90_single_activity: StrictInt | None = None
    response_percent: StrictInt | None = None
    remission: Condition | None = None
    source: str
    caution: str | None = None


class ScoreExample(Strict):
    """A worked example: answers in the order of the items, or ticked items, or ratings of activities."""

    name: str
    answers: tuple[StrictInt | None, ...] | None = None
    true_items: tuple[StrictInt, ...] | None = None
    ratings: tuple[StrictInt | None, ...] | None = None
    expect: Mapping[str, Any]


class ChangeExample(Strict):
    """A worked example of a change between two scores, or between two sets of rated activities."""

    baseline: StrictInt | Mapping[str, StrictInt]
    current: StrictInt | Mapping[str, StrictInt]
    expect: Mapping[str, Any]


class Instrument(Strict):
    """An outcome measure: its text, its scoring, what its scores mean, and its own worked examples."""

    schema_version: Literal["1.0"]
    code: Code
    version: str
    title: str
    measures: str
    body_regions: tuple[str, ...]
    recall: str
    owner: str
    license: License
    text_check: str | None = None
    est_minutes: StrictInt
    frequency: Frequency
    loinc: Loinc
    stem: str
    anchors: Mapping[StrictInt, str] = {}
    answer: AnswerKind | None = None
    options: tuple[Option, ...] = ()
    items: tuple[Item, ...] = Field(min_length=1)
    unscored_items: tuple[UnscoredItem, ...] = ()
    scoring: Scoring
    bands: Bands | None = None
    safety_rules: tuple[SafetyRule, ...] = ()
    change: ChangeRule | None = None
    caution: str | None = None
    examples: tuple[ScoreExample, ...] = Field(min_length=1)
    change_examples: tuple[ChangeExample, ...] = ()

    @property
    def primary(self) -> ScoreRule:
        """The score that stands for the instrument."""
        return next(rule for rule in self.scoring.scores if rule.id == self.scoring.primary)

    @property
    def repeated(self) -> Item | None:
        """The item that the patient fills in several times with activities of his own; None for most instruments."""
        return next((item for item in self.items if item.repeats is not None), None)


# ------------------------------------------------------------------ exercises
class DefaultDosage(Strict):
    """A usual starting dose; a therapist confirms it. Times in seconds, effort 0-10, load as a hint in words."""

    sets: StrictInt
    reps: StrictInt | None
    hold_seconds: StrictInt | None
    duration_seconds: StrictInt | None
    per_side: StrictBool
    sessions_per_day: StrictInt
    days_per_week: Annotated[StrictInt, Field(ge=1, le=7)]
    rest_seconds: StrictInt | None
    tempo: str | None
    max_effort: Score
    load: str | None


class Contraindication(Strict):
    """A reason not to give an exercise: the code that a patient's conditions are matched with, and its words."""

    code: Code
    text: str


class ContraindicationCode(Strict):
    """A word of the closed vocabulary that exercises and patients share. `implies`: what else is true with it."""

    code: Code
    label: str
    implies: tuple[Code, ...] = ()


class Exercise(Strict):
    """An exercise of the library. `progression_of` is the easier one; `regression_of` lists the harder ones.

    difficulty: 1 (easiest) to 5, never below that of the easier one.
    """

    code: Code
    name: str
    target_region: str
    body_regions: tuple[str, ...]
    type: str
    phase: str
    difficulty: int = Field(ge=1, le=5)
    position: str
    equipment: tuple[str, ...]
    default_dosage: DefaultDosage
    instructions: tuple[str, ...] = Field(min_length=1)
    cues: tuple[str, ...]
    contraindications: tuple[Contraindication, ...]
    precautions: tuple[str, ...]
    progression_of: Code | None
    tags: tuple[Code, ...]
    regression_of: tuple[Code, ...]


class ExerciseFile(Strict):
    """The exercise library with its vocabularies."""

    schema_version: Literal["1.0"]
    version: str
    license: str
    status: str
    link_semantics: str
    units: Mapping[str, str]
    phases: tuple[Code, ...]
    types: tuple[Code, ...]
    global_contraindications: tuple[str, ...]
    global_stop_rules: tuple[str, ...]
    contraindication_codes: tuple[ContraindicationCode, ...]
    exercises: tuple[Exercise, ...]


# ------------------------------------------------------------------ education
class CheckQuestion(Strict):
    """One question to see whether the point came across; `answer` is the place of the right option, from 0."""

    question: str
    options: tuple[str, ...] = Field(min_length=2, max_length=5)
    answer: StrictInt
    explanation: str


MARKS = {"V": "{source}", "M": "{source} (cited from memory)"}
"""What is told of a source by its mark in the file; see `source_marking` there."""


def _source(marked: str) -> str:
    mark, _, source = marked.partition(" ")
    if mark not in MARKS or not source:
        message = f"a source begins with one of {', '.join(MARKS)}"
        raise ValueError(message)
    return MARKS[mark].format(source=source)


class Article(Strict):
    """A piece of general education, in plain words; not personal advice."""

    code: Code
    title: str
    topic: Code
    concepts: tuple[str, ...]
    body: str
    sources: tuple[Annotated[str, AfterValidator(_source)], ...] = Field(min_length=1)
    check: CheckQuestion


class EducationFile(Strict):
    """All articles, in one language."""

    schema_version: Literal["1.0"]
    version: str
    license: str
    status: str
    language: str
    reading_level: str
    source_marking: str
    articles: tuple[Article, ...]


# ------------------------------------------------------------------ check-ins
class CodeOption(Strict):
    """One answer of a closed list of words."""

    value: Code
    text: str


class Question(Strict):
    """One question of a check-in. `opens` names what a yes must be followed by."""

    id: Code
    text: str
    type: Literal["integer", "number", "boolean", "code", "text"]
    required: StrictBool
    min: StrictInt | None = None
    max: StrictInt | None = None
    decimals: StrictInt | None = None
    unit: str | None = None
    max_length: StrictInt | None = None
    options: tuple[CodeOption, ...] = ()
    opens: Literal["red_flag_screen"] | None = None


class QuestionSet(Strict):
    """The questions of one kind of check-in, in order."""

    code: Code
    version: str
    title: str
    est_seconds: StrictInt
    questions: tuple[Question, ...] = Field(min_length=1)


class QuestionSetFile(Strict):
    """All question sets."""

    schema_version: Literal["1.0"]
    note: str
    question_sets: tuple[QuestionSet, ...]
