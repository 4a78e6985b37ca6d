"""Settings open channels; what is not set is off."""

import io
from pathlib import Path
from typing import Any

import pytest

from core.settings import Settings
from integrations.channels import open_channels
from integrations.delivery import Accepted
from integrations.email import FolderSender, SmtpSender
from integrations.http import open_pool
from integrations.push import PushMessage
from integrations.sms import TextMessage
from integrations.twins import open_twins
from integrations.web_push import Subscription, WebPushMessage, make_key


def settings(**changes: Any) -> Settings:
    return Settings(_env_file=None, **changes)


async def test_without_settings_only_mail_goes_out_and_into_a_folder(tmp_path: Path) -> None:
    async with open_channels(settings(data_dir=tmp_path)) as channels:
        assert isinstance(channels.email, FolderSender)
        assert (channels.sms, channels.push, channels.web_push, channels.web_push_key) == (None, None, None, None)


async def test_every_channel_reaches_its_twin(written: io.StringIO) -> None:
    key = make_key()
    async with open_twins(auth_token="canary-token", vapid_key=key) as twins:
        made = settings(
            smtp_url="smtp://me:canary-word@mail.example",
            mail_from="Riverside <clinic@physio.example>",
            **twins.settings,
        )
        async with open_channels(made) as channels:
            assert isinstance(channels.email, SmtpSender)
            assert channels.sms is not None
            assert channels.push is not None
            assert channels.web_push is not None
            assert channels.web_push_key is not None
            async with open_pool() as browser:
                got = await browser.post(f"{twins.browsers.url}/subscribe", content=channels.web_push_key.encode())
            to = Subscription(got.json()["endpoint"], **got.json()["keys"])
            outcomes = [
                await channels.sms.deliver(TextMessage("+14155550123", "Hello", "k")),
                await channels.push.deliver(PushMessage("device", "Hello", "Hello", "k")),
                await channels.web_push.deliver(WebPushMessage(to, b"{}", "k")),
            ]
            assert all(isinstance(each, Accepted) for each in outcomes)
            said = repr(channels) + repr(made) + written.getvalue()
    assert twins.twilio.taken[0]["StatusCallback"] == "http://127.0.0.1:8000/v1/webhooks/sms/receipts?key=k"
    assert twins.browsers.taken[0]["contact"] == "mailto:clinic@physio.example"
    for canary in ("canary", key, "PRIVATE KEY"):
        assert canary not in said


@pytest.mark.parametrize(
    ("changes", "name"),
    [({"fcm_credentials": "canary"}, "PHYSIO_FCM_CREDENTIALS"), ({"vapid_key": "canary"}, "PHYSIO_VAPID_KEY")],
)
def test_what_cannot_be_used_is_named_and_not_shown(changes: dict[str, str], name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name}: ") as refused:
        open_channels(settings(**changes))
    assert "canary" not in str(refused.value)
