"""Every zone, every change of its clocks, every quarter of an hour around it: one check-in per day that was lived.

The plans are real rows and the real sweep makes their check-ins, over the day before each change, the day itself and
the day after; each row is then held against `clinical.recurrence`, and against the calendar of the zone.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo, available_timezones

import asyncpg

from clinical import recurrence
from core.database import make_engine, make_sessions
from services import check_ins
from tests.conftest import Database
from tests.soak.figures import Figure, Tell, none, told

NAME = "zones"
APIA = "Pacific/Apia"
APIA_SKIPPED = date(2011, 12, 30)
FAMOUS = ("Africa/Cairo", "America/New_York", "America/Nuuk", "America/Santiago", "Australia/Lord_Howe", APIA)
DAY = timedelta(days=1)
WIDEST_GAP = timedelta(hours=2)
"""Troll, in Antarctica, skips two hours; everybody else one, or half of one."""
ORDINARY = date(2026, 7, 1)
ALL_OVER = datetime(2039, 1, 1, tzinfo=UTC)
"""A moment when everything planned here is due."""


@dataclass(frozen=True)
class Size:
    """Which zones (empty for all) and years; wall times go `hours` before and after each change, by quarters."""

    zones: Sequence[str] = ()
    years: range = range(2025, 2038)
    hours: int = 3


SHORT = Size(FAMOUS, range(2026, 2028))
LONG = Size()

_PERSON = """
WITH clinic AS (INSERT INTO clinics (name, country, zone) VALUES ('Zones', 'US', 'UTC') RETURNING id),
patient AS (
  INSERT INTO patients (clinic_id, record_number, given_name, family_name, birth_date, zone)
  SELECT id, '1', 'Patient', 'One', '1980-01-01', 'UTC' FROM clinic RETURNING clinic_id, id
)
INSERT INTO episodes (clinic_id, patient_id, title, body_region)
SELECT clinic_id, id, 'Low back pain', 'low_back' FROM patient
"""

_PLANS = """
INSERT INTO check_in_plans (clinic_id, patient_id, episode_id, question_set, frequency, weekdays, steps, local_time,
  zone, starts_on, ends_on, next_on, next_due_at)
SELECT e.clinic_id, e.patient_id, e.id, 'daily', 'daily', '{1,2,3,4,5,6,7}', '{1,1,1,1,1,1,1}', w.wall, w.zone,
       w.first, w.last, w.first, local_instant(w.first, w.wall, w.zone)
FROM episodes e, unnest($1::text[], $2::time[], $3::date[], $4::date[]) AS w(zone, wall, first, last)
"""

AT_ONCE = 20_000
"""Plans that are written and swept at a time."""

Wanted = tuple[str, time, date, date]
"""Zone, wall time, first and last day of a plan."""


def changes(zone: str, years: range) -> list[datetime]:
    """Find the moments at which the zone's offset changes, to the minute."""
    there = ZoneInfo(zone)

    def offset(at: datetime) -> timedelta | None:
        return at.astimezone(there).utcoffset()

    found = []
    at, last, step = datetime(years[0], 1, 1, tzinfo=UTC), datetime(years[-1] + 1, 1, 1, tzinfo=UTC), 7 * DAY
    while at < last:
        if offset(at + step) != offset(at):
            low, high = at, at + step
            while high - low > timedelta(minutes=1):
                middle = low + (high - low) / 2
                low, high = (middle, high) if offset(middle) == offset(low) else (low, middle)
            found.append(high.replace(second=0, microsecond=0))
        at += step
    return found


def wanted(size: Size, known: set[str]) -> list[Wanted]:
    """List the plans: for three days around each change, every quarter of an hour; three of any zone; Apia's lost day."""
    zones = size.zones or sorted((available_timezones() - recurrence.ABBREVIATIONS) & known)
    made = {(APIA, time(hour), date(2011, 12, 28), date(2012, 1, 2)) for hour in range(24)}
    for zone in zones:
        made.update((zone, time(hour), ORDINARY, ORDINARY + 2 * DAY) for hour in (0, 8, 23))
        for change in changes(zone, size.years):
            local = change.astimezone(ZoneInfo(zone)).replace(tzinfo=None, second=0, microsecond=0)
            for quarter in range(-4 * size.hours, 4 * size.hours + 1):
                wall = local + timedelta(minutes=15 * quarter)
                made.add((zone, wall.time(), wall.date() - DAY, wall.date() + DAY))
    return sorted(made)


