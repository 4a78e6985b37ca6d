"""When word of an alert reaches nobody: the next one in line is told, in the transaction in which that is known."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import as_identity, fetch
from models.identity import Account, AccountStatus
from models.notifications import NotificationCategory, NotificationStatus
from services.notifications.owing import owe_many

PASSED_ON = frozenset({NotificationCategory.RED_FLAG, NotificationCategory.ALERT})
"""What somebody must hear."""

LOST = frozenset({NotificationStatus.REFUSED, NotificationStatus.DROPPED, NotificationStatus.MUTED})
"""Ends of a message that nobody was reached by. What somebody must hear is muted by the person only, never by a limit."""

TO = "@"
"""What stands in a dedupe key between the occasion and whom it is told to."""

UNANSWERED = "alert_unanswered"
"""What those are told who do not treat the patient: that somebody must look, never at what."""

# The messages that this one stands for are passed on, too; an alert that somebody has taken up needs nobody else.
_LOST = """
SELECT n.id, split_part(n.dedupe_key, '@', 1) AS occasion, n.template, n.category, a.id AS alert_id, a.patient_id
FROM notifications n JOIN alerts a ON a.clinic_id = $1 AND a.id = (n.parameters ->> 'alert_id')::uuid
WHERE n.clinic_id = $1 AND a.status = 'open' AND n.id = ANY (ARRAY[$2::uuid] || ARRAY(
  SELECT jsonb_array_elements_text(coalesce(o.parameters -> 'merged', '[]'))::uuid FROM notifications o
  WHERE o.clinic_id = $1 AND o.id = $2))
"""

_TEAM = """
SELECT t.account_id FROM care_links l
JOIN therapists t ON t.clinic_id = l.clinic_id AND t.id = l.therapist_id AND t.status = 'active'
WHERE l.clinic_id = $1 AND l.patient_id = $2 AND l.during @> $3::timestamptz AND t.account_id IS NOT NULL
GROUP BY t.account_id ORDER BY bool_or(l.role = 'lead') DESC, min(lower(l.during)), t.account_id
"""

_OFFICE = "SELECT nullif(email, '') AS address FROM clinics WHERE id = $1"

_ADMINS = "SELECT account_id FROM identity.clinic_admins(ARRAY[$1::uuid], $2) ORDER BY account_id"

_TOLD = """
SELECT account_id, address, status NOT IN ('refused', 'dropped', 'muted') AND id NOT IN ($3, $4) AS stands
FROM notifications WHERE clinic_id = $1 AND (dedupe_key = ANY ($2::text[]) OR id = $3)
"""


async def pass_on(session: AsyncSession, clinic_id: UUID, notification_id: UUID, *, at: datetime) -> int:
    """Owe what a message says to the next one in line; give how many are new.

    Another therapist who is linked to the patient and can sign in, else the clinic's admins, else its own address; whoever
    wants a pause himself is passed by when it is his turn. Nobody,
    when another was told on the same occasion and may still hear of it, or when somebody has taken up the alert.
    """
    rows: list[dict[str, Any]] = []
    for lost in await fetch(session, _LOST, clinic_id, notification_id):
        rows += await _next(session, clinic_id, lost, notification_id, at)
    return await owe_many(session, rows)


async def _next(
    session: AsyncSession, clinic_id: UUID, lost: asyncpg.Record, ended: UUID, at: datetime
) -> Sequence[dict[str, Any]]:
    occasion = lost["occasion"]
    team = [row["account_id"] for row in await fetch(session, _TEAM, clinic_id, lost["patient_id"], at)]
    if lost["template"] == UNANSWERED:  # the team has had its turn
        team = []
    admins = [row["account_id"] for row in await fetch(session, _ADMINS, clinic_id, at)]
    keys = [occasion, f"{occasion}{TO}clinic", *(f"{occasion}{TO}{one}" for one in (*team, *admins))]
    told = await fetch(session, _TOLD, clinic_id, keys, lost["id"], ended)
    if any(row["stands"] for row in told):
        return []
    known = {row["account_id"] for row in told}
    left = [one for one in team if one not in known]
    able = await _able(session, left)
    following = next((one for one in left if one in able), None)
    if following is not None:
        return [_row(clinic_id, lost, lost["template"], at, account_id=following)]
    left = [one for one in admins if one not in known]
    if left:
        return [_row(clinic_id, lost, UNANSWERED, at, account_id=one) for one in left]
    (office,) = await fetch(session, _OFFICE, clinic_id)
    if office["address"] is None or office["address"] in {row["address"] for row in told}:
        return []
    return [_row(clinic_id, lost, UNANSWERED, at, address=office["address"])]


async def _able(session: AsyncSession, accounts: Sequence[UUID]) -> set[UUID]:
    if not accounts:
        return set()
    async with as_identity(session):
        query = select(Account.id).where(Account.id.in_(accounts), Account.status == AccountStatus.ACTIVE)
        return set(await session.scalars(query))


def _row(
    clinic_id: UUID,
    lost: asyncpg.Record,
    template: str,
    at: datetime,
    *,
    account_id: UUID | None = None,
    address: str | None = None,
) -> dict[str, Any]:
    urgent = lost["category"] == NotificationCategory.RED_FLAG
    return {
        "clinic_id": clinic_id,
        "template": template,
        "channel": "push" if urgent else "email",
        "category": lost["category"],
        "dedupe_key": f"{lost['occasion']}{TO}{account_id or 'clinic'}",
        "due_at": at,
        "account_id": account_id,
        "address": address,
        "patient_id": None,
        "parameters": {"alert_id": str(lost["alert_id"])},
    }
