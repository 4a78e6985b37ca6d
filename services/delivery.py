"""Sending what is owed: lease, send, record; no transaction is open while a message is on its way."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Callable, Coroutine, Iterator
from collections.abc import Set as AbstractSet
from contextlib import AbstractAsyncContextManager
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

import structlog
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncSession

from core.crypto import Key
from integrations.delivery import TIMEOUT, UNANSWERED, Failed, Outcome, Reason, Refused
from integrations.email import EmailSender
from integrations.push import PushMessage, PushSender
from integrations.sms import SmsSender
from integrations.web_push import WebPushMessage, WebPushSender
from models.notifications import NotificationChannel, NotificationStatus, Platform
from services import letters, notifications
from services.isolation import Isolation
from services.notifications import Leased, Result, Settled

log = structlog.get_logger("jobs")

SENDING_SECONDS = 60.0
"""After so long a message counts as failed: well before its lease runs out and somebody else takes it."""

URGENT_AGAIN = 50
"""After so many other messages what has become urgent meanwhile has its turn."""

LEFT_OUT = 2
"""After so many failures of a provider that says nothing, or is not there, the others have the rest of the run."""

Counts = dict[str, int]

Done = tuple[Leased, list[Result]]
"""A message that was sent, and what was said about it."""

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
    def abreast(self) -> int:
        """In so many clinics messages are sent at the same time."""
        ...

    @property
    def ending(self) -> Callable[[], bool]:
        """Whether the process is about to stop."""
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

    In each clinic one message is taken at a time, leased at that moment: however slow a provider is, nobody else takes a
    message that is on its way; several clinics are served side by side. What is urgent goes first in all clinics, and has
    its turn again after every so many others. A provider that does not answer is left out for the rest of the run, so that
    it does not hold up the other ways; nor does a clinic in which something goes wrong hold up the next. Raises
    ClinicsFailed after all have had their turn.
    """
    if dry_run:
        async with reach.sweep() as session:
            return {"owed": await notifications.owed(session, at=at, clinic_id=reach.clinic_id)}
    run = _Delivery(reach, at)
    await run.round(urgent=True)
    await run.round(urgent=False)
    return run.isolation.end(run.counts)