def run(database: Database, size: Size, tell: Tell) -> list[Figure]:
    """Run the test in an empty database."""
    return asyncio.run(_run(database, size, tell))


async def _run(database: Database, size: Size, tell: Tell) -> list[Figure]:
    owner = await asyncpg.connect(database.superuser.replace("+asyncpg", ""))
    try:
        known = {row["name"] for row in await owner.fetch("SELECT name FROM time_zones")}
        tell("looking for changes of clocks", 0)
        plans = wanted(size, known)
        await owner.execute(_PERSON)
        for begin in range(0, len(plans), AT_ONCE):
            tell(f"the sweep, {begin} of {len(plans)} plans", 0.1 + 0.5 * begin / len(plans))
            columns = zip(*plans[begin : begin + AT_ONCE], strict=True)
            await owner.execute(_PLANS, *(list(column) for column in columns))
            await _sweep(database)
        tell("holding each check-in against the calendar", 0.6)
        rows = await owner.fetch(
            "SELECT c.zone, p.local_time AS wall, p.starts_on, p.ends_on, array_agg(c.local_date ORDER BY c.due_at)"
            " AS days, array_agg(c.due_at ORDER BY c.due_at) AS moments FROM check_ins c JOIN check_in_plans p"
            " ON p.clinic_id = c.clinic_id AND p.id = c.plan_id GROUP BY c.zone, p.clinic_id, p.id"
        )
    finally:
        await owner.close()
    figures = _judge(plans, [tuple(row) for row in rows])
    unknown = sorted(available_timezones() - recurrence.ABBREVIATIONS - known)
    return [*figures, none(NAME, "zones without rules in the database", len(unknown), " ".join(unknown))]


async def _sweep(database: Database) -> None:
    engine = make_engine(database.sweeper, pool_size=1)
    made = check_ins.AT_ONCE
    while made == check_ins.AT_ONCE:
        async with make_sessions(engine).begin() as session:
            made = await check_ins.materialize(session, at=ALL_OVER)
    await engine.dispose()


def _judge(
    plans: Sequence[Wanted], rows: Sequence[tuple[str, time, date, date, list[date], list[datetime]]]
) -> list[Figure]:
    names = ("missing", "doubled", "unlived", "moved", "apart")
    wrong: dict[str, Counter[str]] = {name: Counter() for name in names}
    found = {(zone, wall, first, last): (days, moments) for zone, wall, first, last, days, moments in rows}
    made = over_midnight = 0
    for plan in plans:
        zone, wall, first, last = plan
        days, moments = found.get(plan, ([], []))
        all_days = [first + offset * DAY for offset in range((last - first).days + 1)]
        lived = [day for day in all_days if recurrence.exists(day, zone)]
        wrong["missing"][zone] += len(set(lived) - set(days))
        wrong["doubled"][zone] += len(days) - len(set(days)) + len(moments) - len(set(moments))
        wrong["unlived"][zone] += len(set(days) - set(lived))
        there = ZoneInfo(zone)
        made += len(days)
        for day, moment in zip(days, moments, strict=True):
            shown = moment.astimezone(there).replace(tzinfo=None)
            wrong["moved"][zone] += not timedelta() <= shown - datetime.combine(day, wall) <= WIDEST_GAP
            wrong["apart"][zone] += recurrence.instant(day, wall, zone) != moment
            over_midnight += shown.date() != day
    said = {
        "missing": "days without a check-in",
        "doubled": "days or moments with two check-ins",
        "unlived": "check-ins on a day that was never lived",
        "moved": "check-ins away from their wall time by more than a gap",
        "apart": "moments on which PostgreSQL and Python differ",
    }
    return [
        told(NAME, "zones", len({zone for zone, *_ in plans})),
        told(NAME, "plans", len(plans)),
        told(NAME, "check-ins made by the sweep", made),
        told(NAME, "of them moved over midnight by a gap", over_midnight),
        *(none(NAME, text, wrong[key].total(), _where(wrong[key])) for key, text in said.items()),
    ]


def _where(counted: Counter[str]) -> str:
    places = [f"{zone} {count}" for zone, count in counted.most_common() if count]
    return ", ".join(places[:12]) + (f" and {len(places) - 12} more" if len(places) > 12 else "")
