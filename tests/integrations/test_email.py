import socket
from collections.abc import Iterator
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from integrations.delivery import Accepted, Failed, Outcome, Reason, Refused
from integrations.email import FolderSender, Letter, SmtpSender, classify, make_sender

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
    outcome = await SmtpSender(FROM, "127.0.0.1", port, "clinic", "right").deliver(LETTER)
    assert outcome == Accepted("<0198-key@physio.example>")
    message = message_from_bytes(desk.taken[0], policy=default)
    assert message["Message-ID"] == "<0198-key@physio.example>"
    assert message["To"] == "alice@patients.example"
    assert message["Auto-Submitted"] == "auto-generated"
    assert message.get_content().splitlines() == ["Something is waiting for you."]


@pytest.mark.parametrize(
    ("reply", "after_data", "outcome"),
    [
        ("550 no such user alice", "250 taken", Refused(Reason.BLOCKED, "550")),
        ("551 not here", "250 taken", Refused(Reason.BLOCKED, "551")),
        ("553 relaying denied", "250 taken", Refused(Reason.BLOCKED, "553")),
        ("550 5.1.1 alice is unknown", "250 taken", Refused(Reason.ADDRESS_DEAD, "550")),
        ("550 5.7.1 policy", "250 taken", Refused(Reason.BLOCKED, "550")),
        ("552 5.2.2 alice's mailbox is full", "250 taken", Refused(Reason.BLOCKED, "552")),
        ("451 come back later", "250 taken", Failed("451")),
        ("250 OK", "554 spam", Refused(Reason.BLOCKED, "554")),
        ("250 OK", "550 we do not like it", Refused(Reason.BLOCKED, "550")),
        ("250 OK", "552 5.3.4 too large", Refused(Reason.UNFIT, "552")),
        ("250 OK", "452 disk full", Failed("452")),
    ],
)
async def test_the_servers_answer_decides_whether_to_try_again(
    desk: Desk, port: int, reply: str, after_data: str, outcome: Outcome
) -> None:
    desk.reply, desk.after_data = reply, after_data
    assert await SmtpSender(FROM, "127.0.0.1", port).deliver(LETTER) == outcome


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("5.1.1 unknown", Reason.ADDRESS_DEAD),
        ("5.1.10 takes no mail", Reason.ADDRESS_DEAD),
        ("5.2.1 disabled", Reason.ADDRESS_DEAD),
        ("5.1.2 host not found", Reason.BLOCKED),
        ("5.1.8 bad sender", Reason.BLOCKED),
        ("5.1.100 ours alone", Reason.BLOCKED),
        ("no code, and 5.1.1 in the middle", Reason.BLOCKED),
    ],
)
def test_the_finer_code_counts_more_than_the_reply(said: str, reason: Reason) -> None:
    assert classify(554, said) == Refused(reason, "554")


async def test_a_wrong_password_or_a_server_that_is_away_is_worth_another_try(desk: Desk, port: int) -> None:
    wrong = SmtpSender(FROM, "127.0.0.1", port, "clinic", "canary-word")
    assert await wrong.deliver(LETTER) == Failed("authentication")
    assert await SmtpSender(FROM, "127.0.0.1", 1).deliver(LETTER) == Failed("unreachable")
    for canary in ("canary", "alice", "waiting", "reminder"):
        assert canary not in repr(wrong) + repr(LETTER)


async def test_a_server_that_says_nothing_is_left() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sender = SmtpSender(FROM, "127.0.0.1", silent.getsockname()[1], timeout=0.2)
        assert await sender.deliver(LETTER) == Failed("timeout")


async def test_a_header_cannot_be_smuggled_in(tmp_path: Path, desk: Desk, port: int) -> None:
    letter = Letter("alice@patients.example\r\nBcc: carol@x.example", "A short reminder", "Hello", "k")
    assert await FolderSender(FROM, tmp_path).deliver(letter) == Refused(Reason.UNFIT, "header")
    assert await SmtpSender(FROM, "127.0.0.1", port).deliver(letter) == Refused(Reason.UNFIT, "header")
    assert desk.taken == []


async def test_on_one_machine_letters_are_files_and_the_same_key_is_one(tmp_path: Path) -> None:
    sender = make_sender(None, sender=FROM, folder=tmp_path / "mail")
    await sender.deliver(LETTER)
    await sender.deliver(LETTER)
    (file,) = (tmp_path / "mail").iterdir()
    assert file.name == "0198-key.eml"
    assert file.stat().st_mode & 0o777 == 0o600
    (tmp_path / "busy").write_text("a file, not a folder")
    assert await FolderSender(FROM, tmp_path / "busy").deliver(LETTER) == Failed("folder")


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
