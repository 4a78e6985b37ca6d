"""What comes in is strict, clean and bounded, whatever a form says."""

from datetime import UTC, date, datetime, time
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import Field, ValidationError

from schemas import base


class Side(StrEnum):
    LEFT = "left"


class Part(base.In):
    repetitions: int


class Form(base.In):
    id: UUID
    on: date
    at: datetime
    clock: time
    seen_at: base.Instant
    side: Side
    count: int
    load_kg: float
    done: bool
    note: str
    values: list[int]
    name: Annotated[str, base.Line(5)]
    story: Annotated[str, base.Text(9)] | None = None
    password: base.Password
    parts: list[Part]
    labels: dict[str, int] = Field(default_factory=dict)
    zone: base.ZoneName = "UTC"
    pain: base.PainRating = 0
    small: Annotated[int, Field(gt=0, lt=5)] = 1
    # names that are also words of Pydantic's own schemas
    type: int = 0
    metadata: int = 0
    serialization: int = 0
    code: Annotated[str, Field(pattern="^[a-z]+$")] = "a"
    price: Decimal | None = None


GOOD: dict[str, Any] = {
    "id": "0190f6a4-0000-7000-8000-000000000000",
    "on": "2026-01-02",
    "at": "2026-01-02T03:04:05.123+02:00",
    "clock": "09:30",
    "seen_at": "2026-01-02T03:04:05+02:00",
    "side": "left",
    "count": 1,
    "load_kg": 2,
    "done": True,
    "note": " cafe\u0301\r\nau lait ",
    "values": [1],
    "name": "Ann",
    "password": "  kept as typed  ",
    "parts": [{"repetitions": 3}],
}


def test_a_good_form_is_read_into_its_types() -> None:
    form = Form.model_validate(GOOD)
    assert form.note == "caf\u00e9\nau lait"
    assert form.seen_at == datetime(2026, 1, 2, 1, 4, 5, tzinfo=UTC)
    assert form.seen_at.tzinfo is UTC
    assert form.password.get_secret_value() == "  kept as typed  "
    assert (form.side, form.load_kg, form.clock) == (Side.LEFT, 2.0, time(9, 30))


def test_our_own_code_may_pass_values_instead_of_text() -> None:
    values = {"on": date(2026, 1, 2), "at": datetime(2026, 1, 2, tzinfo=UTC), "clock": time(9), "id": UUID(int=7)}
    assert Form.model_validate(GOOD | values).on == date(2026, 1, 2)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"count": "1"}, "int_type"),
        ({"count": True}, "int_type"),
        ({"count": 1.0}, "int_type"),
        ({"count": 2**60}, "less_than_equal"),
        ({"count": -(2**60)}, "greater_than_equal"),
        ({"small": 5}, "less_than"),
        ({"small": 0}, "greater_than"),
        ({"load_kg": "2"}, "float_type"),
        ({"load_kg": float("nan")}, "finite_number"),
        ({"load_kg": float("inf")}, "finite_number"),
        ({"done": 1}, "bool_type"),
        ({"done": "true"}, "bool_type"),
        ({"note": "a\u202eb"}, "text_characters"),
        ({"note": "a\x00b"}, "text_characters"),
        ({"note": "a\x9fb"}, "text_characters"),
        ({"note": "a\rb"}, "text_characters"),
        ({"note": "x" * 2_001}, "string_too_long"),
        ({"values": ["1"]}, "int_type"),
        ({"values": [1] * 201}, "too_long"),
        ({"labels": {"a": "1"}}, "int_type"),
        ({"labels": {str(n): n for n in range(201)}}, "too_long"),
        ({"name": "longer"}, "string_too_long"),
        ({"name": "a\nb"}, "text_lines"),
        ({"name": "a\tb"}, "text_lines"),
        ({"name": "   "}, "text_empty"),
        ({"story": ""}, "text_empty"),
        ({"on": "2026-01-02T00:00:00"}, "date_text"),
        ({"on": 1_700_000_000}, "date_text"),
        ({"on": "2026-02-30"}, "date_from_datetime_parsing"),
        ({"at": "2026-01-02T03:04:05"}, "instant_text"),
        ({"at": 1_700_000_000}, "instant_text"),
        ({"at": datetime(2026, 1, 2)}, "timezone_aware"),  # noqa: DTZ001 - the point
        ({"seen_at": "1899-01-02T03:04:05Z"}, "instant_range"),
        ({"clock": 34_200}, "time_text"),
        ({"clock": "9:30 am"}, "time_text"),
        ({"zone": "Mars/Olympus"}, "zone_unknown"),
        ({"zone": "../etc/passwd"}, "zone_unknown"),
        ({"parts": [{"repetitions": "3"}]}, "int_type"),
        ({"parts": [{"repetitions": 3, "x": 1}]}, "extra_forbidden"),
        ({"clinic_id": "x"}, "extra_forbidden"),
        ({"pain": 11}, "less_than_equal"),
        ({"pain": None}, "int_type"),
        ({"type": "1"}, "int_type"),
        ({"metadata": "1"}, "int_type"),
        ({"serialization": "1"}, "int_type"),
        ({"code": "A"}, "string_pattern_mismatch"),
        ({"password": ""}, "too_short"),
        ({"id": 5}, "uuid_type"),
        ({"side": "up"}, "enum"),
    ],
)
def test_what_is_not_meant_is_refused(change: dict[str, Any], code: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Form.model_validate(GOOD | change)
    assert [error["type"] for error in refused.value.errors()] == [code]


def test_the_bounds_stand_in_the_document() -> None:
    fields = Form.model_json_schema()["properties"]
    assert fields["note"]["maxLength"] == base.TEXT_LIMIT
    assert fields["values"]["maxItems"] == base.LIST_LIMIT
    assert fields["count"]["maximum"] == base.INTEGER_LIMIT
    assert fields["name"]["maxLength"] == 5
    assert fields["at"]["format"] == "date-time"


def test_an_answer_is_read_from_a_row_and_tells_time_in_utc() -> None:
    class Row:
        id = UUID(int=1)
        version = 3
        created_at = datetime.fromisoformat("2026-01-02T03:04:05+02:00")
        updated_at = created_at

    told = base.Record.model_validate(Row()).model_dump(mode="json")
    assert (told["version"], told["created_at"]) == (3, "2026-01-02T01:04:05Z")
