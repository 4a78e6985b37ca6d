"""Ladders of exercises: each may name the easier one that it follows, so chains lead from easy to hard and never back.

A ladder is a mapping from an exercise's code to the code of the easier one, or None where nothing is easier.
"""

from collections.abc import Mapping

Ladder = Mapping[str, str | None]


def easier_than(ladder: Ladder, code: str) -> list[str]:
    """Return what comes before `code`, the next easier one first; of a circle each once."""
    found: dict[str, None] = {}  # in order, and quick to ask: chains may be as long as a file
    step = ladder.get(code)
    while step is not None and step not in found:
        found[step] = None
        step = ladder.get(step)
    return list(found)


def circle(ladder: Ladder, code: str) -> list[str]:
    """Return the circle that `code` is part of, from `code` back to it; nothing when there is none."""
    before = easier_than(ladder, code)
    return [code, *before[: before.index(code) + 1]] if code in before else []


def merged(ladder: Ladder, source: str, target: str) -> dict[str, str | None]:
    """Return the steps that change when `target` takes the place of `source`: code to the easier one from now on.

    What followed `source` follows `target`; where that would run in a circle (`target` itself, and what it builds on), it
    follows what `source` followed. A ladder without circles stays without.
    """
    below = {target, *easier_than(ladder, target)}
    return {
        code: ladder.get(source) if code in below else target
        for code, easier in ladder.items()
        if easier == source and code != source
    }
