import socket
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from integrations.email import (
    DeliveryFailed,
    DeliveryRefused,
    FolderSender,
    Letter,
    SmtpSender,
    make_sender,
)

LETTER = Letter("alice@patients.example", "A short reminder", "Something is waiting for you.\n", "0198-key")
FROM = "Riverside <clinic@physio.example>"


class Desk:
    """A real mail server on loopback; `reply` is what it says to recipients."""

    def __init__(self) -> None:
        self.reply = "250 OK"
        self.after_data = "250 taken"
        self.taken: list[bytes] = []

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:  # noqa: N802
        if self.reply.startswith("250"):
            envelope.rcpt_tos.append(address)
        return self.reply

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        self.taken.append(envelope.content)
        return self.after_data


@pytest.fixture
def port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def desk(port: int) -> Iterator[Desk]:
    handler = Desk()
    controller = Controller(
        handler,
        hostname="127.0.0.1",
        port=port,
        auth_require_tls=False,
        authenticator=lambda _server, _session, _envelope, _mechanism, data: AuthResult(
            success=data.password == b"right", handled=False
        ),
    )
    controller.start()
    yield handler
    controller.stop()


async def test_a_letter_reaches_the_server_with_its_key_as_message_id(desk: Desk, port: int) -> None:
    await SmtpSender(FROM, "127.0.0.1", port, "clinic", "right").deliver(LETTER)
    message = message_from_bytes(desk.taken[0], policy=default)
    assert message["Message-ID"] == "<0198-key@physio.example>"
    assert message["To"] == "alice@patients.example"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().splitlines() == ["Something is waiting for you."]


@pytest.mark.parametrize(
    ("reply", "after_data", "error", "code"),
    [
        ("550 no such user alice", "250 taken", DeliveryRefused, "550"),
        ("451 come back later", "250 taken", DeliveryFailed, "451"),
        ("250 OK", "554 spam", DeliveryRefused, "554"),
        ("250 OK", "452 disk full", DeliveryFailed, "452"),
    ],
)
async def test_the_servers_answer_decides_whether_to_try_again(
    desk: Desk, port: int, reply: str, after_data: str, error: type[DeliveryRefused], code: str
) -> None:
    desk.reply, desk.after_data = reply, after_data
    with pytest.raises(error) as raised:
        await SmtpSender(FROM, "127.0.0.1", port).deliver(LETTER)
    assert raised.value.code == code
    assert "alice" not in str(raised.value)


async def test_a_wrong_password_or_a_server_that_is_away_is_worth_another_try(desk: Desk, port: int) -> None:
    with pytest.raises(DeliveryFailed, match="authentication"):
        await SmtpSender(FROM, "127.0.0.1", port, "clinic", "wrong").deliver(LETTER)
    with pytest.raises(DeliveryFailed):
        await SmtpSender(FROM, "127.0.0.1", 1).deliver(LETTER)


async def test_a_header_cannot_be_smuggled_in(tmp_path: Path) -> None:
    letter = Letter("alice@patients.example\r\nBcc: carol@x.example", "A short reminder", "Hello", "k")
    with pytest.raises(DeliveryRefused):
        await FolderSender(FROM, tmp_path).deliver(letter)


async def test_on_one_machine_letters_are_files_and_the_same_key_is_one(tmp_path: Path) -> None:
    sender = make_sender(None, sender=FROM, folder=tmp_path / "mail")
    await sender.deliver(LETTER)
    await sender.deliver(LETTER)
    (file,) = (tmp_path / "mail").iterdir()
    assert file.name == "0198-key.eml"
    assert file.stat().st_mode & 0o777 == 0o600
    (tmp_path / "busy").write_text("a file, not a folder")
    with pytest.raises(DeliveryFailed, match="folder"):
        await FolderSender(FROM, tmp_path / "busy").deliver(LETTER)


def test_the_address_of_the_server_is_a_url() -> None:
    folder = Path("unused")
    assert make_sender("smtp://me:p%40ss@mail.example", sender=FROM, folder=folder) == SmtpSender(
        FROM, "mail.example", 587, "me", "p@ss"
    )
    assert make_sender("smtps://mail.example", sender=FROM, folder=folder) == SmtpSender(
        FROM, "mail.example", 465, use_tls=True
    )
    with pytest.raises(ValueError, match="smtp://"):
        make_sender("http://mail.example", sender=FROM, folder=folder)
