"""What a soak test found: one figure each, and whether it is as promised."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

Tell = Callable[[str, float], None]
"""Hears what is being done, and which share of the test is done (0 to 1)."""


@dataclass(frozen=True)
class Figure:
    """One figure: of which test, what was counted or measured; `goal` in words, empty where nothing was promised."""

    test: str
    what: str
    value: float
    unit: str = ""
    goal: str = ""
    holds: bool = True
    detail: str = ""

    def __str__(self) -> str:
        said = f"{self.test}: {self.what} {self.value:g} {self.unit}".rstrip()
        return " ".join(part for part in (said, f"(promised: {self.goal})" if self.goal else "", self.detail) if part)


def told(test: str, what: str, value: float, unit: str = "") -> Figure:
    """Tell how much was done; nothing was promised about it."""
    return Figure(test, what, round(value, 2), unit)


def none(test: str, what: str, found: int, detail: str = "") -> Figure:
    """Hold that there is none of it."""
    return Figure(test, what, found, goal="0", holds=found == 0, detail=detail)


def exactly(test: str, what: str, found: int, wanted: int) -> Figure:
    """Hold that there are as many as there should be."""
    return Figure(test, what, found, goal=str(wanted), holds=found == wanted)


def within(test: str, what: str, seconds: float, most: float) -> Figure:
    """Hold that it took no longer."""
    return Figure(test, what, round(seconds, 2), "s", f"<= {most:g} s", seconds <= most)


def broken(figures: Sequence[Figure]) -> list[str]:
    """Give, in words, what does not hold."""
    return [str(each) for each in figures if not each.holds]


def show(figures: Sequence[Figure], console: Console) -> None:
    """Print the table, and say plainly what does not hold."""
    table = Table(title="What was done, and what came of it")
    for heading in ("test", "figure", "value", "promised", ""):
        table.add_column(heading, justify="right" if heading == "value" else "left", no_wrap=heading != "figure")
    before = ""
    for each in figures:
        mark = "" if not each.goal else "[green]holds[/green]" if each.holds else "[red]broken[/red]"
        table.add_row(
            "" if each.test == before else each.test, each.what, f"{each.value:g} {each.unit}".strip(), each.goal, mark
        )
        before = each.test
    console.print(table)
    wrong = broken(figures)
    for each_wrong in wrong:
        console.print(f"[red]Broken: {each_wrong}[/red]")
    if not wrong:
        console.print("[green]Everything holds.[/green]")
