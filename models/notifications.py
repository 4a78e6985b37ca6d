"""What somebody must be told: owed rows, written in the transaction that causes them, and what became of them."""

from datetime import datetime, time
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Time, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from models.base import (
    IDENTITY,
    Base,
    Identified,
    Json,
    Made,
    OfClinic,
    Versioned,
    check,
    in_zone,
    index,
    of_clinic,
    within,
    words,
)


class NotificationStatus(StrEnum):
    """owed → sent → delivered, or back to failed when a receipt says so; failed is tried again.

    Ends: refused (nobody will take it), dropped (too many attempts), muted (the person or a limit of ours keeps it
    in the app), merged (an earlier one of its kind, sent at that moment, stands for it).
    """

    OWED = "owed"
    SENT = "sent"
    DELIVERED = "delivered"
    FAILED = "failed"
    REFUSED = "refused"
    DROPPED = "dropped"
    MUTED = "muted"
    MERGED = "merged"


class NotificationChannel(StrEnum):
    """How it reaches the person."""

    EMAIL = "email"
    SMS = "sms"
    PUSH = "push"
    IN_APP = "in_app"


class NotificationCategory(StrEnum):
    """What kind of message it is: the policy and the person's preferences go by it."""

    INVITATION = "invitation"
    CHECK_IN = "check_in"
    ALERT = "alert"
    RED_FLAG = "red_flag"
    SECURITY = "security"


class Notification(Identified, Made, Base):
    """One message owed to one account or address; the template's parameters are ids, codes and seeds, never health data.

    `dedupe_key` makes a repeat of the causing event owe it once. `channel` is where to begin, then the one it goes by;
    `tried` are the channels that failed, `tries` the attempts on the present one, `attempts` all of them. `reference` is
    the provider's id; `last_error` is why it failed or, of one that was not tried yet, why it waits; `merged` among the
    parameters holds the ids of those that it stands for. Without a receipt or a look by `confirm_by` the next channel is
    taken.
    """

    __tablename__ = "notifications"
    __table_args__ = (
        of_clinic(),
        within("patient_id", "patients"),
        UniqueConstraint("clinic_id", "dedupe_key"),
        check("attempts", "attempts BETWEEN 0 AND 20"),
        index("ix_notifications_due", "due_at", postgresql_where=text("status IN ('owed', 'failed')")),
        index(
            "ix_notifications_urgent",
            "due_at",
            postgresql_where=text("status IN ('owed', 'failed') AND category IN ('red_flag', 'security')"),
        ),
        index("ix_notifications_confirm_by", "confirm_by", postgresql_where=text("confirm_by IS NOT NULL")),
        index("ix_notifications_account_id", "account_id", "created_at", "id"),
        index(
            "ix_notifications_patient_id",
            "patient_id",
            "due_at",
            postgresql_where=text("template = 'check_in_reminder'"),
        ),
        index("ix_notifications_dead", "id", postgresql_where=text("status IN ('dropped', 'refused')")),
    )

    account_id: Mapped[UUID | None]
    patient_id: Mapped[UUID | None]
    address: Mapped[str | None]
    channel: Mapped[NotificationChannel] = mapped_column(words("channel", NotificationChannel))
    category: Mapped[NotificationCategory | None] = mapped_column(words("category", NotificationCategory))
    template: Mapped[str]
    parameters: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))
    dedupe_key: Mapped[str]
    status: Mapped[NotificationStatus] = mapped_column(
        words("status", NotificationStatus), server_default=NotificationStatus.OWED.value
    )
    due_at: Mapped[datetime]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    tried: Mapped[list[str]] = mapped_column(server_default=text("'{}'::text[]"))
    last_error: Mapped[str | None]
    reference: Mapped[str | None]
    sent_at: Mapped[datetime | None]
    confirm_by: Mapped[datetime | None]
    read_at: Mapped[datetime | None]


class ReceiptStatus(StrEnum):
    """What became of one attempt, in the provider's words and ours."""

    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    FAILED = "failed"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"


