"""Local twins: servers on this machine that answer as the providers document, keep what they took, and fail on demand."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from integrations.twins.fcm import FcmTwin
from integrations.twins.twilio import TwilioTwin
from integrations.twins.web_push import WebPushTwin
from integrations.web_push import make_key

ACCOUNT_SID = "AC00000000000000000000000000000000"


@dataclass(frozen=True)
class Twins:
    """Every provider on this machine. settings: values of `Settings` with which the channels lead here."""

    twilio: TwilioTwin
    fcm: FcmTwin
    browsers: WebPushTwin
    settings: dict[str, str | bool]


@asynccontextmanager
async def open_twins(
    *,
    auth_token: str = "twin",  # noqa: S107 - nobody's
    vapid_key: str | None = None,
    port: int = 0,
) -> AsyncIterator[Twins]:
    """Start them on loopback, on `port` and the two after it (0: any that are free). For tests and development."""
    twilio, fcm, browsers = TwilioTwin(ACCOUNT_SID, auth_token), FcmTwin(), WebPushTwin()
    async with AsyncExitStack() as stack:
        for place, twin in enumerate((twilio, fcm, browsers)):
            await twin.start(port and port + place)
            stack.push_async_callback(twin.close)
        yield Twins(
            twilio,
            fcm,
            browsers,
            {
                "twilio_account_sid": ACCOUNT_SID,
                "twilio_auth_token": auth_token,
                "twilio_sender": "+15005550006",
                "twilio_url": twilio.url,
                "fcm_credentials": fcm.credentials(),
                "fcm_url": fcm.url,
                "vapid_key": vapid_key or make_key(),
                "web_push_loopback": True,
            },
        )
