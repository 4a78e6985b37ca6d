"""Outcome instruments answered: score them, compare with the baseline, tell whoever must know.

Scores are derived here and nowhere else. A correction is a new response that supersedes the old one.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, exists, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from clinical import escalation, recurrence, red_flags, scoring
from clinical.change import Change, Value, change
from clinical.escalation import Raised
from clinical.forms import Instrument
from clinical.library import load
from core.errors import Conflict, Invalid, Problem
from models.episodes import Episode
from models.outcomes import Outcome
from models.patients import Patient
from schemas.advice import Advice
from schemas.outcomes import OutcomeCreate, OutcomeRead, OutcomeScored
from schemas.pages import Page, Paged, fetch
from services import access, alerts, audit, episode_gate, instrument_plans, instruments, places
from services.access import Action, Actor
from services.crisis import told_in_refusals

SKEW = timedelta(minutes=5)
"""How far a device's clock may be ahead."""


class InstrumentTextChanged(Conflict):
    """The instrument was read in another version than the one that is asked now: read it again, and ask anew."""


class InstrumentVersionMissing(Invalid):
    """Say which version of this instrument was read."""


class AdministeredAtRefused(Invalid):
    """The time of the answers does not fit this episode."""


class SupersedesRefused(Conflict):
    """The response to correct is not the newest of its instrument here, or was corrected already."""


@told_in_refusals
async def create(
    session: AsyncSession, actor: Actor, episode_id: UUID, form: OutcomeCreate, *, at: datetime
) -> OutcomeScored:
    """Score the answers and keep them; alert the therapist where a rule says so.

    Raises NotFound, UnknownInstrument, InstrumentNotLicensed, InstrumentVersionMissing, InstrumentTextChanged,
    InvalidAnswers, EpisodeClosed, AdministeredAtRefused, SupersedesRefused.
    """
    episode = await access.subject(session, actor, Action.ANSWER_INSTRUMENTS, Episode, episode_id, at=at)
    episode_gate.require_open(episode)
    instrument = await instruments.usable(session, actor, form.instrument, at=at)
    _check_version(instrument, form.instrument_version)
    scored = _scored(instrument, form.answers)
    administered_at = form.administered_at or at
    zone = await session.scalar(
        select(Patient.zone).where(Patient.clinic_id == actor.clinic_id, Patient.id == episode.patient_id)
    )
    administered_on = recurrence.local_date(administered_at, zone or "UTC")
    if administered_at > at + SKEW or administered_on < episode.started_on:
        raise AdministeredAtRefused(
            Problem(
                "/administered_at", "administered_at_refused", "It must lie within the episode and not in the future."
            )
        )
    earlier = await _standing(session, actor.clinic_id, episode_id, instrument.code)
    if form.supersedes_id is not None:
        if form.supersedes_id not in {one.id for one in earlier}:
            raise SupersedesRefused
        earlier = [one for one in earlier if one.id != form.supersedes_id]
    baseline = next((one for one in earlier if one.administered_at <= administered_at), None)
    compared = None if baseline is None else _change(instrument, baseline, scored)
    row = Outcome(
        clinic_id=actor.clinic_id,
        patient_id=episode.patient_id,
        episode_id=episode_id,
        instrument_code=instrument.code,
        instrument_version=instrument.version,
        answers=form.answers,
        scores={key: _number(value) for key, value in scored.scores.items()},
        score_id=scored.primary,
        score=scored.primary_value,
        band=scored.band,
        prorated=scored.prorated,
        safety_unknown=scored.safety_unknown,
        fired=[{"id": rule.id, "action": rule.action, "level": rule.level.value} for rule in scored.fired],
        change=None if compared is None or baseline is None else _stored(compared, baseline.id),
        administered_at=administered_at,
        administered_on=administered_on,
        recorded_by=actor.account_id,
        supersedes_id=form.supersedes_id,
    )
    session.add(row)
    await session.flush()
    await instrument_plans.follow_answers(session, actor.clinic_id, episode_id, instrument.code)
    for raised in _raised(instrument, form, administered_on, compared):
        await alerts.raise_alert(
            session,
            clinic_id=actor.clinic_id,
            patient_id=row.patient_id,
            episode_id=episode_id,
            rule_id=raised.rule_id,
            rule_version=raised.rule_version,
            level=raised.level,
            task=raised.then,
            source=("outcome", row.id),
            inputs=dict(raised.inputs),
            at=at,
        )
    await audit.record(session, actor, "outcome.create", subject=("outcome", row.id), patient_id=row.patient_id, at=at)
    advice = None
    if any(rule.action == "safety_flow" for rule in scored.fired):
        country = await places.country_of(session, actor.clinic_id, row.patient_id)
        told = red_flags.crisis_advice(country)
        advice = Advice.model_validate({**asdict(told), "actions": list(told.actions)})
    read = OutcomeRead.model_validate(row).model_dump(exclude={"instrument"})
    return OutcomeScored.model_validate({**read, "instrument_code": instrument.code, "advice": advice})


