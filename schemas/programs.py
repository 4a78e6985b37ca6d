"""Exercise programs as they cross our border: phases, prescribed exercises with their dose, versions."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, JsonValue
from pydantic_core import PydanticCustomError

from clinical.phase_criteria import LONGEST, MOST, MOST_ANSWERS, Measure, Operator, State
from clinical.program_life import ProgramStatus
from schemas.advice import Advice
from schemas.base import EffortRating, In, Line, Out, PainRating, Record, Text, UtcDatetime
from schemas.exercises import Code, Contraindication, MediaSlot, Phase


def _kilograms(load: float) -> float:
    kept = round(load, 2)
    if load and not kept:
        raise PydanticCustomError("too_fine", "Loads are kept to 10 g")
    return kept


LoadKg = Annotated[float, Field(ge=0, le=300, description="Kilograms, kept to 10 g"), AfterValidator(_kilograms)]
Reps = Annotated[int, Field(ge=1, le=100)]
HoldSeconds = Annotated[int, Field(ge=1, le=600)]
DurationSeconds = Annotated[int, Field(ge=1, le=7200)]
Side = Literal["none", "left", "right", "both", "each"]

PHASES: list[JsonValue] = [
    {
        "name": "Get it moving",
        "kind": "mobility",
        "weeks": 2,
        "exit": [{"measure": "pain_now", "op": "lte", "value": 3, "over": {"last_n": 3}}],
        "items": [
            {"exercise_code": "lb_pelvic_tilt"},
            {"exercise_code": "br_belly_supine", "sets": 1, "reps": 8, "weekdays": [1, 3, 5]},
        ],
    },
    {
        "name": "Build strength",
        "kind": "strength",
        "entry_criteria": "Moves without fear",
        "entry": [{"measure": "adherence_percent", "op": "gte", "value": 70, "over": {"days": 7}}],
        "items": [{"exercise_code": "hp_bridge", "sets": 3, "reps": 10, "effort_ceiling": 6, "pain_ceiling": 4}],
    },
]


class ProgressionBounds(In):
    """How far a program's doses may move without a human; a variable without a most of its own is never raised.

    `max_load_percent` is of one step; where it is not given the rules' own step is the only limit. `exercise_change`: also
    on to the next exercise of the chain, or back to the one before. To stop an exercise is for a human to end.
    """

    outcomes: Annotated[list[Literal["progress", "regress"]], Field(min_length=1, max_length=2)] = [
        "progress",
        "regress",
    ]
    max_sets: Annotated[int, Field(ge=1, le=10)] | None = None
    max_reps: Reps | None = None
    max_hold_seconds: HoldSeconds | None = None
    max_duration_seconds: DurationSeconds | None = None
    max_load_kg: LoadKg | None = None
    max_load_percent: Annotated[int, Field(ge=1, le=100)] | None = None
    exercise_change: bool = False


class ProgressionIn(In):
    """Who takes the steps that the rules suggest.

    `suggest`: the therapist, when he looks. `approve`: the therapist; what waits stands on his worklist. `auto`: they are
    taken by themselves inside the bounds, and what is outside waits as with `approve`.
    """

    mode: Literal["suggest", "approve", "auto"] = "suggest"
    bounds: ProgressionBounds | None = None


class AcceptedContraindications(In):
    """Contraindications that the therapist accepts for this patient; the reason is kept on record."""

    codes: Annotated[list[Code], Field(min_length=1, max_length=20)]
    reason: Annotated[str, Text(500)]


def _written(text: Any) -> Any:
    return None if isinstance(text, str) and not text.strip() else text


Words = Annotated[Annotated[str, Text(500)] | None, BeforeValidator(_written)]
"""Words that may be left out: an empty text, as a program shows it, says that there are none."""


class ProgramItemIn(In):
    """An exercise, by id or by code, and its dose; what is left out of the dose comes from the exercise's usual one.

    Named by both, they must be of one exercise. A `load_kg` without a `load_label` drops the usual words about load.

    Give reps (perhaps held for hold_seconds), or hold_seconds alone, or duration_seconds: naming one of them replaces
    all three. weekdays are ISO, Monday 1. pain_ceiling: stop above it; left out, the program's own holds.
    """

    exercise_id: UUID | None = None
    exercise_code: Code | None = None
    sets: Annotated[int, Field(ge=1, le=10)] | None = None
    reps: Reps | None = None
    hold_seconds: HoldSeconds | None = None
    duration_seconds: DurationSeconds | None = None
    load_kg: LoadKg | None = None
    load_label: Annotated[str, Line(60)] | None = None
    tempo: Annotated[str, Field(pattern=r"^[0-9]{1,2}-[0-9]{1,2}-[0-9]{1,2}(-[0-9]{1,2})?$")] | None = None
    rest_seconds: Annotated[int, Field(ge=0, le=600)] | None = None
    side: Side | None = None
    sessions_per_day: Annotated[int, Field(ge=1, le=6)] | None = None
    weekdays: Annotated[list[Annotated[int, Field(ge=1, le=7)]], Field(min_length=1, max_length=7)] | None = None
    pain_ceiling: PainRating | None = None
    effort_ceiling: EffortRating | None = None
    note: Words = None
    accept_contraindications: AcceptedContraindications | None = None


class CriterionWindow(In):
    """Over each of the last full `days`, or over each of the last `last_n` answers."""

    days: Annotated[int, Field(ge=1, le=LONGEST)] | None = None
    last_n: Annotated[int, Field(ge=1, le=MOST_ANSWERS)] | None = None


class CriterionIn(In):
    """What can be computed: a measure that is at most (`lte`) or at least (`gte`) a value, since the phase began.

    Pain and limitation (0-10) look at the last answer, at each of the last answers, or at each of the last full days.
    `adherence_percent` needs `days`, `sessions_done` may have them, `days_in_phase` has no window. `instrument` names the
    outcome measure of the measure `instrument`: its last score, or each of the last scores.
    """

    measure: Measure
    instrument: Annotated[str, Field(pattern=r"^[a-z0-9_]{1,40}$")] | None = None
    op: Operator
    value: Annotated[float, Field(ge=0, le=10_000), AfterValidator(lambda value: round(value, 2))]
    over: CriterionWindow | None = None


Criteria = Annotated[list[CriterionIn], Field(max_length=MOST)]


class ProgramPhaseIn(In):
    """A phase in its order. `weeks` may be left open by the last one, and by one with `exit` criteria.

    Such a phase lasts until a therapist moves on. All criteria of `exit`, and of the next phase's `entry`, must be met for
    it to be ready; the texts beside them are words for people. `entry` of the first phase is not computed.
    """

    name: Annotated[str, Line(120)]
    kind: Phase
    weeks: Annotated[int, Field(ge=1, le=52)] | None = None
    entry_criteria: Words = None
    exit_criteria: Words = None
    entry: Criteria = []
    exit: Criteria = []
    items: Annotated[list[ProgramItemIn], Field(min_length=1, max_length=40)]


class ProgramCreate(In):
    """A draft. `starts_on` is a day of the patient's calendar, today when left out."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "title": "Low back pain, home",
                    "progression": {
                        "mode": "auto",
                        "bounds": {"outcomes": ["progress"], "max_reps": 15, "max_sets": 3},
                    },
                    "phases": PHASES,
                }
            ]
        }
    )

    title: Annotated[str, Line(200)]
    starts_on: date | None = None
    pain_ceiling: PainRating = 5
    progression: ProgressionIn = ProgressionIn()
    phases: Annotated[list[ProgramPhaseIn], Field(min_length=1, max_length=12)]


