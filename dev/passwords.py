"""Passwords of the login roles where nobody chose any: derived from the server's key, so every command knows them."""

import base64
import hashlib
import hmac

from dev.roles import LOGINS


def passwords_of(secret_key: str) -> dict[str, str]:
    """Give a password per role; whoever has the key can make them, nobody else."""
    return {
        role: base64.urlsafe_b64encode(hmac.digest(secret_key.encode(), role.encode(), hashlib.sha256)[:24]).decode()
        for role in LOGINS
    }
