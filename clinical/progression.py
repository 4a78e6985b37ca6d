"""Whether a dose should go up, stay, or go down: a suggestion with its reasons, for the therapist to accept or not.

Built on the 2-for-2 rule and the pain traffic light; thresholds are product defaults from `rules/progression.yaml`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from clinical.levels import Level
from clinical.library import load
from clinical.rulebook import ProgressionThresholds

LAST_TWO = 2
ALL_DONE = 100
TOO_MUCH = frozenset({"pain", "too_hard"})


class Outcome(StrEnum):
    """What to do with the dose; the first that fits wins, in this order."""

    STOP = "stop"
    REGRESS = "regress"
    HOLD = "hold"
    PROGRESS = "progress"
    MAINTAIN = "maintain"


@dataclass(frozen=True)
class Performed:
    """One session at the current dose.

    pain_during: 0-10. rise_24h: pain a day later minus before, None when not answered yet. completed_percent: of the
    prescribed dose. effort: 0-10. reason: code for not finishing (pain, too_hard, no_time, ...). None is not known.
    counts: whether it tells of the usual dose; one of a flare-up, at a lighter dose, only ever stops an exercise.
    """

    pain_during: int | None
    rise_24h: int | None
    completed_percent: int | None
    effort: int | None
    reason: str | None = None
    counts: bool = True


@dataclass(frozen=True)
class Decision:
    """The suggestion; `reasons` are codes of everything that led to this outcome."""

    outcome: Outcome
    reasons: tuple[str, ...]
    rule_version: str


def decide(
    sessions: Sequence[Performed],
    *,
    days_since_change: int,
    red_flag_level: Level = Level.NONE,
    new_neurological_symptom: bool = False,
    flaring: bool = False,
    thresholds: ProgressionThresholds | None = None,
) -> Decision:
    """Return what `sessions` at the current dose, the oldest first, suggest.

    flaring: whether a flare-up is open; as long as one is, only a danger sign says anything. thresholds: a plan's own,
    else the defaults.
    """
    rules = load().progression
    limits = thresholds or rules.thresholds
    worst = sessions[-1].pain_during if sessions else None
    stop = _stop(worst, limits, red_flag_level=red_flag_level, new_neurological_symptom=new_neurological_symptom)
    candidates = [(Outcome.STOP, stop)]
    usual = [] if flaring else [one for one in sessions if one.counts]
    if usual:
        candidates += [
            (Outcome.REGRESS, _regress(usual, limits)),
            (Outcome.HOLD, _hold(usual, limits)),
            (Outcome.PROGRESS, _progress(usual, limits, days_since_change)),
        ]
    nothing = "flare_open" if flaring else "nothing_else_fits" if usual else "no_sessions"
    if usual and _ready(usual, limits):
        nothing = "changed_lately"
    outcome, reasons = next(
        ((outcome, reasons) for outcome, reasons in candidates if reasons),
        (Outcome.MAINTAIN, [nothing]),
    )
    return Decision(outcome, tuple(reasons), rules.version)


def stop_at_once(pain_during: int | None, *, new_neurological_symptom: bool) -> list[str]:
    """Give the reasons for which a session by itself stops its exercises; none of them may be there."""
    return _stop(pain_during, load().progression.thresholds, new_neurological_symptom=new_neurological_symptom)


def alarming(session: Performed, *, new_neurological_symptom: bool) -> bool:
    """Tell whether a session by itself stops the exercise."""
    return bool(stop_at_once(session.pain_during, new_neurological_symptom=new_neurological_symptom))


def hopeful(session: Performed) -> bool:
    """Tell whether a session may still let the dose go up, once it is known how the day after was."""
    return _green(session, load().progression.thresholds)


def _green(session: Performed, limits: ProgressionThresholds) -> bool:
    return (
        _at_most(session.pain_during, limits.green_max)
        and _at_least(session.completed_percent, ALL_DONE)
        and _at_most(session.effort, limits.effort_progress_max)
    )


def _stop(
    pain_during: int | None,
    limits: ProgressionThresholds,
    *,
    red_flag_level: Level = Level.NONE,
    new_neurological_symptom: bool,
) -> list[str]:
    reasons = []
    if new_neurological_symptom:
        reasons.append("new_neurological_symptom")
    if red_flag_level >= Level.URGENT_SAME_DAY:
        reasons.append("red_flag")
    if _at_least(pain_during, limits.stop_pain):
        reasons.append("severe_pain")
    return reasons


def _regress(sessions: Sequence[Performed], limits: ProgressionThresholds) -> list[str]:
    last_two = sessions[-LAST_TWO:]
    reasons = []
    if _at_least(sessions[-1].pain_during, limits.amber_max + 1):
        reasons.append("pain_above_amber")
    if len(last_two) == LAST_TWO:
        if all(_at_least(one.rise_24h, limits.rise_24h_bad) for one in last_two):
            reasons.append("pain_rose_twice")
        if all(
            one.completed_percent is not None
            and one.completed_percent < limits.poor_completion
            and one.reason in TOO_MUCH
            for one in last_two
        ):
            reasons.append("too_much_twice")
    return reasons


def _hold(sessions: Sequence[Performed], limits: ProgressionThresholds) -> list[str]:
    last = sessions[-1]
    reasons = []
    if any(
        one.pain_during is not None
        and limits.green_max < one.pain_during <= limits.amber_max
        and _at_least(one.rise_24h, limits.rise_24h_ok + 1)
        for one in sessions[-LAST_TWO:]
    ):
        reasons.append("pain_lingers")
    if _at_least(last.effort, limits.effort_hard):
        reasons.append("hard_effort")
    if last.rise_24h is None:
        reasons.append("next_day_pain_unknown")
    return reasons


def _progress(sessions: Sequence[Performed], limits: ProgressionThresholds, days_since_change: int) -> list[str]:
    ready = days_since_change >= limits.min_days_between_progressions and _ready(sessions, limits)
    return ["green_sessions"] if ready else []


def _ready(sessions: Sequence[Performed], limits: ProgressionThresholds) -> bool:
    """Tell whether the sessions by themselves let the dose go up."""
    recent = sessions[-limits.sessions_needed :]
    return len(recent) == limits.sessions_needed and all(
        _green(one, limits) and _at_most(one.rise_24h, limits.rise_24h_ok) for one in recent
    )


def _at_least(value: int | None, limit: int) -> bool:
    return value is not None and value >= limit


def _at_most(value: int | None, limit: int) -> bool:
    return value is not None and value <= limit
