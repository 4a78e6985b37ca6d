"""Sealing gives the example of RFC 8291, appendix A, byte for byte; the twin opens what we seal."""

from binascii import hexlify

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from integrations import sealing
from integrations.jwt import from_base64url, sign, to_base64url
from integrations.twins.web_push import unseal
from integrations.web_push import make_key, read_key

PLAIN = b"When I grow up, I want to be a watermelon"
SERVER_PRIVATE = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SERVER_PUBLIC = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
BROWSER_PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
BROWSER_PUBLIC = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
SALT = "DGv6ra1nlYgDCS1FRnbzlw"
SECRET = "BTBZMqHH6r4Tts7J_aSIgg"
SHARED = "kyrL1jIIOHEzg3sM2ZWRHDRB62YACZhhSlknJ672kSs"
CONTENT_KEY = "oIhVW04MRdy2XN9CiKLxTg"
NONCE = "4h_95klXJ5E_qnoN"
SEALED = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
    "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_the_example_of_the_rfc_comes_out_byte_for_byte() -> None:
    browser, server = read_key(BROWSER_PRIVATE), read_key(SERVER_PRIVATE)
    assert to_base64url(sealing.point(browser.public_key())) == BROWSER_PUBLIC
    assert to_base64url(sealing.point(server.public_key())) == SERVER_PUBLIC
    shared = server.exchange(ec.ECDH(), sealing.read_point(from_base64url(BROWSER_PUBLIC)))
    assert to_base64url(shared) == SHARED
    derived = sealing.derive(
        shared,
        secret=from_base64url(SECRET),
        browser=from_base64url(BROWSER_PUBLIC),
        server=from_base64url(SERVER_PUBLIC),
        salt=from_base64url(SALT),
    )
    assert tuple(map(to_base64url, derived)) == (CONTENT_KEY, NONCE)
    sealed = sealing.seal(
        PLAIN,
        browser=from_base64url(BROWSER_PUBLIC),
        secret=from_base64url(SECRET),
        ephemeral=server,
        salt=from_base64url(SALT),
    )
    assert to_base64url(sealed) == SEALED
    assert unseal(from_base64url(SEALED), browser, from_base64url(SECRET)) == PLAIN


@pytest.mark.parametrize("length", [0, 1, 2000, sealing.LARGEST])
def test_a_browser_opens_what_is_sealed_for_it_and_no_other_does(length: int) -> None:
    browser, secret = ec.generate_private_key(sealing.CURVE), b"s" * 16
    sealed = sealing.seal(b"a" * length, browser=sealing.point(browser.public_key()), secret=secret)
    assert len(sealed) == sealing.HEADER_BYTES + length + 17 <= sealing.RECORD_BYTES
    assert unseal(sealed, browser, secret) == b"a" * length
    with pytest.raises(InvalidTag):
        unseal(sealed, ec.generate_private_key(sealing.CURVE), secret)
    with pytest.raises(InvalidTag):
        unseal(sealed, browser, b"t" * 16)


def test_the_same_message_is_never_sealed_alike() -> None:
    point = sealing.point(ec.generate_private_key(sealing.CURVE).public_key())
    assert len({sealing.seal(PLAIN, browser=point, secret=b"s" * 16) for _ in range(20)}) == 20


@pytest.mark.parametrize(
    ("browser", "secret", "length"),
    [
        (b"\x04" + b"\x01" * 64, b"s" * 16, 1),  # not on the curve
        (b"\x00", b"s" * 16, 1),
        (b"", b"s" * 16, 1),
        (from_base64url(BROWSER_PUBLIC), b"s" * 15, 1),
        (from_base64url(BROWSER_PUBLIC), b"s" * 16, sealing.LARGEST + 1),
    ],
)
def test_what_cannot_be_sealed_is_refused(browser: bytes, secret: bytes, length: int) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        sealing.seal(b"a" * length, browser=browser, secret=secret)
    assert hexlify(secret).decode() not in str(refused.value)


def test_base64url_is_read_with_and_without_padding_and_nothing_else() -> None:
    assert from_base64url("YQ") == from_base64url("YQ==") == b"a"
    for text in ("Y", "Y+/=", "ä", "YQ YQ"):
        with pytest.raises(ValueError, match=r"^not base64url$"):
            from_base64url(text)


def test_a_token_names_how_it_is_signed() -> None:
    one = sign({"sub": "us"}, ec.generate_private_key(sealing.CURVE))
    other = sign({"sub": "us"}, rsa.generate_private_key(65537, 2048), key_id="k1")
    assert from_base64url(one.split(".")[0]) == b'{"typ":"JWT","alg":"ES256"}'
    assert from_base64url(other.split(".")[0]) == b'{"typ":"JWT","alg":"RS256","kid":"k1"}'
    assert len(from_base64url(one.split(".")[2])) == 64


def test_a_key_of_ours_is_32_bytes() -> None:
    assert read_key(make_key()).curve.name == "secp256r1"
    for text in ("", "AAAA", "A" * 43, "not a key"):
        with pytest.raises(ValueError, match=r".") as refused:
            read_key(text)
        assert not text or text not in str(refused.value)
