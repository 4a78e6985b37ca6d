"""When the questions about warning signs are due, and what must have been asked before a program goes on.

The numbers stand in `rules/screening.yaml`. Only a complete screen counts: what was left out was not asked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Literal

from pydantic import StrictBool, StrictInt

from clinical.reading import Strict


class Due(StrEnum):
    """Why a screen is due, what comes first on top; each is the `trigger` of the screen that answers it."""

    UNLOCK = "unlock"
    NEW_SYMPTOM = "new_symptom"
    FLARE = "flare"
    INTAKE = "intake"
    WEEKLY = "weekly"


class ScreeningExample(Strict):
    """A worked example; times in days before now."""

    name: str
    complete: StrictInt | None
    unlocked: StrictInt | None = None
    urgent: StrictInt | None = None
    unresolved: StrictBool = False
    symptom: StrictInt | None = None
    flare: StrictBool = False
    suspended: StrictBool = False
    expect: tuple[Due, ...]


class Screening(Strict):
    """When screens are due."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    weekly_days: StrictInt
    examples: tuple[ScreeningExample, ...]


@dataclass(frozen=True)
class Screened:
    """What is known of a patient's screens, the newest of each; None for never.

    complete_at: that left nothing out of what his problems must answer. unlocked_at: one that was taken to unlock, too, and
    was clear. urgent_at: that found something
    for the same day or at once. unresolved: whether one of those waits for a human to close it.
    """

    complete_at: datetime | None
    unlocked_at: datetime | None
    urgent_at: datetime | None
    unresolved: bool


def must_unlock(screened: Screened) -> bool:
    """Tell whether a clear screen must be taken to unlock before any program goes on, whatever else is said."""
    if screened.urgent_at is None:
        return False
    return screened.unlocked_at is None or screened.unlocked_at <= screened.urgent_at


def due(
    screened: Screened,
    *,
    at: datetime,
    weekly_days: int,
    symptom_at: datetime | None = None,
    flare_waits: bool = False,
    suspended: bool = False,
) -> tuple[Due, ...]:
    """Return why a screen is due at `at`; nothing when none is.

    symptom_at: when new symptoms were last answered. flare_waits: an open flare-up has no screen yet. suspended: a red flag
    keeps a program stopped; as long as nobody has closed it there is nothing to unlock.
    """
    asked = screened.complete_at
    waits: Mapping[Due, bool] = {
        Due.UNLOCK: suspended and not screened.unresolved and must_unlock(screened),
        Due.NEW_SYMPTOM: symptom_at is not None and (asked is None or asked < symptom_at),
        Due.FLARE: flare_waits,
        Due.INTAKE: asked is None,
        Due.WEEKLY: asked is not None and asked <= at - timedelta(days=weekly_days),
    }
    return tuple(reason for reason, holds in waits.items() if holds)
