"""Whom the server takes a request to come from: its peer, or whoever a trusted proxy names."""

from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

import httpx

from tests.conftest import Database
from tests.live import serving


def fail(client: httpx.Client, headers: Mapping[str, str]) -> int:
    """Try a password of somebody else each time, so that only the address can be counted."""
    body = {"email": f"{uuid4().hex}@people.example", "password": "not the right password"}
    return client.post("/v1/auth/login", json=body, headers=headers).status_code


def test_a_peer_nobody_trusts_counts_as_one_whatever_it_says(fresh_database: Database, tmp_path: Path) -> None:
    for trusted in ("", "10.0.0.0/8"):
        with (
            serving(fresh_database, tmp_path, trusted_proxies=trusted) as live,
            httpx.Client(base_url=live.url) as client,
        ):
            said = [fail(client, {"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(11 if trusted == "" else 1)]
        assert said == ([401] * 10 + [429] if trusted == "" else [429]), trusted


def test_behind_a_trusted_proxy_each_client_counts_for_itself(fresh_database: Database, tmp_path: Path) -> None:
    with (
        serving(fresh_database, tmp_path, trusted_proxies="127.0.0.1") as live,
        httpx.Client(base_url=live.url) as client,
    ):
        assert [fail(client, {"X-Forwarded-For": f"192.0.2.{n}"}) for n in range(11)] == [401] * 11
        # What the client itself wrote stands further left: the proxy's own word is the last one.
        spoofed = [fail(client, {"X-Forwarded-For": f"192.0.2.{100 + n}, 203.0.113.9"}) for n in range(11)]
        assert spoofed == [401] * 10 + [429]
