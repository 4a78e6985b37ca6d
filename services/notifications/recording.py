"""What became of a message: what the provider said when we handed it over, and what it told us later."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from integrations.delivery import Accepted, Failed, Outcome, Reason, Refused
from models.notifications import (
    ClosedReason,
    Notification,
    NotificationChannel,
    NotificationReceipt,
    NotificationStatus,
    ReceiptStatus,
)
from services.notifications import addresses, leasing, passing, policy
from services.notifications.leasing import Leased

CLOSED = {Reason.ADDRESS_DEAD: ClosedReason.DEAD, Reason.OPTED_OUT: ClosedReason.OPTED_OUT}
"""Which refusals close an address; the others are about this message."""

NO_ADDRESS = Refused(Reason.UNFIT, "no_address")


@dataclass(frozen=True)
class Result:
    """What a provider said about one message, or about one device's copy of it."""

    outcome: Outcome
    device_id: UUID | None = None


async def record(
    session: AsyncSession, leased: Leased, results: Sequence[Result], *, at: datetime
) -> NotificationStatus:
    """Record how sending went, on one device or several; give the message's status.

    One device that took it is enough. What failed is tried again, as late as the provider asks, then by the next channel;
    what was refused goes by the next channel at once. Whoever took the message after our lease ran out has the last word,
    and so has what came in while it was on its way: that it was read in the app, or a receipt.
    """
    await session.execute(
        insert(NotificationReceipt).on_conflict_do_nothing(), [_receipt(leased, each, at) for each in results]
    )
    await _forget(session, leased, results, at)
    values = _values(leased, [each.outcome for each in results], at)
    done = await session.scalar(
        update(Notification)
        .where(
            Notification.clinic_id == leased.clinic_id,
            Notification.id == leased.id,
            Notification.attempts == leased.attempts,
            Notification.status.in_([NotificationStatus.OWED, NotificationStatus.FAILED]),
            ~Notification.tried.contains([leased.channel.value]),
        )
        .values(**values)
        .returning(Notification.id)
        .execution_options(synchronize_session=False)
    )
    if done is None and values["status"] is NotificationStatus.SENT:  # read in the app meanwhile: it rang all the same
        await session.execute(
            update(Notification)
            .where(
                Notification.clinic_id == leased.clinic_id,
                Notification.id == leased.id,
                Notification.status == NotificationStatus.DELIVERED,
                Notification.sent_at.is_(None),
            )
            .values(sent_at=at)
        )
    status: NotificationStatus = values["status"]
    if done and status in passing.LOST and leased.category in passing.PASSED_ON:
        await passing.pass_on(session, leased.clinic_id, leased.id, at=at)
    return status


def _receipt(leased: Leased, result: Result, at: datetime) -> dict[str, Any]:
    match result.outcome:
        case Accepted(reference=reference):
            status, code = ReceiptStatus.ACCEPTED, None
        case Refused(code=code):
            status, reference = ReceiptStatus.REFUSED, None
        case Failed(code=code):
            status, reference = ReceiptStatus.FAILED, None
    return {
        "clinic_id": leased.clinic_id,
        "notification_id": leased.id,
        "channel": leased.channel,
        "device_id": result.device_id,
        "status": status,
        "code": code,
        "reference": reference,
        "at": at,
    }


async def _forget(session: AsyncSession, leased: Leased, results: Sequence[Result], at: datetime) -> None:
    """Try nothing again where nobody is reached any more, or where somebody asked us to stop."""
    dead = []
    for each in results:
        outcome = each.outcome
        if not isinstance(outcome, Refused) or outcome.reason not in CLOSED:
            continue
        if each.device_id is not None:
            dead.append(each.device_id)
        elif leased.address is not None:
            reason = CLOSED[outcome.reason]
            await addresses.close(session, leased.channel, leased.address, reason, code=outcome.code, at=at)
    if dead:
        await leasing.retire(session, leased.clinic_id, dead, "dead", at=at)


