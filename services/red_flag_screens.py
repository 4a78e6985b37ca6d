"""Red-flag screens: what the patient must read comes first, and depends on nothing that is stored.

The advice is made of the answers alone. Whatever fails once they could be read (an unknown episode, a save that did not
work, a sign-in that has ended, a database that is away), the refusal still carries it as `advice`; the front door sees to
that by `advice_on`, with the number that works most widely. Without network there is no answer at all: apps must carry
the emergency text themselves, too.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import date, datetime
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import escalation, recurrence, red_flags
from clinical.levels import Level
from clinical.library import load
from clinical.red_flags import Screening
from core.database import TROUBLE
from core.errors import Conflict, Invalid, Problem, Refusal, Stale, Unavailable
from models.episodes import Episode
from models.identity import Role
from models.patients import Patient
from models.red_flag_screens import RedFlagLevel, RedFlagNote, RedFlagScreen, ScreenStatus
from schemas.pages import Page, Paged, fetch
from schemas.red_flag_screens import (
    RedFlagNoteRead,
    RedFlagQuestion,
    RedFlagQuestions,
    RedFlagScreenClose,
    RedFlagScreenCreate,
    RedFlagScreenRead,
)
from services import access, alerts, audit, flares, places, programs
from services.access import Action, Actor

WORDS = frozenset({"no", "yes", "unsure"})
"""Answers to a question."""


class EpisodeUnknown(Invalid):
    """The patient has no such episode."""


class ScreenClosed(Conflict):
    """This screen is closed."""


class ScreenNotSaved(Unavailable):
    """The answers could not be saved: follow the advice now, and send them again."""

    def __init__(self, advice: Mapping[str, Any]) -> None:
        """advice: what the patient must read, saved or not."""
        super().__init__()
        self.extras = {"advice": dict(advice)}


def questions(actor: Actor) -> RedFlagQuestions:
    """Give all questions, with the regions that must answer each. Raises Forbidden."""
    access.require(actor, Action.READ_INSTRUMENTS)
    rules = load().red_flags
    asked = {region: red_flags.required_questions(region) for region in rules.regions}
    found = [
        RedFlagQuestion(
            id=question.id,
            text=question.text,
            emergency=question.emergency,
            regions=[region for region, ids in asked.items() if question.id in ids],
        )
        for question in rules.questions
    ]
    return RedFlagQuestions(version=rules.version, answers=["no", "yes", "unsure"], questions=found)


async def create(
    session: AsyncSession, actor: Actor, patient_id: UUID, form: RedFlagScreenCreate, *, at: datetime
) -> RedFlagScreen:
    """Judge the answers, say what to do, keep them; suspend programs and alert the therapist where that is urgent.

    Raises NotFound, InvalidAnswers, EpisodeUnknown, ScreenNotSaved; all but the first with the advice for his country.
    """
    patient = await access.patient(session, actor, Action.SCREEN_RED_FLAGS, patient_id, at=at)
    country = await places.country_of(session, actor.clinic_id, patient_id)
    facts = {**form.facts.model_dump(), "age_years": _age(patient, at)}
    advice = _advice(form.answers, facts, country)
    try:
        return await _keep(session, actor, patient, form, facts, country, at=at)
    except Refusal as refusal:
        refusal.extras = {**refusal.extras, "advice": advice}
        raise
    except TROUBLE as error:
        raise ScreenNotSaved(advice) from error


async def browse(
    session: AsyncSession, actor: Actor, patient_id: UUID, page: Page, *, at: datetime
) -> Paged[RedFlagScreenRead]:
    """List a patient's screens with their notes, newest first. Raises NotFound."""
    await access.patient(session, actor, Action.READ_RECORD, patient_id, at=at)
    await audit.record(
        session, actor, "red_flag_screen.list", subject=("red_flag_screen", None), patient_id=patient_id, at=at
    )
    query = select(RedFlagScreen).where(
        RedFlagScreen.clinic_id == actor.clinic_id, RedFlagScreen.patient_id == patient_id
    )
    paged = await fetch(session, query, page, keys=(RedFlagScreen.screened_at, RedFlagScreen.id), descending=True)
    return Paged(await _with_notes(session, actor.clinic_id, paged.items), paged.next_cursor)


async def close(
    session: AsyncSession, actor: Actor, screen_id: UUID, form: RedFlagScreenClose, *, version: int, at: datetime
) -> RedFlagScreenRead:
    """Record that the patient was contacted or, with an outcome, how a human ended it; programs stay suspended.

    Notes stand beside those there are, each with who wrote it when. Raises NotFound, Stale, ScreenClosed.
    """
    row = await access.subject(session, actor, Action.CLOSE_RED_FLAGS, RedFlagScreen, screen_id, at=at, lock=True)
    if row.version != version:
        raise Stale(row.version)
    if row.status is ScreenStatus.CLOSED:
        raise ScreenClosed
    note = RedFlagNote(clinic_id=row.clinic_id, screen_id=row.id, note=form.note, at=at, by=actor.account_id)
    session.add(note)
    row.status, row.updated_at = ScreenStatus.CLINICIAN_CONTACTED, at
    if form.outcome is not None:
        row.status, row.outcome = ScreenStatus.CLOSED, form.outcome
        row.closed_at, row.closed_by = at, actor.account_id
    await session.flush()
    action = "red_flag_screen.contact" if form.outcome is None else "red_flag_screen.close"
    await audit.record(session, actor, action, subject=("red_flag_screen", screen_id), patient_id=row.patient_id, at=at)
    return (await _with_notes(session, row.clinic_id, [row]))[0]


