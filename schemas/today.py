"""Everything a patient's app shows today, in one call."""

from datetime import date
from typing import Any
from uuid import UUID

from models.red_flag_screens import ScreenTrigger
from schemas.advice import Advice
from schemas.base import Out, UtcDatetime
from schemas.flares import FlareNext
from schemas.instrument_plans import DueInstrument


class DueCheckIn(Out):
    """A check-in that is open for answers, or opens later today."""

    id: UUID
    question_set: str
    local_date: date
    status: str
    opens_at: UtcDatetime
    due_at: UtcDatetime
    closes_at: UtcDatetime
    late_until: UtcDatetime


class UsualDose(Out):
    """What is prescribed of an exercise outside of a flare-up."""

    exercise_code: str
    sets: int
    reps: int | None
    hold_seconds: int | None
    duration_seconds: int | None
    load_kg: float | None


class TodayItem(Out):
    """One prescribed exercise with its dose; times in seconds, load in kilograms, ratings 0-10.

    `usual` is the prescribed dose where a flare-up's is due instead; `exercise_code` and `exercise` may then be of an
    easier one. A session is logged under `item_id` in any case.
    """

    item_id: UUID
    exercise_code: str
    exercise: dict[str, Any]
    sets: int
    reps: int | None
    hold_seconds: int | None
    duration_seconds: int | None
    load_kg: float | None
    load_label: str | None
    tempo: str | None
    rest_seconds: int | None
    side: str
    pain_ceiling: int
    effort_ceiling: int | None
    note: str
    usual: UsualDose | None


class StoppedItem(Out):
    """An exercise that is left out until a therapist has decided; `note` says so in words for the patient."""

    item_id: UUID
    exercise_code: str
    name: str
    note: str


class TodaySession(Out):
    """One planned session of today; `done` says whether a session was logged for this slot.

    Exercises that are stopped are not among its `items`.
    """

    slot: int
    done: bool
    items: list[TodayItem]


class TodayProgram(Out):
    """A program in use. A suspended one has no sessions, and `advice` says what to do instead.

    A paused one has none, either; `note` says why, in words for the patient.
    """

    program_id: UUID
    version_id: UUID | None
    version_number: int | None
    title: str
    status: str
    phase: str | None
    pain_ceiling: int | None
    sessions: list[TodaySession]
    stopped: list[StoppedItem]
    advice: Advice | None
    note: str | None


class TodayArticle(Out):
    """An article that waits to be read; its text is at `/v1/article-assignments/{assignment_id}`."""

    assignment_id: UUID
    title: str
    topic: str
    language: str
    note: str
    assigned_at: UtcDatetime


class TodayFlare(Out):
    """An open flare-up: `share_percent` of the usual volume is due, `why` says so in words for the patient.

    `day` counts from 1. `next_step` is what comes next when all goes well, and the first day on which it can. `screen_due`:
    the questions about warning signs come first, and until then the dose stays.
    """

    flare_id: UUID
    version: int
    episode_id: UUID
    opened_on: date
    day: int
    step: str
    share_percent: int
    why: list[str]
    next_step: FlareNext | None
    screen_due: bool


class Today(Out):
    """The patient's day; `emergency` says whom to call where the patient is: keep it for when there is no network.

    `programs` are all in use, one for each problem in treatment, active ones first; `program` is the first of them.
    `articles` are those given and not yet read, the oldest first. `screen_due`: the questions about warning signs are to be
    asked now; `screen_reasons` are why, the first of them the `trigger` to send with the answers.
    """

    on: date
    zone: str
    check_ins: list[DueCheckIn]
    program: TodayProgram | None
    programs: list[TodayProgram]
    articles: list[TodayArticle]
    instruments: list[DueInstrument]
    screen_due: bool
    screen_reasons: list[ScreenTrigger]
    flare: TodayFlare | None
    emergency: Advice
