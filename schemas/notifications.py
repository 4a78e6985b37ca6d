"""Messages in the app, the devices they ring on, and how somebody wants to be told."""

from typing import Annotated, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from models.notifications import NotificationCategory, NotificationChannel, NotificationStatus, Platform
from schemas.base import ClockTime, In, Instant, Out, UtcDatetime, ZoneName

Printable = Annotated[str, Field(pattern=r"^[!-~]+$")]
Base64Url = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+={0,2}$")]
Language = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$", max_length=35, examples=["pt-BR"])]


class SubscriptionKeys(In):
    """Keys of a browser's subscription, base64url."""

    p256dh: Annotated[Base64Url, Field(min_length=80, max_length=96)]
    auth: Annotated[Base64Url, Field(min_length=20, max_length=32)]


class SubscriptionIn(In):
    """A browser's subscription, as `PushSubscription.toJSON()` gives it, without `expirationTime`."""

    endpoint: Annotated[Printable, Field(min_length=12, max_length=2048)]
    keys: SubscriptionKeys


class DeviceIn(In):
    """A device: a phone with its Firebase `token`, or a browser (`web`) with its `subscription`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"platform": "android", "token": "fcm-registration-token-of-this-phone", "zone": "Europe/Berlin"},
                {
                    "platform": "web",
                    "subscription": {
                        "endpoint": "https://push.example.com/send/0198c0de",
                        "keys": {
                            "p256dh": "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvT"
                            "BHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
                            "auth": "BTBZMqHH6r4Tts7J_aSIgg",
                        },
                    },
                    "zone": "Europe/Berlin",
                },
            ]
        }
    )

    platform: Platform
    token: Annotated[Printable, Field(min_length=8, max_length=4096)] | None = None
    subscription: SubscriptionIn | None = None
    zone: ZoneName

    @model_validator(mode="after")
    def _fits_the_platform(self) -> Self:
        web = self.platform is Platform.WEB
        if (self.subscription is not None) != web or (self.token is None) != web:
            raise PydanticCustomError("device_address", "A browser has a subscription, a phone has a token")
        return self


class DeviceOut(Out):
    """A device on which messages ring; its token is not shown again. `version` is also the ETag."""

    id: UUID
    version: int
    platform: Platform
    zone: str
    last_seen_at: UtcDatetime
    created_at: UtcDatetime


class ChannelSwitches(Out):
    """By which channels a category goes; null for one that it never goes by."""

    email: bool | None
    sms: bool | None
    push: bool | None
    in_app: bool | None


class CategoryOut(Out):
    """What holds for one kind of message; a mandatory one cannot be switched off, an urgent one rings at any hour."""

    category: NotificationCategory
    mandatory: bool
    urgent: bool
    channels: ChannelSwitches


class PreferencesOut(Out):
    """How the caller is told. Quiet hours are on the clock of `zone`; equal times mean none.

    `web_push_key` is what a browser needs to subscribe (`applicationServerKey`); null where there is no push to browsers.
    `version` counts the caller's changes, from 1; the ETag begins with it.
    """

    version: int
    language: str
    languages: list[str]
    zone: str
    quiet_from: ClockTime | None
    quiet_until: ClockTime | None
    muted_until: UtcDatetime | None
    categories: list[CategoryOut]
    web_push_key: str | None


class Switches(In):
    """Which channels to switch on or off; what is left out stays as it is."""

    email: bool | None = None
    sms: bool | None = None
    push: bool | None = None
    in_app: bool | None = None


class CategoriesChange(In):
    """Which categories to change."""

    check_in: Switches | None = None
    alert: Switches | None = None
    red_flag: Switches | None = None
    security: Switches | None = None


class PreferencesChange(In):
    """What to change; null takes a choice back. Quiet hours come as a pair."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "language": "de",
                    "quiet_from": "22:00",
                    "quiet_until": "07:30",
                    "categories": {"check_in": {"sms": False, "push": True}},
                }
            ]
        }
    )

    language: Language | None = None
    quiet_from: ClockTime | None = None
    quiet_until: ClockTime | None = None
    muted_until: Instant | None = None
    categories: CategoriesChange | None = None


class NotificationSubject(Out):
    """What a message is about: the kind of thing, and its id."""

    type: str
    id: UUID


class NotificationOut(Out):
    """A message as the app's list shows it. `status` and `channel` tell what became of it outside of the app."""

    id: UUID
    category: NotificationCategory
    template: str
    title: str
    text: str
    about: NotificationSubject | None
    status: NotificationStatus
    channel: NotificationChannel
    created_at: UtcDatetime
    read_at: UtcDatetime | None
