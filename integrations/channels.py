"""Every way out of the house in one hand: made once per process at a door, closed at its end."""

from dataclasses import dataclass, field
from email.utils import parseaddr
from types import TracebackType
from typing import Self

import httpx

from core.settings import Settings
from integrations.email import EmailSender, make_sender
from integrations.http import open_guarded_pool, open_pool
from integrations.push import FcmSender, PushSender, read_service_account
from integrations.sms import SmsSender, TwilioSender
from integrations.web_push import VapidSender, WebPushSender, read_key

RECEIPTS_PATH = "/v1/webhooks/sms/receipts"
"""Where Twilio tells us how a text message is doing, below our public address; `?key=` names the message."""
MESSAGES_PATH = "/v1/webhooks/sms"
"""Where Twilio hands over what people write to our number; set at Twilio for the number."""


@dataclass(frozen=True)
class Channels:
    """What is set goes out; None for a channel that is off. web_push_key: what browsers need to subscribe."""

    email: EmailSender
    sms: SmsSender | None
    push: PushSender | None
    web_push: WebPushSender | None
    web_push_key: str | None
    _pools: tuple[httpx.AsyncClient, ...] = field(repr=False)

    async def close(self) -> None:
        """Close every connection."""
        for pool in self._pools:
            await pool.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        await self.close()


def open_channels(settings: Settings) -> Channels:
    """Open what the settings ask for. Raises ValueError, naming the variable and never its value."""
    account = key = None
    if settings.fcm_credentials is not None:
        try:
            account = read_service_account(settings.fcm_credentials.get_secret_value())
        except ValueError as error:
            raise ValueError(f"PHYSIO_FCM_CREDENTIALS: {error}") from None
    if settings.vapid_key is not None:
        try:
            key = read_key(settings.vapid_key.get_secret_value())
        except ValueError as error:
            raise ValueError(f"PHYSIO_VAPID_KEY: {error}") from None
    pool, guarded = open_pool(), open_guarded_pool(loopback=settings.web_push_loopback)
    web_push = None
    if key is not None:
        contact = settings.vapid_contact or f"mailto:{parseaddr(settings.mail_from)[1]}"
        web_push = VapidSender(guarded, key, contact=contact, loopback=settings.web_push_loopback)
    return Channels(
        email=make_sender(
            None if settings.smtp_url is None else settings.smtp_url.get_secret_value(),
            sender=settings.mail_from,
            folder=settings.data_dir / "mail",
        ),
        sms=_sms(settings, pool),
        push=None if account is None else FcmSender(pool, account, url=settings.fcm_url.rstrip("/")),
        web_push=web_push,
        web_push_key=None if web_push is None else web_push.public_key,
        _pools=(pool, guarded),
    )


def _sms(settings: Settings, pool: httpx.AsyncClient) -> SmsSender | None:
    sid, token, sender = settings.twilio_account_sid, settings.twilio_auth_token, settings.twilio_sender
    if sid is None or token is None or sender is None:
        return None
    return TwilioSender(
        pool,
        account_sid=sid,
        auth_token=token.get_secret_value(),
        sender=sender,
        receipts=settings.public_url.rstrip("/") + RECEIPTS_PATH,
        url=settings.twilio_url.rstrip("/"),
    )
