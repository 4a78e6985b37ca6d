"""Filters of the worklist under a name."""

from typing import Annotated

from pydantic import ConfigDict

from models.alerts import AlertLevel
from models.episodes import EpisodeStatus
from schemas.base import In, Line, Out, Record, unchanged
from schemas.worklist import Reason, WorklistFilters

ViewName = Annotated[str, Line(60)]


class WorklistViewCreate(In):
    """A view: what its owner calls it, and the filters."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"name": "Call today", "filters": {"level": ["urgent_same_day", "high"], "overdue_only": True}},
                {"name": "Knees", "filters": {"body_region": ["knee"], "reason": ["flare", "outcome_worse"]}},
            ]
        }
    )

    name: ViewName
    filters: WorklistFilters


class WorklistViewChange(In):
    """What to change; `filters` are replaced as a whole."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Call before noon"}]})

    name: ViewName = unchanged()
    filters: WorklistFilters = unchanged()


class FiltersRead(Out):
    """The filters as they were kept."""

    reason: list[Reason]
    level: list[AlertLevel]
    episode_status: list[EpisodeStatus]
    body_region: list[str]
    lead_only: bool
    overdue_only: bool


class WorklistViewRead(Record):
    """A view; give its filters to `GET /v1/worklist`, parameter by parameter."""

    name: str
    filters: FiltersRead
