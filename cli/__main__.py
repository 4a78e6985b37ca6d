"""`physio`: the clinic's own door. Heavy rooms are entered only by the command that needs them."""

import asyncio
import gc
import sys
from typing import Annotated
from urllib.parse import unquote, urlsplit
from uuid import UUID

import typer

from cli.environment import ROLES, as_role, console, one_machine, owner_url, trouble_with_database, watched_machine
from cli.environment import with_roles as _with_roles
from cli.jobs import jobs
from cli.library import library
from core.errors import Refusal
from core.settings import UNSAFE, Settings, load

YOUNG = 50_000
"""How many new objects the garbage collector waits for: what is loaded stays, and looking at it costs a third of a start."""

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,  # it would print local variables, passwords among them
    help="The backend of a virtual physiotherapy clinic.",
)
database = typer.Typer(no_args_is_help=True, help="The database: roles, migrations, where it is.")
users = typer.Typer(
    no_args_is_help=True, help="Clinics, their first admin, service accounts; closing and mending accounts."
)
app.add_typer(database, name="db")
app.add_typer(users, name="users")
app.add_typer(library, name="library")
app.add_typer(jobs, name="jobs")


@app.command()
def up(*, demo: Annotated[bool, typer.Option(help="Make the demo clinic if there is none yet.")] = True) -> None:
    """Run everything on this machine: PostgreSQL, API, worker, demo clinic. Ctrl-C stops all of it."""
    from cli import running  # noqa: PLC0415
    from core.settings import LOOPBACK  # noqa: PLC0415
    from dev import DEMO_CLINIC  # noqa: PLC0415

    settings = load()
    if demo:
        if settings.host not in LOOPBACK:
            raise SystemExit("physio: the demo clinic has well-known passwords and listens on loopback only.")
        settings = settings.model_copy(update={"demo": True})
    running.claim(settings)
    with watched_machine(settings) as (found, database_is_up):
        if demo and running.unfinished(settings).exists():
            _forget_half_a_clinic(found)
        fresh = _migrate_if_needed(found)
        known = _as_made(_with_roles(found), make=fresh and (demo or found.sandbox))
        there = _clinics(known)
        fill = demo and (fresh or not there)
        if not fill and DEMO_CLINIC not in there:  # clinics of your own only: nobody has the demo's sign-ins
            known = known.model_copy(update={"demo": False})
        raise SystemExit(running.run(known, fill=fill, database_is_up=database_is_up))


@app.command()
def serve() -> None:
    """Run the API alone, against the databases of the settings."""
    from cli.serving import serve as run  # noqa: PLC0415

    with one_machine() as settings:
        needed = ROLES if settings.sandbox else ("api_database_url",)  # who moves the clock works as the worker does
        run(_with_roles(settings, *needed))


@app.command()
def worker() -> None:
    """Run the worker: the timetable of jobs, and the queue."""
    from cli import sandbox  # noqa: PLC0415
    from jobs.worker import main as run  # noqa: PLC0415

    with one_machine() as settings:
        known = _with_roles(settings, "worker_database_url", "sweeper_database_url")
        assert known.worker_database_url is not None
        wrong = sandbox.mismatch(known, known.worker_database_url.get_secret_value())
        if wrong is not None:
            typer.echo(f"physio: refusing to start: {wrong}", err=True)
            raise SystemExit(UNSAFE)
        run(known)


@app.command()
def demo(
    *, weeks: Annotated[int, typer.Option(min=1, max=52)] = 12, patients: Annotated[int, typer.Option(min=3)] = 60
) -> None:
    """Make the demo clinic: fictional people with weeks of history. Does nothing when it is there."""
    import gc  # noqa: PLC0415

    from dev.demo import fill  # noqa: PLC0415

    gc.set_threshold(10_000, 20, 50)  # weeks of a clinic are many small objects: look for lost ones less often
    with one_machine() as settings:
        asyncio.run(fill(_with_roles(settings), weeks=weeks, patients=patients))


@app.command()
def openapi() -> None:
    """Write docs/openapi.json as the code has it."""
    from api.openapi import write  # noqa: PLC0415

    write()


@database.command()
def migrate() -> None:
    """Bring the schema to the newest revision; with PHYSIO_SANDBOX, make an empty database a sandbox."""
    from cli import migrations, sandbox  # noqa: PLC0415
    from core.revisions import head  # noqa: PLC0415

    with one_machine() as settings:
        url = owner_url(settings)
        make = settings.sandbox and sandbox.is_empty(url)
        migrations.upgrade(url)
        if make:
            sandbox.make(url)
        console.print(f"physio: the schema is at {head()}")


