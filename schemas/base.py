"""What every form of ours has in common.

What comes in (`In`) is strict: unknown fields, wrong types, control characters and numbers that are none are refused,
and every text and list has a bound. What goes out (`Out`) is read from rows and has no defaults: nothing is forgotten.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from typing import Annotated, Any, Generic, TypeVar, cast
from uuid import UUID

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    PlainSerializer,
    SecretStr,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from clinical import recurrence

TEXT_LIMIT = 2_000
"""Longest text, in characters, where a field does not say."""

LIST_LIMIT = 200
"""Longest list where a field does not say."""

INTEGER_LIMIT = 2**53 - 1
"""Largest integer every JSON reader keeps exactly."""

T = TypeVar("T")

_FORBIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 (but tab and line feed) and C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # marks and overrides of direction: they make a text read otherwise
    "\ufeff\ufff9-\ufffb\ufffe\uffff\ud800-\udfff]"
)


def clean(text: str) -> str:
    """Give the text in Unicode's composed form (NFC) with plain line feeds and no surrounding space.

    Control characters, direction overrides and surrogates are refused.
    """
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n")).strip()
    if _FORBIDDEN.search(text):
        raise PydanticCustomError("text_characters", "Control characters are not allowed")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\t" in text:
        raise PydanticCustomError("text_lines", "Line breaks and tabs are not allowed")
    return text


def _written(text: str) -> str:
    if not text:
        raise PydanticCustomError("text_empty", "Something must be written here")
    return text


def _instant(at: datetime) -> datetime:
    if not 1900 <= at.year <= 2100:  # noqa: PLR2004 - the years of people alive, and a little more
        raise PydanticCustomError("instant_range", "The year must lie between 1900 and 2100")
    return at.astimezone(UTC)


def _zone(name: str) -> str:
    try:
        return recurrence.check_zone(name)
    except recurrence.UnknownZone as error:
        raise PydanticCustomError("zone_unknown", "This is not the name of an IANA time zone") from error


_EMAIL = re.compile(
    r"[a-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])"
)


def _email(address: str) -> str:
    address = address.lower()
    if not _EMAIL.fullmatch(address):
        raise PydanticCustomError("email_form", "This is not an e-mail address")
    return address


_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_RFC3339 = re.compile(r"\d{4}-\d{2}-\d{2}[Tt ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?([Zz]|[+-]\d{2}:\d{2})")
_CLOCK = re.compile(r"\d{2}:\d{2}(:\d{2})?")

CODE = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"
"""What the codes of instruments and rules are made of."""


class _Verbatim:
    """Marks a text that `In` must not touch, such as a password."""

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        return cast("CoreSchema", {**handler(source), "metadata": {"verbatim": True}})


@dataclass(frozen=True)
class Text:
    """Marks a text of 1 to `longest` characters, line breaks allowed: `Annotated[str, Text(500)]`."""

    longest: int

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = core_schema.str_schema(max_length=self.longest, strict=True)
        return core_schema.no_info_after_validator_function(self._read, schema, metadata={"verbatim": True})

    def _read(self, text: str) -> str:
        return _written(clean(text))


class Line(Text):
    """Marks a text of 1 to `longest` characters on one line: `Annotated[str, Line(80)]`."""

    def _read(self, text: str) -> str:
        return _one_line(_written(clean(text)))


PainRating = Annotated[int, Field(ge=0, le=10, strict=True, description="Numeric rating scale, 0 none to 10 worst")]
EffortRating = Annotated[
    int, Field(ge=0, le=10, strict=True, description="Perceived effort (CR10), 0 none to 10 maximal")
]
Count = Annotated[int, Field(ge=0, le=10_000, strict=True)]
Version = Annotated[
    int, Field(ge=1, le=INTEGER_LIMIT, strict=True, description="Send it back as If-Match to change this")
]
Instant = Annotated[AwareDatetime, AfterValidator(_instant)]
ZoneName = Annotated[
    str,
    StringConstraints(max_length=64),
    AfterValidator(_zone),
    Field(description="IANA time zone", examples=["Europe/Berlin"]),
]
ClockTime = Annotated[
    time,
    WithJsonSchema({"type": "string", "pattern": r"^([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?$", "examples": ["08:00"]}),
]
"""A time of day on somebody's wall: JSON Schema's own `time` would have an offset."""
EmailAddress = Annotated[
    str,
    StringConstraints(max_length=254),
    AfterValidator(_email),
    Field(description="E-mail address; kept in lower case", examples=["alice@example.org"]),
]
Password = Annotated[SecretStr, _Verbatim(), Field(min_length=1, max_length=256)]
Secret = Annotated[SecretStr, _Verbatim(), Field(min_length=1, max_length=512)]
"""A token or code as we issued it."""
UtcDatetime = Annotated[datetime, PlainSerializer(lambda at: at.astimezone(UTC), when_used="json-unless-none")]
"""An instant on its way out: always UTC."""


def _date_text(value: Any) -> Any:
    if isinstance(value, date) or (isinstance(value, str) and _DAY.fullmatch(value)):
        return value
    raise PydanticCustomError("date_text", "A day is written YYYY-MM-DD")


def _instant_text(value: Any) -> Any:
    if isinstance(value, datetime) or (isinstance(value, str) and _RFC3339.fullmatch(value)):
        return value
    raise PydanticCustomError("instant_text", "An instant is written as in RFC 3339, with its offset")


def _time_text(value: Any) -> Any:
    if isinstance(value, time) or (isinstance(value, str) and _CLOCK.fullmatch(value)):
        return value
    raise PydanticCustomError("time_text", "A time of day is written HH:MM or HH:MM:SS")


Day = Annotated[date, BeforeValidator(_date_text)]
"""A day in a query, written YYYY-MM-DD; forms (`In`) do this for every plain `date`."""

_WRITTEN = {"date": _date_text, "datetime": _instant_text, "time": _time_text}


def _harden(node: Any) -> None:
    """Make every plain type within a schema strict, clean and bounded; nested models have done it for themselves."""
    if isinstance(node, list | tuple):
        for part in node:
            _harden(part)
    elif isinstance(node, dict) and node.get("type") != "model" and not node.get("metadata", {}).get("verbatim"):
        kind = node.get("type")
        if kind in _WRITTEN:
            _harden_moment(node, kind)
        elif kind == "str":
            inner = _wrap(node, lambda inner: core_schema.no_info_after_validator_function(clean, inner))
            inner["strict"] = True
            inner.setdefault("max_length", TEXT_LIMIT)
        else:
            _harden_plain(node, kind)
            for key, part in list(node.items()):
                if key not in {"metadata", "serialization"}:
                    _harden(list(part.values()) if key == "fields" and isinstance(part, dict) else part)


def _harden_moment(node: dict[str, Any], kind: str) -> None:
    inner = _wrap(node, lambda inner: core_schema.no_info_before_validator_function(_WRITTEN[kind], inner))
    if kind == "datetime":
        inner.setdefault("tz_constraint", "aware")


def _harden_plain(node: dict[str, Any], kind: str | None) -> None:
    if kind in {"int", "bool", "float"}:
        node["strict"] = True
    if kind == "int" and node.keys().isdisjoint({"le", "lt"}):
        node["le"] = INTEGER_LIMIT
    if kind == "int" and node.keys().isdisjoint({"ge", "gt"}):
        node["ge"] = -INTEGER_LIMIT
    if kind in {"list", "set", "frozenset", "dict"}:
        node.setdefault("max_length", LIST_LIMIT)


def _wrap(node: dict[str, Any], outer: Callable[[Any], Any]) -> dict[str, Any]:
    inner = dict(node)
    node.clear()
    node.update(outer(inner))
    return inner


class In(BaseModel):
    """What a client sends. Numbers and flags must have their own JSON type; texts become NFC, trimmed and bounded."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, hide_input_in_errors=True)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        schema = handler(source)
        model = schema
        while model["type"] not in {"model", "definition-ref"}:
            model = model["schema"]
        if model["type"] == "model":
            _harden(model["schema"])
        return schema


def _forget_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


def unchanged() -> Any:
    """Default of a field that a PATCH may leave out but not set to null; read with `model_dump(exclude_unset=True)`."""
    return Field(default=None, json_schema_extra=_forget_default)


class Out(BaseModel):
    """What we answer, read from rows by attribute. No defaults: what an answer holds is said where it is made."""

    model_config = ConfigDict(from_attributes=True, frozen=True, ser_json_inf_nan="null")


class Record(Out):
    """A resource that can change: its id, its version (also the ETag) and its days."""

    id: UUID
    version: int
    created_at: UtcDatetime
    updated_at: UtcDatetime


class Listing(Out, Generic[T]):
    """One page of a list; `next_cursor` is null on the last page."""

    items: list[T]
    next_cursor: str | None
