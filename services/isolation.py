"""Work that is done clinic by clinic: one that fails is named and counted, and does not hold up the others."""

from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from uuid import UUID

import structlog

log = structlog.get_logger("jobs")


class ClinicsFailed(Exception):  # noqa: N818 - they failed
    """Some clinics' part failed, the others' is done. first: the name of the first error's type."""

    def __init__(self, first: str, counts: Mapping[str, int]) -> None:
        """Tell which error it was first. counts: what was done all the same, and how many clinics failed."""
        super().__init__(first)
        self.first, self.counts = first, dict(counts)


class Isolation:
    """Keeps what goes wrong in one clinic from the others. off: for a run of one clinic, whose error goes on its way."""

    def __init__(self, *, off: bool = False) -> None:
        self._off = off
        self._first: str | None = None
        self._clinics: set[UUID] = set()

    @contextmanager
    def of(self, clinic_id: UUID) -> Iterator[None]:
        """Do one clinic's part; what fails is logged by the name of its type."""
        try:
            yield
        except Exception as error:  # whatever it is, it is about this clinic; the run ends as failed
            if self._off:
                raise
            name = type(error).__name__
            log.error("clinic failed", clinic_id=str(clinic_id), error=name)  # noqa: TRY400 - a trace may hold data
            self._first = self._first or name
            self._clinics.add(clinic_id)

    def end(self, counts: Mapping[str, int]) -> dict[str, int]:
        """Give the counts. Raises ClinicsFailed when a clinic failed."""
        if self._first is not None:
            raise ClinicsFailed(self._first, {**counts, "clinics_failed": len(self._clinics)})
        return dict(counts)


async def clinic_by_clinic(
    clinics: Collection[UUID], work: Callable[[UUID], Awaitable[int]], name: str, *, off: bool
) -> dict[str, int]:
    """Do each clinic's work and add up how much it was, under `name`. Raises ClinicsFailed after all have had their turn."""
    isolation, counts = Isolation(off=off), Counter({name: 0})
    for clinic_id in clinics:
        with isolation.of(clinic_id):
            counts[name] += await work(clinic_id)
    return isolation.end(counts)
