"""E-mail: SMTP, and a folder that stands for a mail server on one machine.

`deliver` raises DeliveryRefused when trying again is pointless, DeliveryFailed when it may help. The key becomes the
Message-ID, so a message that is sent twice can be known as one.
"""

import asyncio
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib

from core import clock

PERMANENT = 500
"""From this SMTP reply code on, a server will not take the message however often it is asked (RFC 5321, 4.2.1)."""

IMPLICIT_TLS_PORT = 465


class DeliveryRefused(Exception):  # noqa: N818 - the provider's answer
    """The provider will never deliver this; do not retry."""

    def __init__(self, code: str) -> None:
        """code: a word or a number of the provider's, never its text: that may quote the message."""
        super().__init__(code)
        self.code = code


class DeliveryFailed(Exception):  # noqa: N818 - the provider's answer
    """The provider could not deliver now; retry later."""

    def __init__(self, code: str) -> None:
        """code: a word or a number of the provider's, never its text: that may quote the message."""
        super().__init__(code)
        self.code = code


@dataclass(frozen=True)
class Letter:
    """An e-mail in plain text. key: id of what causes it, the same at every attempt."""

    to: str
    subject: str
    text: str
    key: str


class EmailSender(Protocol):
    """Whatever takes letters."""

    async def deliver(self, letter: Letter) -> None:
        """Hand a letter over. Raises DeliveryRefused, DeliveryFailed."""
        ...


def compose(letter: Letter, sender: str) -> EmailMessage:
    """Make the message. Raises DeliveryRefused for an address or subject that does not fit into a header."""
    message = EmailMessage()
    try:
        message["From"] = sender
        message["To"] = letter.to
        message["Subject"] = letter.subject
    except (ValueError, IndexError) as error:  # the header parser's ways of saying that this is no address
        raise DeliveryRefused("header") from error
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
    password: str | None = None
    use_tls: bool = False
    start_tls: bool | None = None
    timeout: float = 10.0

    async def deliver(self, letter: Letter) -> None:
        """Hand a letter to the server. Raises DeliveryRefused, DeliveryFailed."""
        try:
            await aiosmtplib.send(
                compose(letter, self.sender),
                hostname=self.host,
                port=self.port,
                username=self.username,
                password=self.password,
                use_tls=self.use_tls,
                start_tls=self.start_tls,
                timeout=self.timeout,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            _answer(max(each.code for each in error.recipients), error)
        except aiosmtplib.SMTPAuthenticationError as error:  # our own settings: mend them, and it goes out
            raise DeliveryFailed("authentication") from error
        except aiosmtplib.SMTPResponseException as error:
            _answer(error.code, error)
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise DeliveryFailed(type(error).__name__) from error


def _answer(code: int, error: Exception) -> None:
    if code >= PERMANENT:
        raise DeliveryRefused(str(code)) from error
    raise DeliveryFailed(str(code)) from error


@dataclass(frozen=True)
class FolderSender:
    """One file per letter in a folder, for one machine without a mail server; the same key overwrites."""

    sender: str
    folder: Path

    async def deliver(self, letter: Letter) -> None:
        """Write a letter as `<key>.eml`. Raises DeliveryFailed when the folder cannot be written."""
        message = compose(letter, self.sender)
        try:
            await asyncio.to_thread(self._write, letter.key, message.as_bytes())
        except OSError as error:
            raise DeliveryFailed("folder") from error

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
