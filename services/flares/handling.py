"""Flare-ups as people handle them: reported, looked at, steered by a therapist, closed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import escalation
from clinical.escalation import CheckInContext
from core.errors import Conflict, Invalid, NotFound, Problem, Stale
from models.episodes import Episode, EpisodeStatus
from models.flares import Flare, FlareEnd, FlareEvent, FlareOpener, FlareStep, FlareTrigger
from models.identity import Role
from schemas.flares import FlareChange, FlareClose, FlareCreate, FlareDetail, FlareEventRead, FlareRead
from schemas.pages import Page, Paged, fetch
from services import access, alerts, audit, episode_gate
from services import flare_records as records
from services.access import Action, Actor
from services.check_ins import beginning
from services.flares.ending import end

LONGEST_HOLD = timedelta(days=14)
"""How far ahead a therapist may keep the rules from moving the step; then a new assessment is due."""


class FlareStands(Conflict):
    """A flare-up of this patient is open already."""


class FlareClosed(Conflict):
    """This flare-up is over."""


class FlareWithoutEpisode(Conflict):
    """There is no course of treatment that this flare-up could belong to."""


class FlareRefused(Invalid):
    """This does not fit the flare-up."""


async def create(session: AsyncSession, actor: Actor, patient_id: UUID, form: FlareCreate, *, at: datetime) -> Flare:
    """Begin a flare-up of the newest episode, or of the one that is named; a patient's own raises ES05, too.

    Raises NotFound, EpisodeClosed, FlareWithoutEpisode, FlareStands, FlareRefused.
    """
    await access.patient(session, actor, Action.REPORT_FLARES, patient_id, at=at)
    triggers = _triggers(form.triggers)
    episode = await _episode(session, actor, patient_id, form.episode_id)
    via = FlareOpener.PATIENT if actor.role is Role.PATIENT else FlareOpener.THERAPIST
    flare = await beginning.begin(session, actor, patient_id, episode.id, via, triggers=triggers, at=at)
    if flare is None:
        episode_gate.require_open(episode)  # it was read anew: a discharge may have been faster
        raise FlareStands
    if via is FlareOpener.PATIENT:
        findings = [
            alerts.Finding.of(
                raised,
                clinic_id=flare.clinic_id,
                patient_id=patient_id,
                episode_id=episode.id,
                source=("flare", flare.id),
            )
            for raised in escalation.evaluate(CheckInContext(answers={"flare": True}, on=flare.opened_on))
        ]
        await session.flush()
        await alerts.raise_many(session, findings, at=at)
    return flare


async def browse(session: AsyncSession, actor: Actor, patient_id: UUID, page: Page, *, at: datetime) -> Paged[Flare]:
    """List a patient's flare-ups, newest first. Raises NotFound."""
    await access.patient(session, actor, Action.READ_RECORD, patient_id, at=at)
    await audit.record(session, actor, "flare.list", subject=("flare", None), patient_id=patient_id, at=at)
    query = select(Flare).where(Flare.clinic_id == actor.clinic_id, Flare.patient_id == patient_id)
    return await fetch(session, query, page, keys=(Flare.opened_at, Flare.id), descending=True)


async def get(session: AsyncSession, actor: Actor, flare_id: UUID, *, at: datetime) -> FlareDetail:
    """Give a flare-up with all that happened to it. Raises NotFound."""
    row = await access.subject(session, actor, Action.READ_RECORD, Flare, flare_id, at=at)
    query = select(FlareEvent).where(FlareEvent.clinic_id == actor.clinic_id, FlareEvent.flare_id == row.id)
    events = await session.scalars(query.order_by(FlareEvent.at, FlareEvent.id))
    await audit.record(session, actor, "flare.read", subject=("flare", row.id), patient_id=row.patient_id, at=at)
    read = FlareRead.model_validate(row).model_dump(exclude={"share_percent", "next_step"})
    return FlareDetail(**read, events=[FlareEventRead.model_validate(one) for one in events])


async def change(
    session: AsyncSession, actor: Actor, flare_id: UUID, form: FlareChange, *, version: int, at: datetime
) -> Flare:
    """Set the step of an open flare-up, and until when the rules leave it there.

    Raises NotFound, Stale, FlareClosed, FlareRefused.
    """
    flare = await _open(session, actor, Action.STEER_FLARES, flare_id, version, at=at)
    today = await records.day_of(session, flare, at)
    if form.held_until is not None and not today <= form.held_until <= today + LONGEST_HOLD:
        raise FlareRefused(Problem("/held_until", "hold_range", "A step is held from today on, for 14 days at most."))
    step, before = FlareStep(form.step), records.stands(flare)
    if step is not flare.step:
        records.set_step(flare, step, ["overridden"], today, at=at)
    flare.held_until = form.held_until
    flare.held_by = None if form.held_until is None else actor.account_id
    flare.updated_at = at
    until = None if form.held_until is None else form.held_until.isoformat()
    looked = {**before, "to_step": step.value, "to_held_until": until, **records.who(actor)}
    by = actor.account_id
    records.note(session, flare, records.OVERRIDDEN, today, at=at, by=by, inputs=looked, words=form.note)
    await session.flush()
    await audit.record(session, actor, "flare.update", subject=("flare", flare.id), patient_id=flare.patient_id, at=at)
    return flare


async def close(
    session: AsyncSession, actor: Actor, flare_id: UUID, form: FlareClose, *, version: int, at: datetime
) -> Flare:
    """Say that a flare-up is over: the usual dose is due again. Raises NotFound, Stale, FlareClosed, FlareRefused."""
    flare = await _open(session, actor, Action.REPORT_FLARES, flare_id, version, at=at)
    why = FlareEnd(form.reason)
    if why is FlareEnd.PLAN_CHANGED and actor.role is Role.PATIENT:
        raise FlareRefused(Problem("/reason", "reason_refused", "Only a therapist changes the plan."))
    if form.triggers is not None:
        flare.triggers = _triggers(form.triggers)
    await end(session, flare, why, await records.day_of(session, flare, at), actor=actor, at=at)
    return flare


async def _open(
    session: AsyncSession, actor: Actor, action: Action, flare_id: UUID, version: int, *, at: datetime
) -> Flare:
    """Lock an open flare-up for change. Raises NotFound, Stale, FlareClosed."""
    flare = await access.subject(session, actor, action, Flare, flare_id, at=at, lock=True)
    if flare.version != version:
        raise Stale(flare.version)
    if flare.closed_at is not None:
        raise FlareClosed
    return flare


def _triggers(given: Sequence[FlareTrigger]) -> list[str]:
    """Give the codes of what came before it. Raises FlareRefused when one is named twice."""
    if len(set(given)) != len(given):
        raise FlareRefused(Problem("/triggers", "repeated", "A trigger is named twice."))
    return [each.value for each in given]


async def _episode(session: AsyncSession, actor: Actor, patient_id: UUID, wanted: UUID | None) -> Episode:
    """Give the episode that is named, or the newest that is not over."""
    query = select(Episode).where(Episode.clinic_id == actor.clinic_id, Episode.patient_id == patient_id)
    if wanted is not None:
        query = query.where(Episode.id == wanted)
    else:
        query = query.where(Episode.status != EpisodeStatus.DISCHARGED)
    episode = await session.scalar(query.order_by(Episode.started_on.desc(), Episode.id.desc()).limit(1))
    if episode is None:
        raise FlareWithoutEpisode if wanted is None else NotFound
    episode_gate.require_open(episode)
    return episode
