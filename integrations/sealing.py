"""Sealing a message for one browser (RFC 8291 on RFC 8188, aes128gcm): the push service carries it and cannot read it.

Sixty lines on `cryptography` rather than a library of their own: the ones there are bring a second HTTP client, and the
RFC prints an example to hold ours against.
"""

import secrets

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

CURVE = ec.SECP256R1()
POINT_BYTES = 65
SECRET_BYTES = 16
SALT_BYTES = 16
RECORD_BYTES = 4096
"""Push services take at least 4096 bytes (RFC 8030, 7.2); what we send is one record of at most that, header included."""
HEADER_BYTES = SALT_BYTES + 4 + 1 + POINT_BYTES
LARGEST = RECORD_BYTES - HEADER_BYTES - 16 - 1
"""Bytes of a message: what the header, the tag and the mark of the last record leave."""

_LAST = b"\x02"


def point(key: ec.EllipticCurvePublicKey) -> bytes:
    """Write a public key as browsers do: 65 bytes, uncompressed."""
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)


def read_point(content: bytes) -> ec.EllipticCurvePublicKey:
    """Read a public key of 65 bytes. Raises ValueError for what is no point of the curve."""
    if len(content) != POINT_BYTES:
        raise ValueError("a public key has 65 bytes")
    return ec.EllipticCurvePublicKey.from_encoded_point(CURVE, content)


def seal(
    message: bytes,
    *,
    browser: bytes,
    secret: bytes,
    ephemeral: ec.EllipticCurvePrivateKey | None = None,
    salt: bytes | None = None,
) -> bytes:
    """Seal up to 3993 bytes. Raises ValueError for a longer message or keys that are none.

    browser, secret: `p256dh` (65 bytes) and `auth` (16 bytes) of the subscription. ephemeral, salt: fresh each time,
    given only to repeat an example.
    """
    if len(message) > LARGEST:
        raise ValueError("the message is too long")
    if len(secret) != SECRET_BYTES:
        raise ValueError("the secret has 16 bytes")
    key = ephemeral or ec.generate_private_key(CURVE)
    salt = salt or secrets.token_bytes(SALT_BYTES)
    ours = point(key.public_key())
    shared = key.exchange(ec.ECDH(), read_point(browser))
    content_key, nonce = derive(shared, secret=secret, browser=browser, server=ours, salt=salt)
    header = salt + RECORD_BYTES.to_bytes(4, "big") + bytes([POINT_BYTES]) + ours
    return header + AESGCM(content_key).encrypt(nonce, message + _LAST, None)


def derive(shared: bytes, *, secret: bytes, browser: bytes, server: bytes, salt: bytes) -> tuple[bytes, bytes]:
    """Derive the content's key and nonce from the shared secret (RFC 8291, 3.4)."""
    keyed = _hkdf(shared, salt=secret, info=b"WebPush: info\x00" + browser + server, length=32)
    return (
        _hkdf(keyed, salt=salt, info=b"Content-Encoding: aes128gcm\x00", length=16),
        _hkdf(keyed, salt=salt, info=b"Content-Encoding: nonce\x00", length=12),
    )


def _hkdf(secret: bytes, *, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=salt, info=info).derive(secret)
