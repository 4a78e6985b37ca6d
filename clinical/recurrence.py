"""Local times and instants: when something that recurs in a patient's day happens.

A wall-clock time that the clocks skip moves forward by the gap; one that comes twice means the first. So every local
day that exists has exactly one instant for a wall-clock time.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones, reset_tzpath

from core.errors import Invalid

# The clocks' rules come from the locked tzdata package, on every machine the same: the system's may be years old.
# PostgreSQL is given the same rules (`clinical.zones`), or the two would disagree about when somebody's morning is.
reset_tzpath(to=())

ABBREVIATIONS = frozenset({"CET", "EET", "MET", "WET"})
"""Names that many programs read as an offset without summer time: as zones they would mean two things."""

WEEK = 7
MIDNIGHT = time(0, 0)

StaffedHours = Mapping[int, Sequence[tuple[time, time]]]


class UnknownZone(Invalid):
    """This is not the name of a time zone."""


@cache
def zones() -> frozenset[str]:
    """Give the names of all zones."""
    return frozenset(available_timezones()) - ABBREVIATIONS


def check_zone(name: str) -> str:
    """Return the IANA zone name itself. Raises UnknownZone."""
    if name not in zones():
        raise UnknownZone
    return name


def instant(local_date: date, wall_time: time, zone: str) -> datetime:
    """Return the instant, in UTC, at which clocks in `zone` show `wall_time` on `local_date`. Raises UnknownZone."""
    local = datetime.combine(local_date, wall_time.replace(fold=0, tzinfo=None), tzinfo=ZoneInfo(check_zone(zone)))
    return local.astimezone(UTC)


def local_time(at: datetime, zone: str) -> datetime:
    """Return what clocks and calendars in `zone` show at an instant. Raises UnknownZone, ValueError for a naive one."""
    if at.tzinfo is None:
        raise ValueError("an instant needs an offset")
    return at.astimezone(ZoneInfo(check_zone(zone)))


def local_date(at: datetime, zone: str) -> date:
    """Return the day in `zone` at the instant `at`. Raises UnknownZone, ValueError for a naive `at`."""
    return local_time(at, zone).date()


def exists(day: date, zone: str) -> bool:
    """Whether the day was ever lived in `zone`: islands that crossed the date line skipped one."""
    return local_date(instant(day, time(12, 0), zone), zone) == day


def steps(weekdays: Collection[int]) -> tuple[int, ...]:
    """For each ISO weekday, Monday first: days until the next chosen one, 1 to 7. ValueError without a weekday."""
    chosen = _weekdays(weekdays)
    return tuple(
        next(step for step in range(1, WEEK + 1) if (weekday + step - 1) % WEEK + 1 in chosen)
        for weekday in range(1, WEEK + 1)
    )


def spread(times_per_week: int) -> tuple[int, ...]:
    """ISO weekdays for `times_per_week` (1-7), with gaps as even as they can be: 2 is Monday and Thursday."""
    if not 1 <= times_per_week <= WEEK:
        raise ValueError("a week has one to seven days")
    return tuple(1 + place * WEEK // times_per_week for place in range(times_per_week))


def occurrences(first: date, last: date, weekdays: Collection[int], zone: str | None = None) -> Iterator[date]:
    """Yield the days from `first` to `last`, both included, on the chosen ISO weekdays.

    With a zone, a day that it skipped is left out.
    """
    chosen = _weekdays(weekdays)
    for offset in range((last - first).days + 1):
        day = first + timedelta(days=offset)
        if day.isoweekday() in chosen and (zone is None or exists(day, zone)):
            yield day


def outside_quiet_hours(at: datetime, zone: str, from_: time, until: time) -> datetime:
    """`at` itself, or the end of the quiet hours it falls into, in UTC; equal times mean no quiet hours.

    Quiet hours begin at `from_` and end before `until`, on the patient's clock, possibly over midnight.
    """
    local = local_time(at, zone)
    now = local.time()
    if from_ <= until:
        quiet, day = from_ <= now < until, local.date()
    else:
        quiet = now >= from_ or now < until
        day = local.date() + timedelta(days=1 if now >= from_ else 0)
    start = at.astimezone(UTC)
    return max(start, instant(day, until, zone)) if quiet else start


def read_staffed_hours(stored: Mapping[str, Sequence[Sequence[str]]]) -> StaffedHours:
    """Return staffed hours from their stored form: ISO weekday "1" to "7" to lists of ["HH:MM", "HH:MM"].

    Raises ValueError for another weekday, for what is not a time of day, and for spans that end before they start (an
    end of 00:00 is midnight) or overlap.
    """
    hours: dict[int, list[tuple[time, time]]] = {}
    for weekday in stored:
        spans = sorted((time.fromisoformat(start), time.fromisoformat(end)) for start, end in stored[weekday])
        for place, (start, end) in enumerate(spans):
            if start >= end != MIDNIGHT or (place > 0 and not spans[place - 1][0] < spans[place - 1][1] <= start):
                raise ValueError("staffed hours end after they start and do not overlap")
        hours[int(weekday)] = spans
    _weekdays([*hours, 1])
    return hours


def respond_by(
    opened_at: datetime,
    staffed_hours: StaffedHours,
    zone: str,
    *,
    minutes: int | None = None,
    hours: int | None = None,
    working_days: int | None = None,
    holidays: Collection[date] = frozenset(),
) -> datetime:
    """By when, in UTC, a human must answer what was opened at `opened_at`.

    Exactly one of `minutes` or `hours` of staffed time, or `working_days`: the same time of day so many staffed days
    later, or the end of that day's staffing before it. What comes in outside of staffed hours counts from the next
    opening. staffed_hours: ISO weekday to (start, end) pairs on the clinic's clock, an end of 00:00 meaning midnight. A
    clinic that states none counts as always staffed, so that nothing waits forever.
    """
    if [minutes, hours, working_days].count(None) != 2:  # noqa: PLR2004 - one of the three
        raise ValueError("say minutes, hours or working days")
    opened = local_time(opened_at, zone).astimezone(UTC)
    if not any(staffed_hours.values()):
        return opened + timedelta(minutes=minutes or 0, hours=hours or 0, days=working_days or 0)
    _weekdays(staffed_hours)
    if working_days is not None:
        return _days_later(opened, staffed_hours, zone, working_days, holidays)
    left = timedelta(minutes=minutes or 0, hours=hours or 0)
    day = local_date(opened, zone)
    while True:
        for start, end in _staffed(day, staffed_hours, zone, holidays):
            begin = max(start, opened)
            if end > begin:
                if end - begin >= left:
                    return begin + left
                left -= end - begin
        day += timedelta(days=1)


def _days_later(
    opened: datetime, staffed_hours: StaffedHours, zone: str, working_days: int, holidays: Collection[date]
) -> datetime:
    day = local_date(opened, zone)
    counted: time | None = None
    left = working_days
    while True:
        spans = [span for span in _staffed(day, staffed_hours, zone, holidays) if span[1] > opened]
        if spans:
            if counted is None:
                counted = local_time(max(spans[0][0], opened), zone).time()
            if left <= 0:
                wanted = max(instant(day, counted, zone), opened)
                return max((min(wanted, end) for start, end in spans if start <= wanted), default=spans[0][0])
            left -= 1
        day += timedelta(days=1)


def _staffed(
    day: date, staffed_hours: StaffedHours, zone: str, holidays: Collection[date]
) -> list[tuple[datetime, datetime]]:
    """Return the staffed spans of one day, in order."""
    spans = []
    for start, end in sorted(staffed_hours.get(day.isoweekday(), ())) if day not in holidays else ():
        if start >= end != MIDNIGHT:
            raise ValueError("staffed hours end after they start")
        last = day + timedelta(days=1) if end == MIDNIGHT else day
        spans.append((instant(day, start, zone), instant(last, end, zone)))
    return spans


def _weekdays(weekdays: Iterable[int]) -> frozenset[int]:
    chosen = frozenset(weekdays)
    if not chosen or not chosen <= set(range(1, WEEK + 1)):
        raise ValueError("ISO weekdays are 1, Monday, to 7, Sunday")
    return chosen
