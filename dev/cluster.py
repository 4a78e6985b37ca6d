"""A running PostgreSQL server as its administrator sees it: addresses per role, databases made, cloned and dropped."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self
from urllib.parse import quote

import psycopg

from dev.roles import OWNER, database_statements, role_statements

SUPERUSER = "postgres"
DATABASE = "physio"


def run_statements(url: str, statements: Iterable[str]) -> None:
    """Run statements one by one, each its own transaction, on a `postgresql://` address.

    Raises `psycopg.Error` at the first that fails.
    """
    with psycopg.connect(url, autocommit=True, connect_timeout=10) as connection:
        for statement in statements:
            connection.execute(statement)


@dataclass(frozen=True)
class Cluster:
    """How to reach one server over its Unix socket; plain values, so that a test run can hand it to its workers."""

    socket_folder: str
    passwords: Mapping[str, str]

    def url(self, role: str, database: str = DATABASE, *, driver: str = "postgresql+asyncpg") -> str:
        """Give the address of a database for one role; it holds the role's password."""
        password, folder = quote(self.passwords[role], safe=""), quote(self.socket_folder, safe="")
        return f"{driver}://{role}:{password}@/{database}?host={folder}"

    def admin_url(self, database: str = "postgres") -> str:
        """Give the superuser's address of a database, for psycopg and psql."""
        return self.url(SUPERUSER, database, driver="postgresql")

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database owned by the owner role: a copy of `template`, or an empty one that is prepared for us.

        Nobody may be connected to the template.
        """
        source = f'TEMPLATE "{template}"' if template else ""
        # A copy of files is the quickest way to clone; without a template the write-ahead log is.
        strategy = "STRATEGY file_copy" if template else ""
        run_statements(self.admin_url(), [f'CREATE DATABASE "{name}" OWNER {OWNER} {source} {strategy}'])
        run_statements(self.admin_url(name), database_statements(f'"{name}"'))

    def drop_database(self, name: str) -> None:
        """Drop a database, if it is there, and whoever is connected to it."""
        run_statements(self.admin_url(), [f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)'])

    def has_database(self, name: str) -> bool:
        """Tell whether there is a database of this name."""
        with psycopg.connect(self.admin_url(), autocommit=True, connect_timeout=10) as connection:
            return connection.execute("SELECT FROM pg_database WHERE datname = %s", (name,)).fetchone() is not None

    def prepare(self, database: str = DATABASE) -> None:
        """Make the roles and the database, where they are missing."""
        run_statements(self.admin_url(), role_statements(self.passwords))
        if self.has_database(database):
            run_statements(self.admin_url(database), database_statements(f'"{database}"'))
        else:
            self.create_database(database)

    def to_plain(self) -> dict[str, Any]:
        """Give the values as JSON would have them."""
        return asdict(self)

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Self:
        """Read what `to_plain` gave."""
        return cls(**plain)
