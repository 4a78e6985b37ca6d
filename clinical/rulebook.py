"""What the rule files consist of: the shapes of everything in `rules/`, and of the emergency numbers."""

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Field, StrictBool, StrictInt

from clinical.conditions import Condition
from clinical.forms import Code
from clinical.levels import AlertLevel, Level
from clinical.reading import Strict


# ------------------------------------------------------------------ red flags
class FlagLevel(Strict):
    """What a level means for patient, program and staff; staff times count staffed time."""

    patient: str
    program: Literal["suspend", "therapist_decides", "continue"]
    therapist_ack_minutes: StrictInt | None = None
    therapist_ack_hours: StrictInt | None = None
    therapist_ack_days: StrictInt | None = None
    review_within_days: StrictInt | None = None
    default: StrictBool


class Unsure(Strict):
    """The least level that "unsure" stands for."""

    emergency: Level
    other: Level


class FlagQuestion(Strict):
    """A screening question; on an `emergency` one even "unsure" means contact on the same day."""

    id: Code
    emergency: StrictBool
    text: str


class FlagRule(Strict):
    """What a pattern of answers and facts stands for."""

    id: str = Field(pattern=r"^RF[0-9]{2}$")
    category: Code
    level: Level
    when: Condition
    source: str | None = None
    default: StrictBool = False


class FlagExample(Strict):
    """A worked example of a screen."""

    name: str
    answered_yes: tuple[str, ...]
    answered_unsure: tuple[str, ...] = ()
    facts: Mapping[str, StrictInt]
    expect: Mapping[str, Any]


class RedFlags(Strict):
    """The red flag screen."""

    schema_version: Literal["1.0"]
    version: str
    source_note: str
    answers: tuple[Literal["no", "yes", "unsure"], ...]
    unsure_rule: str
    unsure: Unsure
    missing_rule: str
    level_order: tuple[Level, ...]
    levels: Mapping[Level, FlagLevel]
    questions: tuple[FlagQuestion, ...]
    facts: tuple[Code, ...]
    axspa_criteria: tuple[str, ...]
    decisive_facts: tuple[Code, ...]
    question_groups: Mapping[Code, tuple[Code, ...]]
    regions: Mapping[Code, tuple[Code, ...]]
    rules: tuple[FlagRule, ...]
    examples: tuple[FlagExample, ...]


# ------------------------------------------------------------------ progression
class ProgressionThresholds(Strict):
    """Pain 0-10, effort 0-10, completion in percent, time in days."""

    green_max: StrictInt
    amber_max: StrictInt
    rise_24h_ok: StrictInt
    rise_24h_bad: StrictInt
    effort_progress_max: StrictInt
    effort_hard: StrictInt
    sessions_needed: StrictInt
    min_days_between_progressions: StrictInt
    stop_pain: StrictInt
    poor_completion: StrictInt


class ProgressionExample(Strict):
    """Sessions, the oldest first: pain during, rise after 24 h, percent done, effort, reason for not finishing."""

    name: str
    days_since_change: StrictInt
    sessions: tuple[tuple[StrictInt, StrictInt | None, StrictInt, StrictInt, str | None], ...]
    expect: str


class RepsUp(Strict):
    """So many repetitions more, up to a percentage of the exercise's usual ones."""

    change: Literal["reps"]
    by: Annotated[StrictInt, Field(ge=1, le=10)]
    most_percent_of_usual: Annotated[StrictInt, Field(ge=100, le=300)]


class AmountUp(Strict):
    """So many sets, or seconds held, more, up to a most."""

    change: Literal["sets", "hold_seconds"]
    by: Annotated[StrictInt, Field(ge=1, le=30)]
    most: Annotated[StrictInt, Field(ge=1, le=600)]


class LoadUp(Strict):
    """More load in percent, rounded to the smallest weight there is, and by no less than that."""

    change: Literal["load_kg"]
    percent: Annotated[StrictInt, Field(ge=2, le=10)]
    smallest_grams: Annotated[StrictInt, Field(ge=100, le=10_000)]


