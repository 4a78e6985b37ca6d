"""When instruments are asked, as it crosses our border."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

from pydantic import ConfigDict, Field

from models.instrument_plans import InstrumentAsker, InstrumentOccasion, InstrumentPlanStatus
from schemas.base import In, Line, Out, Record, unchanged

Weeks = Annotated[int, Field(ge=1, le=26)]


class InstrumentPlanCreate(In):
    """One instrument of an episode: at the start, every so many weeks, before a report, before the discharge.

    `report_on` and `discharge_on` are the days on which these are planned; it is due a week before. One of the four.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"instrument": "rmdq24", "intake": True, "every_weeks": 2}]}
    )

    instrument: Annotated[str, Line(40)]
    asked_of: InstrumentAsker = InstrumentAsker.PATIENT
    intake: bool = True
    every_weeks: Weeks | None = None
    report_on: date | None = None
    discharge_on: date | None = None


class InstrumentPlanChange(In):
    """What to change; null takes an occasion away. An ended plan stays so: make another."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"every_weeks": 4, "discharge_on": "2027-03-01"}]})

    asked_of: InstrumentAsker = unchanged()
    intake: bool = unchanged()
    every_weeks: Weeks | None = None
    report_on: date | None = None
    discharge_on: date | None = None
    status: Literal["ended"] = unchanged()


class InstrumentPlanRead(Record):
    """When one instrument is asked. From `next_on` on it is due, for the reason `occasion`; null when nothing is left."""

    patient_id: UUID
    episode_id: UUID
    instrument: str = Field(validation_alias="instrument_code", serialization_alias="instrument")
    asked_of: InstrumentAsker
    starts_on: date
    intake: bool
    every_weeks: int | None
    report_on: date | None
    discharge_on: date | None
    status: InstrumentPlanStatus
    next_on: date | None
    occasion: InstrumentOccasion | None


class DueInstrument(Out):
    """An instrument that the patient is to answer: its questions are at `/v1/instruments/{instrument}`.

    The answers belong to `/v1/episodes/{episode_id}/outcomes`. It has been due since `due_on`.
    """

    plan_id: UUID
    episode_id: UUID
    instrument: str
    occasion: InstrumentOccasion
    due_on: date
