"""Flare-ups as they cross our border."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field, computed_field

from clinical import flares, levels
from models.flares import FlareEnd, FlareOpener, FlareStep, FlareTrigger
from schemas.base import In, Out, Record, Text, UtcDatetime

Triggers = Annotated[list[FlareTrigger], Field(max_length=len(FlareTrigger))]


class FlareCreate(In):
    """A flare-up: clearly worse than usual, hard to put up with, and in the way of the day.

    `episode_id` is needed only where the patient has several; `triggers` are what came before it.
    """

    model_config = ConfigDict(json_schema_extra={"examples": [{"triggers": ["long_drive", "poor_sleep"]}]})

    episode_id: UUID | None = None
    triggers: Triggers = []


class FlareChange(In):
    """A therapist's choice of the step, with the reason; up to and with `held_until` the rules leave it there."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"step": "three_quarters", "note": "Seen on video: moves freely again."}]}
    )

    step: Literal["reduced", "three_quarters"]
    held_until: date | None = None
    note: Annotated[str, Text(500)]


class FlareClose(In):
    """Why the usual dose is due again; `plan_changed` is a therapist's. `triggers` replace those that were told before."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"reason": "over", "triggers": ["long_drive"]}]})

    reason: Literal["over", "mistake", "plan_changed"]
    triggers: Triggers | None = None


class FlareNext(Out):
    """The step that comes next when all goes well: `text` in words for the patient, not before the day `not_before`."""

    step: FlareStep
    not_before: date
    text: str


class FlareRead(Record):
    """A flare-up. Days are the patient's own; `share_percent` of the usual volume is due at its step.

    `reasons` are codes of why it stands there, `held_until` the last day of a therapist's choice. `contacted_at`,
    `reassess_at`: since when the therapist should call, and a new assessment is due. `screen_id`: the red-flag screen that
    belongs to it; as long as there is none the dose stays reduced.
    """

    patient_id: UUID
    episode_id: UUID
    opened_via: FlareOpener
    opened_at: UtcDatetime
    opened_on: date
    triggers: list[FlareTrigger]
    baseline_pain: int | None
    baseline_limitation: int | None
    screen_id: UUID | None
    step: FlareStep
    step_on: date
    reasons: list[str]
    rule_version: str
    held_until: date | None
    contacted_at: UtcDatetime | None
    reassess_at: UtcDatetime | None
    closed_at: UtcDatetime | None
    closed_on: date | None
    close_reason: FlareEnd | None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def share_percent(self) -> int:
        """Percent of the usual volume."""
        return flares.share(levels.FlareStep(self.step.value))

    @computed_field  # type: ignore[prop-decorator]
    @property
    def next_step(self) -> FlareNext | None:
        """What comes next, null when it is over."""
        coming = flares.coming(levels.FlareStep(self.step.value), self.step_on, self.held_until)
        return None if coming is None else FlareNext.model_validate(coming)


class FlareEventRead(Out):
    """Something that happened to a flare-up, and the step from then on; `by` is null where the rules did it."""

    kind: str
    at: UtcDatetime
    local_date: date
    step: FlareStep
    reasons: list[str]
    rule_version: str
    inputs: dict[str, Any]
    by: UUID | None
    note: str | None


class FlareDetail(FlareRead):
    """A flare-up with all that happened to it, the first first."""

    events: list[FlareEventRead]
