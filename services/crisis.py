"""Whoever speaks of harming himself reads at once whom to call, kept or refused, and a human is told (ES02).

A few English words, and item 9 of the PHQ-9: no channel for it, and silence means nothing (docs/clinical-safety.md).
"""

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from datetime import datetime
from functools import wraps
from typing import Any, TypeVar, cast
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import escalation, red_flags
from core.database import TROUBLE
from core.errors import Refusal
from schemas.advice import Advice
from services import alerts, places
from services.access import Actor

Verb = TypeVar("Verb", bound=Callable[..., Awaitable[Any]])


def told_in_refusals(verb: Verb) -> Verb:
    """Let each refusal of what a patient sends, a form after an id, carry the advice that it asks for, for his country."""

    @wraps(verb)
    async def telling(session: AsyncSession, actor: Actor, subject_id: UUID, form: BaseModel, *, at: datetime) -> Any:
        try:
            return await verb(session, actor, subject_id, form, at=at)
        except Refusal as refusal:
            if actor.patient_id is not None and escalation.speaks_of_self_harm(form.model_dump()):
                country = await _country(session, actor.clinic_id, actor.patient_id)
                refusal.extras = {**refusal.extras, "advice": _advice(country, kept=False).model_dump()}
            raise

    return cast("Verb", telling)


async def advise(session: AsyncSession, clinic_id: UUID, patient_id: UUID) -> Advice:
    """Give what he must read now whose words are kept, with the numbers of the country where he is."""
    return _advice(await places.country_of(session, clinic_id, patient_id), kept=True)


def advice_on(body: Any) -> dict[str, Any] | None:
    """Say what to do from a body that could not be read as a whole; None where nobody speaks of harming himself.

    Where the patient is is not known here: the number is the one that works most widely.
    """
    return _advice("", kept=False).model_dump() if escalation.speaks_of_self_harm(body) else None


async def heed(
    session: AsyncSession,
    actor: Actor,
    words: Iterable[str],
    *,
    episode_id: UUID | None,
    source: tuple[str, UUID],
    at: datetime,
) -> Advice | None:
    """Tell a human where a patient's own words speak of harming himself, and give him what to do; None where they do not."""
    patient_id = actor.patient_id
    if patient_id is None or not any(map(escalation.has_crisis_word, words)):
        return None
    for raised in escalation.crisis_word():
        await alerts.raise_alert(
            session,
            clinic_id=actor.clinic_id,
            patient_id=patient_id,
            episode_id=episode_id,
            rule_id=raised.rule_id,
            rule_version=raised.rule_version,
            level=raised.level,
            task=raised.then,
            source=source,
            inputs=dict(raised.inputs),
            at=at,
        )
    return await advise(session, actor.clinic_id, patient_id)


async def _country(session: AsyncSession, clinic_id: UUID, patient_id: UUID) -> str:
    """Give where he is, or nothing where a refusal has left a transaction that answers no more."""
    try:
        return await places.country_of(session, clinic_id, patient_id)
    except TROUBLE:
        return ""


def _advice(country: str, *, kept: bool) -> Advice:
    told = asdict(red_flags.crisis_advice(country, kept=kept))
    return Advice.model_validate({**told, "actions": list(told["actions"])})