def _values(leased: Leased, outcomes: Sequence[Outcome], at: datetime) -> dict[str, Any]:
    accepted = [each for each in outcomes if isinstance(each, Accepted)]
    if accepted:
        confirm_by = policy.confirm_by(leased.category, leased.channel, at, further=bool(leased.further))
        return {
            "status": NotificationStatus.SENT,
            "sent_at": at,
            "last_error": None,
            "reference": accepted[0].reference,
            "confirm_by": confirm_by,
        }
    failed = [each for each in outcomes if isinstance(each, Failed)]
    if failed:
        return _failed(leased, failed, at)
    codes = [each.code for each in outcomes if isinstance(each, Refused)]
    return _elsewhere(leased, NotificationStatus.REFUSED, codes[0], at)


def _failed(leased: Leased, failed: Sequence[Failed], at: datetime) -> dict[str, Any]:
    tries = leased.tries + 1
    asked = max((each.retry_after for each in failed if each.retry_after is not None), default=None)
    rule = policy.RULES[leased.category]
    wait = policy.retry(rule, tries=tries, attempts=leased.attempts, further=bool(leased.further), asked=asked)
    if wait is None:
        return _elsewhere(leased, NotificationStatus.DROPPED, failed[0].code, at)
    return {"status": NotificationStatus.FAILED, "last_error": failed[0].code, "tries": tries, "due_at": at + wait}


def _elsewhere(leased: Leased, status: NotificationStatus, code: str, at: datetime) -> dict[str, Any]:
    """Go on by the next channel; `status` where there is none."""
    if not leased.further:
        return {"status": status, "last_error": code}
    return {
        "status": NotificationStatus.FAILED,
        "last_error": code,
        "tries": 0,
        "tried": func.array_append(Notification.tried, leased.channel.value),
        "due_at": at,
    }


async def take_receipt(
    session: AsyncSession,
    clinic_id: UUID,
    notification_id: UUID,
    *,
    address: str,
    reference: str,
    outcome: Outcome | None,
    at: datetime,
) -> bool:
    """Take what the provider of text messages tells about one, later; tell whether it is news.

    outcome: None while it is under way. One that says it will not arrive sends the message by the next channel. A receipt
    of a message that we do not know, or that went by another channel since, changes nothing.
    """
    row = await session.scalar(
        select(Notification)
        .where(Notification.clinic_id == clinic_id, Notification.id == notification_id)
        .with_for_update()
    )
    if row is None or outcome is None:
        return False
    status = ReceiptStatus.FAILED
    if isinstance(outcome, Accepted):
        status = ReceiptStatus.DELIVERED
    elif isinstance(outcome, Refused):
        status = ReceiptStatus.REFUSED
    code = None if isinstance(outcome, Accepted) else outcome.code
    kept = insert(NotificationReceipt).values(
        clinic_id=clinic_id,
        notification_id=notification_id,
        channel=NotificationChannel.SMS,
        status=status,
        code=code,
        reference=reference,
        at=at,
    )
    new = await session.scalar(kept.on_conflict_do_nothing().returning(NotificationReceipt.id))
    if new is None:
        return False
    if isinstance(outcome, Refused) and outcome.reason in CLOSED and address:
        await addresses.close(
            session, NotificationChannel.SMS, address, CLOSED[outcome.reason], code=outcome.code, at=at
        )
    _heard(row, outcome, reference, at)
    await session.flush()
    return True


def _heard(row: Notification, outcome: Outcome, reference: str, at: datetime) -> None:
    ours = row.channel is NotificationChannel.SMS and row.reference in {None, reference}
    if not ours or row.status in {NotificationStatus.DELIVERED, NotificationStatus.REFUSED}:
        return
    row.reference = reference
    if isinstance(outcome, Accepted):
        row.status, row.confirm_by, row.last_error = NotificationStatus.DELIVERED, None, None
        row.sent_at = row.sent_at or at
        return
    row.status, row.confirm_by, row.due_at, row.sent_at = NotificationStatus.FAILED, None, at, None
    row.last_error, row.tries = outcome.code, 0
    row.tried = [*row.tried, NotificationChannel.SMS.value]
