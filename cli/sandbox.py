"""Whether a database is a sandbox: it is made as one, before anything is in it, or never is one."""

import psycopg

from core.database import libpq_url
from core.settings import Settings

_IS_EMPTY = "SELECT to_regclass('alembic_version') IS NULL"
_KNOWS = "SELECT to_regclass('sandbox_clock') IS NOT NULL"


def is_empty(url: str) -> bool:
    """Tell whether no revision has run on the database; `url` is its owner's."""
    with psycopg.connect(libpq_url(url), autocommit=True) as owner:
        if owner.execute(_IS_EMPTY).fetchone() == (True,):
            return True
        return owner.execute("SELECT FROM alembic_version").fetchone() is None


def make(url: str) -> None:
    """Make a new database a sandbox, as its owner: nobody else can, and nobody can later."""
    with psycopg.connect(libpq_url(url), autocommit=True) as owner:
        owner.execute("INSERT INTO sandbox_clock DEFAULT VALUES ON CONFLICT DO NOTHING")


def is_sandbox(url: str) -> bool:
    """Tell whether a database was made as a sandbox; any role may ask."""
    with psycopg.connect(libpq_url(url), autocommit=True) as connection:
        known = connection.execute(_KNOWS).fetchone() == (True,)
        return known and connection.execute("SELECT FROM sandbox_clock").fetchone() is not None


def mismatch(settings: Settings, url: str) -> str | None:
    """Say what does not fit between the settings and the database: both are a sandbox's, or neither is."""
    try:
        made = is_sandbox(url)
    except psycopg.OperationalError:
        return None  # it may come back
    if made and not settings.sandbox:
        return "this database is a sandbox, and its clock may run ahead: set PHYSIO_SANDBOX=true, or use another one"
    if settings.sandbox and not made:
        return "PHYSIO_SANDBOX is set, but this database was not made as a sandbox: migrate an empty one with it set"
    return None
