"""A session measured against what was prescribed in its slot of its day: pure, but for the rows it was given."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from clinical.adherence import dose
from clinical.prescription import phase_on
from clinical.progression import stop_at_once
from core.errors import Conflict, Invalid, Problem
from schemas.sessions import SessionItemIn, SessionLog, SetIn
from services.sessions.contents import Content

SKEW = timedelta(minutes=5)
"""How far a device's clock may be ahead."""

OFFLINE = timedelta(hours=72)
"""How long after a change of the program a device may not know of it yet."""


class SessionRefused(Invalid):
    """The session does not fit the program; see errors for each place."""


class ProgramNotInForce(Conflict):
    """The program prescribed something else on that day: read it again."""


class ProgramSuspended(Conflict):
    """The program was suspended at that time: do not exercise, and follow the advice."""


class ProgramPaused(Conflict):
    """The program was paused at that time."""


_PRESCRIBED = (
    "exercise_code",
    "name",
    "sets",
    "reps",
    "hold_seconds",
    "duration_seconds",
    "load_kg",
    "load_label",
    "side",
    "pain_ceiling",
    "effort_ceiling",
)


def in_force(rows: Sequence[asyncpg.Record]) -> asyncpg.Record:
    """Give the row of the version that was in force on the session's day, or any."""
    return next((row for row in rows if row["in_force"]), rows[0])


def plan(
    rows: Sequence[asyncpg.Record], content: Content | None, form: SessionLog, on: date, at: datetime
) -> dict[str, Any]:
    """Give the version that was in force, with the items of its phase on that day by id. Raises what log raises.

    content: what that version prescribes; None when the items are of no version in reach.
    """
    if form.performed_at > at + SKEW:
        raise SessionRefused(Problem("/performed_at", "in_the_future", "A session is logged after it was done."))
    if form.supersedes_id is not None and not rows[0]["superseding"]:
        raise SessionRefused(Problem("/supersedes_id", "session_unknown", "There is no such session."))
    if content is None:
        raise SessionRefused(*_unknown(form, ()))
    row = in_force(rows)
    position = phase_on(content.phases, row["starts_on"], on)
    if position is None or not (row["in_force"] or row["over"]):
        raise SessionRefused(Problem("/performed_at", "before_program", "The program had not begun."))
    items = content.items[position]
    unknown = _unknown(form, items)
    if unknown:
        raise SessionRefused(*unknown)
    if not row["in_force"] and not (row["over_at"] is not None and form.performed_at < row["over_at"] + OFFLINE):
        raise ProgramNotInForce
    if row["pause"] is not None:
        raise ProgramSuspended if row["pause"] == "red_flag_suspended" else ProgramPaused
    return {**row, "items": items}


def _unknown(form: SessionLog, known: Mapping[UUID, Any] | Sequence[UUID]) -> list[Problem]:
    seen: set[UUID] = set()
    problems = []
    for place, item in enumerate(form.items):
        if item.item_id not in known:
            message = "This is not prescribed in the phase of that day."
            problems.append(Problem(f"/items/{place}/item_id", "item_unknown", message))
        elif item.item_id in seen:
            problems.append(Problem(f"/items/{place}/item_id", "item_repeated", "Each exercise comes once."))
        seen.add(item.item_id)
    return problems


def made(
    session_id: UUID, patient_id: UUID, plan: Mapping[str, Any], form: SessionLog, on: date, at: datetime
) -> dict[str, Any]:
    """Make the session as it will be stored and answered."""
    prescribed: Mapping[UUID, Mapping[str, Any]] = plan["items"]
    items = sorted((_item(item, prescribed[item.item_id]) for item in form.items), key=lambda item: item["position"])
    weekday = on.isoweekday()
    due = {
        key for key, item in prescribed.items() if weekday in item["weekdays"] and form.slot <= item["sessions_per_day"]
    } or {item.item_id for item in form.items}  # a session on a day without one is measured by itself
    counted = [item for item in items if item["item_id"] in due]
    pain = max((item.pain_during for item in form.items if item.pain_during is not None), default=None)
    return {
        "id": session_id,
        "patient_id": patient_id,
        "program_id": plan["program_id"],
        "version_id": plan["version_id"],
        "local_date": on,
        "slot": form.slot,
        "performed_at": form.performed_at,
        "device_zone": form.device_zone,
        "received_at": at,
        "pain_before": form.pain_before,
        "pain_after": form.pain_after,
        "effort": form.effort,
        "new_neurological_symptom": form.new_neurological_symptom,
        "note": form.note or "",
        "items_prescribed": len(due),
        "items_done": sum(item["done"] for item in counted),
        "dose_prescribed": sum(_dose(prescribed[key]) for key in due),
        "dose_done": sum(min(item["dose_done"], item["dose_prescribed"]) for item in counted),
        "supersedes_id": form.supersedes_id,
        "stop": stop_at_once(pain, new_neurological_symptom=form.new_neurological_symptom),
        "items": items,
    }


def _item(item: SessionItemIn, prescribed: Mapping[str, Any]) -> dict[str, Any]:
    done = sum(_amount(each, prescribed) for each in item.sets)
    return {
        "item_id": item.item_id,
        "position": prescribed["position"],
        "done": done > 0,
        "sets": [each.model_dump() for each in item.sets],
        "load_kg": max((each.load_kg for each in item.sets if each.load_kg is not None), default=None),
        "dose_prescribed": _dose(prescribed),
        "dose_done": done,
        "effort": item.effort,
        "pain_before": item.pain_before,
        "pain_during": item.pain_during,
        "pain_after": item.pain_after,
        "skip_reason": item.skip_reason,
        "note": item.note or "",
        "prescribed": {name: prescribed[name] for name in _PRESCRIBED},
    }


def _dose(item: Mapping[str, Any]) -> int:
    return dose(item["sets"], item["reps"], item["hold_seconds"], item["duration_seconds"])


def _amount(done: SetIn, prescribed: Mapping[str, Any]) -> int:
    """Give what a set amounts to in the unit in which the exercise was prescribed; 0 when it was not counted so."""
    if prescribed["reps"] is not None:
        return done.reps or 0
    return (done.hold_seconds if prescribed["hold_seconds"] is not None else done.duration_seconds) or 0
