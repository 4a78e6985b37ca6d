"""Conditions as the rule files write them: `{q: fever}`, `{any: [...]}`, `{gte: [age_years, 65]}`."""

import operator
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Self

from pydantic import Field, StrictInt, model_validator

from clinical.reading import Strict
from clinical.rounding import Number

Comparison = tuple[str, StrictInt]

COMPARE: Mapping[str, Callable[[Number, int], bool]] = {
    "gte": operator.ge,
    "gt": operator.gt,
    "lte": operator.le,
    "lt": operator.lt,
    "eq": operator.eq,
}


class Condition(Strict):
    """Exactly one of: a question answered yes, any or all of others, or a fact compared with a number."""

    q: str | None = None
    any_of: "tuple[Condition, ...] | None" = Field(default=None, alias="any", min_length=1)
    all_of: "tuple[Condition, ...] | None" = Field(default=None, alias="all", min_length=1)
    gte: Comparison | None = None
    gt: Comparison | None = None
    lte: Comparison | None = None
    lt: Comparison | None = None
    eq: Comparison | None = None

    @model_validator(mode="after")
    def _says_one_thing(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("a condition has exactly one operator")
        return self

    @property
    def comparison(self) -> tuple[str, Comparison] | None:
        """Operator, and the fact with the number it is compared to; None when this is no comparison."""
        for name in COMPARE:
            if (pair := getattr(self, name)) is not None:
                return name, pair
        return None

    @property
    def parts(self) -> "tuple[Condition, ...]":
        """The conditions that this one combines."""
        return self.any_of or self.all_of or ()

    def questions(self) -> Iterator[str]:
        """Every question that it looks at."""
        if self.q is not None:
            yield self.q
        for part in self.parts:
            yield from part.questions()

    def facts(self) -> Iterator[str]:
        """Every fact that it compares."""
        if self.comparison is not None:
            yield self.comparison[1][0]
        for part in self.parts:
            yield from part.facts()


def holds(
    condition: Condition,
    yes: Collection[str],
    facts: Mapping[str, Number | None],
    *,
    suppose: Collection[str] = (),
) -> bool:
    """Whether the condition is met. A fact that is not known meets nothing, unless it is in `suppose`."""
    if condition.q is not None:
        return condition.q in yes
    if condition.any_of is not None:
        return any(holds(part, yes, facts, suppose=suppose) for part in condition.any_of)
    if condition.all_of is not None:
        return all(holds(part, yes, facts, suppose=suppose) for part in condition.all_of)
    assert condition.comparison is not None
    compare, (name, limit) = condition.comparison
    value = facts.get(name)
    if value is None:
        return name in suppose
    return COMPARE[compare](value, limit)
