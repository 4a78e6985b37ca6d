"""The caseload ranked, with reasons, in one statement and in pages that hold still while it changes.

A patient's place changes with every answer and every hour, so a page does not continue behind a place: its cursor holds
whom the pages before have shown, and the next page ranks everybody else as they stand then. Nobody is shown twice, and
nobody is passed over because he became more urgent meanwhile: he then stands first on the next page.
"""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import fetch
from core.errors import Invalid, Problem
from schemas.pages import Key, Page, Paged, UnknownCursor
from schemas.worklist import Reason, WorklistEntry, WorklistFilters, WorklistReason
from services import audit
from services.access import Action, Actor, require
from services.caseload import CASELOAD, EXPIRY_AHEAD, HELD_AFTER, REVIEW_AFTER, SIGNS, TAIL, WEIGHTS
from services.episodes import body_regions

__all__ = ["REVIEW_AFTER", "WEIGHTS", "browse", "check_regions"]

EVERYBODY = WorklistFilters()
MOST_SHOWN = 400
"""So many a cursor remembers; behind them it also goes by the place of the last one."""


class UnknownRegion(Invalid):
    """A filter asks for a body region that there is not."""


def check_regions(regions: Sequence[str], place: str) -> None:
    """Refuse words that no episode can have: the list would be empty, as if nobody needed help.

    place: JSON pointer of the regions. Raises UnknownRegion.
    """
    if not body_regions().issuperset(regions):
        raise UnknownRegion(Problem(place, "region_unknown", "This is not one of the body regions."))


async def browse(
    session: AsyncSession,
    actor: Actor,
    page: Page,
    *,
    wanted: WorklistFilters = EVERYBODY,
    search: str | None = None,
    at: datetime,
) -> Paged[WorklistEntry]:
    """Patients with an active care link to the caller, the most urgent first; inactive ones only with an alert.

    search: the beginning of either name in any case, or a whole record number. Raises UnknownCursor, UnknownRegion.
    """
    require(actor, Action.READ_WORKLIST)
    check_regions(wanted.body_region, "#/query/body_region")
    shown, behind = _shown(page.after)
    rows = await fetch(
        session,
        CASELOAD,
        actor.clinic_id,
        actor.therapist_id,
        at,
        REVIEW_AFTER,
        HELD_AFTER,
        EXPIRY_AHEAD,
        wanted.lead_only,
        search,
        wanted.reason,
        wanted.level,
        wanted.episode_status,
        wanted.body_region,
        wanted.overdue_only,
        shown,
        *(behind or (None, None)),
        page.limit + 1,
    )
    await audit.record(session, actor, "worklist.list", subject=("patient", None), at=at)
    told = rows[: page.limit]
    if told == rows:
        return Paged([_entry(row) for row in told], None)
    shown += [row["id"].bytes[-TAIL:] for row in told]
    if len(shown) > MOST_SHOWN or behind is not None:
        behind = told[-1]["urgency"], told[-1]["id"]
    kept = base64.b64encode(b"".join(shown[-MOST_SHOWN:])).decode()
    return Paged([_entry(row) for row in told], page.cursor_after((kept, *(behind or ()))))


def _shown(after: Sequence[Key] | None) -> tuple[list[bytes], tuple[int, UUID] | None]:
    """Read a cursor: the ends of the ids that were shown, and the place of the last one when they are too many."""
    match after:
        case None:
            return [], None
        case [str(kept)]:
            behind = None
        case [str(kept), int(urgency), UUID() as last]:
            behind = urgency, last
        case _:
            raise UnknownCursor
    ends = base64.b64decode(kept)
    return [ends[place : place + TAIL] for place in range(0, len(ends), TAIL)], behind


def _entry(row: asyncpg.Record) -> WorklistEntry:
    reasons = [
        {
            **_NOTHING,
            "code": Reason.ALERT,
            "alert_id": alert["id"],
            "level": alert["level"],
            "rule_id": alert["rule_id"],
            "since": alert["raised_at"],
            "respond_by": alert["respond_by"],
            "overdue": alert["overdue"],
        }
        for alert in row["alerts"]
    ]
    reasons += [
        {
            **_NOTHING,
            "code": code,
            "since": row[f"{code}_since"] if sign.since else None,
            "until": row[f"{code}_until"] if sign.until else None,
        }
        for code, sign in SIGNS.items()
        if row[code.value]
    ]
    known = {name: row[name] for name in _SAME}
    return WorklistEntry.model_validate(
        {
            **known,
            "patient_id": row["id"],
            "reasons": reasons,
            "last_check_in_on": row["answered_on"],
            "last_pain": row["pain_now"],
            "sessions_7_days": row["recent"],
        }
    )


_NOTHING: Mapping[str, Any] = {**dict.fromkeys(WorklistReason.model_fields), "overdue": False}
_SAME = sorted(
    WorklistEntry.model_fields.keys() - {"patient_id", "reasons", "last_check_in_on", "last_pain", "sessions_7_days"}
)
"""Fields of an entry that have the name of their column."""
