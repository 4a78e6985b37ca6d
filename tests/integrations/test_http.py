"""Requests end in time, answers have a size, and no address of a client's leads into a private network."""

import datetime as dt
import ipaddress
import ssl
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from integrations.delivery import Failed
from integrations.http import LARGEST_ANSWER, AddressRefused, Answer, is_public, open_guarded_pool, open_pool, post
from integrations.twins.server import Fault, Reply, Request, Twin


class Echo(Twin):
    """Says what it was asked."""

    def handle(self, request: Request) -> Reply:
        self.taken.append({"path": request.path, **request.headers})
        return Reply(200, b'{"said": "yes"}')


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (Fault.HANG, "timeout"),
        (Fault.DRIP, "timeout"),
        (Fault.DROP, "broken"),
        (Reply(200, b"x" * (LARGEST_ANSWER + 1)), "too_large"),
    ],
)
async def test_a_server_that_misbehaves_costs_a_moment_and_no_exception(
    pool: httpx.AsyncClient, guarded: httpx.AsyncClient, answer: Reply | Fault, code: str
) -> None:
    async with Echo() as twin:
        for client in (pool, guarded):
            twin.next(answer)
            assert await post(client, twin.url, content=b"", seconds=0.3 if code == "timeout" else 10) == Failed(code)
            assert isinstance(await post(client, twin.url, content=b""), Answer), "the pool goes on"


async def test_nobody_there_and_no_such_name_are_worth_another_try(
    pool: httpx.AsyncClient, guarded: httpx.AsyncClient
) -> None:
    for client in (pool, guarded):
        assert await post(client, "http://127.0.0.1:1/", content=b"") == Failed("unreachable")
        assert await post(client, "http://nowhere.invalid/", content=b"") == Failed("unreachable")
        assert await post(client, "http://[::1", content=b"") == Failed("broken")


async def test_a_connection_is_used_again_and_a_redirect_is_an_answer(guarded: httpx.AsyncClient) -> None:
    async with Echo() as twin, Echo() as sentinel:
        twin.next(Reply(307, b"", {"location": sentinel.url}))
        for _ in range(3):
            assert isinstance(await post(guarded, twin.url, content=b"x"), Answer)
        assert (twin.asked, sentinel.asked) == (3, 0)
        assert {each["accept-encoding"] for each in twin.taken} == {"identity"}


async def test_cookies_are_not_kept(pool: httpx.AsyncClient, guarded: httpx.AsyncClient) -> None:
    async with Echo() as twin:
        for client in (pool, guarded):
            twin.next(Reply(200, b"", {"set-cookie": "a=b"}))
            for _ in range(2):
                await post(client, twin.url, content=b"")
            assert not client.cookies
        assert all("cookie" not in each for each in twin.taken)


async def test_an_answer_that_is_no_object_is_an_empty_one(pool: httpx.AsyncClient) -> None:
    async with Echo() as twin:
        twin.next(Reply(200, b"<html>"), Reply(200, b"[1]"))
        for expected in ({}, {}, {"said": "yes"}):
            answer = await post(pool, twin.url, content=b"")
            assert isinstance(answer, Answer)
            assert answer.json() == expected
            assert "said" not in repr(answer)


async def test_another_process_can_see_what_was_taken_and_ask_for_trouble(pool: httpx.AsyncClient) -> None:
    async with Echo() as twin:
        told = await pool.post(
            f"{twin.url}/_next",
            json={"status": 429, "headers": {"retry-after": "7"}, "body": "slow down", "times": 2},
        )
        assert told.status_code == 204
        await pool.post(f"{twin.url}/_next", json={"fault": "drop"})
        for _ in range(2):
            answer = await post(pool, twin.url, content=b"")
            assert isinstance(answer, Answer)
            assert (answer.status, answer.headers["retry-after"], answer.body) == (429, "7", b"slow down")
        assert await post(pool, twin.url, content=b"") == Failed("broken")
        await post(pool, f"{twin.url}/here", content=b"")
        assert [each["path"] for each in (await pool.get(f"{twin.url}/_taken")).json()] == ["/here"]
        assert (await pool.post(f"{twin.url}/_next", content=b"{}")).status_code == 400


