"""Programs to begin from, as they cross our border."""

from datetime import date
from typing import Annotated
from uuid import UUID

from pydantic import ConfigDict, Field

from models.program_templates import TemplateScope
from schemas.base import In, Line, PainRating, Record, Text, UtcDatetime, unchanged
from schemas.programs import PHASES, ProgramPhaseIn

Phases = Annotated[list[ProgramPhaseIn], Field(min_length=1, max_length=12)]


class ProgramTemplateCreate(In):
    """A template of a therapist's own, or of the clinic (`scope`; admins). What is a patient's own has no place here."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Low back pain, first six weeks", "about": "For desk workers.", "phases": PHASES}]
        }
    )

    scope: TemplateScope = TemplateScope.OWN
    name: Annotated[str, Line(200)]
    about: Annotated[str, Text(1000)] | None = None
    pain_ceiling: PainRating = 5
    phases: Phases


class ProgramTemplateUpdate(In):
    """What changes; programs that were made from it stay as they are."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"about": "For people who sit all day."}]})

    name: Annotated[str, Line(200)] = unchanged()
    about: Annotated[str, Text(1000)] = unchanged()
    pain_ceiling: PainRating = unchanged()
    phases: Phases = unchanged()
    retired: bool = unchanged()


class ProgramTemplateUse(In):
    """A draft from a template. `title` is the template's name when left out, `starts_on` today."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"template_id": "0198c0de-7a11-7000-8000-000000000001", "title": "Home program"}]
        }
    )

    template_id: UUID
    title: Annotated[str, Line(200)] | None = None
    starts_on: date | None = None


class ProgramTemplateSummary(Record):
    """A template without its phases; `retired_at` says: not for new use."""

    scope: TemplateScope
    owner_id: UUID | None
    name: str
    about: str
    retired_at: UtcDatetime | None


class ProgramTemplateRead(ProgramTemplateSummary):
    """A template. A dose that was left out comes from the exercise on the day when the template is used."""

    pain_ceiling: int
    phases: list[ProgramPhaseIn]
