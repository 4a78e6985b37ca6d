"""Messages to the caller over HTTP: the list in the app, devices, preferences."""

from typing import Annotated
from uuid import UUID

from fastapi import Depends, Query, Request, Response

from api.dependencies import Caller, Now, Session
from api.etags import created, etag
from api.pages import Page
from api.routes import Router
from api.state import state_of
from core.settings import Settings
from integrations import sealing
from integrations.jwt import to_base64url
from integrations.web_push import read_key
from models.notifications import Device
from schemas.base import Listing
from schemas.notifications import DeviceIn, DeviceOut, NotificationOut, PreferencesChange, PreferencesOut
from schemas.pages import Paged
from services.notifications import devices, inbox, preferences

router = Router("/v1", tags=["notifications"])


async def _settings(request: Request) -> Settings:
    return state_of(request).settings


async def _web_push_key(request: Request) -> str | None:
    secret = state_of(request).settings.vapid_key
    return None if secret is None else to_base64url(sealing.point(read_key(secret.get_secret_value()).public_key()))


Given = Annotated[Settings, Depends(_settings)]
"""The server's settings."""

WebPushKey = Annotated[str | None, Depends(_web_push_key)]
"""What a browser needs to subscribe; None where there is no push to browsers."""


@router.get("/notifications", response_model=Listing[NotificationOut])
async def list_notifications(
    page: Page,
    session: Session,
    actor: Caller,
    now: Now,
    unread: Annotated[bool | None, Query(description="true: only what is not read yet")] = None,
) -> Paged[NotificationOut]:
    """List the caller's messages, the newest first."""
    return await inbox.browse(session, actor, page, unread=unread, at=now)


@router.post("/notifications/{notification_id}/read")
async def read_notification(notification_id: UUID, session: Session, actor: Caller, now: Now) -> NotificationOut:
    """Mark a message as read; it is then not sent again by another channel."""
    return await inbox.read(session, actor, notification_id, at=now)


@router.get("/me/notification-preferences")
async def get_notification_preferences(
    response: Response, session: Session, actor: Caller, key: WebPushKey
) -> PreferencesOut:
    """Tell how the caller is told of what."""
    shown = await preferences.get(session, actor, web_push_key=key)
    etag(response, shown.version, shown)
    return shown


@router.patch("/me/notification-preferences")
async def update_notification_preferences(
    change: PreferencesChange, response: Response, session: Session, actor: Caller, now: Now, key: WebPushKey
) -> PreferencesOut:
    """Change how the caller is told; what is left out stays. What concerns safety cannot be switched off."""
    shown = await preferences.update(session, actor, change, web_push_key=key, at=now)
    etag(response, shown.version, shown)
    return shown


@router.put(
    "/me/devices/{device_id}",
    status_code=201,
    response_model=DeviceOut,
    responses={200: {"model": DeviceOut, "description": "This device was known, and is here again"}},
)
async def put_device(
    device_id: UUID, form: DeviceIn, response: Response, session: Session, actor: Caller, now: Now, given: Given
) -> Device:
    """Register a device for messages under an id (UUIDv7) that it made, or tell that it is still there."""
    row, new = await devices.put(session, actor, device_id, form, loopback=given.web_push_loopback, at=now)
    created(response, f"/v1/me/devices/{row.id}", row.version)
    if not new:
        response.status_code = 200
    return row
