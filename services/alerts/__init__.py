"""Alerts: a rule found something that a human must look at, by a certain time."""

from services.alerts.escalating import Escalated, escalate
from services.alerts.handling import (
    RED_FLAG,
    AlertNotAcknowledged,
    AlertNotOpen,
    AlertNotResolved,
    AlertStands,
    AssigneeNotLinked,
    ScreenStillOpen,
    TooLateToReopen,
    acknowledge,
    assign,
    browse,
    reopen,
    resolve,
)
from services.alerts.raising import Finding, mark_overdue, raise_alert, raise_many, stands, tell, unresolved

__all__ = [
    "RED_FLAG",
    "AlertNotAcknowledged",
    "AlertNotOpen",
    "AlertNotResolved",
    "AlertStands",
    "AssigneeNotLinked",
    "Escalated",
    "Finding",
    "ScreenStillOpen",
    "TooLateToReopen",
    "acknowledge",
    "assign",
    "browse",
    "escalate",
    "mark_overdue",
    "raise_alert",
    "raise_many",
    "reopen",
    "resolve",
    "stands",
    "tell",
    "unresolved",
]
