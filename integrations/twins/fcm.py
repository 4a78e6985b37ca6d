"""Firebase Cloud Messaging on this machine, with Google's token server beside it.

A registration token that begins with `gone` is unregistered, with `bad` invalid, with `other` of another project.
"""

from functools import cache
from typing import Any

import orjson
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from core import clock
from integrations.jwt import from_base64url
from integrations.push import GRANT, LARGEST, SCOPE
from integrations.twins.server import Reply, Request, Twin, json_reply

FCM_ERROR = "type.googleapis.com/google.firebase.fcm.v1.FcmError"
BAD_REQUEST = "type.googleapis.com/google.rpc.BadRequest"
EMAIL = "sender@clinic-twin.iam.gserviceaccount.example"
PROJECT = "clinic-twin"
HOUR = 3600
KEYS = 4
"""Collapse keys that are kept for a phone; which ones, Google does not say. A message without one has the app's name."""


@cache
def _key() -> rsa.RSAPrivateKey:
    return make_key()


def make_key() -> rsa.RSAPrivateKey:
    """Make a key such as Google gives a service account; it takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


class FcmTwin(Twin):
    """One project. `granted`: how many access tokens were given. key: of the service account; else one for all."""

    def __init__(self, life: int = HOUR - 1, key: rsa.RSAPrivateKey | None = None) -> None:
        super().__init__()
        self._key = key or _key()
        self.granted = 0
        self._life = life
        self._valid: set[str] = set()

    def credentials(self) -> str:
        """Give the service account's file, as Google would."""
        pem = self._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
        return orjson.dumps(
            {
                "type": "service_account",
                "project_id": PROJECT,
                "private_key_id": "twin-1",
                "private_key": pem,
                "client_email": EMAIL,
                "token_uri": f"{self.url}/token",
            }
        ).decode()

    def revoke(self) -> None:
        """Forget every access token."""
        self._valid.clear()

    def found(self, token: str) -> list[dict[str, Any]]:
        """Give what a phone finds that was off while all of it came in: the newest of each collapse key, of four keys."""
        newest: dict[str | None, dict[str, Any]] = {}
        for message in self.taken:
            if message["token"] == token:
                newest.pop(message["android"].get("collapse_key"), None)
                newest[message["android"].get("collapse_key")] = message
        return list(newest.values())[-KEYS:]

    def handle(self, request: Request) -> Reply:
        """Give an access token, or take a message."""
        if (request.method, request.path) == ("POST", "/token"):
            return self._grant(request)
        if (request.method, request.path) != ("POST", f"/v1/projects/{PROJECT}/messages:send"):
            return Reply(404, b"<!DOCTYPE html><title>Error 404 (Not Found)!!1</title>")
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self._valid:
            return error(401, "UNAUTHENTICATED")
        return self._take(request)

    def _grant(self, request: Request) -> Reply:
        form = request.form()
        if form.get("grant_type") != GRANT or not self._trusts(form.get("assertion", "")):
            return json_reply(400, {"error": "invalid_grant", "error_description": "Invalid JWT Signature."})
        self.granted += 1
        token = f"ya29.twin-{self.granted}"
        self._valid.add(token)
        return json_reply(200, {"access_token": token, "expires_in": self._life, "token_type": "Bearer"})

    def _trusts(self, assertion: str) -> bool:
        try:
            head, claims, signature = assertion.split(".")
            self._key.public_key().verify(
                from_base64url(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), SHA256()
            )
            said, now = orjson.loads(from_base64url(claims)), clock.now().timestamp()
            named = (said["iss"], said["scope"], said["aud"]) == (EMAIL, SCOPE, f"{self.url}/token")
        except (ValueError, KeyError, InvalidSignature):
            return False
        return named and said["iat"] <= now < said["exp"] <= said["iat"] + HOUR

    def _take(self, request: Request) -> Reply:
        try:
            message: dict[str, Any] = orjson.loads(request.body)["message"]
            token = message["token"]
        except (ValueError, KeyError, TypeError):
            return error(400, "INVALID_ARGUMENT", field="message")
        for beginning, answer in FAILING.items():
            if token.startswith(beginning):
                return answer
        if any(not isinstance(each, str) for each in message.get("data", {}).values()):
            return error(400, "INVALID_ARGUMENT", field="message.data[0].value")
        if len(request.body) > LARGEST * 2:
            return error(400, "INVALID_ARGUMENT")
        self.taken.append(message)
        return json_reply(200, {"name": f"projects/{PROJECT}/messages/0:{len(self.taken)}"})


def error(status: int, code: str, *, own: str | None = None, field: str | None = None, **headers: str) -> Reply:
    """Answer with an error in Google's shape. own: FCM's code; field: the field that is found wrong."""
    details: list[dict[str, Any]] = []
    if own is not None:
        details.append({"@type": FCM_ERROR, "errorCode": own})
    if field is not None:
        details.append({"@type": BAD_REQUEST, "fieldViolations": [{"field": field, "description": "as documented"}]})
    content = {"error": {"code": status, "message": "as documented", "status": code, "details": details}}
    return json_reply(status, content, **headers)


FAILING = {
    "gone": error(404, "NOT_FOUND", own="UNREGISTERED"),
    "bad": error(400, "INVALID_ARGUMENT", own="INVALID_ARGUMENT"),
    "other": error(403, "PERMISSION_DENIED", own="SENDER_ID_MISMATCH"),
}
"""What a registration token's beginning leads to."""
