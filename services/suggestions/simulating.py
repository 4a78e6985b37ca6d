"""What the rules would have said, day by day: over what was done, or over a history that is only supposed."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from clinical.library import load
from clinical.progression import Performed
from clinical.suggesting import Bounds, Day, Replay, Spell, replay, told
from core.errors import Invalid, NotFound, Problem
from models.programs import Program
from schemas.suggestions import (
    SimulatedDay,
    SimulatedItem,
    SimulationIn,
    SimulationRead,
    SupposedSession,
)
from services import access, audit
from services.access import Action, Actor
from services.suggestions.evaluating import bounds_of
from services.suggestions.prescribed import Item, Prescription, done, prescriptions

MOST_SESSIONS = 400
"""So many of the last sessions of an exercise are gone through."""


class HistoryRefused(Invalid):
    """The supposed history names what the program does not prescribe; see errors for each place."""


async def simulate(
    session: AsyncSession, actor: Actor, program_id: UUID, form: SimulationIn, *, at: datetime
) -> SimulationRead:
    """Go through the sessions at the present doses; nothing is written but that somebody looked.

    Of a program that is not in use the newest version is taken. Raises NotFound, HistoryRefused.
    """
    program = await access.subject(session, actor, Action.READ_SUGGESTIONS, Program, program_id, at=at)
    found = await prescriptions(session, actor.clinic_id, [program_id], at=at, in_use=False)
    if not found:
        raise NotFound
    prescription = found[0]
    subject = ("program", program_id)
    await audit.record(session, actor, "program.read", subject=subject, patient_id=program.patient_id, at=at)
    days: Mapping[UUID, Sequence[Day]]
    if form.history is None:
        past = await done(
            session,
            actor.clinic_id,
            ((prescription, item) for item in prescription.items),
            at=at,
            most=MOST_SESSIONS,
        )
        days = {
            item: [Day(each.on, each.performed, each.new_neurological_symptom) for each in sessions]
            for item, sessions in past.items()
        }
    else:
        days = _supposed(prescription, form.history)
    bounds = bounds_of(prescription.progression)
    return SimulationRead(
        program_id=program_id,
        version_id=prescription.version_id,
        rule_version=load().progression.version,
        items=[
            _item(
                item,
                days.get(item.id, []),
                bounds,
                None if form.history is not None else prescription.spells,
                follow=form.follow,
            )
            for item in prescription.items
        ],
    )


def _supposed(prescription: Prescription, history: Sequence[SupposedSession]) -> Mapping[UUID, list[Day]]:
    days: dict[UUID, list[Day]] = {item.id: [] for item in prescription.items}
    unknown = [
        Problem(f"/history/{place}/item_id", "item_unknown", "This is not prescribed in the version that holds.")
        for place, one in enumerate(history)
        if one.item_id not in days
    ]
    if unknown:
        raise HistoryRefused(*unknown)
    for one in history:
        performed = Performed(one.pain_during, one.rise_24h, one.completed_percent, one.effort, one.reason)
        days[one.item_id].append(Day(one.on, performed, one.new_neurological_symptom))
    return days


def _item(
    item: Item, days: Sequence[Day], bounds: Bounds, spells: Sequence[Spell] | None, *, follow: bool
) -> SimulatedItem:
    """Go through the days of an item. spells: the flare-ups of what was done; None for days that are only supposed."""
    first = min((day.on for day in days), default=None)
    since = first if spells is None or item.since is None else item.since
    found: Iterable[Replay] = ()
    if since is not None:
        found = replay(item.dose, item.ladder, days, since=since, names=item.names, follow=follow, spells=spells or ())
    return SimulatedItem(
        item_id=item.id,
        exercise_code=item.dose.code,
        name=item.name,
        days=[
            SimulatedDay.model_validate(
                {
                    "on": each.on,
                    "days_since_change": each.days_since_change,
                    "outcome": each.advised.decision.outcome.value,
                    "reasons": each.advised.decision.reasons,
                    "change": each.advised.change,
                    "from_dose": told(each.advised.before),
                    "to_dose": None if each.advised.after is None else told(each.advised.after),
                    "explanation": each.advised.explanation,
                    "within_bounds": bounds.allow(each.advised),
                }
            )
            for each in found
        ],
    )
