"""What may be prescribed, and what is due on a day."""

from collections.abc import Collection, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Annotated, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, model_validator

from clinical.adherence import dose
from clinical.forms import Contraindication, DefaultDosage, Exercise
from clinical.library import load
from clinical.recurrence import spread

Weekday = Annotated[StrictInt, Field(ge=1, le=7)]


class Dosage(BaseModel):
    """How much of an exercise, how hard, how often.

    Exactly one of: reps (each perhaps held for hold_seconds), hold_seconds alone, or duration_seconds. load_kg is what
    is moved, load_note what else describes it (a band's color). tempo: seconds down, at the bottom and up, as 3-0-1.
    pain_ceiling and effort are 0-10. weekdays are ISO, Monday 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    sets: Annotated[StrictInt, Field(ge=1, le=10)] = 1
    reps: Annotated[StrictInt, Field(ge=1, le=100)] | None = None
    hold_seconds: Annotated[StrictInt, Field(ge=1, le=600)] | None = None
    duration_seconds: Annotated[StrictInt, Field(ge=1, le=7200)] | None = None
    load_kg: Annotated[Decimal, Field(ge=0, le=300, decimal_places=2)] | None = None
    load_note: Annotated[str, Field(min_length=1, max_length=60)] | None = None
    rest_seconds: Annotated[StrictInt, Field(ge=0, le=600)] | None = None
    tempo: Annotated[str, Field(pattern=r"^[0-9]{1,2}-[0-9]{1,2}-[0-9]{1,2}(-[0-9]{1,2})?$")] | None = None
    per_side: StrictBool = False
    sessions_per_day: Annotated[StrictInt, Field(ge=1, le=6)] = 1
    weekdays: Annotated[tuple[Weekday, ...], Field(min_length=1, max_length=7)] = (1, 2, 3, 4, 5, 6, 7)
    pain_ceiling: Annotated[StrictInt, Field(ge=0, le=10)] = 5
    effort: Annotated[StrictInt, Field(ge=0, le=10)] | None = None

    @model_validator(mode="after")
    def _has_one_amount(self) -> Self:
        if (self.reps or self.hold_seconds) and self.duration_seconds:
            raise ValueError("a dosage has either reps, perhaps held, or a hold, or a duration")
        if not (self.reps or self.hold_seconds or self.duration_seconds):
            raise ValueError("a dosage needs reps, a hold or a duration")
        if tuple(sorted(set(self.weekdays))) != self.weekdays:
            raise ValueError("weekdays are in order and none comes twice")
        return self

    @property
    def dose(self) -> int:
        """The amount of one session, in the unit of `clinical.adherence.dose`."""
        return dose(self.sets, self.reps, self.hold_seconds, self.duration_seconds)


def default_dosage(exercise: Exercise) -> Dosage:
    """Return the library's starting dose for an exercise, which a therapist has to confirm."""
    return starting_dosage(exercise.default_dosage)


def starting_dosage(usual: DefaultDosage) -> Dosage:
    """Return a usual dose as it would be prescribed."""
    return Dosage(
        sets=usual.sets,
        reps=usual.reps,
        hold_seconds=usual.hold_seconds,
        duration_seconds=usual.duration_seconds,
        load_note=usual.load,
        rest_seconds=usual.rest_seconds,
        tempo=usual.tempo,
        per_side=usual.per_side,
        sessions_per_day=usual.sessions_per_day,
        weekdays=spread(usual.days_per_week),
        effort=usual.max_effort,
    )


def conflicts(contraindications: Iterable[Contraindication], conditions: Collection[str]) -> list[Contraindication]:
    """Return the exercise's contraindications that the patient's conditions meet; both use the same codes."""
    implied = {entry.code: entry.implies for entry in load().exercise_file.contraindication_codes}
    present = set(conditions).union(*(implied.get(condition, ()) for condition in conditions))
    return [one for one in contraindications if one.code in present]


def unknown_conditions(conditions: Collection[str]) -> list[str]:
    """Return the codes that are not in the vocabulary of contraindications."""
    return sorted(set(conditions) - set(load().contraindications))


@dataclass(frozen=True)
class PhaseSpan:
    """A phase of a program: its place, from 1, and how many weeks it is planned for; None is until further notice."""

    position: int
    weeks: int | None


def phase_on(phases: Sequence[PhaseSpan], start_on: date, day: date) -> int | None:
    """Return the position of the phase in force on `day`; None before the program starts, or when it has no phase.

    The last phase stays in force until somebody ends the program: no calendar leaves a patient without exercises.
    """
    if day < start_on or not phases:
        return None
    ordered = sorted(phases, key=lambda phase: phase.position)
    begins = start_on
    for phase in ordered[:-1]:
        if phase.weeks is None or day < begins + timedelta(weeks=phase.weeks):
            return phase.position
        begins += timedelta(weeks=phase.weeks)
    return ordered[-1].position


Key = TypeVar("Key", bound=Hashable)


@dataclass(frozen=True)
class PlannedItem(Generic[Key]):
    """A program item as the calendar sees it."""

    id: Key
    weekdays: tuple[int, ...]
    sessions_per_day: int = 1


@dataclass(frozen=True)
class PlannedSlot(Generic[Key]):
    """The n-th session of a day, and the items that belong to it in the order of the program."""

    slot: int
    items: tuple[Key, ...]


def sessions_on(items: Sequence[PlannedItem[Key]], day: date) -> list[PlannedSlot[Key]]:
    """Return the sessions planned for `day`: session n holds the items due on that weekday at least n times."""
    due = [item for item in items if day.isoweekday() in item.weekdays]
    slots = max((item.sessions_per_day for item in due), default=0)
    return [
        PlannedSlot(slot, tuple(item.id for item in due if item.sessions_per_day >= slot))
        for slot in range(1, slots + 1)
    ]


def slots_on(
    phases: Mapping[int, int | None], items: Mapping[int, Sequence[PlannedItem[Key]]], start_on: date, day: date
) -> tuple[int | None, list[PlannedSlot[Key]]]:
    """Return the phase of a program on `day`, and the sessions planned then.

    phases: weeks by position, None until further notice. items: what is prescribed, by the phase's position.
    """
    phase = phase_on([PhaseSpan(position, weeks) for position, weeks in phases.items()], start_on, day)
    return phase, [] if phase is None else sessions_on(items.get(phase, ()), day)
