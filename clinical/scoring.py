"""From the answers to an instrument to its scores, and from two scores to a change.

Scores are derived, never typed: the same answers to the same instrument version always give the same scores. What
cannot be scored is None, never 0. The numbers and their sources stand in the instrument's file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, assert_never

from clinical.answers import InvalidAnswers, is_whole, pointer, unknown, whole_between
from clinical.change import Change, change
from clinical.conditions import holds
from clinical.forms import Instrument, Item, SafetyRule, ScoreRule
from clinical.levels import Level
from clinical.rounding import Number, half_up
from core.errors import Problem

__all__ = ["Change", "FiredRule", "InvalidAnswers", "Scored", "change", "score"]


WHOLE = 100
"""All of it, in percent."""


@dataclass(frozen=True)
class FiredRule:
    """A safety rule of the instrument that these answers meet; `tell_patient` is to be shown at once."""

    id: str
    action: str
    level: Level
    tell_patient: str | None = None


@dataclass(frozen=True)
class Scored:
    """The scores of one set of answers.

    prorated: missing answers were replaced by the mean of the others (on import only). safety_unknown: an answer that a
    safety rule looks at is missing and must be asked for. ratings: activity id to rating, where activities are rated.
    """

    instrument: str
    version: str
    scores: Mapping[str, Number | None]
    primary: str
    primary_value: Number | None
    band: str | None
    fired: tuple[FiredRule, ...]
    prorated: bool = False
    safety_unknown: bool = False
    ratings: Mapping[str, int] = field(default_factory=dict)


def score(instrument: Instrument, answers: Mapping[str, Any], *, app: bool = True) -> Scored:
    """Return the scores of `answers`: item id to answer, or {"activities": [...]} where activities are rated.

    app: the answers come from our own form, where every item of a questionnaire with a closed list of answers must be
    answered; False is for answers that are imported, in which a few may be missing and are prorated where the
    instrument allows it. Raises InvalidAnswers.
    """
    problems = _problems(instrument, answers, app=app)
    if problems:
        raise InvalidAnswers(*problems)
    given = {key: value for key, value in answers.items() if is_whole(value) or isinstance(value, bool)}
    ratings = {one["id"]: one["rating"] for one in answers.get("activities", ()) if one.get("rating") is not None}
    scores: dict[str, Number | None] = {}
    prorated = False
    for rule in instrument.scoring.scores:
        scores[rule.id], guessed = _score(rule, instrument, given, ratings)
        prorated = prorated or guessed
    facts = {**given, **scores}
    looked_at = {name for rule in instrument.safety_rules for name in rule.when.facts()}
    return Scored(
        instrument=instrument.code,
        version=instrument.version,
        scores=scores,
        primary=instrument.scoring.primary,
        primary_value=scores[instrument.scoring.primary],
        band=_band(instrument, scores),
        fired=tuple(_fired(rule) for rule in instrument.safety_rules if holds(rule.when, (), facts)),
        prorated=prorated,
        safety_unknown=any(item.id in looked_at and item.id not in given for item in instrument.items),
        ratings=ratings,
    )


def _fired(rule: SafetyRule) -> FiredRule:
    return FiredRule(rule.id, rule.action, rule.level, rule.tell_patient)


def _score(
    rule: ScoreRule, instrument: Instrument, given: Mapping[str, int], ratings: Mapping[str, int]
) -> tuple[Number | None, bool]:
    """Return the score, and whether missing answers were prorated."""
    items = [item.id for item in instrument.items] if rule.items == "all" else list(rule.items or ())
    values = list(ratings.values()) if rule.of is not None else [given[item] for item in items if item in given]
    match rule.method:
        case "item":
            return given.get(rule.item or ""), False
        case "count_true":
            return sum(values), False
        case "mean":
            enough = len(values) >= rule.min_answered
            return (half_up(Fraction(sum(values), len(values)), rule.decimals) if enough else None), False
        case "percent":
            return _percent(rule, instrument, items, values), False
        case "sum_prorated":
            missing = len(items) - len(values)
            if missing > rule.max_missing:
                return None, False
            return int(half_up(Fraction(sum(values) * len(items), len(values)))), missing > 0
        case _:  # never
            assert_never(rule.method)


def _percent(rule: ScoreRule, instrument: Instrument, items: Sequence[str], values: Sequence[int]) -> Number | None:
    """Return how far up the answers are between the least and the most that they could be; all items share one range."""
    if len(values) < rule.min_answered:
        return None
    ((least, most),) = {(item.min, item.max) for item in instrument.items if item.id in items}
    assert least is not None
    assert most is not None
    reached = WHOLE * (sum(values) - len(values) * least)
    return half_up(Fraction(reached, len(values) * (most - least)), rule.decimals)


def _band(instrument: Instrument, scores: Mapping[str, Number | None]) -> str | None:
    if instrument.bands is None or (value := scores[instrument.bands.score]) is None:
        return None
    return next(band.code for band in instrument.bands.list if band.min <= value <= band.max)


def _problems(instrument: Instrument, answers: Mapping[str, Any], *, app: bool) -> list[Problem]:
    repeated = instrument.repeated
    if repeated is not None:
        return unknown(answers, ["activities"]) + _activity_problems(repeated, answers.get("activities"))
    known = [item.id for item in instrument.items] + [item.id for item in instrument.unscored_items]
    problems = unknown(answers, known)
    for item in instrument.items:
        problems += _item_problems(instrument, item, answers.get(item.id), app=app)
    for extra in instrument.unscored_items:
        if (value := answers.get(extra.id)) is not None:
            problems += whole_between(pointer(extra.id), value, 0, len(extra.options) - 1)
    if not problems:
        for check in instrument.scoring.validation:
            first, second = (answers.get(name) for name in check.lte)
            if first is not None and second is not None and first > second:
                problems.append(
                    Problem(pointer(check.lte[0]), "above_other_answer", f"This may not be above {check.lte[1]}.")
                )
    return problems


def _item_problems(instrument: Instrument, item: Item, value: Any, *, app: bool) -> list[Problem]:
    at = pointer(item.id)
    if value is None:
        required = item.required if item.required is not None else app and instrument.answer is None
        return [Problem(at, "missing", "This question must be answered.")] if required else []
    if instrument.answer is not None:
        return [] if isinstance(value, bool) else [Problem(at, "not_a_boolean", "This must be true or false.")]
    if instrument.options:
        values = [option.value for option in instrument.options]
        return whole_between(at, value, min(values), max(values))
    assert item.min is not None
    assert item.max is not None
    return whole_between(at, value, item.min, item.max)


def _activity_problems(item: Item, activities: Any) -> list[Problem]:
    """Return what is wrong with a list of {"id", "name", "rating"}; a rating may be missing, a name may not."""
    assert item.repeats is not None
    least, most = item.repeats
    at = pointer("activities")
    if not isinstance(activities, Sequence) or isinstance(activities, str | bytes):
        return [Problem(at, "missing", "A list of activities is needed.")]
    if not least <= len(activities) <= most:
        return [Problem(at, "out_of_range", f"Name {least} to {most} activities.")]
    fields = {one.id: one for one in item.fields}
    rating, name = fields["rating"], fields["name"]
    problems: list[Problem] = []
    seen: set[str] = set()
    for place, activity in enumerate(activities):
        at = pointer("activities", place)
        if not isinstance(activity, Mapping) or not set(activity) <= {"id", "name", "rating"}:
            problems.append(Problem(at, "not_an_activity", "An activity has an id, a name and a rating."))
            continue
        key, words = activity.get("id"), activity.get("name")
        if not isinstance(key, str) or not key or key in seen:
            problems.append(Problem(f"{at}/id", "not_unique", "Every activity needs an id of its own."))
        else:
            seen.add(key)
        if not isinstance(words, str) or not 1 <= len(words.strip()) <= (name.max_length or 0):
            problems.append(Problem(f"{at}/name", "out_of_range", f"A name has 1 to {name.max_length} characters."))
        if activity.get("rating") is not None:
            problems += whole_between(f"{at}/rating", activity["rating"], rating.min or 0, rating.max or 0)
    return problems
