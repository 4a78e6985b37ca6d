"""Contributing factors: what patients do for relief, where they work, and what work asks of the body."""

from datetime import date
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from clinical.workstation_form import WorkstationAnswer
from models.lifestyle import FactorKind
from schemas.base import In, Instant, Line, Out, UtcDatetime, ZoneName
from schemas.progress import Point

SelfCareMethod = Literal["heat", "ice", "breathing", "relaxation"]
ShiftPattern = Literal["day", "evening", "night", "rotating", "irregular", "not_working"]
Place = Literal["office", "home", "other"]
Rating = Annotated[int, Field(ge=0, le=10)]
Hours = Annotated[float, Field(ge=0, le=24, multiple_of=0.25, description="In quarters of an hour")]

NOTED: dict[str, Any] = {"noted_at": "2026-03-02T19:40:00+01:00", "device_zone": "Europe/Berlin"}
DAY_HOURS = 24


class FactorIn(In):
    """What every entry has: `noted_at` by the device's clock, in its zone.

    Without an episode it belongs to the newest one that is not discharged. `supersedes_id` names the entry that this one
    corrects.
    """

    noted_at: Instant
    device_zone: ZoneName
    episode_id: UUID | None = None
    supersedes_id: UUID | None = None


class SelfCareIn(FactorIn):
    """Something done for relief: for how long, and how much it helped, from 0 (not at all) to 10 (completely)."""

    model_config = ConfigDict(json_schema_extra={"examples": [{**NOTED, "method": "heat", "minutes": 20, "helped": 6}]})

    method: SelfCareMethod
    minutes: Annotated[int, Field(ge=1, le=240)]
    helped: Rating | None = None


class WorkstationCheckIn(FactorIn):
    """A look at a workstation: every point of the present list, by its code (`GET /v1/workstation-checklist`)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **NOTED,
                    "place": "home",
                    "answers": {
                        "feet": "fine",
                        "back_support": "not_fine",
                        "chair_height": "fine",
                        "thigh_space": "fine",
                        "reach": "fine",
                        "screen_height": "not_fine",
                        "screen_distance": "fine",
                        "laptop": "not_fine",
                        "glare": "fine",
                        "phone": "does_not_apply",
                        "breaks": "not_fine",
                        "lifting": "does_not_apply",
                    },
                }
            ]
        }
    )

    place: Place
    answers: Annotated[dict[Annotated[str, Line(40)], WorkstationAnswer], Field(max_length=60)]


class WorkExposureIn(FactorIn):
    """What a usual working day asks of the body, from `as_of` on (the day of `noted_at` when left out)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    **NOTED,
                    "sitting_hours": 6,
                    "standing_hours": 1,
                    "lifting_hours": 0.5,
                    "driving_hours": 1.25,
                    "shift_pattern": "rotating",
                }
            ]
        }
    )

    as_of: Annotated[date, Field(ge=date(1950, 1, 1))] | None = None
    sitting_hours: Hours
    standing_hours: Hours
    lifting_hours: Hours
    driving_hours: Hours
    shift_pattern: ShiftPattern

    @model_validator(mode="after")
    def _within_a_day(self) -> Self:
        if self.sitting_hours + self.standing_hours + self.lifting_hours + self.driving_hours > DAY_HOURS:
            raise PydanticCustomError("hours_of_a_day", "A day has 24 hours")
        return self


class FactorEntryRead(Out):
    """An entry as it is kept; one that was corrected is named by the entry that supersedes it.

    `content` holds the fields of its form; `list_version` is the version of the workstation list it was answered to.
    """

    id: UUID
    patient_id: UUID
    episode_id: UUID
    kind: FactorKind
    on: date
    noted_at: UtcDatetime
    device_zone: str
    received_at: UtcDatetime
    content: dict[str, Any]
    list_version: str | None
    supersedes_id: UUID | None


class WorkstationPoint(Out):
    """One point of the check: what to look at, and what may be tried where it is not fine."""

    code: str
    area: str
    text: str
    tip: str


class WorkstationChecklist(Out):
    """The present workstation check."""

    version: str
    title: str
    note: str
    answers: list[WorkstationAnswer]
    items: list[WorkstationPoint]


class MedicineUse(Out):
    """What the weekly check-in told on a local day; null where it was not answered."""

    on: date
    medicine_use: Literal["none", "less", "same", "more"] | None
    opioid_use: bool | None


class SelfCareDay(Out):
    """What was done for relief on a local day: how often, how long in all, and how much it helped (the median)."""

    on: date
    method: SelfCareMethod
    times: int
    minutes: int
    helped: float | None


class WorkstationCheckOut(Out):
    """A check of a workstation; `open` are the points that are not fine."""

    id: UUID
    on: date
    place: Place
    list_version: str
    open: list[str]


class WorkstationComparison(Out):
    """The first check of a place against its newest: points that became fine, that became worse, and that are open."""

    place: Place
    before_id: UUID
    before_on: date
    after_id: UUID
    after_on: date
    improved: list[str]
    worsened: list[str]
    open: list[str]


class WorkExposure(Out):
    """What a usual working day asked of the body, from a local day on."""

    id: UUID
    on: date
    sitting_hours: float
    standing_hours: float
    lifting_hours: float
    driving_hours: float
    shift_pattern: ShiftPattern


class Factors(Out):
    """What may add to a problem, next to pain, over the days of a period, both included.

    `pain` is what was answered to *pain now*, null on days without an answer. Of `work`, the one that held when the period
    began comes first. Comparisons look at all checks of the episode up to the last day.
    """

    patient_id: UUID
    episode_id: UUID
    period_from: date
    period_to: date
    zone: str
    pain: list[Point]
    medicine: list[MedicineUse]
    self_care: list[SelfCareDay]
    workstation: list[WorkstationCheckOut]
    workstation_changes: list[WorkstationComparison]
    work: list[WorkExposure]
