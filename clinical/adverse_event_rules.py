"""What `rules/adverse_events.yaml` consists of."""

from typing import Literal

from pydantic import Field, StrictBool, StrictInt

from clinical.forms import Code
from clinical.levels import AlertLevel, Level
from clinical.reading import Strict


class Grade(Strict):
    """How bad it was, 1 to 5, in plain words."""

    grade: StrictInt = Field(ge=1, le=5)
    code: Code
    text: str


class Criterion(Strict):
    """What makes an event serious."""

    code: Code
    text: str


class AdverseEventAlerts(Strict):
    """From which grade on a human must look, and how soon; `serious` whatever the grade."""

    high_from_grade: StrictInt
    urgent_from_grade: StrictInt
    serious: AlertLevel


class AdverseEventAdvice(Strict):
    """From which grade on the patient reads what, and for what is serious."""

    urgent_same_day_from_grade: StrictInt
    emergency_now_from_grade: StrictInt
    serious: Level


class AdverseEventExample(Strict):
    """A worked example; null is not known yet."""

    name: str
    grade: StrictInt | None
    seriousness: tuple[Code, ...] | None
    alert: AlertLevel
    advice: Level


class AdverseEvents(Strict):
    """How adverse events are graded, what makes one serious, and who must look."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    grades: tuple[Grade, ...] = Field(min_length=5)
    seriousness: tuple[Criterion, ...]
    alerts: AdverseEventAlerts
    advice: AdverseEventAdvice
    examples: tuple[AdverseEventExample, ...]
