"""The clinic itself: what everybody in it may read, and what its admin may set."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, ConfigDict, Field, StringConstraints
from pydantic_core import PydanticCustomError

from schemas.base import EmailAddress, In, Line, Out, Record, Text, ZoneName, unchanged

WallTime = Annotated[
    str,
    StringConstraints(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$"),
    Field(description="HH:MM on the clinic's clock; 24:00 is the end of the day", examples=["09:00"]),
]
Span = Annotated[list[WallTime], Field(min_length=2, max_length=2, description="Opening and closing time")]


def _apart(spans: list[list[str]]) -> list[list[str]]:
    """Put the spans in order. Each ends after it begins, and none begins before the one before has ended."""
    ordered = sorted(spans)
    for start, end in ordered:
        if start >= end:
            raise PydanticCustomError("hours_order", "A span ends after it begins")
    for place, (start, _) in enumerate(ordered[1:]):
        if start < ordered[place][1]:
            raise PydanticCustomError("hours_overlap", "Spans of one day may not overlap")
    return ordered


Spans = Annotated[list[Span], Field(max_length=6), AfterValidator(_apart)]
Weekday = Literal["1", "2", "3", "4", "5", "6", "7"]
StaffedHours = Annotated[
    dict[Weekday, Spans],
    Field(
        description="ISO weekday (1 Monday to 7 Sunday) to spans; the clocks of alerts run only then",
        examples=[{"1": [["09:00", "12:30"], ["13:30", "17:00"]]}],
    ),
]


OpensMinutes = Annotated[int, Field(ge=0, le=1_440, description="So long before its time a check-in opens")]
LateMinutes = Annotated[int, Field(ge=0, le=2_880, description="So long after closing an answer counts, as late")]
HighPain = Annotated[int, Field(ge=5, le=9, description="Pain that, newly reported, raises an alert")]
PainRise = Annotated[int, Field(ge=1, le=4, description="Rise of pain over three days that raises an alert")]
LowAdherence = Annotated[int, Field(ge=20, le=80, description="Percent over 14 days below which an alert is raised")]


ClinicalLead = Annotated[
    UUID | None, Field(description="The physical therapist who is told last when nobody acknowledges an alert")
]


class ClinicSettings(In):
    """Thresholds that a clinic may set; the defaults are those of the shipped rules."""

    check_in_opens_minutes: OpensMinutes = 0
    check_in_late_minutes: LateMinutes = 1_440
    high_pain: HighPain = 7
    pain_rise: PainRise = 2
    low_adherence_percent: LowAdherence = 50
    clinical_lead_id: ClinicalLead = None


class ClinicSettingsChange(In):
    """Thresholds to set anew; those left out stay."""

    check_in_opens_minutes: OpensMinutes = unchanged()
    check_in_late_minutes: LateMinutes = unchanged()
    high_pain: HighPain = unchanged()
    pain_rise: PainRise = unchanged()
    low_adherence_percent: LowAdherence = unchanged()
    clinical_lead_id: ClinicalLead = None


class ClinicChange(In):
    """What an admin may change."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "zone": "Europe/Berlin",
                    "staffed_hours": {"1": [["09:00", "12:30"], ["13:30", "17:00"]], "5": [["09:00", "13:00"]]},
                    "settings": {"high_pain": 6},
                }
            ]
        }
    )

    name: Annotated[str, Line(200)] = unchanged()
    zone: ZoneName = unchanged()
    address: Annotated[str, Text(500)] = unchanged()
    phone: Annotated[str, Line(40)] = unchanged()
    email: EmailAddress = unchanged()
    paper: Literal["a4", "us-letter"] = unchanged()
    staffed_hours: StaffedHours = unchanged()
    holidays: Annotated[list[date], Field(max_length=100, description="Days on which nobody is there")] = unchanged()
    settings: ClinicSettingsChange = unchanged()


class ClinicSettingsOut(Out):
    """Thresholds in force."""

    check_in_opens_minutes: int
    check_in_late_minutes: int
    high_pain: int
    pain_rise: int
    low_adherence_percent: int
    clinical_lead_id: UUID | None


class ClinicOut(Record):
    """The clinic."""

    id: UUID
    name: str
    country: str
    zone: str
    address: str
    phone: str
    email: str
    paper: str
    staffed_hours: dict[str, list[list[str]]]
    holidays: list[date]
    settings: ClinicSettingsOut


def read_settings(stored: dict[str, Any]) -> ClinicSettings:
    """Give the thresholds in force: what the clinic has set, else the default."""
    return ClinicSettings.model_validate(stored)
