"""What the rule files consist of: the shapes of everything in `rules/`, and of the emergency numbers."""

from collections.abc import Mapping
from datetime import date
from typing import Any, Literal

from pydantic import Field, StrictBool, StrictInt

from clinical.conditions import Condition
from clinical.forms import Code
from clinical.levels import AlertLevel, FlareStep, Level
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


class Progression(Strict):
    """When a dose goes up, stays, or goes down."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    thresholds: ProgressionThresholds
    outcome_order: str
    rules: tuple[str, ...]
    step_order: tuple[str, ...]
    regress_order: tuple[str, ...]
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


# ------------------------------------------------------------------ flare-ups
class FlareBaseline(Strict):
    """How many days before a flare-up its baseline is made of, and the pain that stands in where nothing was answered."""

    days: StrictInt
    unknown_pain: StrictInt


class FlareSettled(Strict):
    """When a day counts as settled, and how many in a row raise the dose."""

    above_baseline: StrictInt
    days: StrictInt


class FlareReduced(Strict):
    """How many days the reduced plan lasts: at least, and usually at most."""

    least_days: StrictInt
    usual_days: StrictInt


class FlareThreeQuarters(Strict):
    """What leads on from three quarters, and what leads back. Pain 0-10."""

    good_sessions: StrictInt
    session_pain: StrictInt
    worse_days: StrictInt


class FlareReassess(Strict):
    """When a new assessment is asked for. Days count from the day it began, which is 0."""

    day: StrictInt
    function_down_percent: StrictInt
    function_days: StrictInt
    function_from_day: StrictInt


class FlareKinds(Strict):
    """What becomes of an exercise, by its type."""

    as_is: tuple[Code, ...]
    short: tuple[Code, ...]
    eased: tuple[Code, ...]


class FlareTexts(Strict):
    """What the patient reads, in his words."""

    reduced: str
    three_quarters: str
    screen: str
    held: str
    contact: str


class FlareExample(Strict):
    """A worked example. days: day, pain, limitation, flare; sessions: done, highest pain."""

    name: str
    step: FlareStep
    since: StrictInt
    today: StrictInt
    days: tuple[tuple[StrictInt, StrictInt | None, StrictInt | None, StrictBool | None], ...]
    sessions: tuple[tuple[StrictBool, StrictInt | None], ...]
    expect: Mapping[str, Any]


class Flares(Strict):
    """What becomes of the exercises in a flare-up, and how they come back."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    shares: Mapping[FlareStep, StrictInt]
    baseline: FlareBaseline
    settled: FlareSettled
    reduced: FlareReduced
    three_quarters: FlareThreeQuarters
    reassess: FlareReassess
    screen_hours: StrictInt
    kinds: FlareKinds
    short_seconds: StrictInt
    load_percent: StrictInt
    rules: tuple[str, ...]
    sessions: str
    texts: FlareTexts
    examples: tuple[FlareExample, ...]


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