@database.command("roles")
def roles_(
    admin: Annotated[
        str | None,
        typer.Option(envvar="PHYSIO_ADMIN_DATABASE_URL", help="The administrator's address; else PHYSIO_DATABASE_URL."),
    ] = None,
) -> None:
    """Create or update the login roles, as an administrator, and print the addresses nobody has set yet.

    A role whose address is set gets the password that stands in it, any other one made from PHYSIO_SECRET_KEY.
    """
    import psycopg  # noqa: PLC0415

    from dev.cluster import run_statements  # noqa: PLC0415
    from dev.passwords import passwords_of  # noqa: PLC0415
    from dev.roles import database_statements, role_statements  # noqa: PLC0415

    settings = load()
    url = owner_url(settings)
    passwords = passwords_of(settings.secret_key.get_secret_value())
    unknown = []
    for setting, role in {"database_url": "physio_owner", **ROLES}.items():
        given = getattr(settings, setting)
        parts = urlsplit(given.get_secret_value()) if given is not None else None
        if parts is not None and parts.username == role and parts.password:
            passwords[role] = unquote(parts.password)
        else:
            unknown.append((setting, role))
    admin = _libpq(admin or url)
    name = psycopg.conninfo.conninfo_to_dict(admin)["dbname"]
    try:
        run_statements(admin, [*role_statements(passwords), *database_statements(f'"{name}"')])
    except psycopg.Error as error:
        raise SystemExit(f"physio: the administrator's database refused: {str(error).strip()}") from None
    for setting, role in unknown:
        typer.echo(f"PHYSIO_{setting.upper()}={as_role(url, role, passwords[role])}")


@database.command()
def check() -> None:
    """Tell whether the API would refuse to start on this database, and why."""
    from cli import sandbox  # noqa: PLC0415
    from cli.serving import outdated, unsafe  # noqa: PLC0415

    with one_machine(guest=True) as settings:
        known = _with_roles(settings)
        assert known.api_database_url is not None
        url = known.api_database_url.get_secret_value()
        found, warning = asyncio.run(unsafe(url, durable=True)), asyncio.run(outdated(url))
        wrong = sandbox.mismatch(known, url)
        found += [] if wrong is None else [wrong]
    if warning is not None:
        console.print(f"physio: warning: {warning}")
    for each in found:
        console.print(f"physio: {each}")
    raise SystemExit(UNSAFE if found else 0)


@users.command("create-clinic")
def create_clinic(
    name: str,
    email: Annotated[str, typer.Option(help="The first admin's e-mail address.", prompt=True)],
    password: Annotated[
        str,
        typer.Option(
            help="Asked for when left out, which keeps it out of the shell's history.",
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
        ),
    ],
    country: Annotated[str, typer.Option(help="ISO 3166-1, two letters.")] = "US",
    zone: Annotated[str, typer.Option(help="IANA time zone.")] = "America/New_York",
) -> None:
    """Make a clinic and its first admin; prints the clinic's id."""
    from cli import people  # noqa: PLC0415

    place = _checked(email, country, zone)
    with one_machine(guest=True) as settings:
        made = asyncio.run(people.create_clinic(_with_roles(settings), name, email, password, *place))
    typer.echo(made)


@users.command("create-service")
def create_service(
    clinic: Annotated[UUID, typer.Argument(help="The clinic's id, as create-clinic printed it.")],
    name: Annotated[str, typer.Argument(help="Lower-case letters, digits and hyphens.")],
    scope: Annotated[
        list[str] | None, typer.Option(help="A job it may run, or `sandbox`; may be given again. Left out: all jobs.")
    ] = None,
) -> None:
    """Give a service account a new access token, good for 90 days, and print it, once."""
    from cli import people  # noqa: PLC0415
    from services.sandbox import SCOPE  # noqa: PLC0415
    from services.timetable import TIMETABLE  # noqa: PLC0415

    unknown = {*(scope or ())} - {"*", SCOPE, *(entry.job for entry in TIMETABLE)}
    if unknown:
        jobs = ", ".join(entry.job for entry in TIMETABLE)
        raise typer.BadParameter(f"no such job: {', '.join(sorted(unknown))}. There are {jobs}", param_hint="--scope")
    with one_machine(guest=True) as settings:
        typer.echo(asyncio.run(people.create_service(_with_roles(settings), clinic, name, scope or ["*"])))


@users.command("list")
def list_(
    clinic: Annotated[UUID | None, typer.Option(help="Only the accounts of this clinic, by its id.")] = None,
) -> None:
    """Print every account: e-mail address, status, role, clinic; tabs in between, one line for each membership."""
    from cli import people  # noqa: PLC0415

    with one_machine(guest=True) as settings:
        for entry in asyncio.run(people.browse(_with_roles(settings), clinic)):
            role = "-" if entry.role is None else entry.role.value
            left = "" if entry.ended_at is None else f"\tended {entry.ended_at:%Y-%m-%d}"
            typer.echo(f"{entry.email}\t{entry.status.value}\t{role}\t{entry.clinic_id or '-'}{left}")


@users.command()
def disable(email: str) -> None:
    """Close an account: it can sign in nowhere, and all its sign-ins end at once."""
    from cli import people  # noqa: PLC0415

    with one_machine(guest=True) as settings:
        asyncio.run(people.disable(_with_roles(settings), email))
    console.print("physio: the account is closed, and its sign-ins have ended")


