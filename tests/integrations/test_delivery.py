"""What providers say is read strictly: codes and seconds, never their sentences."""

from datetime import UTC, datetime

import pytest

from integrations.delivery import code_of, read_retry_after, reference_of

AT = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("7", 7.0),
        ("0", 0.0),
        ("999999999", 86_400.0),
        ("Mon, 02 Mar 2026 09:00:30 GMT", 30.0),
        ("Mon, 02 Mar 2026 09:00:30 -0000", 30.0),
        ("Mon, 02 Mar 2026 08:00:00 GMT", 0.0),
        ("Tue, 02 Mar 2027 09:00:00 GMT", 86_400.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("", None),
        ("9" * 400, None),
        ("Mon, 02 Mar 99999999999999999999 09:00:30 GMT", None),
        ("Mon, 02 Mar 2026 09:00:30 +99999999999999999999", None),
    ],
)
def test_a_wait_is_seconds_or_a_date_and_at_most_a_day(said: str, seconds: float | None) -> None:
    assert read_retry_after({"retry-after": said}, at=AT) == seconds
    assert read_retry_after({}, at=AT) is None


@pytest.mark.parametrize("said", [None, "alice@patients.example is unknown", "", "x" * 41, ["21211"]])
def test_a_code_that_could_be_a_sentence_is_not_repeated(said: object) -> None:
    assert code_of(said, 400) == "400"


def test_codes_and_ids_are_taken_as_they_are() -> None:
    assert (code_of(21211, 400), code_of("UNREGISTERED", 404)) == ("21211", "UNREGISTERED")
    assert reference_of("SM123") == "SM123"
    assert [reference_of(each) for each in (None, 7, "", "two words", "x" * 256)] == [None] * 5