async def _with_notes(session: AsyncSession, clinic_id: UUID, rows: Sequence[RedFlagScreen]) -> list[RedFlagScreenRead]:
    query = select(RedFlagNote).where(
        RedFlagNote.clinic_id == clinic_id, RedFlagNote.screen_id.in_([row.id for row in rows])
    )
    by_screen: dict[UUID, list[RedFlagNote]] = {}
    for note in await session.scalars(query.order_by(RedFlagNote.at, RedFlagNote.id)):
        by_screen.setdefault(note.screen_id, []).append(note)
    return [_read(row, by_screen.get(row.id, ())) for row in rows]


def _read(row: RedFlagScreen, notes: Sequence[RedFlagNote]) -> RedFlagScreenRead:
    read = RedFlagScreenRead.model_validate(row)
    texts = [text for text in (row.outcome_note, *(note.note for note in notes)) if text is not None]
    return read.model_copy(
        update={
            "outcome_note": "\n\n".join(texts) or None,
            "notes": [RedFlagNoteRead.model_validate(note) for note in notes],
        }
    )


def advice_on(body: Any) -> dict[str, Any] | None:
    """Say what to do from a screen that cannot be read as a whole: whatever known answers it holds count.

    None where it holds no answer. Where the patient is is not known here: the number is the one that works most widely.
    """
    given = body.get("answers") if isinstance(body, dict) else None
    if not isinstance(given, dict):
        return None
    answers = {str(key): value for key, value in given.items() if isinstance(value, str) and value in WORDS}
    return _advice(answers, {}, "") if answers else None


def _advice(answers: Mapping[str, str], facts: Mapping[str, int | None], country: str) -> dict[str, Any]:
    """Say what to do, from the answers that we know, whatever else came with them."""
    known = {question.id for question in red_flags.questions_for("")}
    screening = red_flags.screen(
        {question: answer for question, answer in answers.items() if question in known}, facts, body_region=""
    )
    return _told(screening.level, country)


def _told(level: Level, country: str) -> dict[str, Any]:
    told = red_flags.advice(level, country=country)
    return {**asdict(told), "level": level.value, "actions": list(told.actions)}


async def _keep(
    session: AsyncSession,
    actor: Actor,
    patient: Patient,
    form: RedFlagScreenCreate,
    facts: Mapping[str, int | None],
    country: str,
    *,
    at: datetime,
) -> RedFlagScreen:
    region = ""
    if form.episode_id is not None:
        region = await _region(session, actor, patient.id, form.episode_id)
    screening = red_flags.screen(form.answers, facts, body_region=region)
    row = RedFlagScreen(
        clinic_id=actor.clinic_id,
        patient_id=patient.id,
        episode_id=form.episode_id,
        trigger=form.trigger,
        answers=dict(form.answers),
        facts=dict(facts),
        rule_version=screening.rule_version,
        fired=[{**asdict(rule), "level": rule.level.value} for rule in screening.fired],
        level=RedFlagLevel(screening.level.value),
        complete=screening.complete,
        missing=list(screening.missing),
        advice=_told(screening.level, country),
        status=ScreenStatus.PATIENT_ADVISED if actor.role is Role.PATIENT else ScreenStatus.OPEN,
        screened_at=at,
        created_at=at,
        screened_by=actor.account_id,
    )
    session.add(row)
    await session.flush()
    if screening.level >= Level.URGENT_SAME_DAY:
        await programs.suspend(session, actor, patient.id, row.id, at=at)
    await _alert(session, row, screening, at=at)
    await flares.take_screen(session, actor, row, at=at)
    await audit.record(
        session, actor, "red_flag_screen.create", subject=("red_flag_screen", row.id), patient_id=patient.id, at=at
    )
    return row


async def _alert(session: AsyncSession, row: RedFlagScreen, screening: Screening, *, at: datetime) -> None:
    """Alert under ES01 what is urgent; what can wait, under the rule that found it: the advice promises a look."""
    context = escalation.CheckInContext(answers={}, on=at.date(), red_flag_level=screening.level)
    raised = [(each.rule_id, each.rule_version, each.level) for each in escalation.evaluate(context)]
    if not raised and screening.level > Level.NONE:
        found = next((rule.id for rule in screening.fired if rule.level == screening.level), alerts.UNSURE)
        raised = [(found, screening.rule_version, escalation.alert_level(screening.level))]
    for rule_id, rule_version, level in raised:
        await alerts.raise_alert(
            session,
            clinic_id=row.clinic_id,
            patient_id=row.patient_id,
            episode_id=row.episode_id,
            rule_id=rule_id,
            rule_version=rule_version,
            level=level,
            task=None,
            source=("red_flag_screen", row.id),
            inputs={
                "red_flag_level": screening.level.value,
                "fired": [rule.id for rule in screening.fired],
                "unsure": list(screening.unsure),
                "complete": screening.complete,
                "screen_rule_version": screening.rule_version,
            },
            at=at,
        )


async def _region(session: AsyncSession, actor: Actor, patient_id: UUID, episode_id: UUID) -> str:
    region = await session.scalar(
        select(Episode.body_region).where(
            Episode.clinic_id == actor.clinic_id, Episode.patient_id == patient_id, Episode.id == episode_id
        )
    )
    if region is None:
        raise EpisodeUnknown(Problem("/episode_id", "episode_unknown", "The patient has no such episode."))
    return region


def _age(patient: Patient, at: datetime) -> int:
    today: date = recurrence.local_date(at, patient.zone)
    born = patient.birth_date
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))
