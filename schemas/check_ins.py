"""Check-ins: plans, questions that are due, and answers."""

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from sqlalchemy.dialects.postgresql.ranges import MultiRange, Range

from models.check_ins import CheckInStatus, PlanFrequency, PlanStatus
from schemas.advice import Advice
from schemas.base import ClockTime, In, Instant, Line, Out, Record, Text, UtcDatetime, ZoneName, unchanged
from schemas.instrument_plans import DueInstrument

QuestionSetCode = Literal["daily", "weekly", "after_session"]
Weekday = Annotated[int, Field(ge=1, le=7, description="ISO weekday, 1 is Monday")]
Answers = Annotated[
    dict[Annotated[str, Line(40)], int | float | bool | Annotated[str, Field(max_length=2000)] | None],
    Field(max_length=60, description="Question ids of the question set to answers"),
]

DAILY: dict[str, Any] = {
    "pain_now": 4,
    "pain_worst_24h": 6,
    "function_limit": 3,
    "flare": False,
    "sleep_hours": 7.5,
    "new_symptoms": False,
}


NotifyOnOpen = Annotated[bool, Field(description="Tell the patient when a check-in opens")]
RemindAfterHours = Annotated[
    int, Field(ge=1, le=48, description="Remind once, so long after a check-in was due, of one that is not answered")
]
RemindersPerWeek = Annotated[
    int, Field(ge=0, le=14, description="No more reminders to the patient than this in his local week; null: no limit")
]
SomeDay = Annotated[date, Field(ge=date(2000, 1, 1), le=date(2199, 12, 31))]
MutedUntil = Annotated[
    date, Field(description="Nothing is sent before this local day; check-ins are there all the same")
]


LONGEST_HOLIDAY = timedelta(days=366)


class Holiday(In):
    """Days off that were agreed with the patient, the last one included."""

    first_on: SomeDay
    last_on: SomeDay

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if not self.first_on <= self.last_on <= self.first_on + LONGEST_HOLIDAY:
            raise PydanticCustomError("holiday_order", "A holiday ends on or after its first day, within a year")
        return self


Holidays = Annotated[
    list[Holiday],
    Field(max_length=20, description="No notices on these days, and what is not answered then is excused"),
]


class PlanIn(In):
    """When the patient is asked what.

    A check-in is due at `local_time` on each day of the plan, on the clock of `zone` (the patient's own when left out;
    then it moves with the patient). It opens `opens_minutes` before, closes `closes_minutes` after, and takes late
    answers for `late_minutes` more. Plans `after_session` have no time of their own: they ask `after_hours` after a
    session (0, or 20 to 28 for the next day).
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"question_set": "daily", "frequency": "daily", "local_time": "08:00"},
                {"question_set": "weekly", "frequency": "weekdays", "weekdays": [1], "local_time": "18:30"},
                {"question_set": "after_session", "frequency": "after_session", "after_hours": 24},
            ]
        }
    )

    question_set: QuestionSetCode
    frequency: PlanFrequency
    weekdays: Annotated[list[Weekday], Field(min_length=1, max_length=7)] | None = None
    times_per_week: Annotated[int, Field(ge=1, le=7)] | None = None
    local_time: ClockTime | None = None
    zone: ZoneName | None = None
    opens_minutes: Annotated[int, Field(ge=0, le=1440)] | None = Field(None, description="Left out: the clinic's")
    closes_minutes: Annotated[int, Field(ge=15, le=10080)] = 1200
    late_minutes: Annotated[int, Field(ge=0, le=10080)] | None = Field(None, description="Left out: the clinic's")
    after_hours: Annotated[int, Field(ge=0, le=28)] | None = None
    starts_on: date | None = None
    ends_on: date | None = None
    notify_on_open: NotifyOnOpen = False
    remind_after_hours: RemindAfterHours | None = None
    reminders_per_week: RemindersPerWeek | None = None
    muted_until: MutedUntil | None = None
    holidays: Holidays = []


class PlanChange(In):
    """What may change in a plan. A new time, zone or set of days counts from the patient's next local day."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"local_time": "19:00"},
                {"notify_on_open": True, "remind_after_hours": 6, "reminders_per_week": 3},
                {"holidays": [{"first_on": "2026-07-06", "last_on": "2026-07-19"}], "muted_until": "2026-07-22"},
            ]
        }
    )

    question_set: QuestionSetCode | None = None
    frequency: Literal["daily", "weekdays", "times_per_week"] | None = None
    weekdays: Annotated[list[Weekday], Field(min_length=1, max_length=7)] | None = None
    times_per_week: Annotated[int, Field(ge=1, le=7)] | None = None
    local_time: ClockTime | None = None
    zone: ZoneName | None = Field(None, description="null: the patient's own, and it moves with the patient")
    opens_minutes: Annotated[int, Field(ge=0, le=1440)] | None = None
    closes_minutes: Annotated[int, Field(ge=15, le=10080)] | None = None
    late_minutes: Annotated[int, Field(ge=0, le=10080)] | None = None
    after_hours: Annotated[int, Field(ge=0, le=28)] | None = None
    ends_on: date | None = None
    notify_on_open: NotifyOnOpen = unchanged()
    remind_after_hours: RemindAfterHours | None = None
    reminders_per_week: RemindersPerWeek | None = None
    muted_until: MutedUntil | None = None
    holidays: Holidays = unchanged()


