"""Local times become the right instants, and deadlines count staffed time only."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from clinical.library import load
from clinical.recurrence import (
    UnknownZone,
    check_zone,
    exists,
    instant,
    local_date,
    occurrences,
    outside_quiet_hours,
    read_staffed_hours,
    respond_by,
    spread,
    steps,
)
from clinical.rulebook import ScheduleExample

NEW_YORK = "America/New_York"
ZONES = [
    NEW_YORK,
    "America/Phoenix",
    "America/Santiago",
    "America/St_Johns",
    "Africa/Cairo",
    "Africa/Casablanca",
    "Asia/Beirut",
    "Asia/Kathmandu",
    "Asia/Tehran",
    "Atlantic/Azores",
    "Australia/Lord_Howe",
    "Europe/Dublin",
    "Europe/London",
    "Pacific/Apia",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "UTC",
]


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def test_no_example_is_forgotten() -> None:
    assert len(load().schedule.examples) == 3


@pytest.mark.parametrize("case", load().schedule.examples, ids=lambda case: str(case.why))
def test_worked_example(case: ScheduleExample) -> None:
    local = datetime.fromisoformat(case.local)
    assert instant(local.date(), local.time(), case.zone) == datetime.fromisoformat(case.expect_utc)


@pytest.mark.parametrize(
    ("zone", "day", "wall", "utc"),
    [
        ("Africa/Cairo", "2026-04-24", "00:30", "2026-04-23T22:30Z"),  # the gap starts at midnight: 01:30
        ("America/Santiago", "2026-09-06", "00:15", "2026-09-06T04:15Z"),
        ("Australia/Lord_Howe", "2026-10-04", "02:15", "2026-10-03T15:45Z"),  # a gap of 30 minutes
        ("Australia/Lord_Howe", "2026-04-05", "01:45", "2026-04-04T14:45Z"),  # the first of two
        ("Asia/Kathmandu", "2026-01-01", "08:00", "2026-01-01T02:15Z"),
    ],
)
def test_odd_clocks(zone: str, day: str, wall: str, utc: str) -> None:
    assert instant(date.fromisoformat(day), time.fromisoformat(wall), zone) == datetime.fromisoformat(utc)


def test_apia_never_lived_the_thirtieth_of_december_2011() -> None:
    assert not exists(date(2011, 12, 30), "Pacific/Apia")
    days = list(occurrences(date(2011, 12, 28), date(2012, 1, 1), range(1, 8), "Pacific/Apia"))
    assert [day.day for day in days] == [28, 29, 31, 1]


def test_an_unknown_zone_is_refused() -> None:
    for name in ("Mars/Olympus", "", "../etc/passwd", "america/new_york"):
        with pytest.raises(UnknownZone):
            check_zone(name)
    assert check_zone(NEW_YORK) == NEW_YORK


def test_a_moment_without_an_offset_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="offset"):
        local_date(datetime(2026, 1, 1), NEW_YORK)  # noqa: DTZ001 - the point


@pytest.mark.parametrize(
    ("weekdays", "expected"),
    [
        ({1, 2, 3, 4, 5, 6, 7}, (1, 1, 1, 1, 1, 1, 1)),
        ({1, 3, 5}, (2, 1, 2, 1, 3, 2, 1)),
        ({3}, (2, 1, 7, 6, 5, 4, 3)),
    ],
)
def test_steps_lead_to_the_next_chosen_weekday(weekdays: set[int], expected: tuple[int, ...]) -> None:
    assert steps(weekdays) == expected


def test_times_a_week_are_spread_evenly() -> None:
    assert [spread(times) for times in (1, 2, 3, 7)] == [(1,), (1, 4), (1, 3, 5), (1, 2, 3, 4, 5, 6, 7)]
    for times in (0, 8):
        with pytest.raises(ValueError, match="one to seven"):
            spread(times)


def test_weekdays_are_iso_weekdays() -> None:
    for wrong in ((), (0,), (1, 8)):
        with pytest.raises(ValueError, match="ISO"):
            steps(wrong)


# ------------------------------------------------------------------ quiet hours
NINE, EIGHT = time(21, 0), time(8, 0)


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        ("2026-01-15T12:00-05:00", "2026-01-15T12:00-05:00"),
        ("2026-01-15T20:59-05:00", "2026-01-15T20:59-05:00"),
        ("2026-01-15T21:00-05:00", "2026-01-16T08:00-05:00"),
        ("2026-01-16T03:00-05:00", "2026-01-16T08:00-05:00"),
        ("2026-01-16T08:00-05:00", "2026-01-16T08:00-05:00"),
        ("2026-03-07T22:00-05:00", "2026-03-08T08:00-04:00"),  # the clocks change in the night
    ],
)
def test_quiet_hours_over_midnight_end_in_the_morning(moment: str, expected: str) -> None:
    assert outside_quiet_hours(at(moment), NEW_YORK, NINE, EIGHT) == at(expected)


def test_quiet_hours_within_a_day() -> None:
    noon, two = time(12, 0), time(14, 0)
    assert outside_quiet_hours(at("2026-01-15T13:00Z"), "UTC", noon, two) == at("2026-01-15T14:00Z")
    assert outside_quiet_hours(at("2026-01-15T14:00Z"), "UTC", noon, two) == at("2026-01-15T14:00Z")
    assert outside_quiet_hours(at("2026-01-15T12:30Z"), "UTC", noon, noon) == at("2026-01-15T12:30Z")


def test_quiet_hours_in_a_repeated_hour_never_lead_back_in_time() -> None:
    second_half_past_one = at("2026-11-01T06:30Z")
    assert outside_quiet_hours(second_half_past_one, NEW_YORK, NINE, time(1, 45)) == second_half_past_one


# ------------------------------------------------------------------ staffed time
OFFICE = {day: [(time(9, 0), time(12, 0)), (time(13, 0), time(17, 0))] for day in range(1, 6)}


@pytest.mark.parametrize(
    ("opened", "limit", "due"),
    [
        ("2026-11-16T10:00Z", {"minutes": 60}, "2026-11-16T11:00Z"),  # a Monday
        ("2026-11-16T11:30Z", {"minutes": 60}, "2026-11-16T13:30Z"),
        ("2026-11-16T16:30Z", {"hours": 4}, "2026-11-17T13:30Z"),
        ("2026-11-16T07:00Z", {"minutes": 60}, "2026-11-16T10:00Z"),
        ("2026-11-20T16:45Z", {"minutes": 60}, "2026-11-23T09:45Z"),  # Friday evening
        ("2026-11-21T10:00Z", {"hours": 4}, "2026-11-23T14:00Z"),  # Saturday
        ("2026-11-16T10:00Z", {"working_days": 1}, "2026-11-17T10:00Z"),
        ("2026-11-16T12:30Z", {"working_days": 1}, "2026-11-17T13:00Z"),
        ("2026-11-20T10:00Z", {"working_days": 1}, "2026-11-23T10:00Z"),
        ("2026-11-21T10:00Z", {"working_days": 1}, "2026-11-24T09:00Z"),
        ("2026-11-16T18:00Z", {"working_days": 2}, "2026-11-19T09:00Z"),
        ("2026-11-16T10:00Z", {"working_days": 0}, "2026-11-16T10:00Z"),
        ("2026-11-16T10:00Z", {"minutes": 0}, "2026-11-16T10:00Z"),
    ],
)
def test_a_deadline_counts_staffed_time(opened: str, limit: dict[str, Any], due: str) -> None:
    assert respond_by(at(opened), OFFICE, "UTC", **limit) == at(due)


def test_a_shorter_day_ends_the_deadline_with_its_staffing() -> None:
    hours = {1: [(time(9, 0), time(17, 0))], 2: [(time(9, 0), time(12, 0))], 3: [(time(15, 0), time(17, 0))]}
    assert respond_by(at("2026-11-16T16:00Z"), hours, "UTC", working_days=1) == at("2026-11-17T12:00Z")
    assert respond_by(at("2026-11-16T10:00Z"), hours, "UTC", working_days=2) == at("2026-11-18T15:00Z")


def test_holidays_are_not_staffed() -> None:
    holidays = {date(2026, 11, 17)}
    opened = at("2026-11-16T16:30Z")
    assert respond_by(opened, OFFICE, "UTC", hours=1, holidays=holidays) == at("2026-11-18T09:30Z")
    assert respond_by(opened, OFFICE, "UTC", working_days=1, holidays=holidays) == at("2026-11-18T16:30Z")


def test_staffing_until_midnight_runs_on_into_the_next_day() -> None:
    around_the_clock = {day: [(time(0, 0), time(0, 0))] for day in range(1, 8)}
    opened = at("2026-11-20T23:30Z")
    assert respond_by(opened, around_the_clock, "UTC", minutes=60) == opened + timedelta(hours=1)


def test_staffed_hours_are_on_the_clinics_clock() -> None:
    due = respond_by(at("2026-11-16T13:00Z"), OFFICE, NEW_YORK, minutes=60)  # 08:00 there
    assert due == at("2026-11-16T10:00-05:00")


@pytest.mark.parametrize("hours", [{}, {1: []}])
def test_a_clinic_without_staffed_hours_counts_as_always_staffed(hours: dict[int, list[tuple[time, time]]]) -> None:
    opened = at("2026-11-21T10:00Z")
    assert respond_by(opened, hours, "UTC", hours=4) == opened + timedelta(hours=4)
    assert respond_by(opened, hours, "UTC", working_days=2) == opened + timedelta(days=2)


def test_a_deadline_needs_exactly_one_limit_and_sensible_hours() -> None:
    opened = at("2026-11-16T10:00Z")
    with pytest.raises(ValueError, match="minutes, hours or working days"):
        respond_by(opened, OFFICE, "UTC")
    with pytest.raises(ValueError, match="minutes, hours or working days"):
        respond_by(opened, OFFICE, "UTC", minutes=1, hours=1)
    with pytest.raises(ValueError, match="end after they start"):
        respond_by(opened, {1: [(time(17, 0), time(9, 0))]}, "UTC", minutes=1)
    with pytest.raises(ValueError, match="ISO"):
        respond_by(opened, {0: [(time(9, 0), time(17, 0))]}, "UTC", minutes=1)


def test_stored_staffed_hours_are_read() -> None:
    stored = {"1": [["13:00", "17:00"], ["09:00", "12:00"]], "7": [["20:00", "00:00"]], "2": []}
    assert read_staffed_hours(stored) == {
        1: [(time(9, 0), time(12, 0)), (time(13, 0), time(17, 0))],
        7: [(time(20, 0), time(0, 0))],
        2: [],
    }
    assert read_staffed_hours({}) == {}


@pytest.mark.parametrize(
    "stored",
    [
        {"8": []},
        {"Monday": []},
        {"1": [["9 am", "17:00"]]},
        {"1": [["09:00"]]},
        {"1": [["17:00", "09:00"]]},
        {"1": [["09:00", "13:00"], ["12:00", "17:00"]]},
        {"1": [["09:00", "00:00"], ["12:00", "17:00"]]},
    ],
)
def test_stored_staffed_hours_that_make_no_sense_are_a_mistake(stored: dict[str, list[list[str]]]) -> None:
    with pytest.raises(ValueError, match=r"."):
        read_staffed_hours(stored)


# ------------------------------------------------------------------ properties
DAYS = st.dates(date(2000, 1, 3), date(2037, 12, 1))
TIMES = st.times().map(lambda wall: wall.replace(second=0, microsecond=0))


@given(st.sampled_from(ZONES), DAYS, TIMES)
@example("Pacific/Apia", date(2011, 12, 29), time(9, 0))
@example("Africa/Cairo", date(2026, 4, 24), time(0, 0))
def test_every_day_that_exists_has_exactly_one_instant_and_is_found_again(zone: str, day: date, wall: time) -> None:
    if exists(day, zone):
        moment = instant(day, wall, zone)
        assert local_date(moment, zone) == day
        shown = moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
        assert timedelta() <= shown - datetime.combine(day, wall) <= timedelta(hours=1)


@given(st.sampled_from(ZONES), DAYS, TIMES)
def test_days_in_order_have_instants_in_order(zone: str, first: date, wall: time) -> None:
    days = list(occurrences(first, first + timedelta(days=9), range(1, 8), zone))
    moments = [instant(day, wall, zone) for day in days]
    assert moments == sorted(set(moments))


@given(st.sets(st.integers(1, 7), min_size=1), DAYS)
def test_walking_the_steps_visits_exactly_the_chosen_weekdays(weekdays: set[int], first: date) -> None:
    last = first + timedelta(days=30)
    days = list(occurrences(first, last, weekdays))
    assert {day.isoweekday() for day in days} == weekdays
    walked = [days[0]]
    while (following := walked[-1] + timedelta(days=steps(weekdays)[walked[-1].isoweekday() - 1])) <= last:
        walked.append(following)
    assert walked == days


@given(st.integers(1, 7))
def test_gaps_between_spread_days_differ_by_at_most_one(times: int) -> None:
    days = spread(times)
    gaps = [steps(days)[day - 1] for day in days]
    assert len(days) == times
    assert max(gaps) - min(gaps) <= 1


@given(st.sampled_from(ZONES), st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), TIMES, TIMES)  # noqa: DTZ001 - made aware below
def test_leaving_quiet_hours_goes_forward_by_at_most_a_day(
    zone: str, moment: datetime, from_: time, until: time
) -> None:
    start = moment.replace(tzinfo=UTC)
    end = outside_quiet_hours(start, zone, from_, until)
    assert start <= end <= start + timedelta(hours=26)


@given(
    st.sampled_from(["Europe/Berlin", NEW_YORK, "Australia/Lord_Howe", "America/Santiago"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - made aware below
    st.integers(1, 3000),
    st.sets(st.integers(0, 400).map(lambda days: date(2026, 1, 1) + timedelta(days=days)), max_size=40),
)
def test_between_opening_and_deadline_lies_exactly_the_staffed_time_and_no_holiday(
    zone: str, moment: datetime, minutes: int, holidays: set[date]
) -> None:
    hours = {1: [(time(0, 0), time(8, 30)), (time(20, 0), time(0, 0))], 5: [(time(9, 0), time(17, 0))], 7: [(time(0, 0), time(6, 0))]}  # fmt: skip  # noqa: E501
    opened = moment.replace(tzinfo=UTC)
    due = respond_by(opened, hours, zone, minutes=minutes, holidays=holidays)
    counted = timedelta()
    day = local_date(opened, zone)
    while day <= local_date(due, zone):
        if day not in holidays:
            for start, end in hours.get(day.isoweekday(), []):
                last = day + timedelta(days=1) if end == time(0, 0) else day
                begin, stop = max(instant(day, start, zone), opened), min(instant(last, end, zone), due)
                counted += max(timedelta(), stop - begin)
        day += timedelta(days=1)
    assert counted == timedelta(minutes=minutes)


@given(
    st.sampled_from(["Europe/Berlin", NEW_YORK, "Australia/Lord_Howe", "America/Santiago"]),
    st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)),  # noqa: DTZ001 - made aware below
    st.integers(1, 3),
    st.sets(st.integers(0, 400).map(lambda days: date(2026, 1, 1) + timedelta(days=days)), max_size=40),
)
def test_a_working_day_is_over_on_the_next_staffed_day_that_is_no_holiday(
    zone: str, moment: datetime, working_days: int, holidays: set[date]
) -> None:
    opened = moment.replace(tzinfo=UTC)
    due = respond_by(opened, OFFICE, zone, working_days=working_days, holidays=holidays)
    day = local_date(due, zone)
    assert day not in holidays
    assert day.isoweekday() in OFFICE
    passed = [local_date(opened, zone) + timedelta(days=n) for n in range((day - local_date(opened, zone)).days)]
    staffed = [each for each in passed if each not in holidays and each.isoweekday() in OFFICE]
    assert len(staffed) in {working_days, working_days + 1}  # one more where it was opened after that day's last hour


@given(st.datetimes(datetime(2026, 1, 1), datetime(2027, 1, 1)), st.integers(1, 600), st.integers(0, 200))  # noqa: DTZ001 - made aware below
def test_more_time_never_means_an_earlier_deadline(moment: datetime, minutes: int, more: int) -> None:
    opened = moment.replace(tzinfo=UTC)
    due = respond_by(opened, OFFICE, NEW_YORK, minutes=minutes)
    assert opened + timedelta(minutes=minutes) <= due
    assert due <= respond_by(opened, OFFICE, NEW_YORK, minutes=minutes + more)
