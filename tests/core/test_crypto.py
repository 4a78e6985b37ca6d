from datetime import UTC, datetime
from uuid import RFC_4122

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core import crypto

KEY = crypto.derive_key("a secret", "tests")


@given(st.binary(min_size=0, max_size=100))
def test_a_token_gives_back_what_it_holds(content: bytes) -> None:
    token = crypto.write_token("physio_at_", content)
    assert crypto.read_token("physio_at_", token, len(content)) == content
    assert crypto.read_token("physio_rt_", token, len(content)) is None
    assert crypto.read_token("physio_at_", token, len(content) + 1) is None


@given(st.text(max_size=90))
def test_no_other_text_is_a_token(text: str) -> None:
    assert crypto.read_token("physio_at_", text, 48) is None
    assert crypto.read_token("physio_at_", f"physio_at_{text}", 48) is None


def test_a_right_checksum_does_not_make_a_token_of_any_text() -> None:
    for body in ("A", "AAAA=AAA", "AA!A"):
        text = f"physio_at_{body}"
        assert crypto.read_token("physio_at_", text + crypto._checksum(text), 3) is None


@given(st.integers(0, 63))
def test_a_changed_letter_breaks_the_checksum(place: int) -> None:
    token = crypto.write_token("physio_at_", bytes(range(48)))
    spot = len("physio_at_") + place
    other = "B" if token[spot] == "A" else "A"
    assert crypto.read_token("physio_at_", token[:spot] + other + token[spot + 1 :], 48) is None


def test_parts_count_with_their_length_and_purposes_are_apart() -> None:
    seals = [
        KEY.mac("one", b"ab", b"c"),
        KEY.mac("one", b"a", b"bc"),
        KEY.mac("one", b"abc"),
        KEY.mac("two", b"ab", b"c"),
        crypto.derive_key("a secret", "other").mac("one", b"ab", b"c"),
    ]
    assert len(set(seals)) == len(seals)
    assert all(len(seal) == 32 for seal in seals)


def test_a_key_does_not_show_itself() -> None:
    assert repr(KEY) == "Key()"


async def test_a_password_fits_its_hash_however_it_was_typed() -> None:
    composed, decomposed = "Stra\u00dfe f\u00fcr zw\u00f6lf", "Stra\u00dfe fu\u0308r zwo\u0308lf"
    password_hash = await crypto.hash_password(composed)
    assert password_hash.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert await crypto.check_password(password_hash, decomposed)
    assert not await crypto.check_password(password_hash, composed + " ")
    assert not crypto.is_outdated(password_hash)


@pytest.mark.parametrize("password_hash", ["", "x", "$argon2id$v=19$m=19456,t=2,p=1$AAAA$AAAA"])
async def test_a_broken_hash_belongs_to_no_password(password_hash: str) -> None:
    assert not await crypto.check_password(password_hash, "anything")


async def test_nobodys_hash_costs_what_somebodys_costs_and_fits_nothing() -> None:
    assert not crypto.is_outdated(crypto.NOBODY)
    assert not await crypto.check_password(crypto.NOBODY, "")


def test_an_id_is_a_uuid_of_version_seven_of_its_moment() -> None:
    at = datetime(2026, 3, 2, 9, tzinfo=UTC)
    made = crypto.new_id(at)
    assert (made.version, made.variant) == (7, RFC_4122)
    assert made.int >> 80 == int(at.timestamp() * 1000)
    assert crypto.new_id(at) != made
