"""What became of a message that was handed to a provider: one answer for every channel.

A sender asks once and never tries again by itself: whoever owes the message decides when. Answers hold ids and codes,
never an address, a token or words of a message.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import TypeAlias

LONGEST_WAIT = 86_400.0
"""Whatever a provider asks for, we look again after a day, in seconds."""

TIMEOUT, UNREACHABLE = "timeout", "unreachable"
UNANSWERED = frozenset({TIMEOUT, UNREACHABLE})
"""Codes of a failure that is the provider's own, whatever the message: the next one would fare no better just now."""

_CODE = re.compile(r"[A-Za-z0-9_.-]{1,40}")
_REFERENCE = re.compile(r"[\x21-\x7e]{1,255}")


class Reason(StrEnum):
    """Why a provider will never deliver."""

    ADDRESS_DEAD = "address_dead"
    """Nobody is reached there any more: forget the address, number, token or subscription."""
    OPTED_OUT = "opted_out"
    """The person told the provider to stop; only the person can take it back."""
    BLOCKED = "blocked"
    """The provider, the carrier or we keep this message from this address."""
    UNFIT = "unfit"
    """The message itself cannot be sent; the address may be good."""


@dataclass(frozen=True)
class Accepted:
    """The provider took it. reference: the provider's id of the message, by which a receipt may name it later."""

    reference: str | None = None


@dataclass(frozen=True)
class Refused:
    """The provider will never deliver this: do not try again. code: the provider's, or a word of ours."""

    reason: Reason
    code: str


@dataclass(frozen=True)
class Failed:
    """It could not be delivered now: try later. retry_after: the provider's wish in seconds, None when it has none."""

    code: str
    retry_after: float | None = None


Outcome: TypeAlias = Accepted | Refused | Failed


def code_of(value: object, otherwise: object) -> str:
    """Give the provider's code as text; anything that could be a sentence is replaced by `otherwise`."""
    text = str(value)
    return text if value is not None and _CODE.fullmatch(text) else str(otherwise)


def reference_of(value: object) -> str | None:
    """Give the provider's id of a message; None for what cannot be one."""
    return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else None


def read_retry_after(headers: Mapping[str, str], *, at: datetime) -> float | None:
    """Give the seconds that a Retry-After header asks for, 0 to a day; None without one that can be read (RFC 9110)."""
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), LONGEST_WAIT)
    try:
        until = parsedate_to_datetime(text)
        if until.tzinfo is None:
            until = until.replace(tzinfo=UTC)
        seconds = (until - at).total_seconds()
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), LONGEST_WAIT)
