"""A browser and its push service on this machine: it subscribes, checks who sends, and opens what is sealed."""

import secrets
from typing import Any

import httpx
import orjson
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256

from core import clock
from integrations import sealing
from integrations.jwt import P256_BYTES, from_base64url, to_base64url
from integrations.twins.server import Reply, Request, Twin, json_reply
from integrations.web_push import Subscription

DAY = 86_400


class WebPushTwin(Twin):
    """A push service with its browsers."""

    def __init__(self) -> None:
        super().__init__()
        self._browsers: dict[str, tuple[ec.EllipticCurvePrivateKey, bytes, str]] = {}
        self._gone: set[str] = set()

    def subscribe(self, server_key: str) -> Subscription:
        """Subscribe a browser for messages of the server that has this public key."""
        key, secret = ec.generate_private_key(sealing.CURVE), secrets.token_bytes(sealing.SECRET_BYTES)
        path = f"/wpush/{secrets.token_urlsafe(16)}"
        self._browsers[path] = key, secret, server_key
        point = sealing.point(key.public_key())
        return Subscription(self.url + path, to_base64url(point), to_base64url(secret))

    def unsubscribe(self, subscription: Subscription) -> None:
        """Let the browser's subscription end: 410 from now on."""
        path = subscription.endpoint.removeprefix(self.url)
        del self._browsers[path]
        self._gone.add(path)

    def handle(self, request: Request) -> Reply:
        """Take a message (RFC 8030, 5), or subscribe a browser of another process (`POST /subscribe`, a public key)."""
        if (request.method, request.path) == ("POST", "/subscribe"):
            made = self.subscribe(request.body.decode())
            keys = {"p256dh": made.p256dh, "auth": made.auth}
            return json_reply(201, {"endpoint": made.endpoint, "expirationTime": None, "keys": keys})
        if request.path in self._gone:
            return Reply(410)
        if request.method != "POST" or request.path not in self._browsers:
            return Reply(404)
        if not request.headers.get("ttl", "").isdigit() or request.headers.get("content-encoding") != "aes128gcm":
            return Reply(400)
        return Reply(413) if len(request.body) > sealing.RECORD_BYTES else self._take(request)

    def _take(self, request: Request) -> Reply:
        key, secret, server_key = self._browsers[request.path]
        said = self._signed(request.headers.get("authorization", ""), server_key)
        if said is None:
            return Reply(403)
        try:
            content = unseal(request.body, key, secret)
        except (ValueError, InvalidTag):  # a real service could not tell; a browser would drop it
            return Reply(400)
        kept = {name: request.headers.get(name) for name in ("ttl", "topic", "urgency")}
        self.taken.append({"path": request.path, "content": content.decode(), "contact": said["sub"], **kept})
        return Reply(201, b"", {"location": f"{self.url}/message/{len(self.taken)}", "ttl": request.headers["ttl"]})

    def _signed(self, authorization: str, server_key: str) -> dict[str, Any] | None:
        """Give what a signature says; None when it is not the one of the server that the browser subscribed to."""
        try:
            parts = dict(each.strip().split("=", 1) for each in authorization.removeprefix("vapid ").split(","))
            head, claims, signature = parts["t"].split(".")
            raw = from_base64url(signature)
            pair = int.from_bytes(raw[:P256_BYTES], "big"), int.from_bytes(raw[P256_BYTES:], "big")
            public = sealing.read_point(from_base64url(parts["k"]))
            public.verify(encode_dss_signature(*pair), f"{head}.{claims}".encode(), ec.ECDSA(SHA256()))
            said, now = orjson.loads(from_base64url(claims)), clock.now().timestamp()
            good = (
                parts["k"] == server_key and said["aud"] == str(httpx.URL(self.url)) and now < said["exp"] < now + DAY
            )
        except (ValueError, KeyError, InvalidSignature):
            return None
        return said if good else None


def unseal(body: bytes, key: ec.EllipticCurvePrivateKey, secret: bytes) -> bytes:
    """Open a sealed message as a browser does. Raises ValueError, InvalidTag."""
    salt, server = body[: sealing.SALT_BYTES], body[sealing.SALT_BYTES + 5 : sealing.HEADER_BYTES]
    shared = key.exchange(ec.ECDH(), sealing.read_point(server))
    browser = sealing.point(key.public_key())
    content_key, nonce = sealing.derive(shared, secret=secret, browser=browser, server=server, salt=salt)
    padded = AESGCM(content_key).decrypt(nonce, body[sealing.HEADER_BYTES :], None).rstrip(b"\x00")
    if padded[-1:] != b"\x02":
        raise ValueError("not the last record")
    return padded[:-1]