class NotificationReceipt(Identified, Base):
    """What became of one attempt on one channel, and what the provider told later. Never changed."""

    __tablename__ = "notification_receipts"
    __table_args__ = (
        of_clinic(),
        within("notification_id", "notifications"),
        index(
            "uq_notification_receipts_reference",
            "notification_id",
            "reference",
            "status",
            unique=True,
            postgresql_where=text("reference IS NOT NULL"),
        ),
        index("ix_notification_receipts_notification_id", "notification_id", "at"),
    )

    notification_id: Mapped[UUID]
    channel: Mapped[NotificationChannel] = mapped_column(words("channel", NotificationChannel))
    device_id: Mapped[UUID | None]
    status: Mapped[ReceiptStatus] = mapped_column(words("status", ReceiptStatus))
    code: Mapped[str | None]
    reference: Mapped[str | None]
    at: Mapped[datetime]


class Platform(StrEnum):
    """What a device is; it says which provider takes its messages."""

    ANDROID = "android"
    IOS = "ios"
    WEB = "web"


class Device(Identified, Versioned, Base):
    """A phone or browser that shows an account's messages: a Firebase token, or a Web Push subscription.

    It is retired when the provider knows it no more, its sign-in ends, or another account takes over the same token.
    """

    __tablename__ = "devices"
    __table_args__ = (
        of_clinic(),
        in_zone(),
        check("address", "(platform = 'web') = (endpoint IS NOT NULL) AND (platform = 'web') = (token IS NULL)"),
        check("keys", "(endpoint IS NULL) = (p256dh IS NULL) AND (endpoint IS NULL) = (auth IS NULL)"),
        index("ix_devices_account_id", "account_id", "last_seen_at"),
        index("ix_devices_token", "token", postgresql_where=text("retired_at IS NULL")),
        index("ix_devices_endpoint", "endpoint", postgresql_where=text("retired_at IS NULL")),
    )

    account_id: Mapped[UUID]
    sign_in_id: Mapped[UUID | None]
    platform: Mapped[Platform] = mapped_column(words("platform", Platform))
    token: Mapped[str | None]
    endpoint: Mapped[str | None]
    p256dh: Mapped[str | None]
    auth: Mapped[str | None]
    zone: Mapped[str]
    last_seen_at: Mapped[datetime]
    retired_at: Mapped[datetime | None]
    retired_reason: Mapped[str | None]


class NotificationPreference(OfClinic, Versioned, Base):
    """How an account wants to be told. What is null or missing in `channels` is as the policy has it.

    `channels` maps category to channel to yes or no; quiet hours are on the person's own clock, possibly over midnight.
    """

    __tablename__ = "notification_preferences"
    __table_args__ = (
        of_clinic(),
        check("quiet", "(quiet_from IS NULL) = (quiet_until IS NULL)"),
    )

    account_id: Mapped[UUID] = mapped_column(primary_key=True)
    language: Mapped[str | None]
    quiet_from: Mapped[time | None] = mapped_column(Time)
    quiet_until: Mapped[time | None] = mapped_column(Time)
    muted_until: Mapped[datetime | None]
    channels: Mapped[Json] = mapped_column(server_default=text("'{}'::jsonb"))


class ClosedReason(StrEnum):
    """Why nothing is sent to an address."""

    OPTED_OUT = "opted_out"
    DEAD = "dead"


class ClosedAddress(Made, Base):
    """A number or mailbox to which nothing is sent: the person said STOP, or nobody is reached there.

    Outside the clinics, like accounts: a number that said STOP to us said it to all of them. `opened_at`: it counts no
    more.
    """

    __tablename__ = "closed_addresses"
    __table_args__ = ({"schema": IDENTITY},)

    channel: Mapped[NotificationChannel] = mapped_column(words("channel", NotificationChannel), primary_key=True)
    address: Mapped[str] = mapped_column(primary_key=True)
    reason: Mapped[ClosedReason] = mapped_column(words("reason", ClosedReason))
    code: Mapped[str | None]
    closed_at: Mapped[datetime]
    opened_at: Mapped[datetime | None]
