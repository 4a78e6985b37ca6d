"""One truth about local time: the database is given the zone rules that the program has.

PostgreSQL brings tz files of its own, as old as its packaging. No statement of ours asks them: `local_instant` and
`local_day` look into `time_zones`, which is written here from the tzdata package.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Row, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from clinical import recurrence, zones
from models.time_zones import TimeZone

_RELEASES = select(TimeZone.release, func.count().label("zones")).group_by(TimeZone.release)


def sync(connection: Connection) -> bool:
    """Write the rules of every zone, as the schema's owner; false when the database has them already.

    A zone that this program does not know stays: somebody's plan may name it.
    """
    if _same(connection.execute(_RELEASES).all()):
        return False
    statement = insert(TimeZone)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[TimeZone.name],
            set_={name: statement.excluded[name] for name in ("release", "changes", "walls", "offsets")},
        ),
        [{**vars(each), "release": zones.RELEASE} for each in zones.every_zone()],
    )
    return True


async def differing(connection: AsyncConnection) -> str | None:
    """Say how the rules of the database differ from the program's; nothing when they are the same."""
    there = await connection.scalar(text("SELECT to_regclass('public.time_zones') IS NOT NULL"))
    found = (await connection.execute(_RELEASES)).all() if there else []
    if _same(found):
        return None
    releases = ", ".join(sorted(row.release for row in found)) or "none"
    return (
        f"the database has the time zone rules of {releases}, this program those of {zones.RELEASE}:"
        " run `physio db migrate`, or check-ins may come an hour early or late where the clocks' rules have changed"
    )


def _same(found: Sequence[Row[str, int]]) -> bool:
    """Tell whether every zone is there by our release; some may be left of names that are no more."""
    return {row.release: row.zones for row in found}.get(zones.RELEASE) == len(recurrence.zones())
