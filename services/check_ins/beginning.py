"""How a flare-up begins, by an answer, a button or a therapist: with it begin the daily questions."""

from collections.abc import Collection, Sequence
from datetime import date, datetime, timedelta
from uuid import UUID

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import flares as rules
from clinical.library import load
from clinical.recurrence import local_date
from clinical.red_flags import required_questions
from core.database import fetch, fetchrow
from models.episodes import Episode, EpisodeStatus
from models.flares import Flare, FlareOpener, FlareStep
from models.patients import Patient
from models.red_flag_screens import RedFlagScreen
from services import audit, symptoms
from services import flare_records as records
from services.access import Actor
from services.check_ins import flaring
from services.programs.records import lock_patient

LONG_FLARE = "ES06"
"""The rule that calls the therapist; it is raised once for each flare-up."""

REVIEWED_EVERY = timedelta(hours=1)
"""How often the rules look at an open flare-up."""

_STANDING = """
SELECT id, opened_on, contacted_at FROM flares WHERE clinic_id = $1 AND patient_id = $2 AND closed_at IS NULL
"""

_BEFORE = """
SELECT a.pain_now, (a.answers ->> 'function_limit')::int AS limitation
FROM check_in_answers a
JOIN check_ins c ON c.clinic_id = a.clinic_id AND c.id = a.check_in_id
WHERE a.clinic_id = $1 AND a.patient_id = $2 AND c.episode_id = $3 AND a.question_set <> 'after_session'
  AND a.answered_at > $4::timestamptz - make_interval(days => $5) AND local_day(a.answered_at, $6) < $7
  AND a.answers -> 'flare' IS DISTINCT FROM 'true'::jsonb
"""


async def standing(session: AsyncSession, clinic_id: UUID, patient_id: UUID) -> asyncpg.Record | None:
    """Give id, first day and `contacted_at` of the patient's open flare-up; None where none is open."""
    return await fetchrow(session, _STANDING, clinic_id, patient_id)


async def begin(
    session: AsyncSession,
    actor: Actor,
    patient_id: UUID,
    episode_id: UUID,
    via: FlareOpener,
    *,
    triggers: Sequence[str] = (),
    check_in_id: UUID | None = None,
    at: datetime,
) -> Flare | None:
    """Begin a flare-up: the dose goes down now, questions come daily from tomorrow; None where one is open already.

    Nor does one begin in an episode that is over. In one on hold nothing is asked.
    """
    # the episode before the patient, as a hold and a discharge do: one that is under way is waited for, and seen
    query = select(Episode).where(Episode.clinic_id == actor.clinic_id, Episode.id == episode_id)
    held_still = query.with_for_update(read=True).execution_options(populate_existing=True)
    episode = (await session.scalars(held_still)).one()
    status = episode.status
    patient = await lock_patient(session, actor.clinic_id, patient_id)  # two that begin at once: the second one sees it
    if status is EpisodeStatus.DISCHARGED or await standing(session, actor.clinic_id, patient_id) is not None:
        return None
    today = local_date(at, patient.zone)
    pains, limitations = await _before(session, patient, episode_id, today, at)
    flare = Flare(
        clinic_id=actor.clinic_id,
        patient_id=patient_id,
        episode_id=episode_id,
        opened_via=via,
        opened_at=at,
        opened_on=today,
        opened_by=actor.account_id,
        triggers=[str(each) for each in triggers],
        baseline_pain=rules.baseline(pains),
        baseline_limitation=rules.baseline(limitations),
        review_at=at + REVIEWED_EVERY,
    )
    records.set_step(flare, FlareStep.REDUCED, ["opened"], today, at=at)
    screen = await _fresh_screen(session, actor.clinic_id, patient_id, episode.body_region, at)
    flare.screen_id = None if screen is None else screen.id
    session.add(flare)
    await session.flush()
    by = actor.account_id
    looked = {
        "opened_via": via.value,
        "check_in_id": None if check_in_id is None else str(check_in_id),
        "triggers": flare.triggers,
        "baseline_pain": flare.baseline_pain,
        "baseline_pain_answers": len(pains),
        "baseline_limitation": flare.baseline_limitation,
        "baseline_limitation_answers": len(limitations),
        **records.who(actor),
    }
    records.note(session, flare, records.OPENED, today, at=at, by=by, check_in_id=check_in_id, inputs=looked)
    if screen is not None:
        records.note(session, flare, records.SCREENED, today, at=at, by=by, inputs=records.screened(screen))
    await audit.record(session, actor, "flare.open", subject=("flare", flare.id), patient_id=patient_id, at=at)
    if status is not EpisodeStatus.ON_HOLD:
        await flaring.ask_daily(session, flare, patient.zone, actor=actor, at=at)
    return flare


async def follow_answer(
    session: AsyncSession,
    actor: Actor,
    patient_id: UUID,
    episode_id: UUID,
    check_in_id: UUID,
    known: asyncpg.Record | None,
    fired: Collection[str],
    *,
    at: datetime,
) -> None:
    """Do what follows from an answer that reports a flare-up: it begins, or the therapist was called.

    known: what stood before the answer. fired: the rules that the answer set off.
    """
    if known is None:
        via = FlareOpener.RULE
        await begin(session, actor, patient_id, episode_id, via, check_in_id=check_in_id, at=at)
    elif LONG_FLARE in fired:
        query = select(Flare).where(Flare.clinic_id == actor.clinic_id, Flare.id == known["id"]).with_for_update()
        flare = (await session.scalars(query.execution_options(populate_existing=True))).one()
        if flare.contacted_at is None:
            flare.contacted_at = at
            today = await records.day_of(session, flare, at)
            days = {"days": (today - flare.opened_on).days}
            records.note(session, flare, records.CONTACT, today, at=at, check_in_id=check_in_id, inputs=days)
            await session.flush()
            subject = ("flare", flare.id)
            await audit.record(session, actor, "flare.update", subject=subject, patient_id=patient_id, at=at)


async def _before(
    session: AsyncSession, patient: Patient, episode_id: UUID, today: date, at: datetime
) -> tuple[list[int], list[int]]:
    """Give pain and limitation as they were answered before, on days without a flare-up."""
    days = load().flares.baseline.days
    rows = await fetch(session, _BEFORE, patient.clinic_id, patient.id, episode_id, at, days, patient.zone, today)
    pains = [row["pain_now"] for row in rows if row["pain_now"] is not None]
    return pains, [row["limitation"] for row in rows if row["limitation"] is not None]


async def _fresh_screen(
    session: AsyncSession, clinic_id: UUID, patient_id: UUID, region: str, at: datetime
) -> RedFlagScreen | None:
    """Give the complete screen that was taken just before, and asked what this region must answer.

    None that is older than a new symptom: it knows nothing of that.
    """
    told_at = await symptoms.told_at(session, clinic_id, patient_id, at=at)
    since = at - timedelta(hours=load().flares.screen_hours)
    query = select(RedFlagScreen).where(
        RedFlagScreen.clinic_id == clinic_id,
        RedFlagScreen.patient_id == patient_id,
        RedFlagScreen.complete,
        RedFlagScreen.asked(required_questions(region)),
        RedFlagScreen.screened_at > since,
        RedFlagScreen.screened_at <= at,
        RedFlagScreen.screened_at >= (since if told_at is None else told_at),
    )
    return await session.scalar(query.order_by(RedFlagScreen.screened_at.desc(), RedFlagScreen.id.desc()).limit(1))
