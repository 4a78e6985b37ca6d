"""Tokens that nobody can guess or forge, and passwords that nobody can read back."""

import asyncio
import base64
import binascii
import hmac
import secrets
import unicodedata
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from uuid import UUID

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

SEED_BYTES = 32
"""Length of a random secret."""

_CHECKSUM = 6  # characters of the checksum: 32 bits in base 62
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


@dataclass(frozen=True)
class Key:
    """A secret of the server, from which and by which tokens are made and recognized."""

    secret: bytes = field(repr=False)

    def mac(self, purpose: str, *parts: bytes) -> bytes:
        """Authenticate the parts for one purpose: HMAC-SHA256, 32 bytes; every part counts with its length."""
        framed = b"".join(len(part).to_bytes(4, "big") + part for part in (purpose.encode(), *parts))
        return hmac.digest(self.secret, framed, sha256)


def derive_key(secret: str, purpose: str) -> Key:
    """Make the key for one purpose out of the server's one secret."""
    return Key(hmac.digest(secret.encode(), purpose.encode(), sha256))


def seed() -> bytes:
    """Give 256 random bits."""
    return secrets.token_bytes(SEED_BYTES)


def same(one: bytes, other: bytes) -> bool:
    """Compare in a time that tells nothing."""
    return hmac.compare_digest(one, other)


# ------------------------------------------------------------------ tokens


def write_token(prefix: str, content: bytes) -> str:
    """Write a token as text: prefix, base64url, and a checksum by which scanners for leaked secrets know it."""
    text = prefix + base64.urlsafe_b64encode(content).rstrip(b"=").decode()
    return text + _checksum(text)


def read_token(prefix: str, token: str, length: int) -> bytes | None:
    """Give the `length` bytes that the token holds; None when it is no token of ours with this prefix."""
    text, checksum = token[:-_CHECKSUM], token[-_CHECKSUM:]
    if not text.startswith(prefix) or not token.isascii() or _checksum(text) != checksum:
        return None
    body = text.removeprefix(prefix)
    try:
        content = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except binascii.Error:
        return None
    return content if len(content) == length else None


def _checksum(text: str) -> str:
    number = zlib.crc32(text.encode())
    digits = ""
    for _ in range(_CHECKSUM):
        number, digit = divmod(number, len(_DIGITS))
        digits = _DIGITS[digit] + digits
    return digits


# ------------------------------------------------------------------ passwords

# OWASP's minimum for argon2id: 19 MiB, two passes, one lane; about 30 ms. Two at a time, so that a flood of sign-ins
# waits in line instead of taking every core.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
_WORKERS = ThreadPoolExecutor(max_workers=2, thread_name_prefix="argon2")

NOBODY = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
"""A hash that no password has: checking against it takes as long as against somebody's."""


def normal(password: str) -> str:
    """Give the password in Unicode's composed form, so that every keyboard types the same one."""
    return unicodedata.normalize("NFC", password)


async def hash_password(password: str) -> str:
    """Hash a password with argon2id, off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, _HASHER.hash, normal(password))


async def check_password(password_hash: str, password: str) -> bool:
    """Tell whether the password has this hash; a hash that cannot be read belongs to no password."""
    return await asyncio.get_running_loop().run_in_executor(_WORKERS, _verify, password_hash, normal(password))


def _verify(password_hash: str, password: str) -> bool:
    try:
        return _HASHER.verify(password_hash, password)
    except (VerificationError, InvalidHashError):
        return False


def is_outdated(password_hash: str) -> bool:
    """Tell whether the hash was made with other parameters than today's."""
    return _HASHER.check_needs_rehash(password_hash)


# ------------------------------------------------------------------ ids


def new_id(at: datetime) -> UUID:
    """Make a UUIDv7 for the moment `at`, where the id is needed before the row is written."""
    number = (int(at.timestamp() * 1000) << 80) | secrets.randbits(80)
    number = (number & ~(0xF000 << 64)) | (0x7000 << 64)  # version 7
    number = (number & ~(0xC000 << 48)) | (0x8000 << 48)  # variant of RFC 9562
    return UUID(int=number)
