"""Alerts: a rule found something that a human must look at, by a certain time."""

from services.alerts.escalating import AT_ONCE, Escalated, escalate, mark_overdue
from services.alerts.handling import (
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
    get,
    reopen,
    resolve,
)
from services.alerts.raising import RED_FLAG, UNSURE, Finding, raise_alert, raise_many, stands, unresolved

__all__ = [
    "AT_ONCE",
    "RED_FLAG",
    "UNSURE",
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
    "get",
    "mark_overdue",
    "raise_alert",
    "raise_many",
    "reopen",
    "resolve",
    "stands",
    "unresolved",
]