async def browse(
    session: AsyncSession, actor: Actor, episode_id: UUID, page: Page, *, instrument: str | None, at: datetime
) -> Paged[Outcome]:
    """Responses of one episode, newest first. Raises NotFound."""
    episode = await access.subject(session, actor, Action.READ_RECORD, Episode, episode_id, at=at)
    query = select(Outcome).where(Outcome.clinic_id == actor.clinic_id, Outcome.episode_id == episode_id)
    if instrument is not None:
        query = query.where(Outcome.instrument_code == instrument)
    await audit.record(session, actor, "outcome.list", subject=("outcome", None), patient_id=episode.patient_id, at=at)
    return await fetch(session, query, page, keys=(Outcome.administered_at, Outcome.id), descending=True)


def standing(clinic_id: UUID) -> Select[Outcome]:
    """Responses of the clinic that no correction has replaced."""
    later = aliased(Outcome)
    return select(Outcome).where(
        Outcome.clinic_id == clinic_id,
        ~exists().where(later.clinic_id == clinic_id, later.supersedes_id == Outcome.id),
    )


async def _standing(session: AsyncSession, clinic_id: UUID, episode_id: UUID, code: str) -> list[Outcome]:
    """Responses to one instrument that stand, oldest first: the first one is the baseline."""
    query = standing(clinic_id).where(Outcome.episode_id == episode_id, Outcome.instrument_code == code)
    return list(await session.scalars(query.order_by(Outcome.administered_at, Outcome.id)))


async def activities(session: AsyncSession, clinic_id: UUID, episode_id: UUID, code: str) -> frozenset[str]:
    """Ids of the activities that the patient named in an episode, rated or not."""
    responses = await _standing(session, clinic_id, episode_id, code)
    return frozenset(one["id"] for response in responses for one in response.answers.get("activities", []))


def ratings(answers: dict[str, Any]) -> dict[str, int]:
    """Rated activities of a stored response, by id; empty for instruments without any."""
    rated = answers.get("activities", [])
    return {one["id"]: one["rating"] for one in rated if one.get("rating") is not None}


def _check_version(instrument: Instrument, read: str | None) -> None:
    """Refuse answers to another text. Raises InstrumentVersionMissing, InstrumentTextChanged.

    A shipped text changes with a release only, and its questions mean the same; that of a slot an admin may replace
    between the question and the answer, by another language or another order, and nobody could tell it from the answers.
    """
    if read is None and instrument.code in load().slots:
        raise InstrumentVersionMissing(
            Problem("/instrument_version", "missing", "Send the version that stood with the questions.")
        )
    if read is not None and read != instrument.version:
        raise InstrumentTextChanged


def _scored(instrument: Instrument, answers: Mapping[str, Any]) -> scoring.Scored:
    try:
        return scoring.score(instrument, answers)
    except scoring.InvalidAnswers as refusal:
        problems = (Problem(f"/answers{one.pointer}", one.code, one.message) for one in refusal.problems)
        raise scoring.InvalidAnswers(*problems) from None


def _change(instrument: Instrument, baseline: Outcome, scored: scoring.Scored) -> Change:
    return change(instrument, Value(baseline.score, ratings(baseline.answers)), scored)


def _stored(compared: Change, baseline_id: UUID) -> dict[str, Any]:
    kept = asdict(compared)
    kept["points"], kept["percent"] = _number(compared.points), _number(compared.percent)
    return {**kept, "activities_changed": list(compared.activities_changed), "baseline_id": str(baseline_id)}


def _number(value: Any) -> float | int | None:
    return value if value is None or isinstance(value, int) else float(value)


def _raised(instrument: Instrument, form: OutcomeCreate, on: date, compared: Change | None) -> list[Raised]:
    """Tell what staff must know: a worse outcome (ES11), a hint of self-harm (ES02), each with its inputs."""
    found = [] if compared is None else escalation.outcome_worse(instrument.code, compared)
    item9 = form.answers.get(escalation.ITEM9) if instrument.code == escalation.PHQ9 else None
    if isinstance(item9, int):
        found += escalation.evaluate(escalation.CheckInContext(answers={}, on=on, phq9_item9=item9))
    return found
