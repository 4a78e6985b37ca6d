"""Pages of a list by keyset: each page continues after the last row of the one before, however much came in between.

A cursor holds the sort keys of that row, sealed: it is bound to the list, its filters and its caller, and a changed or
foreign one is refused. Clients may not read it, but they could: sort by instants, days, numbers and ids, never by a
person's name, which would then stand in URLs.
"""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

import orjson
from sqlalchemy import Select, literal, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Invalid, Problem

DEFAULT_LIMIT = 50
LIMIT = 200
"""Most rows of one page."""
CURSOR_LIMIT = 4_500
"""Longest cursor in characters; the worklist's, which remembers 400 people, needs up to 4420."""

_SEAL = 16  # bytes of the HMAC that are kept

Item = TypeVar("Item")
Key = datetime | date | UUID | int | str


class UnknownCursor(Invalid):
    """This cursor does not belong to this list."""

    def __init__(self) -> None:
        super().__init__(Problem("#/query/cursor", "cursor_unknown", "Start again without a cursor"))


@dataclass(frozen=True)
class Paged(Generic[Item]):
    """One page: its rows, and where the next begins (None after the last)."""

    items: Sequence[Item]
    next_cursor: str | None


@dataclass(frozen=True)
class Page:
    """What part of a list is asked for.

    limit: 1 to 200 rows. cursor: as we gave it out. scope: the list, its filters and its caller. key: signs cursors.
    """

    limit: int = DEFAULT_LIMIT
    cursor: str | None = None
    scope: str = ""
    key: bytes = field(default=b"", repr=False)

    @property
    def after(self) -> tuple[Key, ...] | None:
        """The sort keys of the last row of the page before; None on the first page. Raises UnknownCursor."""
        if self.cursor is None:
            return None
        try:
            sealed = base64.b64decode(self.cursor + "=" * (-len(self.cursor) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as error:
            raise UnknownCursor from error
        seal, told = sealed[:_SEAL], sealed[_SEAL:]
        if not hmac.compare_digest(seal, self._seal(told)):
            raise UnknownCursor
        return tuple(_READ[kind](value) for kind, value in orjson.loads(told))

    def cursor_after(self, keys: Sequence[Key]) -> str:
        """Give the cursor of the page behind the row with these sort keys."""
        told = orjson.dumps([_tell(key) for key in keys])
        return base64.urlsafe_b64encode(self._seal(told) + told).decode().rstrip("=")

    def cut(self, rows: Sequence[Item], keys: Callable[[Item], Sequence[Key]]) -> Paged[Item]:
        """Make the page of rows that were read with `LIMIT limit + 1`; for statements on the driver itself."""
        if len(rows) <= self.limit:
            return Paged(rows, None)
        return Paged(rows[: self.limit], self.cursor_after(keys(rows[self.limit - 1])))

    def _seal(self, told: bytes) -> bytes:
        return hmac.digest(self.key, self.scope.encode() + b"\n" + told, hashlib.sha256)[:_SEAL]


_READ: dict[str, Callable[[Any], Key]] = {
    "t": datetime.fromisoformat,
    "d": date.fromisoformat,
    "u": UUID,
    "i": int,
    "s": str,
}


def _tell(key: Key) -> tuple[str, str | int]:
    match key:
        case datetime():
            return "t", key.isoformat()
        case date():
            return "d", key.isoformat()
        case UUID():
            return "u", str(key)
        case int():
            return "i", key
        case str():
            return "s", key


async def fetch(
    session: AsyncSession,
    query: Select[Any],
    page: Page,
    *,
    keys: Sequence[Any],
    descending: bool = False,
) -> Paged[Any]:
    """Read one page of `query` in one statement, sorted by `keys`.

    keys: columns that are never null and together unique, so the last is an id, such as `(Model.created_at, Model.id)`;
    an index on them makes every page equally fast. A query for one entity or column gives those, one for several gives
    rows. Raises UnknownCursor.
    """
    after = page.after
    if after is not None:
        if len(after) != len(keys):
            raise UnknownCursor
        here, there = tuple_(*keys), tuple_(*(literal(value, key.type) for key, value in zip(keys, after, strict=True)))
        query = query.where(here < there if descending else here > there)
    single = len(query.column_descriptions) == 1
    ordered = query.order_by(*(key.desc() if descending else key.asc() for key in keys)).limit(page.limit + 1)
    rows = (await session.execute(ordered.add_columns(*keys))).all()
    paged = page.cut(rows, lambda row: tuple(row)[-len(keys) :])
    return Paged([row[0] for row in paged.items] if single else paged.items, paged.next_cursor)
