"""All soak tests by name, each in a short and a long form."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from dev.postgres import EmbeddedPostgres
from tests.conftest import Database
from tests.soak import canaries, crashes, outbox, workers, zones
from tests.soak.figures import Figure, Tell
from tests.soak.house import House


@dataclass(frozen=True)
class Stage:
    """What a test is given: an empty migrated database, a folder, and the server where it may be killed."""

    database: Database
    folder: Path
    tell: Tell
    seed: int
    server: EmbeddedPostgres | None = None

    def house(self, *, short: bool) -> House:
        """Give the house. short: its processes are forked, for they start and are killed more often than they work."""
        return House(self.database, self.folder, cold=not short)


class Trial(Protocol):
    def __call__(self, stage: Stage, *, short: bool) -> list[Figure]: ...


def _workers(stage: Stage, *, short: bool) -> list[Figure]:
    size = workers.SHORT_KILLING if short else workers.LONG_KILLING
    return workers.killing(stage.house(short=short), size, stage.seed, stage.tell)


def _outage(stage: Stage, *, short: bool) -> list[Figure]:
    return workers.outage(stage.house(short=short), workers.SHORT_OUTAGE if short else workers.LONG_OUTAGE, stage.tell)


def _zones(stage: Stage, *, short: bool) -> list[Figure]:
    return zones.run(stage.database, zones.SHORT if short else zones.LONG, stage.tell)


def _api(stage: Stage, *, short: bool) -> list[Figure]:
    return crashes.api(stage.house(short=short), crashes.SHORT if short else crashes.LONG, stage.seed, stage.tell)


def _postgres(stage: Stage, *, short: bool) -> list[Figure]:
    assert stage.server is not None, "this test kills its server"
    return crashes.postgres(
        stage.house(short=short), stage.server, crashes.SHORT if short else crashes.LONG, stage.seed, stage.tell
    )


def _outbox(stage: Stage, *, short: bool) -> list[Figure]:
    return outbox.run(stage.house(short=short), outbox.SHORT if short else outbox.LONG, stage.seed, stage.tell)


def _canaries(stage: Stage, *, short: bool) -> list[Figure]:
    log = None if stage.server is None else stage.server.log
    return canaries.run(stage.house(short=short), canaries.SHORT if short else canaries.LONG, stage.tell, log)


TRIALS: Mapping[str, Trial] = {
    "zones": _zones,
    "workers": _workers,
    "outage": _outage,
    "api": _api,
    "postgres": _postgres,
    "outbox": _outbox,
    "canaries": _canaries,
}
"""In the order of `make soak`."""
