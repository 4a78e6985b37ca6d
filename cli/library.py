"""`physio library …`: shipped exercises and articles into every clinic; a clinic's exercises out to a file and in."""

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal
from uuid import UUID

import typer

from cli.environment import console, one_machine, with_roles

if TYPE_CHECKING:
    from schemas.exercise_files import ImportProblem

library = typer.Typer(no_args_is_help=True, help="The shipped exercises and articles; a clinic's exercises as files.")

KINDS: Mapping[str, Literal["yaml", "csv"]] = {".yaml": "yaml", ".yml": "yaml", ".csv": "csv"}

ClinicId = Annotated[UUID, typer.Argument(help="The clinic's id, as create-clinic printed it.")]


@library.command()
def sync() -> None:
    """Bring the shipped exercises and articles into every clinic."""
    from cli import people  # noqa: PLC0415

    with one_machine(guest=True) as settings:
        changed = asyncio.run(people.sync_library(with_roles(settings)))
    console.print(f"physio: {changed} exercises and articles new or changed")


@library.command("export")
def export_(
    clinic: ClinicId, *, csv: Annotated[bool, typer.Option("--csv", help="For a spreadsheet, instead of YAML.")] = False
) -> None:
    """Print the shipped exercises and the clinic's, without therapists' own."""
    from cli import people  # noqa: PLC0415

    with one_machine(guest=True) as settings:
        text = asyncio.run(people.export_exercises(with_roles(settings), clinic, "csv" if csv else "yaml"))
    typer.echo(text.encode(), nl=False)


@library.command("import")
def import_(
    clinic: ClinicId,
    file: Annotated[Path, typer.Argument(exists=True, dir_okay=False, help="As export wrote it: .yaml or .csv.")],
    *,
    dry_run: Annotated[bool, typer.Option(help="Write nothing: tell what would happen.")] = False,
) -> None:
    """Add and change the clinic's exercises by their codes: all of them, or none."""
    from cli import people  # noqa: PLC0415

    kind = KINDS.get(file.suffix.lower())
    if kind is None:
        raise typer.BadParameter(f"one of {', '.join(KINDS)}", param_hint="FILE")
    try:
        text = file.read_bytes().decode()
    except UnicodeDecodeError:
        raise typer.BadParameter("this is not UTF-8", param_hint="FILE") from None
    with one_machine(guest=True) as settings:
        done = asyncio.run(people.import_exercises(with_roles(settings), clinic, kind, text, dry_run=dry_run))
    for problem in done.problems:
        typer.echo(f"{file}:{_told(problem)}", err=True)
    if done.problems:
        raise SystemExit(f"physio: {done.problem_count} problems; nothing was written")
    would = "would be " if dry_run else ""
    console.print(f"physio: {done.created} {would}added, {done.updated} {would}changed, {done.unchanged} as they were")


def _told(problem: "ImportProblem") -> str:
    return f"{problem.line}: {problem.pointer or '/'}: {problem.message}"
