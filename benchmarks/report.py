"""What a run found, as `results.json`, a table and a small chart."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

BAR = 24
"""Width of the chart, characters; the goal stands at the middle."""


@dataclass(frozen=True)
class Result:
    """One figure.

    value, unit: what was measured. floor: the same measured on the floor, in the same unit. ratio: how near we come to
    the floor, 1 is as good (for times and memory floor / value, for rates value / floor). goal: in words, with its
    unit. holds: whether it was reached; None where nothing was promised. margin: reached share of the goal, for the
    chart; above 1 it holds.
    """

    name: str
    value: float
    unit: str
    floor: float | None
    ratio: float | None
    goal: str
    holds: bool | None
    margin: float | None = None


def at_least(name: str, value: float, unit: str, floor: float, least: float) -> Result:
    """Judge a rate by its ratio to the floor's."""
    ratio = value / floor
    return Result(
        name, _short(value), unit, _short(floor), _short(ratio), f"ratio >= {least}", ratio >= least, ratio / least
    )


def at_most(name: str, value: float, unit: str, floor: float | None, most: float | None) -> Result:
    """Judge a time or a size by itself; the ratio to the floor's is told beside it."""
    ratio = None if floor is None else _short(floor / value)
    floor = None if floor is None else _short(floor)
    if most is None:
        return Result(name, _short(value), unit, floor, ratio, "none", None)
    return Result(name, _short(value), unit, floor, ratio, f"<= {most:g} {unit}", value <= most, most / value)


def _short(value: float) -> float:
    return float(f"{value:.4g}")


def write(results: Sequence[Result], path: Path) -> None:
    """Write the results, each as {name, value, unit, floor, ratio, goal, holds}."""
    rows = [{name: value for name, value in asdict(each).items() if name != "margin"} for each in results]
    path.write_text(json.dumps(rows, indent=2) + "\n")


def show(results: Sequence[Result], console: Console) -> None:
    """Print the table, and say plainly what does not hold."""
    table = Table(
        title="Measured against the floor of the same run", caption="the mark | is the goal; right of it is better"
    )
    for heading in ("measure", "value", "floor", "ratio", "goal", ""):
        table.add_column(heading, justify="right" if heading in {"value", "floor", "ratio"} else "left", no_wrap=True)
    for each in results:
        floor = "" if each.floor is None else f"{each.floor:g} {each.unit}"
        ratio = "" if each.ratio is None else f"{each.ratio:.2f}"
        goal = "" if each.goal == "none" else each.goal
        table.add_row(each.name, f"{each.value:g} {each.unit}", floor, ratio, goal, _bar(each))
    console.print(table)
    missed = [each.name for each in results if each.holds is False]
    for name in missed:
        console.print(f"[red]The goal does not hold: {name}[/red]")
    if not missed:
        console.print("[green]Every goal holds.[/green]")


def _bar(result: Result) -> Text:
    """Draw the reached share of the goal; the middle is the goal, the end twice as good."""
    if result.margin is None:
        return Text("")
    length = min(BAR, max(1, round(result.margin * BAR / 2)))
    bar = "█" * length + " " * (BAR - length)
    return Text(f"{bar[: BAR // 2]}|{bar[BAR // 2 :]}", style="green" if result.holds else "red")
