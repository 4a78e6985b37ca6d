"""Adverse events: who must look at one, what its patient reads at once, and what a review needs to know.

Grades, what makes one serious, and limits stand in `rules/adverse_events.yaml`.
"""

from collections.abc import Collection
from dataclasses import dataclass

from clinical.levels import AlertLevel, Level
from clinical.library import load
from core.errors import Problem

RULE = "AE01"
"""The rule under which severe and serious events are alerted."""

DEATH, FATAL = 5, "fatal"
"""The grade, and the outcome, of an event that the patient died of."""


@dataclass(frozen=True)
class Judged:
    """Who must look, and what the patient is told; both `none` where nothing is asked for."""

    alert: AlertLevel
    advice: Level
    rule_version: str


def judge(grade: int | None, seriousness: Collection[str] | None, outcome: str | None = None) -> Judged:
    """Return what a grade (1 to 5) and the criteria that are met (empty: not serious) ask for; None is not known yet.

    A fatal outcome is serious, whatever else is known.
    """
    rules = load().adverse_events
    alert, advice = AlertLevel.NONE, Level.NONE
    if grade is not None and grade >= rules.alerts.high_from_grade:
        alert = AlertLevel.URGENT_SAME_DAY if grade >= rules.alerts.urgent_from_grade else AlertLevel.HIGH
    if grade is not None and grade >= rules.advice.urgent_same_day_from_grade:
        urgent = grade >= rules.advice.emergency_now_from_grade
        advice = Level.EMERGENCY_NOW if urgent else Level.URGENT_SAME_DAY
    if seriousness or outcome == FATAL:
        alert, advice = max(alert, rules.alerts.serious), max(advice, rules.advice.serious)
    return Judged(alert, advice, rules.version)


def died(grade: int | None, seriousness: Collection[str] | None, outcome: str | None) -> bool:
    """Tell whether anything that is known says that the patient died of it."""
    return grade == DEATH or "death" in (seriousness or ()) or outcome == FATAL


def contradictions(grade: int | None, seriousness: Collection[str] | None, outcome: str | None) -> list[Problem]:
    """Tell what cannot be true together: an event that the patient died of says so in all that is known of it."""
    said = {
        "/grade": None if grade is None else grade == DEATH,
        "/seriousness": None if seriousness is None else "death" in seriousness,
        "/outcome": None if outcome is None else outcome == FATAL,
    }
    if not any(said.values()):
        return []
    return [
        Problem(pointer, "death_contradicted", "Grade 5, the criterion death and the outcome fatal go together.")
        for pointer, so in said.items()
        if so is False
    ]


def unknown(
    grade: int | None, seriousness: Collection[str] | None, relatedness: str | None, outcome: str | None
) -> list[Problem]:
    """Tell what a review must know and nobody has said."""
    asked = {"grade": grade, "seriousness": seriousness, "relatedness": relatedness, "outcome": outcome}
    return [
        Problem(f"/{name}", "missing", "This must be known before it is reviewed.")
        for name, value in asked.items()
        if value is None
    ]
