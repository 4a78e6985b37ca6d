"""`python -m tests.soak`: the long forms, one after the other, over a PostgreSQL of their own."""

import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cli import migrations
from dev.postgres import EmbeddedPostgres
from tests.conftest import TEMPLATE, clone
from tests.soak import figures, trials
from tests.soak.figures import Figure

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    *,
    only: Annotated[
        list[str] | None, typer.Option(help=f"One of {', '.join(trials.TRIALS)}; may be given again.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Decides when is killed.")] = 7,
    short: Annotated[bool, typer.Option(help="The short forms, as `make check` runs them.")] = False,
    keep: Annotated[Path | None, typer.Option(help="Leave logs, mail and data in this (new) folder.")] = None,
) -> None:
    """Kill, cut off and stop the house for minutes, and count what is lost or doubled."""
    wrong = set(only or ()) - trials.TRIALS.keys()
    if wrong:
        raise typer.BadParameter(f"there is no test {', '.join(sorted(wrong))}")
    console = Console(width=None if sys.stdout.isatty() else 150)
    # PostgreSQL runs as another account when we are root: it must be able to walk through.
    place = (keep or Path(tempfile.gettempdir(), f"physio-soak-{secrets.token_hex(4)}")).absolute()
    place.mkdir(mode=0o711)
    found: list[Figure] = []
    try:
        with Progress(
            TextColumn("{task.fields[name]}"), BarColumn(), TextColumn("{task.description}"), TimeElapsedColumn(),
            console=console,
        ) as progress:  # fmt: skip
            for name in trials.TRIALS:
                if not only or name in only:
                    found += _try(name, place / name, progress, short=short, seed=seed)
    finally:
        if keep is None:
            shutil.rmtree(place, ignore_errors=True)
    figures.show(found, console)
    raise SystemExit(1 if figures.broken(found) else 0)


def _try(name: str, folder: Path, progress: Progress, *, short: bool, seed: int) -> list[Figure]:
    task = progress.add_task("starting PostgreSQL", name=f"{name:12}", total=1.0)
    tell: Callable[[str, float], None] = lambda text, share: progress.update(task, description=text, completed=share)  # noqa: E731
    server = EmbeddedPostgres(folder)
    server.start()
    try:
        server.create_database(TEMPLATE)
        migrations.upgrade(server.url("physio_owner", TEMPLATE))
        stage = trials.Stage(clone(server.cluster), folder.with_name(f"{name}-house"), tell, seed, server)
        found = trials.TRIALS[name](stage, short=short)
    finally:
        server.stop()
        shutil.rmtree(server.sockets, ignore_errors=True)
    progress.update(task, description="done", completed=1.0)
    return found


if __name__ == "__main__":
    app(prog_name="soak")
