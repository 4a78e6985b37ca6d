"""The shape of `workstation.yaml`: the points of a workstation check."""

from enum import StrEnum
from typing import Literal

from pydantic import Field, StrictBool

from clinical.forms import Code
from clinical.reading import Strict


class WorkstationAnswer(StrEnum):
    """What a point of the check is found to be."""

    FINE = "fine"
    NOT_FINE = "not_fine"
    DOES_NOT_APPLY = "does_not_apply"


class WorkstationItem(Strict):
    """One point: what to look at, and what may be tried."""

    code: Code
    area: Code
    text: str
    tip: str


class Workstation(Strict):
    """The workstation check."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    title: str
    note: str
    answers: tuple[WorkstationAnswer, ...]
    items: tuple[WorkstationItem, ...] = Field(min_length=1)
