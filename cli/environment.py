"""Where the databases are: in the settings, or, in one-machine mode, in the embedded server's folder."""

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import SecretStr
from rich.console import Console

from core.settings import DEVELOPMENT_KEY, Settings, load

console = Console(stderr=True, highlight=False)
ROLES = {
    "api_database_url": "physio_api",
    "worker_database_url": "physio_worker",
    "sweeper_database_url": "physio_sweeper",
}


def as_role(url: str, role: str, password: str) -> str:
    """Give the same database as another role."""
    parts = urlsplit(url)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{quote(password, safe='')}@{place}"))


def owner_url(settings: Settings) -> str:
    """Give the address of the schema's owner. Raises SystemExit when there is none."""
    if settings.database_url is None:
        raise SystemExit("PHYSIO_DATABASE_URL is not set; `physio up` (make run) embeds a server of its own.")
    return settings.database_url.get_secret_value()


def with_roles(settings: Settings, *needed: str) -> Settings:
    """Fill in the roles' addresses where only the owner's is known (development); production names those it needs."""
    if all(getattr(settings, name) is not None for name in needed or ROLES):
        return settings
    from dev.passwords import passwords_of  # noqa: PLC0415

    url, passwords = owner_url(settings), passwords_of(settings.secret_key.get_secret_value())
    known = {name: SecretStr(as_role(url, role, passwords[role])) for name, role in ROLES.items()}
    return settings.model_copy(update={name: getattr(settings, name) or value for name, value in known.items()})


@contextmanager
def one_machine(settings: Settings | None = None, *, guest: bool = False) -> Iterator[Settings]:
    """Give settings in which every address is known; without a database of your own, start the embedded one meanwhile.

    guest: where `make run` has it running already, use that one. Raises SystemExit with what to do when the embedded
    server cannot be started.
    """
    with watched_machine(settings, guest=guest) as (known, _):
        yield known


@contextmanager
def watched_machine(
    settings: Settings | None = None, *, guest: bool = False
) -> Iterator[tuple[Settings, Callable[[], bool]]]:
    """Do as `one_machine`, and give a question too: is the embedded server still there? (A server of yours always is.)."""
    settings = settings or load()
    if any(getattr(settings, name) is not None for name in ("database_url", *ROLES)):
        yield settings, lambda: True
        return
    from dev.postgres import (  # noqa: PLC0415 - only where nothing else is given
        AlreadyRunningError,
        EmbeddedPostgres,
        EmbeddedPostgresError,
    )

    server = EmbeddedPostgres(settings.data_dir)
    try:
        try:
            server.start()
        except AlreadyRunningError:
            if not guest:
                raise
            server.join()
    except EmbeddedPostgresError as error:
        raise SystemExit(f"physio: {error}") from None
    try:
        known = {name: SecretStr(server.url(role)) for name, role in ROLES.items()}
        if settings.secret_key.get_secret_value() == DEVELOPMENT_KEY:
            known["secret_key"] = SecretStr(hashlib.sha256(server.cluster.passwords["postgres"].encode()).hexdigest())
        yield (
            settings.model_copy(update={**known, "database_url": SecretStr(server.url("physio_owner"))}),
            lambda: server.running,
        )
    finally:
        server.stop()


def trouble_with_database(error: Exception) -> str | None:
    """Say in a sentence what is wrong between us and the database, or nothing where that is not what is wrong."""
    import psycopg  # noqa: PLC0415
    from sqlalchemy.exc import DBAPIError  # noqa: PLC0415

    cause: BaseException = (error.orig or error) if isinstance(error, DBAPIError) else error
    if getattr(cause, "sqlstate", None) in {"42P01", "3F000"}:
        return "the database has no tables yet: `physio db migrate` (make migrate, or make run) makes them."
    if getattr(cause, "sqlstate", None) in {"55P03", "57014", "40P01"}:
        return "somebody else held for too long what this needs. What it had just begun is taken back: try again."
    unreachable = isinstance(cause, psycopg.OperationalError | ConnectionError | TimeoutError | socket.gaierror)
    if unreachable or getattr(cause, "sqlstate", None) in {"28P01", "28000", "3D000"}:
        said = str(cause.__cause__ or cause).strip()
        return f"cannot use the database: {said}\nIs it running, and is PHYSIO_DATABASE_URL (or the role's own) right?"
    return None


def exported(settings: Settings) -> dict[str, str]:
    """Give the settings as environment variables, for child processes."""
    found: dict[str, str] = {}
    for name in Settings.model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretStr):
            value = value.get_secret_value()
        if value is None or value == ():
            continue
        found[f"PHYSIO_{name.upper()}"] = ",".join(value) if isinstance(value, tuple) else str(value)
    return found
