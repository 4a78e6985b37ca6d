"""Whether a score changed enough to matter.

Two yardsticks often disagree, so both are kept: points (the minimal important change, MIC, or for rated activities
the change beyond measurement error, MDC90) and percent of the baseline. They are guides for one person's change, not
measures of severity. The numbers and their sources stand in the instrument's file.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Protocol

from clinical.conditions import holds
from clinical.forms import Instrument
from clinical.rounding import Number, half_up, percent

RULES = {(True, True): "both", (True, False): "mic_points", (False, True): "mic_percent", (False, False): None}


class Measured(Protocol):
    """What a change needs of a scored answer: the score that stands for the instrument, and rated activities."""

    @property
    def primary_value(self) -> Number | None:
        """The score that stands for the instrument."""

    @property
    def ratings(self) -> Mapping[str, int]:
        """Activity id to rating."""


@dataclass(frozen=True)
class Value:
    """A score without its answers, for rows that were scored before."""

    primary_value: Number | None
    ratings: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Change:
    """What became of a score.

    points: current minus baseline, so that its sign follows the score and not its meaning; None when there is nothing
    to compare. percent: points in percent of the baseline, None at a baseline of 0. rule: the yardsticks that called it
    improved or worsened (`mic_points`, `mic_percent`, `both`, `mdc90`), None when neither did. activities_changed:
    rated activities that changed beyond the error of a single rating. responded, remitted: where the instrument
    defines them.
    """

    points: Number | None
    percent: Number | None
    improved_points: bool = False
    improved_percent: bool = False
    worsened_points: bool = False
    worsened_percent: bool = False
    rule: str | None = None
    exceeds_mdc90: bool | None = None
    activities_compared: int = 0
    activities_changed: tuple[str, ...] = ()
    responded: bool | None = None
    remitted: bool | None = None

    @property
    def improved(self) -> bool:
        """Better by points or by percent."""
        return self.improved_points or self.improved_percent

    @property
    def worsened(self) -> bool:
        """Worse by points or by percent."""
        return self.worsened_points or self.worsened_percent


def change(instrument: Instrument, baseline: Measured, current: Measured) -> Change:
    """How `current` differs from `baseline`; activities count only where both rate the same one (by id)."""
    if instrument.repeated is not None:
        return _change_of_activities(instrument, baseline.ratings, current.ratings)
    before, after = baseline.primary_value, current.primary_value
    if before is None or after is None:
        return Change(None, None)
    points = after - before
    gain = Fraction(-points if instrument.primary.lower_is_better else points)
    share = gain / abs(Fraction(before)) * 100 if before else None
    rules = instrument.change
    mic_points = rules.mic_points if rules else None
    mic_percent = rules.mic_percent_of_baseline if rules else None
    by_points = mic_points is not None and abs(gain) >= mic_points
    by_percent = mic_percent is not None and share is not None and abs(share) >= mic_percent
    return Change(
        points=points,
        percent=percent(points, abs(Fraction(before))),
        improved_points=by_points and gain > 0,
        improved_percent=by_percent and gain > 0,
        worsened_points=by_points and gain < 0,
        worsened_percent=by_percent and gain < 0,
        rule=RULES[by_points, by_percent],
        responded=None
        if rules is None or rules.response_percent is None
        else share is not None and share >= rules.response_percent,
        remitted=None
        if rules is None or rules.remission is None
        else holds(rules.remission, (), {instrument.scoring.primary: after}),
    )


def _change_of_activities(instrument: Instrument, baseline: Mapping[str, int], current: Mapping[str, int]) -> Change:
    """Return the mean change over the activities rated both times; one alone is held to the limit for one rating."""
    assert instrument.change is not None
    average_limit = instrument.change.mdc90_average or 0
    single_limit = instrument.change.mdc90_single_activity or 0
    both = [activity for activity in baseline if activity in current]
    if not both:
        return Change(None, None)
    differences = {activity: current[activity] - baseline[activity] for activity in both}
    points = Fraction(sum(differences.values()), len(both))
    beyond = abs(points) >= (single_limit if len(both) == 1 else average_limit)
    better = points < 0 if instrument.primary.lower_is_better else points > 0
    return Change(
        points=half_up(points, instrument.primary.decimals),
        percent=percent(sum(differences.values()), sum(baseline[activity] for activity in both)),
        improved_points=beyond and better,
        worsened_points=beyond and not better,
        rule="mdc90" if beyond else None,
        exceeds_mdc90=beyond,
        activities_compared=len(both),
        activities_changed=tuple(activity for activity in both if abs(differences[activity]) >= single_limit),
    )
