"""The phones and browsers on which an account's messages show."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Conflict, Invalid, Problem
from integrations.web_push import is_endpoint
from models.notifications import Device, NotificationChannel
from schemas.notifications import DeviceIn
from services import access, audit
from services.access import Action, Actor
from services.notifications.owing import owe


class DeviceTaken(Conflict):
    """This id belongs to another device: make a new one."""


class EndpointRefused(Invalid):
    """This is not the address of a push service."""


async def put(
    session: AsyncSession, actor: Actor, device_id: UUID, form: DeviceIn, *, loopback: bool, at: datetime
) -> tuple[Device, bool]:
    """Register a device of the caller's, or tell that it is still there; give it, and whether it is new.

    The same token or subscription under another id, or another account, is retired: whoever signed in there last is told.
    The account's owner is told of a further device. loopback: a push service may be on this machine. Raises
    DeviceTaken, EndpointRefused.
    """
    access.require(actor, Action.RECEIVE_NOTIFICATIONS)
    subscription = form.subscription
    if subscription is not None and not is_endpoint(subscription.endpoint, loopback=loopback):
        raise EndpointRefused(Problem("/subscription/endpoint", "endpoint_refused", "Send the browser's own address"))
    row = await session.scalar(
        select(Device).where(Device.clinic_id == actor.clinic_id, Device.id == device_id).with_for_update()
    )
    if row is not None and row.account_id != actor.account_id:
        raise DeviceTaken
    new = row is None
    if row is None:
        await _tell(session, actor, device_id, at)
        row = Device(clinic_id=actor.clinic_id, id=device_id, account_id=actor.account_id, created_at=at)
        session.add(row)
    row.platform, row.zone, row.token = form.platform, form.zone, form.token
    row.endpoint = subscription.endpoint if subscription else None
    row.p256dh = subscription.keys.p256dh if subscription else None
    row.auth = subscription.keys.auth if subscription else None
    row.sign_in_id, row.last_seen_at, row.retired_at, row.retired_reason = actor.sign_in_id, at, None, None
    await _take_over(session, row, at)
    await session.flush()
    await audit.record(session, actor, "device.create" if new else "device.update", at=at, subject=("device", row.id))
    return row, new


async def _take_over(session: AsyncSession, row: Device, at: datetime) -> None:
    same: ColumnElement[bool] = Device.token == row.token if row.token else Device.endpoint == row.endpoint
    await session.execute(
        update(Device)
        .where(Device.clinic_id == row.clinic_id, same, Device.id != row.id, Device.retired_at.is_(None))
        .values(retired_at=at, retired_reason="replaced", version=Device.version + 1)
        .execution_options(synchronize_session=False)
    )


async def _tell(session: AsyncSession, actor: Actor, device_id: UUID, at: datetime) -> None:
    mine = select(Device.id).where(
        Device.clinic_id == actor.clinic_id, Device.account_id == actor.account_id, Device.retired_at.is_(None)
    )
    if await session.scalar(mine.limit(1)) is None:
        return
    await owe(
        session,
        clinic_id=actor.clinic_id,
        template="device_added",
        channel=NotificationChannel.EMAIL,
        dedupe_key=f"device_added:{device_id}",
        due_at=at,
        account_id=actor.account_id,
        patient_id=actor.patient_id,
        parameters={"device_id": str(device_id)},
    )
