"""Databases that a measure makes for itself: migrated once, then copied."""

from collections.abc import Iterator
from contextlib import contextmanager

from cli import migrations
from core.revisions import head
from dev.cluster import Cluster


@contextmanager
def empty(cluster: Cluster, name: str) -> Iterator[None]:
    """Have a migrated database of that name, with nothing in it, until the end of the block."""
    make(cluster, name)
    yield
    cluster.drop_database(name)


def make(cluster: Cluster, name: str) -> None:
    """Make a migrated database of that name anew."""
    template = f"physio_empty_{head()}"
    if not cluster.has_database(template):
        cluster.create_database(template)
        migrations.upgrade(cluster.url("physio_owner", template))
    cluster.drop_database(name)
    cluster.create_database(name, template)