class BoutUp(Strict):
    """Longer bouts by the first of these seconds that keeps the week's total within so many percent more.

    Up to a percentage of the exercise's usual bout.
    """

    change: Literal["duration_seconds"]
    by: Annotated[tuple[Annotated[StrictInt, Field(ge=1, le=600)], ...], Field(min_length=1)]
    week_percent: Annotated[StrictInt, Field(ge=1, le=50)]
    most_percent_of_usual: Annotated[StrictInt, Field(ge=100, le=300)]


class OtherExercise(Strict):
    """The next exercise of the chain, or the one before, at its usual dose."""

    change: Literal["exercise"]
    to: Literal["harder", "easier"]


class PercentDown(Strict):
    """Less in percent, down to a percentage of the exercise's usual amount."""

    change: Literal["reps", "hold_seconds", "duration_seconds"]
    percent: Annotated[StrictInt, Field(ge=1, le=90)]
    least_percent_of_usual: Annotated[StrictInt, Field(ge=1, le=100)]


class SetsDown(Strict):
    """Fewer sets, down to a least."""

    change: Literal["sets"]
    by: Annotated[StrictInt, Field(ge=1, le=3)]
    least: Annotated[StrictInt, Field(ge=1, le=10)]


StepUp = Annotated[RepsUp | AmountUp | LoadUp | BoutUp | OtherExercise, Field(discriminator="change")]
StepDown = Annotated[PercentDown | SetsDown | OtherExercise, Field(discriminator="change")]
Hours = tuple[Annotated[StrictInt, Field(ge=0, le=72)], Annotated[StrictInt, Field(ge=0, le=72)]]


class NextDay(Strict):
    """Hours after a session, from and to, in which an answer is about the day after: one that was asked for, or pain now."""

    asked_hours: Hours
    pain_now_hours: Hours


class Progression(Strict):
    """When a dose goes up, stays, or goes down, and by what."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    thresholds: ProgressionThresholds
    outcome_order: str
    rules: tuple[str, ...]
    step_order: tuple[str, ...]
    regress_order: tuple[str, ...]
    step_up: Annotated[tuple[StepUp, ...], Field(min_length=1)]
    step_down: Annotated[tuple[StepDown, ...], Field(min_length=1)]
    look_back_days: Annotated[StrictInt, Field(ge=7, le=90)]
    next_day: NextDay
    examples: tuple[ProgressionExample, ...]


# ------------------------------------------------------------------ adherence
class AdherenceBands(Strict):
    """Lower limits in percent of scheduled sessions, and how many sessions a band needs."""

    high: StrictInt
    partial: StrictInt
    min_scheduled: StrictInt


class AdherenceExample(Strict):
    """Sessions as items prescribed, items done, excused."""

    name: str
    sessions: tuple[tuple[StrictInt, StrictInt, StrictBool], ...]
    expect: Mapping[str, Any]


class AdherenceRules(Strict):
    """How keeping to the program is measured."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    formulas: Mapping[Code, str]
    excused: tuple[Code, ...]
    bands: AdherenceBands
    completed_from_share: StrictInt
    examples: tuple[AdherenceExample, ...]


# ------------------------------------------------------------------ escalation
class EscalationRule(Strict):
    """When to call a human. `level` as_red_flag takes the level of the screen."""

    id: str = Field(pattern=r"^ES[0-9]{2}$")
    check: Literal[
        "red_flag",
        "self_harm",
        "high_pain",
        "rising_pain",
        "flare",
        "long_flare",
        "missed",
        "low_adherence",
        "outcome_worse",
        "new_care",
        "untreated",
    ]
    when: str
    level: AlertLevel | Literal["as_red_flag"]
    then: Code | None = None
    limits: Mapping[Code, StrictInt] = {}
    instruments: tuple[Code, ...] = ()


class Response(Strict):
    """How soon a human answers: minutes or hours of staffed time, or working days."""

    minutes: StrictInt | None = None
    hours: StrictInt | None = None
    working_days: StrictInt | None = None
    text: str


class Dedupe(Strict):
    """How repeats of the same alert are kept together."""

    reopen_after_hours: StrictInt
    text: str