class ProgramVersionCreate(In):
    """A new version: the whole prescription, why it changed, and the patient's day from which it holds.

    Phases keep counting from the day the program began; `restart_phases` begins with the first phase on that day.
    `pain_ceiling` and `progression`, left out, are those of the version that is in force until then.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"reason": "Pain rose: back to mobility for a while", "phases": PHASES[:1]}]}
    )

    reason: Annotated[str, Text(500)]
    effective_on: date | None = None
    restart_phases: bool = False
    pain_ceiling: PainRating | None = None
    progression: ProgressionIn | None = None
    phases: Annotated[list[ProgramPhaseIn], Field(min_length=1, max_length=12)]


class ProgramReason(In):
    """Why the program changes its state."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Goals reached"}]})

    reason: Annotated[str, Text(500)]


class ProgramPauseIn(In):
    """Why nothing is planned for a while; days of a pause count against nobody."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Two weeks away", "kind": "holiday_agreed"}]})

    reason: Annotated[str, Text(500)]
    kind: Literal["program_paused", "holiday_agreed", "therapist_excused"] = "program_paused"


class PinnedExercise(Out):
    """The exercise as it was when it was prescribed."""

    code: str
    name: str
    instructions: list[str]
    cues: list[str]
    precautions: list[str]
    position: str
    equipment: list[str]
    contraindications: list[Contraindication]
    target_region: str
    media: list[MediaSlot] = []


class ProgramItemRead(Out):
    """A prescribed exercise with its whole dose; `pain_ceiling` is its own, null where the version's holds for it."""

    id: UUID
    position: int
    exercise_id: UUID
    exercise_code: str
    exercise: PinnedExercise
    sets: int
    reps: int | None
    hold_seconds: int | None
    duration_seconds: int | None
    load_kg: float | None
    load_label: str | None
    tempo: str | None
    rest_seconds: int | None
    side: Side
    sessions_per_day: int
    weekdays: list[int]
    pain_ceiling: int | None
    effort_ceiling: int | None
    note: str
    accepted_contraindications: dict[str, Any] | None


