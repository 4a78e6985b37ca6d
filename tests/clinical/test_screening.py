"""When the questions about warning signs are due, by the examples of the file."""

from datetime import UTC, datetime, timedelta

import pytest

from clinical.library import load
from clinical.screening import Due, Screened, ScreeningExample, due, must_unlock
from models.red_flag_screens import ScreenTrigger

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def ago(days: int | None) -> datetime | None:
    return None if days is None else NOW - timedelta(days=days)


@pytest.mark.parametrize("example", load().screening.examples, ids=lambda example: str(example.name))
def test_the_worked_examples(example: ScreeningExample) -> None:
    screened = Screened(ago(example.complete), ago(example.unlocked), ago(example.urgent), example.unresolved)
    found = due(
        screened,
        at=NOW,
        weekly_days=load().screening.weekly_days,
        symptom_at=ago(example.symptom),
        flare_waits=example.flare,
        suspended=example.suspended,
    )
    assert found == example.expect


def test_each_reason_is_the_trigger_of_its_screen() -> None:
    assert {one.value for one in Due} == {one.value for one in ScreenTrigger}


def test_what_was_found_is_unlocked_by_a_later_screen_only() -> None:
    assert not must_unlock(Screened(None, None, None, unresolved=False))
    assert must_unlock(Screened(NOW, None, NOW, unresolved=False))
    assert must_unlock(Screened(NOW, NOW, NOW, unresolved=False)), "in the same moment is not after it"
    assert not must_unlock(Screened(NOW, NOW, NOW - timedelta(seconds=1), unresolved=True))
