"""What program versions prescribe, kept in this process: a version is never changed, nobody has the right to."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from clinical.prescription import PhaseSpan

MOST = 1_000
"""So many versions are kept, those that were asked for last: some 15 MiB."""


@dataclass(frozen=True)
class Content:
    """A version's phases, and its items by phase and id."""

    version_id: UUID
    phases: Sequence[PhaseSpan]
    items: Mapping[int, Mapping[UUID, Mapping[str, Any]]]
    """By the phase's position."""


def read(version_id: UUID, phases: str, items: str) -> Content:
    """Read what the database gives as JSON: phases as [position, weeks, id], items as objects with `phase_id`."""
    spans = {key: PhaseSpan(position, weeks) for position, weeks, key in orjson.loads(phases)}
    parts: dict[int, dict[UUID, Mapping[str, Any]]] = {span.position: {} for span in spans.values()}
    for item in orjson.loads(items):
        parts[spans[item["phase_id"]].position][UUID(item["id"])] = item
    return Content(version_id, tuple(spans.values()), parts)


class Contents:
    """Contents of versions, by clinic and any item of theirs."""

    def __init__(self, most: int = MOST) -> None:
        """most: so many versions are kept."""
        self._most = most
        self._versions: OrderedDict[tuple[UUID, UUID], Content] = OrderedDict()
        self._version_of: dict[tuple[UUID, UUID], UUID] = {}

    def with_all(self, clinic_id: UUID, items: Iterable[UUID]) -> Content | None:
        """Give the content that holds all of the items, if it is kept."""
        versions = {self._version_of.get((clinic_id, item)) for item in items}
        version_id = versions.pop() if len(versions) == 1 else None
        if version_id is None:
            return None
        self._versions.move_to_end((clinic_id, version_id))
        return self._versions[clinic_id, version_id]

    def keep(self, clinic_id: UUID, content: Content) -> None:
        """Keep a content; the one that nobody asked for longest makes room."""
        self._versions[clinic_id, content.version_id] = content
        self._version_of |= {(clinic_id, item): content.version_id for part in content.items.values() for item in part}
        if len(self._versions) > self._most:
            (of_clinic, _), old = self._versions.popitem(last=False)
            for part in old.items.values():
                for item in part:
                    del self._version_of[of_clinic, item]
