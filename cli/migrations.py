"""Alembic, told where the owner's database is."""

from pathlib import Path

from alembic import command
from alembic.config import Config

HOME = Path(__file__).resolve().parent.parent


def config(url: str) -> Config:
    """Make Alembic's configuration for the database at `url` (as the owner, and never through a pooler)."""
    made = Config(toml_file=HOME / "pyproject.toml")
    made.attributes["url"] = url
    return made


def upgrade(url: str) -> None:
    """Run the revisions that are missing."""
    command.upgrade(config(url), "head")


def wipe(url: str) -> None:
    """Take every table away, and all data with them."""
    command.downgrade(config(url), "base")