class Reason(In):
    """Why."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "Holiday until Sunday"}]})

    reason: Annotated[str, Text(500)]


class HolidayOut(Out):
    """Days off that were agreed with the patient, the last one included."""

    first_on: date
    last_on: date


def store_holidays(holidays: Iterable[Mapping[str, date]]) -> MultiRange[date]:
    """Give holidays as the database keeps them: in order, those that touch as one."""
    apart: list[Range[date]] = []
    for one in sorted(holidays, key=lambda one: one["first_on"]):
        first, end = one["first_on"], one["last_on"] + timedelta(days=1)
        if apart and first <= (before := apart[-1].upper or first):
            first, end = apart.pop().lower or first, max(before, end)
        apart.append(Range(first, end))
    return MultiRange(apart)


def read_holidays(stored: Any) -> Any:
    """Give the holidays that the database kept (it keeps the day after the last one)."""
    if not stored or not isinstance(stored[0], Range):
        return stored or []
    return [{"first_on": each.lower, "last_on": each.upper - timedelta(days=1)} for each in stored]


class PlanOut(Record):
    """A check-in plan; `next_due_at` is when its next check-in that is not made yet will be due.

    As long as `flare_id` names a flare-up it asks every day, whatever its weekdays; one that is `flare_only` ends with it.
    """

    patient_id: UUID
    episode_id: UUID
    question_set: str
    frequency: PlanFrequency
    weekdays: list[int]
    times_per_week: int | None
    local_time: ClockTime
    zone: str
    follow_zone: bool
    opens_minutes: int
    closes_minutes: int
    late_minutes: int
    after_hours: int
    starts_on: date
    ends_on: date | None
    next_on: date | None
    next_due_at: UtcDatetime | None
    status: PlanStatus
    status_reason: str
    notify_on_open: bool
    remind_after_hours: int | None
    reminders_per_week: int | None
    muted_until: date | None
    holidays: Annotated[list[HolidayOut], BeforeValidator(read_holidays)]
    flare_id: UUID | None
    flare_only: bool


class CheckInOut(Out):
    """A check-in: one occurrence of a plan, or one that the patient began (`plan_id` is null)."""

    id: UUID
    patient_id: UUID
    episode_id: UUID
    plan_id: UUID | None
    local_date: date
    slot: int
    question_set: str
    zone: str
    status: CheckInStatus
    opens_at: UtcDatetime
    due_at: UtcDatetime
    closes_at: UtcDatetime
    late_until: UtcDatetime
    answered_at: UtcDatetime | None
    excused_reason: str | None
    session_id: UUID | None


class AnswersOut(Out):
    """The answers to a check-in, as they were given, and the rules that they set off."""

    question_set_version: str
    answers: dict[str, Any]
    late: bool
    answered_at: UtcDatetime
    device_at: UtcDatetime | None
    device_zone: str | None
    raised: list[str]


class QuestionOption(Out):
    """One answer of a closed list."""

    value: str
    text: str


class QuestionOut(Out):
    """One question, as the app shows it."""

    id: str
    text: str
    type: Literal["integer", "number", "boolean", "code", "text"]
    required: bool
    min: int | None
    max: int | None
    decimals: int | None
    unit: str | None
    max_length: int | None
    options: list[QuestionOption]


class CheckInDetail(CheckInOut):
    """A check-in with its questions, and its answers once they are there.

    As long as it can be answered, `instruments` are those that the patient is to answer, too, as in `GET /v1/me/today`.
    """

    questions: list[QuestionOut]
    answers: AnswersOut | None
    instruments: list[DueInstrument]


class AnswersIn(In):
    """The answers to a check-in. The server's clock decides what is in time; the device's is kept beside it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"answers": DAILY, "device_at": "2026-03-02T08:05:00+01:00", "device_zone": "Europe/Berlin"}]
        }
    )

    answers: Answers
    device_at: Instant | None = None
    device_zone: ZoneName | None = None


class AdHocIn(AnswersIn):
    """A check-in that the patient began. Without an episode it belongs to the newest one that is not discharged."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"question_set": "daily", "answers": DAILY, "device_at": "2026-03-02T08:05:00+01:00"}]
        }
    )

    question_set: Literal["daily", "weekly"]
    episode_id: UUID | None = None


class NextStep(Out):
    """What the app should offer now: `red_flag_screen`, `flare_plan` or `crisis_help`."""

    code: Literal["red_flag_screen", "flare_plan", "crisis_help"]
    text: str


class Answered(Out):
    """Answers were kept. `advice` is to be shown at once, before anything else; it depends on no staff and no queue."""

    check_in_id: UUID
    status: CheckInStatus
    late: bool
    answered_at: UtcDatetime
    next_steps: list[NextStep]
    advice: Advice | None
