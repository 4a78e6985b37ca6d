"""Adverse events: who must look at one, what its patient reads at once, and what a review needs to know.

Grades, what makes one serious, and limits stand in `rules/adverse_events.yaml`.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from clinical.levels import AlertLevel, Level
from clinical.library import load
from core.errors import Problem

BAD = ("not_recovered", "lasting_effects", "fatal")
"""Outcomes that are worse than every other one, and each worse than the one before."""

RELATED = ("unrelated", "unlikely", "possible", "probable", "definite")
"""What an event had to do with treatment, each closer than the one before."""

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


@dataclass(frozen=True)
class Known:
    """What is known of how bad an event was: grade 1 to 5, criteria that are met, outcome; None is not known."""

    grade: int | None
    seriousness: Collection[str]
    outcome: str | None


def worse(before: Known, after: Known) -> bool:
    """Tell whether an event is worse than it was known to be: a higher grade, one more criterion, a worse outcome."""
    return (
        (after.grade or 0) > (before.grade or 0)
        or not set(after.seriousness) <= set(before.seriousness)
        or _badness(after.outcome) > _badness(before.outcome)
    )


def softened(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Problem]:
    """Tell what would make a reviewed event look less bad, or other, than it was known to be.

    before: all that is known. after: what is said of it now. What nobody knew may be told. An end may be put off or taken
    back, and what it had to do with treatment be judged closer.
    """
    return [
        Problem(f"/{name}", "not_worse", "After its review this is changed only to what is worse.")
        for name, value in after.items()
        if before[name] is not None and not _stands(name, before[name], value)
    ]


def _stands(name: str, before: Any, after: Any) -> bool:
    """Tell whether one thing that is known is left as it is, or said to be worse."""
    if name == "seriousness":
        return after is not None and set(before) <= set(after)
    if name == "ended_on":
        return after is None or before <= after
    if after == before or after is None:
        return bool(after == before)
    if name == "relatedness":
        return RELATED.index(before) < RELATED.index(after)
    if name == "outcome":
        return _badness(before) < _badness(after)
    return bool(name == "grade" and before < after)


def _badness(outcome: str | None) -> int:
    return BAD.index(outcome) + 1 if outcome in BAD else 0


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
