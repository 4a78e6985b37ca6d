"""Tokens that we sign ourselves to show a provider who we are (RFC 7515, 7518): RS256 and ES256, nothing else."""

import base64
import re
from collections.abc import Mapping
from typing import Any

import orjson
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256

P256_BYTES = 32

_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")


def to_base64url(content: bytes) -> str:
    """Write bytes in base64url without padding."""
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    """Read base64url, with or without padding. Raises ValueError without the text."""
    bare = text.rstrip("=")
    if not _BASE64URL.fullmatch(bare) or len(bare) % 4 == 1:
        raise ValueError("not base64url")
    return base64.urlsafe_b64decode(bare + "=" * (-len(bare) % 4))


def sign(
    claims: Mapping[str, Any],
    key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey,
    *,
    key_id: str | None = None,
) -> str:
    """Write and sign a token: RS256 with an RSA key, ES256 with one of the curve P-256."""
    header = {"typ": "JWT", "alg": "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"}
    if key_id is not None:
        header["kid"] = key_id
    signed = f"{to_base64url(orjson.dumps(header))}.{to_base64url(orjson.dumps(claims))}"
    if isinstance(key, rsa.RSAPrivateKey):
        signature = key.sign(signed.encode(), padding.PKCS1v15(), SHA256())
    else:
        one, other = decode_dss_signature(key.sign(signed.encode(), ec.ECDSA(SHA256())))
        signature = one.to_bytes(P256_BYTES, "big") + other.to_bytes(P256_BYTES, "big")
    return f"{signed}.{to_base64url(signature)}"
