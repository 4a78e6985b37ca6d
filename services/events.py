"""The feed of live updates: what happened in a clinic, in the order of its transactions, ids only.

Nothing is written for it where somebody did something: the audit row of that very transaction is the event. What sweeps
and rules do by themselves leaves rows in `events`, written by the statement that does it. Both carry the id of the
transaction that wrote them, and the feed is read only below the oldest transaction that is still under way: so one that
commits late is never skipped, and none is told twice.
"""

import base64
import binascii
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.crypto import Key, same
from core.database import driver, fetch
from models.identity import Role
from services import access, audit
from services.access import Action, Actor

KEPT = timedelta(hours=24)
"""For so long a client may be away and go on where it was; after that it is told to load everything anew."""

_LOOKED_BACK = KEPT + timedelta(hours=1)
"""Older rows are never told; a database that was restored into another server holds numbers of transactions to come."""

FIRST = UUID(int=0)
"""Before every row of a transaction."""

_SEAL, _TIME, _XID = 15, 6, 8  # bytes of a cursor; with the id 45, which is 60 characters
CURSOR_LIMIT = 60


class Position(NamedTuple):
    """A place in the feed of a clinic: everything up to and with this row was told."""

    xid: int
    id: UUID


class Bookmark(NamedTuple):
    """A place in the feed, and when it was its end: what a client keeps as the id of the last event."""

    position: Position
    at: datetime


@dataclass(frozen=True)
class Kind:
    """What an action is told as, and to whom: those who may do `read` to the patient whom it is about.

    staff: not to the patient himself; a draft is not there for him.
    """

    type: str
    read: Action
    staff: bool = False


