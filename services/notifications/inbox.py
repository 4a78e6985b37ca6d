"""The list of messages in the app: a message to an account is there by being owed, whatever else becomes of it."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import NotFound
from models.notifications import (
    Notification,
    NotificationCategory,
    NotificationChannel,
    NotificationPreference,
    NotificationStatus,
)
from models.patients import Patient
from schemas.notifications import NotificationOut, NotificationSubject
from schemas.pages import Page, Paged, fetch
from services import access, audit
from services.access import Action, Actor
from services.notifications import leasing, policy, texts

SUBJECTS = ("alert_id", "check_in_id", "device_id", "instrument_plan_id")
"""Parameters that name what a message is about."""


async def browse(
    session: AsyncSession, actor: Actor, page: Page, *, unread: bool | None, at: datetime
) -> Paged[NotificationOut]:
    """List the caller's messages, the newest first, without those of categories that he keeps out of the app."""
    access.require(actor, Action.RECEIVE_NOTIFICATIONS)
    language, hidden = await _chosen(session, actor)
    query = select(Notification).where(*_mine(actor, at), _category_not_in(hidden))
    if unread is not None:
        query = query.where(Notification.read_at.is_(None) if unread else Notification.read_at.is_not(None))
    paged = await fetch(session, query, page, keys=(Notification.created_at, Notification.id), descending=True)
    await audit.record(
        session,
        actor,
        "notification.list",
        at=at,
        subject=("notification", None),
        patient_id=actor.patient_id,
    )
    return Paged([_shown(row, language) for row in paged.items], paged.next_cursor)


async def read(session: AsyncSession, actor: Actor, notification_id: UUID, *, at: datetime) -> NotificationOut:
    """Mark a message of the caller's as read, once; what still waits to be sent, or to be sent again, needs not.

    Raises NotFound.
    """
    access.require(actor, Action.RECEIVE_NOTIFICATIONS)
    query = select(Notification).where(*_mine(actor, at), Notification.id == notification_id)
    row = await session.scalar(query.with_for_update())
    if row is None:
        raise NotFound
    if row.read_at is None:
        row.read_at, row.confirm_by = at, None
        if row.status in {NotificationStatus.OWED, NotificationStatus.FAILED, NotificationStatus.SENT}:
            row.status = NotificationStatus.DELIVERED
            if row.sent_at is None:
                row.channel = NotificationChannel.IN_APP
        await session.flush()
        await audit.record(
            session, actor, "notification.read", at=at, subject=("notification", row.id), patient_id=actor.patient_id
        )
    language, _ = await _chosen(session, actor)
    return _shown(row, language)


def _mine(actor: Actor, at: datetime) -> tuple[ColumnElement[bool], ...]:
    """Condition: it is the caller's, its time has come, and no other stands for it."""
    owed = Notification.status == NotificationStatus.OWED
    begun = or_(
        Notification.status.not_in([NotificationStatus.OWED, NotificationStatus.MERGED]),
        and_(owed, Notification.attempts > 0),
        and_(owed, Notification.due_at <= at),
        and_(owed, Notification.last_error.is_not(None)),  # it was due, and waits elsewhere only: for the morning, say
    )
    return Notification.clinic_id == actor.clinic_id, Notification.account_id == actor.account_id, begun


def _category_not_in(hidden: list[NotificationCategory]) -> ColumnElement[bool]:
    return func.coalesce(Notification.category, "").not_in(hidden)


async def _chosen(session: AsyncSession, actor: Actor) -> tuple[str, list[NotificationCategory]]:
    """Give the caller's language, and the categories that he keeps out of the app."""
    preference = await session.scalar(
        select(NotificationPreference).where(
            NotificationPreference.clinic_id == actor.clinic_id, NotificationPreference.account_id == actor.account_id
        )
    )
    own = select(Patient.language).where(Patient.clinic_id == actor.clinic_id, Patient.id == actor.patient_id)
    spoken = await session.scalar(own) if actor.patient_id is not None else None
    channels = preference.channels if preference else {}
    hidden = [
        category
        for category in NotificationCategory
        if not policy.is_on(category, policy.IN_APP, leasing.switched(channels, category))
    ]
    return (preference.language if preference else None) or spoken or texts.ENGLISH, hidden


def _shown(row: Notification, language: str) -> NotificationOut:
    text = texts.shown(row.template, language)
    about: dict[str, Any] = {name: row.parameters[name] for name in SUBJECTS if name in row.parameters}
    name = next(iter(about), None)
    return NotificationOut(
        id=row.id,
        category=row.category or policy.CATEGORIES.get(row.template, NotificationCategory.CHECK_IN),
        template=row.template,
        title=text.title,
        text=text.text,
        about=None if name is None else NotificationSubject(type=name.removesuffix("_id"), id=about[name]),
        status=row.status,
        channel=row.channel,
        created_at=row.created_at,
        read_at=row.read_at,
    )
