"""Sending what is owed: lease, send, record; no transaction is open while a message is on its way."""

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.crypto import Key
from integrations.delivery import Failed, Outcome, Reason, Refused
from integrations.email import EmailSender
from integrations.push import PushMessage, PushSender
from integrations.sms import SmsSender
from integrations.web_push import WebPushMessage, WebPushSender
from models.notifications import NotificationChannel, NotificationStatus, Platform
from services import letters, notifications
from services.notifications import Leased, Result, Settled

SENDING_SECONDS = 60.0
"""After so long a message counts as failed: well before its lease runs out and somebody else takes it."""

Counts = dict[str, int]

_COUNTED = {
    NotificationStatus.SENT: "sent",
    NotificationStatus.DELIVERED: "in_app",
    NotificationStatus.FAILED: "failed",
    NotificationStatus.DROPPED: "failed",
    NotificationStatus.REFUSED: "refused",
    NotificationStatus.MUTED: "muted",
    NotificationStatus.OWED: "deferred",
}


class Reach(Protocol):
    """What sending needs of `services.jobs.Reach`; see there."""

    @property
    def sender(self) -> EmailSender:
        """E-mail, which is always there."""
        ...

    @property
    def sms(self) -> SmsSender | None:
        """Text messages; None: off."""
        ...

    @property
    def push(self) -> PushSender | None:
        """Push to phones; None: off."""
        ...

    @property
    def web_push(self) -> WebPushSender | None:
        """Push to browsers; None: off."""
        ...

    @property
    def public_url(self) -> str:
        """Where the app is."""
        ...

    @property
    def clinic_id(self) -> UUID | None:
        """The one clinic, None for all."""
        ...

    @property
    def key(self) -> Key:
        """The tokens' key."""
        ...

    @property
    def patience(self) -> float:
        """After so many seconds nothing further is begun."""
        ...

    @property
    def stopwatch(self) -> Callable[[], float]:
        """Seconds that pass."""
        ...

    def sweep(self, *, dry_run: bool = False) -> AbstractAsyncContextManager[AsyncSession]:
        """Open a transaction over everything in reach."""
        ...

    def work(self, clinic_id: UUID | None) -> AbstractAsyncContextManager[AsyncSession]:
        """Open a transaction of one clinic."""
        ...


async def deliver(reach: Reach, at: datetime, *, dry_run: bool) -> Counts:
    """Send all that is due.

    One message at a time, leased at the moment it is taken: however slow a provider is, nobody else takes a message that
    is on its way.
    """
    async with reach.sweep() as session:
        if dry_run:
            return {"owed": await notifications.owed(session, at=at, clinic_id=reach.clinic_id)}
        clinics = await notifications.clinics_owing(session, at=at, clinic_id=reach.clinic_id)
    counts = Counter({"sent": 0, "failed": 0, "refused": 0})
    began = reach.stopwatch()
    for clinic_id in clinics:
        async with reach.work(clinic_id) as session:
            await notifications.prepare(session, clinic_id, at=at)
        await _deliver_of(reach, clinic_id, at, began, counts)
    return dict(counts)


async def _deliver_of(reach: Reach, clinic_id: UUID, at: datetime, began: float, counts: Counter[str]) -> None:
    channels, platforms = _ways(reach)
    one: Leased | None = None
    results: list[Result] = []
    while True:
        passed = reach.stopwatch() - began
        moment = at + timedelta(seconds=passed)
        async with reach.work(clinic_id) as session:
            if one is not None:
                status = await notifications.record(session, one, results, at=moment)
                counts[_COUNTED[status]] += 1
            taken = None
            if passed <= reach.patience:
                taken = await notifications.lease(session, clinic_id, at=moment, channels=channels, platforms=platforms)
        if taken is None:
            return
        if isinstance(taken, Settled):
            one = None
            counts[_COUNTED[taken.status]] += 1
        else:
            one, results = taken, await _send(reach, taken)


def _ways(reach: Reach) -> tuple[AbstractSet[NotificationChannel], AbstractSet[Platform]]:
    """Give the channels and platforms that we can send by."""
    platforms = ({Platform.ANDROID, Platform.IOS} if reach.push else set()) | (
        {Platform.WEB} if reach.web_push else set()
    )
    channels = {NotificationChannel.EMAIL}
    if reach.sms is not None:
        channels.add(NotificationChannel.SMS)
    if platforms:
        channels.add(NotificationChannel.PUSH)
    return channels, platforms


async def _send(reach: Reach, leased: Leased) -> list[Result]:
    """Send a message by its channel, to all its devices at once."""
    try:
        if leased.channel is NotificationChannel.PUSH:
            pairs = list(letters.push_messages(leased))
            outcomes = await asyncio.gather(*(_in_time(_push(reach, message)) for _, message in pairs))
            return [Result(outcome, target.device_id) for (target, _), outcome in zip(pairs, outcomes, strict=True)]
        assert leased.address is not None, "a channel without an address is not taken"
        if leased.channel is NotificationChannel.SMS:
            assert reach.sms is not None, "a channel that is off is not taken"
            message = letters.text_message(leased, leased.address, url=reach.public_url)
            return [Result(await _in_time(reach.sms.deliver(message)))]
        letter = letters.write(leased, leased.address, url=reach.public_url, key=reach.key)
        return [Result(await _in_time(reach.sender.deliver(letter)))]
    except letters.Unwritable as error:
        return [Result(Refused(Reason.UNFIT, error.code))]


async def _push(reach: Reach, message: PushMessage | WebPushMessage) -> Outcome:
    if isinstance(message, PushMessage):
        assert reach.push is not None, "a platform that is off is not taken"
        return await reach.push.deliver(message)
    assert reach.web_push is not None, "a platform that is off is not taken"
    return await reach.web_push.deliver(message)


async def _in_time(sending: Coroutine[Any, Any, Outcome]) -> Outcome:
    try:
        async with asyncio.timeout(SENDING_SECONDS):
            return await sending
    except TimeoutError:
        return Failed("timeout")