class Escalation(Strict):
    """When a check-in, or its absence, asks for a human."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    rules: tuple[EscalationRule, ...]
    response: Mapping[AlertLevel, Response]
    red_flag_alerts: Mapping[Level, AlertLevel]
    dedupe: Dedupe
    crisis_words: tuple[str, ...]


# ------------------------------------------------------------------ education
class TriggerAnswer(Strict):
    """An answer that counts: a yes, or a number with a limit."""

    question: Code
    is_true: Literal[True] | None = None
    at_most: float | None = None
    at_least: float | None = None


class EducationTrigger(Strict):
    """Articles for who answered so on `on_days` local days of the last `within_days`, today included."""

    id: str = Field(pattern=r"^ET[0-9]{2}$")
    code: Code
    question_sets: tuple[Code, ...] = Field(min_length=1)
    any_of: tuple[TriggerAnswer, ...] = Field(min_length=1)
    on_days: StrictInt = Field(ge=1)
    within_days: StrictInt = Field(ge=1, le=31)
    articles: tuple[Code, ...] = Field(min_length=1)


class EducationExample(Strict):
    """Answers as days ago, question set, question, value; and the codes of the triggers that hold."""

    name: str
    answers: tuple[tuple[StrictInt, Code, Code, StrictBool | float], ...]
    expect: tuple[Code, ...]


class EducationRules(Strict):
    """Which articles a patient is given without being asked for."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    repeat_after_days: StrictInt = Field(ge=1)
    most_unread: StrictInt = Field(ge=1)
    at_once: StrictInt = Field(ge=1)
    triggers: tuple[EducationTrigger, ...]
    phases: Mapping[Code, tuple[Code, ...]]
    examples: tuple[EducationExample, ...]


# ------------------------------------------------------------------ remote therapeutic monitoring
class RtmLimits(Strict):
    """Days of data and minutes of work that the codes ask for."""

    setup_days: StrictInt
    supply_short_days: StrictInt
    supply_long_days: StrictInt
    period_days: StrictInt
    management_short_minutes: StrictInt
    management_minutes: StrictInt
    further_minutes: StrictInt


class RtmExample(Strict):
    """A worked example: what was there, and units per code."""

    device_days: StrictInt
    minutes: StrictInt
    live_contact: StrictBool
    setup_done: StrictBool
    setup_billed: StrictBool
    expect: Mapping[str, StrictInt]


class Rtm(Strict):
    """US remote therapeutic monitoring codes, for the dates in which these rules are known to hold."""

    schema_version: Literal["1.0"]
    version: str
    valid_from: date
    valid_to: date
    payer: Code
    as_of: str
    inputs: str
    limits: RtmLimits
    logic: tuple[str, ...]
    examples: tuple[RtmExample, ...]


# ------------------------------------------------------------------ identifiers and schedules
class IdentifierRule(Strict):
    """The shape of a number, with numbers that have it and numbers that have not."""

    regex: str
    luhn_prefix: str | None = None
    rule: str | None = None
    valid: tuple[str, ...]
    invalid: tuple[str, ...]
    source: str | None = None
    default: StrictBool = False


class Identifiers(Strict):
    """The shapes of registration numbers, and the jurisdictions of federal countries."""

    schema_version: Literal["1.0"]
    version: str
    npi: IdentifierRule
    hcpc: IdentifierRule
    ahpra: IdentifierRule
    us_state: IdentifierRule
    other: IdentifierRule
    us_jurisdictions: tuple[str, ...]
    ca_jurisdictions: tuple[str, ...]


class ScheduleExample(Strict):
    """A wall-clock time in a zone, and the instant that it means."""

    zone: str
    local: str
    expect_utc: str
    why: str


class Schedule(Strict):
    """From wall-clock times to instants."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    rule: str
    examples: tuple[ScheduleExample, ...]


# ------------------------------------------------------------------ emergency numbers
class EmergencyNumber(Strict):
    """Whom to call in a country; no crisis line means that we know none."""

    emergency: str = Field(pattern=r"^[0-9]{2,4}$")
    crisis: str | None
    crisis_how: Literal["call", "call or text"] = "call"
    source: str


class EmergencyNumbers(Strict):
    """Numbers per ISO 3166-1 country, and for all others."""

    schema_version: Literal["1.0"]
    version: str
    default: EmergencyNumber
    countries: Mapping[str, EmergencyNumber]
