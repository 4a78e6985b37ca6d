"""Codes for remote monitoring: every worked example, and never two that exclude each other."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.library import load
from clinical.rtm import applies, propose
from clinical.rulebook import RtmExample


def test_no_example_is_forgotten() -> None:
    assert len(load().rtm.examples) == 6


@pytest.mark.parametrize("example", load().rtm.examples, ids=str)
def test_worked_example(example: RtmExample) -> None:
    inputs = example.model_dump(exclude={"expect"})
    assert propose(**inputs) == example.expect


def test_work_without_data_is_not_proposed() -> None:
    assert propose(device_days=0, minutes=60, live_contact=True, setup_done=True, setup_billed=False) == {}


def test_the_rules_hold_for_their_dates_only() -> None:
    assert applies(date(2026, 11, 20))
    assert not applies(date(2027, 1, 1))


@given(st.integers(0, 30), st.integers(0, 600), st.booleans(), st.booleans(), st.booleans())
def test_codes_that_exclude_each_other_never_come_together(
    device_days: int, minutes: int, live_contact: bool, setup_done: bool, setup_billed: bool
) -> None:
    codes = propose(
        device_days=device_days,
        minutes=minutes,
        live_contact=live_contact,
        setup_done=setup_done,
        setup_billed=setup_billed,
    )
    assert not {"98985", "98977"} <= set(codes)
    assert not {"98979", "98980"} <= set(codes)
    assert ("98981" in codes) <= ("98980" in codes)
    assert live_contact or not {"98979", "98980", "98981"} & set(codes)
    assert all(units == 1 for code, units in codes.items() if code != "98981")