class CriterionRead(Out):
    """A criterion of a phase; `text` says it to the patient."""

    measure: Measure
    instrument: str | None
    op: Operator
    value: float
    over: CriterionWindow | None
    text: str


class ProgramPhaseRead(Out):
    """A phase with its exercises; `begins_on` is the day it starts, of a draft the day as planned.

    Null behind a phase that lasts until a therapist moves on.
    """

    id: UUID
    position: int
    name: str
    kind: str
    weeks: int | None
    begins_on: date | None
    entry_criteria: str
    exit_criteria: str
    entry: list[CriterionRead]
    exit: list[CriterionRead]
    items: list[ProgramItemRead]


class ProgramVersionSummary(Out):
    """A version; it holds from `in_force_from` until the day before `in_force_until` (empty: until further notice)."""

    id: UUID
    number: int
    reason: str
    author_id: UUID
    starts_on: date
    in_force_from: date | None
    in_force_until: date | None
    created_at: UtcDatetime


class ProgressionBoundsRead(Out):
    """How far a program's doses may move without a human."""

    outcomes: list[Literal["progress", "regress"]]
    max_sets: int | None
    max_reps: int | None
    max_hold_seconds: int | None
    max_duration_seconds: int | None
    max_load_kg: float | None
    max_load_percent: int | None
    exercise_change: bool


class ProgressionRead(Out):
    """Who takes the steps that the rules suggest."""

    mode: Literal["suggest", "approve", "auto"]
    bounds: ProgressionBoundsRead | None


class ProgramVersionRead(ProgramVersionSummary):
    """A version with everything it prescribes. Stop above `pain_ceiling` (0-10), unless an item has its own."""

    pain_ceiling: int
    progression: ProgressionRead
    phases: list[ProgramPhaseRead]


class ProgramChange(Out):
    """One difference between two versions; `text` says it to the patient.

    `field` and the values are those of the prescription (`exercise.cues` is a part of the pinned description). Of what
    moved, `field` is `phase` (names of phases) or `position` (places from 1). Without a value: null.
    """

    kind: Literal["changed", "added", "removed", "moved"]
    place: Literal["program", "phase", "item"]
    text: str
    phase: str | None
    exercise_code: str | None
    exercise_name: str | None
    field: str | None
    before: Any
    after: Any


class ProgramDiff(Out):
    """What changed from one version to another: the program, its phases, then the exercises; equal versions: nothing.

    Patients are shown none (null) while they are shown no exercises; then `advice` says what to do instead, if a red flag
    is why.
    """

    program_id: UUID
    from_version: ProgramVersionSummary
    to_version: ProgramVersionSummary
    changes: list[ProgramChange] | None
    advice: Advice | None


class CriterionState(CriterionRead):
    """A criterion held against what is known since the phase in force began.

    `no_data`: not enough of it yet, so it is not met. `seen`: the value that decides, of several the one farthest off.
    """

    state: State
    seen: float | None
    explanation: str


class PhaseState(Out):
    """A phase with what is asked of it now: to leave the one in force, to enter the next one."""

    id: UUID
    position: int
    name: str
    kind: str
    weeks: int | None
    begins_on: date | None
    criteria: list[CriterionState]


class ProgramPhases(Out):
    """Where a program stands. `current` has its exit criteria, `next` its entry criteria.

    `ready_for_next`: there are criteria, all are met, and nothing holds it; in the last phase, to end the program.
    `held_by`: why it is not ready whatever is met. Nothing moves by itself when it becomes ready.
    """

    program_id: UUID
    version_number: int | None
    computed_at: UtcDatetime
    current: PhaseState | None
    next: PhaseState | None
    ready_for_next: bool
    held_by: Literal["not_in_use", "flare"] | None


class ProgramSummary(Record):
    """A program without what it prescribes."""

    patient_id: UUID
    episode_id: UUID
    title: str
    status: ProgramStatus
    status_reason: str
    activated_at: UtcDatetime | None
    ended_at: UtcDatetime | None
    suspended_by_id: UUID | None


class ProgramRead(ProgramSummary):
    """A program: all versions in short, and one in full (the current one, unless another was asked for).

    Patients are shown no exercises while a red flag suspends the program (then `advice` says what to do instead) or
    while it is a draft: `shown` is empty. `halted_by` is the code of what was missing when the system paused the program;
    it is shown to the care team only.
    """

    versions: list[ProgramVersionSummary]
    shown: ProgramVersionRead | None
    advice: Advice | None
    halted_by: str | None