@users.command()
def enable(email: str) -> None:
    """Open a closed account again; its ended sign-ins stay ended."""
    from cli import people  # noqa: PLC0415

    with one_machine(guest=True) as settings:
        asyncio.run(people.enable(_with_roles(settings), email))
    console.print("physio: the account is open again")


@users.command("set-password")
def set_password(email: str) -> None:
    """Give an account another password and end its sign-ins. It is asked for, or read from standard input."""
    from cli import people  # noqa: PLC0415

    password = _password()
    with one_machine(guest=True) as settings:
        asyncio.run(people.set_password(_with_roles(settings), email, password))
    console.print("physio: the password is changed, and what was signed in before has ended")


def _password() -> str:
    """Ask twice on a terminal; else take the first line of standard input. Never from the arguments: others see them."""
    if sys.stdin.isatty():
        answer: str = typer.prompt("Password", hide_input=True, confirmation_prompt=True)
        return answer
    return sys.stdin.readline().rstrip("\r\n")


def _checked(email: str, country: str, zone: str) -> tuple[str, str]:
    """Give country and zone back if they are real. Raises typer.BadParameter where they or the address are not."""
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    from clinical.places import COUNTRIES  # noqa: PLC0415
    from schemas.base import EmailAddress, ZoneName  # noqa: PLC0415

    for option, kind, value in (("--email", EmailAddress, email.strip()), ("--zone", ZoneName, zone)):
        try:
            TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            raise typer.BadParameter(error.errors()[0]["msg"], param_hint=option) from None
    if country.upper() not in COUNTRIES:
        raise typer.BadParameter("This is not a country of ISO 3166-1", param_hint="--country")
    return country.upper(), zone


def _libpq(url: str) -> str:
    from core.database import libpq_url  # noqa: PLC0415

    return libpq_url(url)


def _forget_half_a_clinic(settings: Settings) -> None:
    """Wipe the database, if it holds nothing but a demo clinic whose making was interrupted."""
    import psycopg  # noqa: PLC0415

    from cli import migrations  # noqa: PLC0415
    from dev import DEMO_CLINIC  # noqa: PLC0415

    known = _with_roles(settings)
    assert known.sweeper_database_url is not None
    with psycopg.connect(_libpq(known.sweeper_database_url.get_secret_value())) as sweeper:
        others = sweeper.execute("SELECT id FROM clinics WHERE name <> %s LIMIT 1", [DEMO_CLINIC]).fetchone()
    if others is None:
        console.print("physio: the demo clinic was interrupted; making it anew")
        migrations.wipe(owner_url(settings))


def _migrate_if_needed(settings: Settings) -> bool:
    """Run missing revisions, and bring newer time zone rules; true when the schema was empty before."""
    import psycopg  # noqa: PLC0415

    from clinical.zones import RELEASE  # noqa: PLC0415
    from core.revisions import head  # noqa: PLC0415

    url = owner_url(settings)
    with psycopg.connect(_libpq(url), autocommit=True) as owner:
        there = owner.execute("SELECT to_regclass('alembic_version') IS NOT NULL").fetchone()
        known = (
            None
            if there is None or not there[0]
            else owner.execute("SELECT version_num FROM alembic_version").fetchone()
        )
        current = known is not None and known[0] == head()
        rules = "SELECT EXISTS (SELECT FROM time_zones WHERE release = %s)"
        current = current and owner.execute(rules, [RELEASE]).fetchone() == (True,)
    if not current:
        from cli import migrations  # noqa: PLC0415 - Alembic is slow to load, and rarely needed

        migrations.upgrade(url)
    return known is None


def _as_made(settings: Settings, *, make: bool) -> Settings:
    """Give the settings of a sandbox where the database is one; make it one first, if it is new and so asked."""
    from cli import sandbox  # noqa: PLC0415

    url = owner_url(settings)
    if make:
        sandbox.make(url)
    return settings.model_copy(update={"sandbox": sandbox.is_sandbox(url)})


def _clinics(settings: Settings) -> list[str]:
    """Give the names of the clinics that are there."""
    import psycopg  # noqa: PLC0415

    assert settings.sweeper_database_url is not None
    url = _libpq(settings.sweeper_database_url.get_secret_value())
    with psycopg.connect(url, autocommit=True) as sweeper:
        return [name for (name,) in sweeper.execute("SELECT name FROM clinics")]


def main() -> None:
    """Run the command line; a refusal is a sentence, not a stack of frames."""
    gc.set_threshold(YOUNG, 20, 50)
    try:
        app(prog_name="physio")
    except Refusal as refusal:
        reasons = [problem.message for problem in refusal.problems]
        raise SystemExit("physio: " + " ".join([refusal.title, *reasons])) from None
    except Exception as error:
        said = trouble_with_database(error)
        if said is None:
            raise
        raise SystemExit(f"physio: {said}") from None
    finally:
        gc.freeze()  # or the interpreter's last act is to look at all of it once more


if __name__ == "__main__":
    main()