KINDS: Mapping[str, Kind] = {
    # the clinic
    "clinic.update": Kind("clinic.updated", Action.READ_CLINIC),
    "therapist.create": Kind("therapist.created", Action.READ_STAFF),
    "therapist.update": Kind("therapist.updated", Action.READ_STAFF),
    "license.create": Kind("license.created", Action.READ_LICENSES),
    "license.verify": Kind("license.verified", Action.READ_LICENSES),
    "license.update": Kind("license.updated", Action.READ_LICENSES),
    "license.expire": Kind("license.expired", Action.READ_LICENSES),
    # the patient and the people around
    "patient.create": Kind("patient.created", Action.READ_PATIENTS),
    "patient.update": Kind("patient.updated", Action.READ_PATIENTS),
    "location.attest": Kind("patient_location.attested", Action.ATTEST_LOCATION),
    "care_link.create": Kind("care_link.created", Action.READ_CARE_TEAM),
    "care_link.end": Kind("care_link.ended", Action.READ_CARE_TEAM),
    "consent.create": Kind("consent.created", Action.READ_CONSENTS),
    "consent.withdraw": Kind("consent.withdrawn", Action.READ_CONSENTS),
    "consent.expire": Kind("consent.expired", Action.READ_CONSENTS),
    # the episode and what it holds
    "episode.create": Kind("episode.created", Action.READ_RECORD),
    "episode.update": Kind("episode.updated", Action.READ_RECORD),
    "episode.hold": Kind("episode.held", Action.READ_RECORD),
    "episode.reopen": Kind("episode.reopened", Action.READ_RECORD),
    "episode.discharge": Kind("episode.discharged", Action.READ_RECORD),
    "instrument_plan.create": Kind("instrument_plan.created", Action.READ_RECORD),
    "instrument_plan.update": Kind("instrument_plan.updated", Action.READ_RECORD),
    "outcome.create": Kind("outcome.created", Action.READ_RECORD),
    "red_flag_screen.create": Kind("red_flag_screen.created", Action.READ_RECORD),
    "red_flag_screen.contact": Kind("red_flag_screen.updated", Action.READ_RECORD),
    "red_flag_screen.close": Kind("red_flag_screen.closed", Action.READ_RECORD),
    "assessment.create": Kind("assessment.created", Action.READ_RECORD, staff=True),
    "assessment.update": Kind("assessment.updated", Action.READ_RECORD, staff=True),
    "assessment.sign": Kind("assessment.signed", Action.READ_RECORD),
    "goal.create": Kind("goal.created", Action.READ_RECORD),
    "goal.update": Kind("goal.updated", Action.READ_RECORD),
    "milestone.create": Kind("milestone.created", Action.READ_RECORD),
    "milestone.update": Kind("milestone.updated", Action.READ_RECORD),
    "lifestyle_target.create": Kind("lifestyle_target.created", Action.READ_RECORD),
    "lifestyle_target.update": Kind("lifestyle_target.updated", Action.READ_RECORD),
    "factor.log": Kind("factor.logged", Action.READ_RECORD),
    "report.create": Kind("report.created", Action.READ_RECORD, staff=True),
    "report.update": Kind("report.updated", Action.READ_RECORD, staff=True),
    "report.sign": Kind("report.signed", Action.READ_RECORD),
    # programs and sessions
    "program.create": Kind("program.created", Action.READ_RECORD, staff=True),
    "program_version.create": Kind("program_version.created", Action.READ_RECORD),
    "program_version.draft": Kind("program_version.created", Action.READ_RECORD, staff=True),
    "program.activate": Kind("program.activated", Action.READ_RECORD),
    "program.pause": Kind("program.paused", Action.READ_RECORD),
    "program.resume": Kind("program.resumed", Action.READ_RECORD),
    "program.complete": Kind("program.completed", Action.READ_RECORD),
    "program.supersede": Kind("program.superseded", Action.READ_RECORD),
    "program.suspend": Kind("program.suspended", Action.READ_RECORD),
    "program.phase_ready": Kind("program.phase_ready", Action.READ_SUGGESTIONS),
    "session.log": Kind("session.logged", Action.READ_RECORD),
    # what patients read
    "article_assignment.create": Kind("article_assignment.created", Action.READ_RECORD),
    "article_assignment.acknowledge": Kind("article_assignment.read", Action.READ_RECORD),
    "article_assignment.withdraw": Kind("article_assignment.withdrawn", Action.READ_RECORD),
    "suggestion.create": Kind("suggestion.created", Action.READ_SUGGESTIONS),
    "suggestion.accept": Kind("suggestion.accepted", Action.READ_SUGGESTIONS),
    "suggestion.reject": Kind("suggestion.rejected", Action.READ_SUGGESTIONS),
    "suggestion.apply": Kind("suggestion.applied", Action.READ_SUGGESTIONS),
    "suggestion.supersede": Kind("suggestion.superseded", Action.READ_SUGGESTIONS),
    # check-ins and alerts
    "check_in_plan.create": Kind("check_in_plan.created", Action.READ_RECORD),
    "check_in_plan.update": Kind("check_in_plan.updated", Action.READ_RECORD),
    "check_in_plan.pause": Kind("check_in_plan.paused", Action.READ_RECORD),
    "check_in_plan.resume": Kind("check_in_plan.resumed", Action.READ_RECORD),
    "check_in_plan.end": Kind("check_in_plan.ended", Action.READ_RECORD),
    "check_in.open": Kind("check_in.opened", Action.READ_RECORD),
    "check_in.answer": Kind("check_in.answered", Action.READ_RECORD),
    "check_in.miss": Kind("check_in.missed", Action.READ_RECORD),
    "check_in.excuse": Kind("check_in.excused", Action.READ_RECORD),
    "flare.open": Kind("flare.opened", Action.READ_RECORD),
    "flare.update": Kind("flare.updated", Action.READ_RECORD),
    "flare.close": Kind("flare.closed", Action.READ_RECORD),
    "adverse_event.create": Kind("adverse_event.reported", Action.READ_ADVERSE_EVENTS),
    "adverse_event.update": Kind("adverse_event.updated", Action.READ_ADVERSE_EVENTS),
    "adverse_event.review": Kind("adverse_event.reviewed", Action.READ_ADVERSE_EVENTS),
    "alert.raise": Kind("alert.raised", Action.READ_ALERTS),
    "alert.repeat": Kind("alert.repeated", Action.READ_ALERTS),
    "alert.overdue": Kind("alert.overdue", Action.READ_ALERTS),
    "alert.escalate": Kind("alert.escalated", Action.READ_ALERTS),
    "alert.hand_back": Kind("alert.handed_back", Action.READ_ALERTS),
    "alert.acknowledge": Kind("alert.acknowledged", Action.READ_ALERTS),
    "alert.assign": Kind("alert.assigned", Action.READ_ALERTS),
    "alert.resolve": Kind("alert.resolved", Action.READ_ALERTS),
    "alert.reopen": Kind("alert.reopened", Action.READ_ALERTS),
}
"""Which actions, of the audit trail and of `events`, are told as what, and who may know. What is not here is not told."""

SILENT = frozenset({"read", "list", "print", "follow", "export"})
"""Verbs of looks: nobody is told of those."""

SILENT_THINGS = frozenset(
    {
        "sign_in",
        "invitation",
        "account",
        "exercise",
        "instrument",
        "article",
        "program_template",
        "device",
        "notification_preference",
        "notification",
        "job",
        "worklist_view",
    }
)
"""Resources of which no change is told: nobody's record, or one's own shelf."""


@dataclass(frozen=True)
class Happened:
    """One event of the feed."""

    position: Position
    kind: Kind
    resource_id: UUID | None
    patient_id: UUID | None
    at: datetime


@dataclass(frozen=True)
class Stretch:
    """A part of the feed.

    horizon: the oldest transaction that was under way; all rows of earlier ones were there to be read. complete:
    whether there is nothing more below the horizon.
    """

    happened: Sequence[Happened]
    horizon: int
    complete: bool