# ------------------------------------------------------------------ addresses


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "100.64.0.1",
        "169.254.169.254",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.2.1",
        "192.168.1.1",
        "198.18.0.1",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::1",
        "::",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
        "2002:7f00:1::",
        "2002:a00:1::",
        "2001:0:a00:1::f5ff:fffe",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
        "2001:db8::1",
        "100::1",
        "name",
    ],
)
def test_an_address_of_a_private_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "142.250.1.1", "2a00:1450:4001::1", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_other_addresses_are(address: str) -> None:
    assert is_public(address)


def test_this_machine_is_good_where_a_test_says_so() -> None:
    assert all(is_public(each, loopback=True) for each in ("127.0.0.1", "::1", "::ffff:127.0.0.1"))
    assert not is_public("10.0.0.1", loopback=True)


async def test_what_is_connected_to_is_what_was_looked_at() -> None:
    """A name that points to a public address when it is checked and elsewhere a moment later gains nothing."""
    asked: list[str] = []

    async def rebinding(host: str, _port: int) -> Sequence[str]:
        asked.append(host)
        return ["127.0.0.1"] if len(asked) == 1 else ["10.0.0.1"]

    async with Echo() as twin, open_guarded_pool(loopback=True, resolve=rebinding) as client:
        port = twin.url.rpartition(":")[2]
        answer = await post(client, f"http://push.example:{port}/", content=b"")
        assert isinstance(answer, Answer)
        assert (asked, twin.taken[0]["host"]) == (["push.example"], f"push.example:{port}")
        with pytest.raises(AddressRefused):
            await post(client, "http://push.example/", content=b"")
        assert twin.asked == 1


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:7f00:1"]])
async def test_one_private_address_among_a_names_is_enough_to_refuse_it(addresses: list[str]) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return addresses

    async with Echo() as sentinel, open_guarded_pool(resolve=resolve) as client:
        with pytest.raises(AddressRefused):
            await post(client, f"http://push.example:{sentinel.url.rpartition(':')[2]}/", content=b"")
        assert sentinel.asked == 0


async def test_the_next_address_is_tried_and_a_name_without_any_is_unreachable() -> None:
    async def resolve(host: str, _port: int) -> Sequence[str]:
        return ["::1", "127.0.0.1"] if host == "two.example" else []

    async with Echo() as twin, open_guarded_pool(loopback=True, resolve=resolve) as client:
        port = twin.url.rpartition(":")[2]
        assert isinstance(await post(client, f"http://two.example:{port}/", content=b""), Answer)
        assert await post(client, f"http://none.example:{port}/", content=b"") == Failed("unreachable")


# ------------------------------------------------------------------ TLS


def certify(folder: Path, name: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Make a certificate for the name and for 127.0.0.1; give what a server shows and what a client trusts."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    today = dt.datetime.now(dt.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - dt.timedelta(days=1))
        .not_valid_after(today + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, SHA256())
    )
    file = folder / "server.pem"
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    file.write_bytes(secret + certificate.public_bytes(Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(file)
    return server, ssl.create_default_context(cadata=certificate.public_bytes(Encoding.PEM).decode())


async def test_tls_checks_the_name_although_the_address_is_pinned(tmp_path: Path) -> None:
    async def resolve(_host: str, _port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    server, trusting = certify(tmp_path, "push.example")
    twin = Echo()
    await twin.start(tls=server)
    port = twin.url.rpartition(":")[2]
    try:
        async with open_guarded_pool(trusting, loopback=True, resolve=resolve) as client:
            assert isinstance(await post(client, f"https://push.example:{port}/", content=b""), Answer)
            assert await post(client, f"https://other.example:{port}/", content=b"") == Failed("unreachable")
        async with open_guarded_pool(loopback=True, resolve=resolve) as client:
            assert await post(client, f"https://push.example:{port}/", content=b"") == Failed("unreachable")
        async with open_pool(trusting) as client:
            assert isinstance(await post(client, twin.url, content=b""), Answer)
        assert twin.asked == 2
    finally:
        await twin.close()
