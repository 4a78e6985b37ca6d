"""E-mail: SMTP, and a folder that stands for a mail server on one machine.

The key becomes the Message-ID, so a message that is sent twice can be known as one.
"""

import asyncio
import re
from contextlib import suppress
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib

from core import clock
from integrations.delivery import TIMEOUT, UNREACHABLE, Accepted, Failed, Outcome, Reason, Refused

PERMANENT = 500
"""From this SMTP reply code on, a server will not take the message however often it is asked (RFC 5321, 4.2.1)."""

IMPLICIT_TLS_PORT = 465

TOTAL_SECONDS = 20.0
"""For a whole letter; a single step of the conversation has a shorter limit. Two of them fit into a run that delivers."""

GOODBYE_SECONDS = 2.0
"""For the end of the conversation, when the letter has been taken."""

DEAD = re.compile(r"5\.(1\.[136]|1\.10|2\.1)$")
"""Enhanced codes (RFC 3463, RFC 7505): no such mailbox, no address, it moved away, the host takes no mail, it is disabled.

The bare replies 550, 551 and 553, and a host that a relay does not find, are no proof: a relay that is set up wrongly
gives them to everybody."""

TOO_LARGE = re.compile(r"5\.(2\.3|3\.4)$")

_ENHANCED = re.compile(r"\s*(5\.\d{1,3}\.\d{1,3})\b")


class HeaderRefused(ValueError):  # noqa: N818 - it is refused
    """The address or the subject does not fit into a header."""


@dataclass(frozen=True)
class Letter:
    """An e-mail in plain text. key: id of what causes it, the same at every attempt."""

    to: str = field(repr=False)
    subject: str = field(repr=False)
    text: str = field(repr=False)
    key: str


class EmailSender(Protocol):
    """Whatever takes letters."""

    async def deliver(self, letter: Letter) -> Outcome:
        """Hand a letter over, once."""
        ...


def compose(letter: Letter, sender: str) -> EmailMessage:
    """Make the message. Raises HeaderRefused for an address or subject that does not fit into a header."""
    message = EmailMessage()
    try:
        message["From"] = sender
        message["To"] = letter.to
        message["Subject"] = letter.subject
    except (ValueError, IndexError) as error:  # the header parser's ways of saying that this is no address
        raise HeaderRefused from error
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = f"<{letter.key}@{sender.rpartition('@')[2].rstrip('>')}>"
    message["Auto-Submitted"] = "auto-generated"
    message.set_content(letter.text)
    return message


@dataclass(frozen=True)
class SmtpSender:
    """A mail server. start_tls None: use it where the server offers it."""

    sender: str
    host: str
    port: int
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    use_tls: bool = False
    start_tls: bool | None = None
    timeout: float = 10.0

    async def deliver(self, letter: Letter) -> Outcome:
        """Hand a letter to the server."""
        try:
            message = compose(letter, self.sender)
            async with asyncio.timeout(TOTAL_SECONDS):
                await self._hand_over(message)
        except HeaderRefused:
            return Refused(Reason.UNFIT, "header")
        except aiosmtplib.SMTPRecipientsRefused as error:
            (worst,) = error.recipients  # a letter has one
            return classify(worst.code, worst.message)
        except aiosmtplib.SMTPAuthenticationError:  # our own settings: mend them, and it goes out
            return Failed("authentication")
        except aiosmtplib.SMTPResponseException as error:
            return classify(error.code, error.message)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            return _failure(error)
        return Accepted(message["Message-ID"])

    async def _hand_over(self, message: EmailMessage) -> None:
        """Say what there is to say, and hang up: whoever is told to stop does not wait for a goodbye."""
        client = aiosmtplib.SMTP(
            hostname=self.host,
            port=self.port,
            username=self.username,
            password=self.password,
            use_tls=self.use_tls,
            start_tls=self.start_tls,
            timeout=self.timeout,
        )
        try:
            await client.connect()
            await client.send_message(message)
            with suppress(aiosmtplib.SMTPException, OSError):  # the letter is theirs by now
                await client.quit(timeout=GOODBYE_SECONDS)
        finally:
            client.close()


def _failure(error: Exception) -> Failed:
    if isinstance(error, TimeoutError):
        return Failed(TIMEOUT)
    return Failed(UNREACHABLE if isinstance(error, aiosmtplib.SMTPConnectError) else type(error).__name__)


def classify(code: int, said: str) -> Outcome:
    """Tell what a server's refusal means. Only an enhanced code that says so makes an address a dead one.

    said: the server's text; only an enhanced status code at its beginning is read.
    """
    if code < PERMANENT:
        return Failed(str(code))
    finer = _ENHANCED.match(said)
    if finer and TOO_LARGE.match(finer[1]):
        return Refused(Reason.UNFIT, str(code))
    dead = finer is not None and DEAD.match(finer[1]) is not None
    return Refused(Reason.ADDRESS_DEAD if dead else Reason.BLOCKED, str(code))


@dataclass(frozen=True)
class FolderSender:
    """One file per letter in a folder, for one machine without a mail server; the same key overwrites."""

    sender: str
    folder: Path

    async def deliver(self, letter: Letter) -> Outcome:
        """Write a letter as `<key>.eml`; it fails when the folder cannot be written."""
        try:
            message = compose(letter, self.sender)
            await asyncio.to_thread(self._write, letter.key, message.as_bytes())
        except HeaderRefused:
            return Refused(Reason.UNFIT, "header")
        except OSError:
            return Failed("folder")
        return Accepted(message["Message-ID"])

    def _write(self, key: str, content: bytes) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        fresh = self.folder / f".{key}.part"
        fresh.write_bytes(content)
        fresh.chmod(0o600)
        fresh.replace(self.folder / f"{key}.eml")


def make_sender(smtp_url: str | None, *, sender: str, folder: Path) -> EmailSender:
    """Make the sender for `smtp://user:password@host:587` or `smtps://…`; without a URL, letters go to `folder`.

    Raises ValueError for another kind of URL.
    """
    if smtp_url is None:
        return FolderSender(sender, folder)
    parts = urlsplit(smtp_url)
    if parts.scheme not in {"smtp", "smtps"} or not parts.hostname:
        raise ValueError("the mail server is smtp://host:port or smtps://host:port")
    use_tls = parts.scheme == "smtps"
    return SmtpSender(
        sender=sender,
        host=parts.hostname,
        port=parts.port or (IMPLICIT_TLS_PORT if use_tls else 587),
        username=unquote(parts.username) if parts.username else None,
        password=unquote(parts.password) if parts.password else None,
        use_tls=use_tls,
    )