_READ = """
SELECT h.horizon, e.* FROM (SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint AS horizon) h
LEFT JOIN LATERAL (
  SELECT * FROM (
    (SELECT a.xid, a.id, a.action, a.resource_id, a.patient_id, a.at FROM audit_events a
     WHERE a.clinic_id = $1 AND (a.xid, a.id) > ($2, $3) AND a.xid < h.horizon AND a.action = ANY ($4)
       AND uuid_extract_timestamp(a.id) > now() - $5::interval
     ORDER BY a.xid, a.id LIMIT $6)
    UNION ALL
    (SELECT s.xid, s.id, s.action, s.resource_id, s.patient_id, s.at FROM events s
     WHERE s.clinic_id = $1 AND (s.xid, s.id) > ($2, $3) AND s.xid < h.horizon AND s.action = ANY ($4)
       AND uuid_extract_timestamp(s.id) > now() - $5::interval
     ORDER BY s.xid, s.id LIMIT $6)
  ) both_sources
  ORDER BY xid, id LIMIT $6
) e ON true
ORDER BY e.xid, e.id
"""


async def horizon(session: AsyncSession, clinic_id: UUID) -> int:
    """Give the oldest transaction that is under way now."""
    return (await read(session, clinic_id, Position(2**62, FIRST), limit=1)).horizon


async def read(session: AsyncSession, clinic_id: UUID, after: Position, *, limit: int) -> Stretch:
    """Read the feed of the session's clinic after a position: the first `limit` events, none much older than KEPT."""
    rows = await fetch(session, _READ, clinic_id, after.xid, after.id, list(KINDS), _LOOKED_BACK, limit)
    happened = [
        Happened(
            Position(row["xid"], row["id"]), KINDS[row["action"]], row["resource_id"], row["patient_id"], row["at"]
        )
        for row in rows
        if row["xid"] is not None
    ]
    return Stretch(happened, rows[0]["horizon"], complete=len(happened) < limit)


async def follow(session: AsyncSession, actor: Actor, cursor: str | None, *, key: Key, at: datetime) -> Bookmark | None:
    """Begin to follow the feed; give where to go on.

    None for a cursor that is too old or not of this clinic: begin now, and load everything anew. Raises Forbidden.
    """
    access.require(actor, Action.FOLLOW_EVENTS)
    await audit.record(session, actor, "event.follow", subject=("event", None), patient_id=actor.patient_id, at=at)
    return None if cursor is None else bookmark_of(cursor, actor.clinic_id, key=key, at=at)


async def treated_by(
    session: AsyncSession, actors: Collection[Actor], happened: Sequence[Happened], *, at: datetime
) -> Mapping[UUID | None, Collection[UUID]]:
    """Give whom of these events' patients each therapist among the actors treats at this moment; see `reaches`."""
    patients = {one.patient_id for one in happened if one.patient_id is not None}
    therapists = {actor.therapist_id for actor in actors if actor.therapist_id is not None}
    if not patients or not therapists:
        return {}
    clinic_id = next(iter(actors)).clinic_id
    return await access.treated(session, clinic_id, therapists, patients, at=at)


def reaches(actor: Actor, one: Happened, treated: Mapping[UUID | None, Collection[UUID]]) -> bool:
    """Tell whether the actor may know of the event. treated: of `treated_by`, at the moment of sending."""
    if one.kind.staff and actor.role is Role.PATIENT:
        return False
    return access.reaches(actor, one.kind.read, one.patient_id, treated.get(actor.therapist_id, ()))


def cursor_of(bookmark: Bookmark, clinic_id: UUID, *, key: Key) -> str:
    """Write a bookmark as a client keeps it, sealed."""
    (xid, row_id), at = bookmark
    told = int(at.timestamp() * 1000).to_bytes(_TIME, "big") + xid.to_bytes(_XID, "big") + row_id.bytes
    return base64.urlsafe_b64encode(_seal(key, clinic_id, told) + told).decode()


def bookmark_of(cursor: str, clinic_id: UUID, *, key: Key, at: datetime) -> Bookmark | None:
    """Read a cursor; None for one that is not ours, of another clinic, or older than KEPT."""
    try:
        sealed = base64.b64decode(cursor, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        return None
    seal, told = sealed[:_SEAL], sealed[_SEAL:]
    if not same(seal, _seal(key, clinic_id, told)):
        return None
    given = datetime.fromtimestamp(int.from_bytes(told[:_TIME], "big") / 1000, UTC)
    if not at - KEPT < given:
        return None
    rest = told[_TIME:]
    return Bookmark(Position(int.from_bytes(rest[:_XID], "big"), UUID(bytes=rest[_XID:])), given)


def _seal(key: Key, clinic_id: UUID, told: bytes) -> bytes:
    return key.mac("event", clinic_id.bytes, told)[:_SEAL]


async def forget(session: AsyncSession) -> int:
    """Remove the sweeps' events that nobody can ask for any more; give how many. For the sweeper."""
    done: Any = await (await driver(session)).execute(
        "DELETE FROM events WHERE uuid_extract_timestamp(id) < now() - $1::interval", 2 * KEPT
    )
    return int(done.rsplit(" ", 1)[-1])
