"""Alerts: a rule found something that a human must look at, by a certain time."""

from services.alerts.handling import (
    RED_FLAG,
    AlertNotAcknowledged,
    AlertNotOpen,
    AssigneeNotLinked,
    ScreenStillOpen,
    acknowledge,
    assign,
    browse,
    resolve,
)
from services.alerts.raising import Finding, mark_overdue, raise_alert, raise_many, stands, tell, unresolved

__all__ = [
    "RED_FLAG",
    "AlertNotAcknowledged",
    "AlertNotOpen",
    "AssigneeNotLinked",
    "Finding",
    "ScreenStillOpen",
    "acknowledge",
    "assign",
    "browse",
    "mark_overdue",
    "raise_alert",
    "raise_many",
    "resolve",
    "stands",
    "tell",
    "unresolved",
]
