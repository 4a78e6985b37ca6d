"""`python -m benchmarks`: make a data set, measure, print a table, write `benchmarks/results.json`."""

import asyncio
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from benchmarks import databases, dataset, escalation, measures, progression, report, scale, sweep
from benchmarks.measures import Bench, Plan
from benchmarks.report import Result
from cli import migrations
from dev.cluster import DATABASE
from dev.postgres import EmbeddedPostgres

RESULTS = Path(__file__).parent / "results.json"
QUICK = Plan(rounds=1, warm=False, writes=48, reads=16, starts=1, people=16, sweep_plans=200, progression_items=100)

MEASURES: dict[str, Callable[[Bench], list[Result]]] = {
    "requests": measures.requests,
    "sweep": sweep.materialize,
    "escalation": escalation.escalate,
    "progression": progression.evaluate,
    "million": sweep.materialize_a_million,
    "worklist-at-scale": scale.worklist,
    "start": measures.start,
}
"""In order; `start` stops the run's database server, so it is the last."""
OWN_DATA = frozenset({"sweep", "escalation", "progression", "million", "worklist-at-scale"})
"""Measures that make data of their own, and need nothing of the data set."""

BY_NAME = frozenset({"worklist-at-scale"})
"""Takes ten minutes and 15 GB: without being named it runs only in a quick run, tiny."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    quick: Annotated[
        bool, typer.Option(help="A tiny run of everything: shows that it works, not how fast it is.")
    ] = False,
    patients: Annotated[int, typer.Option(min=20, help="Size of the data set.")] = 2_000,
    seed: Annotated[int, typer.Option(help="Decides every random draw of the data set.")] = 7,
    only: Annotated[list[str] | None, typer.Option(help=f"One of {', '.join(MEASURES)}; may be given again.")] = None,
    keep: Annotated[Path | None, typer.Option(help="Make the data set in this folder, or use the one there.")] = None,
    output: Annotated[Path, typer.Option(help="Where the results go.")] = RESULTS,
) -> None:
    """Measure speed and memory as ratios to a floor in the same run."""
    wrong = set(only or ()) - MEASURES.keys()
    if wrong:
        raise typer.BadParameter(f"there is no measure {', '.join(sorted(wrong))}")
    console = Console(width=None if sys.stdout.isatty() else 150)
    size = dataset.Size(min(patients, 40), 28, seed) if quick else dataset.Size(patients, seed=seed)
    results: list[Result] = []
    with folder(keep) as place, console.status("starting") as status:
        postgres = EmbeddedPostgres(place)
        with postgres:
            bench = Bench(postgres, place, QUICK if quick else Plan(), status.update)
            chosen = set(only or MEASURES.keys() - (frozenset() if quick else BY_NAME))
            if not chosen <= OWN_DATA:
                prepare(bench, size)
            for name, measure in MEASURES.items():
                if name in chosen:
                    results += measure(bench)
    report.write(results, output)
    report.show(results, console)


@contextmanager
def folder(keep: Path | None) -> Iterator[Path]:
    """Give the folder of the data: `keep`, or a temporary one that is removed afterwards."""
    if keep is not None:
        yield keep.absolute()
        return
    made = Path(tempfile.mkdtemp(prefix="physio-bench-"))
    made.rmdir()  # the server makes it, with the rights it needs
    try:
        yield made
    finally:
        shutil.rmtree(made, ignore_errors=True)


def prepare(bench: Bench, size: dataset.Size) -> None:
    """Bring the schema to the newest revision, make the data set unless it is there, and sign people in."""
    bench.tell("migrations")
    cluster = bench.postgres.cluster
    if asyncio.run(dataset.is_there(cluster)):
        migrations.upgrade(cluster.url("physio_owner"))
    else:
        databases.make(cluster, DATABASE)
        asyncio.run(dataset.generate(cluster, size, lambda step: bench.tell(f"data set: {step}")))
    bench.sign_in()


if __name__ == "__main__":
    app(prog_name="benchmarks")
