"""Numbers have the form of their register, and only the right license counts."""

from dataclasses import replace
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clinical.library import load
from clinical.licensing import (
    Gap,
    InvalidIdentifier,
    License,
    UnknownPlace,
    authorizes,
    check_jurisdiction,
    check_npi,
    check_number,
    gaps,
    jurisdiction,
)

BOOK = load().identifiers
KINDS = {
    "npi": ("US-CA", "npi", BOOK.npi),
    "hcpc": ("GB", "register", BOOK.hcpc),
    "ahpra": ("AU", "register", BOOK.ahpra),
    "us_state": ("US-TX", "license", BOOK.us_state),
    "other": ("IE", "register", BOOK.other),
}
VALID = [(place, kind, number) for place, kind, rule in KINDS.values() for number in rule.valid]
INVALID = [(place, kind, number) for place, kind, rule in KINDS.values() for number in rule.invalid]


def test_no_example_is_forgotten() -> None:
    assert (len(VALID), len(INVALID)) == (11, 16)


@pytest.mark.parametrize(("place", "kind", "number"), VALID)
def test_a_well_formed_number_is_taken(place: str, kind: str, number: str) -> None:
    assert check_number(place, kind, number) == number


@pytest.mark.parametrize(("place", "kind", "number"), INVALID)
def test_a_malformed_number_is_refused(place: str, kind: str, number: str) -> None:
    with pytest.raises(InvalidIdentifier) as caught:
        check_number(place, kind, number)
    assert number == "" or number not in caught.value.problems[0].message


@pytest.mark.parametrize(
    ("number", "reason"), [("123456789", "length"), ("12345678X3", "characters"), ("1234567890", "check_digit")]
)
def test_a_refused_npi_says_why(number: str, reason: str) -> None:
    with pytest.raises(InvalidIdentifier) as caught:
        check_npi(number)
    assert caught.value.reason == reason
    assert caught.value.problems[0].code == reason


def test_digits_of_other_scripts_are_not_digits() -> None:
    with pytest.raises(InvalidIdentifier):
        check_npi("\N{ARABIC-INDIC DIGIT ONE}234567893")
    with pytest.raises(InvalidIdentifier):
        check_npi("123456789\n")


def npi(body: str) -> str:
    """The NPI with these first nine digits."""
    for digit in "0123456789":
        try:
            return check_npi(body + digit)
        except InvalidIdentifier:
            continue
    raise AssertionError(body)


BODIES = st.from_regex(r"[12][0-9]{8}", fullmatch=True)


@given(BODIES, st.integers(1, 9), st.integers(1, 9))
def test_any_one_wrong_digit_of_an_npi_is_caught(body: str, place: int, shift: int) -> None:
    number = npi(body)
    wrong = number[:place] + str((int(number[place]) + shift) % 10) + number[place + 1 :]
    with pytest.raises(InvalidIdentifier) as caught:
        check_npi(wrong)
    assert caught.value.reason == "check_digit"


# ------------------------------------------------------------------ places
def test_federal_countries_license_by_state() -> None:
    assert jurisdiction("US", "CA") == "US-CA"
    assert jurisdiction("CA", "ON") == "CA-ON"
    assert jurisdiction("GB", "ENG") == "GB"
    assert jurisdiction("AU") == "AU"
    assert len(BOOK.us_jurisdictions) == 56
    assert len(BOOK.ca_jurisdictions) == 13


@pytest.mark.parametrize(("country", "region"), [("US", None), ("US", "ZZ"), ("CA", "CA"), ("usa", None), ("", None)])
def test_a_place_nobody_knows_is_refused(country: str, region: str | None) -> None:
    with pytest.raises(UnknownPlace):
        jurisdiction(country, region)


def test_a_code_is_what_the_function_would_write() -> None:
    assert [check_jurisdiction(code) for code in ("US-TX", "GB")] == ["US-TX", "GB"]
    for code in ("US", "GB-ENG", "XX-", "US-tx"):
        with pytest.raises(UnknownPlace):
            check_jurisdiction(code)


# ------------------------------------------------------------------ authority
DAY = date(2026, 11, 20)
TEXAS = License("PT", "US-TX", "license", "verified", date(2025, 1, 1), date(2026, 12, 31))


def test_a_verified_license_for_the_place_is_enough() -> None:
    assert authorizes(TEXAS, "US-TX", DAY, "PT")
    assert authorizes(replace(TEXAS, status="expiring"), "US-TX", TEXAS.expires_on, "PT")


@pytest.mark.parametrize(
    ("license_", "gap"),
    [
        (replace(TEXAS, profession="PTA"), Gap.WRONG_PROFESSION),
        (replace(TEXAS, jurisdiction="US-OK"), Gap.WRONG_PLACE),
        (replace(TEXAS, status="unverified"), Gap.NOT_VERIFIED),
        (replace(TEXAS, status="restricted"), Gap.ENCUMBERED),
        (replace(TEXAS, status="revoked"), Gap.ENCUMBERED),
        (replace(TEXAS, status="expired"), Gap.EXPIRED),
        (replace(TEXAS, issued_on=date(2026, 11, 21)), Gap.NOT_YET_VALID),
        (replace(TEXAS, expires_on=date(2026, 11, 19)), Gap.EXPIRED),
        (replace(TEXAS, kind="compact_privilege"), Gap.HOME_LICENSE_MISSING),
    ],
)
def test_what_is_missing_is_named(license_: License, gap: Gap) -> None:
    assert gaps(license_, "US-TX", DAY, "PT") == (gap,)
    assert not authorizes(license_, "US-TX", DAY, "PT")


def test_a_compact_privilege_stands_and_falls_with_the_home_license() -> None:
    privilege = replace(TEXAS, jurisdiction="US-OK", kind="compact_privilege")
    assert authorizes(privilege, "US-OK", DAY, "PT", [TEXAS])
    assert not authorizes(privilege, "US-OK", DAY, "PT", [replace(TEXAS, status="revoked")])
    assert not authorizes(privilege, "US-OK", DAY, "PT", [replace(TEXAS, jurisdiction="GB")])
    assert not authorizes(privilege, "US-OK", DAY, "PT", [replace(TEXAS, kind="compact_privilege")])
