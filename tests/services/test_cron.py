"""When jobs start is what the queue's own library says."""

from datetime import UTC, datetime, timedelta

import pytest
from croniter import croniter  # type: ignore[import-untyped]

from services.cron import next_start
from services.timetable import TIMETABLE

CRONS = sorted({entry.cron for entry in TIMETABLE} | {"*/7 * * * *", "0 * * * *", "59 23 * * *", "*/20 */6 * * *"})


@pytest.mark.parametrize("cron", CRONS)
def test_the_next_start_is_that_of_the_queues_library(cron: str) -> None:
    at = datetime(2026, 12, 31, 17, 0, 30, tzinfo=UTC)
    for _ in range(200):
        assert next_start(cron, at) == croniter(cron, at).get_next(datetime)
        at += timedelta(minutes=7, seconds=13)
    start = next_start(cron, at)
    assert next_start(cron, start) == croniter(cron, start).get_next(datetime)


@pytest.mark.parametrize("cron", ["0 0 1 * *", "0,30 * * * *"])
def test_what_the_timetable_does_not_use_is_refused(cron: str) -> None:
    with pytest.raises(ValueError, match=r"^0"):
        next_start(cron, datetime.now(UTC))