class _Delivery:
    """One run: what it has done so far."""

    def __init__(self, reach: Reach, at: datetime) -> None:
        self.counts = Counter({"sent": 0, "failed": 0, "refused": 0})
        self.isolation = Isolation(off=reach.clinic_id is not None)
        self._reach, self._at, self._began = reach, at, reach.stopwatch()
        self._failed: set[UUID] = set()
        self._unanswered: Counter[str] = Counter()
        self._since_urgent = 0
        self._turns: defaultdict[UUID, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def round(self, *, urgent: bool) -> None:
        """Send what is due in all clinics, the one that waits longest first; only what is urgent, or everything."""
        self._since_urgent = 0
        if self._over():
            return
        async with self._reach.sweep() as session:
            owing = notifications.clinics_owing
            clinics = await owing(session, at=self._at, clinic_id=self._reach.clinic_id, urgent=urgent)
        waiting = iter(clinics)
        await asyncio.gather(*(self._one_by_one(waiting, urgent=urgent) for _ in range(self._reach.abreast)))

    async def _one_by_one(self, clinics: Iterator[UUID], *, urgent: bool) -> None:
        for clinic_id in clinics:
            if self._over():
                return
            with self.isolation.of(clinic_id):
                await self._clinic(clinic_id, urgent=urgent)

    async def _clinic(self, clinic_id: UUID, *, urgent: bool) -> None:
        async with self._reach.work(clinic_id) as session:
            await notifications.prepare(session, clinic_id, at=self._at)
        done: Done | None = None
        while True:
            turn = not urgent and self._since_urgent >= URGENT_AGAIN
            more = not turn and not self._over()
            moment = self._at + timedelta(seconds=self._passed())
            async with self._turns[clinic_id]:  # what is urgent may be sent beside this, and takes its turn
                taken, unfit = await self._step(clinic_id, done, moment, urgent=urgent, more=more)
                if unfit is not None:
                    await self._set_aside(clinic_id, moment, unfit, urgent=urgent)
            done = None
            if unfit is not None:
                continue
            if turn:
                await self.round(urgent=True)
            elif taken is None:
                return
            elif isinstance(taken, Settled):
                self.counts[_COUNTED[taken.status]] += 1
            else:
                done = taken, await _send(self._reach, taken)
                self._since_urgent += 1
                self._miss(_unanswered(*done))

    def _miss(self, providers: AbstractSet[str]) -> None:
        """Count who did not answer; says so when one is left out from now on."""
        self._unanswered.update(providers)
        for provider in providers:
            if self._unanswered[provider] == LEFT_OUT:
                log.error("no answer", code="provider_silent", provider=provider)

    async def _step(
        self, clinic_id: UUID, done: Done | None, at: datetime, *, urgent: bool, more: bool
    ) -> tuple[Leased | Settled | None, Exception | None]:
        """Record what became of one message and take the next, in one transaction.

        Where the next cannot be taken because of what is in it, the record stands all the same, and the error is given.
        """
        unfit: Exception | None = None
        try:
            return await self._in_one(clinic_id, done, at, urgent=urgent, more=more), None
        except Exception as error:
            if not more or not _unfit(error):
                raise
            unfit = error
        return await self._in_one(clinic_id, done, at, urgent=urgent, more=False), unfit

    async def _in_one(
        self, clinic_id: UUID, done: Done | None, at: datetime, *, urgent: bool, more: bool
    ) -> Leased | Settled | None:
        status, taken = None, None
        async with self._reach.work(clinic_id) as session:
            if done is not None:
                status = await notifications.record(session, *done, at=at)
            if more:
                channels, platforms = _ways(self._reach)
                taken = await notifications.lease(
                    session,
                    clinic_id,
                    at=at,
                    channels=channels,
                    platforms=platforms,
                    urgent=urgent,
                    without=self._failed,
                    silent={provider for provider, times in self._unanswered.items() if times >= LEFT_OUT},
                )
        if done is not None and status is not None:
            self.counts[_COUNTED[status]] += 1
            if status is NotificationStatus.FAILED:
                self._failed.add(done[0].id)
        return taken

    async def _set_aside(self, clinic_id: UUID, at: datetime, error: Exception, *, urgent: bool) -> None:
        """Let the others pass a message that cannot be taken. Raises the error where there is none."""
        async with self._reach.work(clinic_id) as session:
            there = await notifications.set_aside(session, clinic_id, at=at, urgent=urgent, without=self._failed)
        if not there:
            raise error
        log.error("not taken", clinic_id=str(clinic_id), error=type(error).__name__)
        self.counts["failed"] += 1

    def _over(self) -> bool:
        """Whether nothing further is begun."""
        return self._passed() > self._reach.patience or self._reach.ending()

    def _passed(self) -> float:
        return self._reach.stopwatch() - self._began


def _unfit(error: Exception) -> bool:
    """Tell whether an error is about what is in a row, not about the database, with which no other row would fare better."""
    state = getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None)
    if state is not None:
        return str(state)[:2] in {"22", "23"}  # data exceptions, broken constraints
    return isinstance(error, NoResultFound | ValueError)  # any other mistake is ours, and would strike every row


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


def _unanswered(leased: Leased, results: list[Result]) -> set[str]:
    """Give the providers that kept us waiting for nothing, or were not there; how many devices of theirs is all one."""
    targets = {target.device_id: target.provider for target in leased.targets}
    return {
        leased.provider if result.device_id is None else targets[result.device_id]
        for result in results
        if isinstance(result.outcome, Failed) and result.outcome.code in UNANSWERED
    }


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
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one message, the others go out
        return [Result(_internal(error))]


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
        return Failed(TIMEOUT)
    except Exception as error:  # noqa: BLE001 - a sender's mistake about one message; the others go out
        return _internal(error)


def _internal(error: Exception) -> Failed:
    log.error("not sent", error=type(error).__name__)
    return Failed("internal")
