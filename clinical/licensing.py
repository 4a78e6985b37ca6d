"""Who may treat whom where: identifiers, jurisdictions, and what a license must be to count.

What counts is the patient's physical place at the moment of care. A well-formed number identifies; only a register's
answer makes a license verified. Sources stand in `rules/identifiers.yaml`.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Protocol

from clinical.library import load
from clinical.rulebook import IdentifierRule
from core.errors import Invalid, Problem


class InvalidIdentifier(Invalid):
    """This number does not have the form that its register uses."""

    def __init__(self, reason: str) -> None:
        """reason: a stable code (length, characters, check_digit, form)."""
        super().__init__(Problem("/number", reason, "The number does not have the form that its register uses."))
        self.reason = reason


class UnknownPlace(Invalid):
    """This is not a country, or not one of its states or provinces."""


class Gap(StrEnum):
    """Why a license does not count here and now."""

    WRONG_PROFESSION = "wrong_profession"
    WRONG_PLACE = "wrong_place"
    NOT_VERIFIED = "not_verified"
    ENCUMBERED = "encumbered"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    HOME_LICENSE_MISSING = "home_license_missing"


class LicenseFacts(Protocol):
    """What must be known of a license; a compact privilege stands and falls with the home state's license."""

    @property
    def profession(self) -> str:
        """PT or PTA."""

    @property
    def jurisdiction(self) -> str:
        """As the function `jurisdiction` writes it."""

    @property
    def kind(self) -> str:
        """license, compact_privilege, register or telehealth_registration."""

    @property
    def status(self) -> str:
        """Verified or expiring when it counts."""

    @property
    def issued_on(self) -> date:
        """Its first day."""

    @property
    def expires_on(self) -> date:
        """Its last day."""


@dataclass(frozen=True)
class License:
    """A license as plain facts; `expires_on` is its last day."""

    profession: str
    jurisdiction: str
    kind: str
    status: str
    issued_on: date
    expires_on: date


COUNTRY = re.compile(r"[A-Z]{2}")
VALID = frozenset({"verified", "expiring"})
ENCUMBERED = frozenset({"restricted", "suspended", "revoked", "encumbered"})


def jurisdiction(country: str, region: str | None = None) -> str:
    """Return the code of the place whose law counts: `US-CA`, `CA-ON`, else the country alone. Raises UnknownPlace.

    The United States and Canada license by state and province, so there a region is needed.
    """
    book = load().identifiers
    parts = {"US": book.us_jurisdictions, "CA": book.ca_jurisdictions}.get(country)
    if COUNTRY.fullmatch(country) is None or (parts is not None and region not in parts):
        raise UnknownPlace
    return country if parts is None else f"{country}-{region}"


def check_jurisdiction(code: str) -> str:
    """Return the code itself, when it is one that `jurisdiction` gives. Raises UnknownPlace."""
    country, _, region = code.partition("-")
    if jurisdiction(country, region or None) != code:
        raise UnknownPlace
    return code


def check_npi(number: str) -> str:
    """Return the US National Provider Identifier itself: 10 digits, 1 or 2 first, Luhn over 80840 and the number.

    Raises InvalidIdentifier.
    """
    rule = load().identifiers.npi
    if len(number) != 10:  # noqa: PLR2004 - the rule's own number
        raise InvalidIdentifier("length")
    if re.fullmatch(rule.regex, number) is None:
        raise InvalidIdentifier("characters")
    if _luhn((rule.luhn_prefix or "") + number) != 0:
        raise InvalidIdentifier("check_digit")
    return number


def check_number(jurisdiction_code: str, kind: str, number: str) -> str:
    """Return the number, when it has the form that its register uses. Raises InvalidIdentifier, UnknownPlace.

    kind: npi, license, compact_privilege, register or telehealth_registration.
    """
    check_jurisdiction(jurisdiction_code)
    if kind == "npi":
        return check_npi(number)
    if re.fullmatch(_rule(jurisdiction_code).regex, number) is None:
        raise InvalidIdentifier("form")
    return number


def gaps(
    license_: LicenseFacts, place: str, on: date, profession: str, others: Iterable[LicenseFacts] = ()
) -> tuple[Gap, ...]:
    """Why the license does not let its holder treat, as `profession`, a patient who is at `place` on the day `on`.

    place: a jurisdiction code. others: the holder's other licenses, among which a compact privilege needs one that
    counts in a US state. Nothing is missing when the answer is empty.
    """
    found = []
    if license_.profession != profession:
        found.append(Gap.WRONG_PROFESSION)
    if license_.jurisdiction != place:
        found.append(Gap.WRONG_PLACE)
    if license_.status in ENCUMBERED:
        found.append(Gap.ENCUMBERED)
    elif license_.status not in VALID and license_.status != "expired":
        found.append(Gap.NOT_VERIFIED)
    if on < license_.issued_on:
        found.append(Gap.NOT_YET_VALID)
    if on > license_.expires_on or license_.status == "expired":
        found.append(Gap.EXPIRED)
    if license_.kind == "compact_privilege" and not any(
        other.kind == "license"
        and other.jurisdiction.startswith("US-")
        and not gaps(other, other.jurisdiction, on, profession)
        for other in others
    ):
        found.append(Gap.HOME_LICENSE_MISSING)
    return tuple(found)


def authorizes(
    license_: LicenseFacts, place: str, on: date, profession: str, others: Iterable[LicenseFacts] = ()
) -> bool:
    """Whether nothing is missing: see `gaps`."""
    return not gaps(license_, place, on, profession, others)


def _rule(jurisdiction_code: str) -> IdentifierRule:
    book = load().identifiers
    if jurisdiction_code.startswith("US-"):
        return book.us_state
    return {"GB": book.hcpc, "AU": book.ahpra}.get(jurisdiction_code, book.other)


def _luhn(digits: str) -> int:
    """Return the Luhn sum modulo 10: 0 for a number with a right check digit."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        doubled = int(digit) * (1 + place % 2)
        total += doubled - 9 if doubled > 9 else doubled  # noqa: PLR2004 - the digits of a number below 19
    return total % 10
