"""Which instruments are asked in an episode, and when: planned by a therapist, due by rule, gone with the answer.

What is due stands in the row itself and is worked out anew with every change and every answer, so nothing has to run for
it; only reminders are a job's.
"""

from collections.abc import Collection, Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from clinical.administration import Schedule, next_due
from clinical.library import load
from clinical.recurrence import local_date
from core.database import fetch
from core.errors import Conflict, Invalid, Problem, Stale
from models.episodes import Episode, EpisodeStatus
from models.instrument_plans import InstrumentAsker, InstrumentOccasion, InstrumentPlan, InstrumentPlanStatus
from models.outcomes import Outcome
from models.patients import Patient
from schemas.instrument_plans import DueInstrument, InstrumentPlanChange, InstrumentPlanCreate
from schemas.pages import Page, Paged
from schemas.pages import fetch as fetch_page
from services import access, audit, episode_gate, instrument_imports, instruments
from services.access import Action, Actor

AT_ONCE = 500
"""Plans of which patients are reminded in one transaction."""

# For me(id, today): the patient and his local day; $1 the clinic. One row of JSON, the first due on top.
DUE = """(SELECT coalesce(jsonb_agg(to_jsonb(n) ORDER BY n.due_on, n.instrument), '[]') FROM (
       SELECT i.id AS plan_id, i.episode_id, i.instrument_code AS instrument, i.occasion, i.next_on AS due_on
       FROM instrument_plans i JOIN episodes e ON e.clinic_id = $1 AND e.id = i.episode_id
       WHERE i.clinic_id = $1 AND i.patient_id = me.id AND i.status = 'active' AND i.asked_of = 'patient'
         AND i.next_on <= me.today AND e.status NOT IN ('on_hold', 'discharged')
       ORDER BY i.next_on, i.id LIMIT 20) n)"""

_DUE_OF = f"""
WITH me AS MATERIALIZED (
  SELECT p.id, local_day($3, p.zone) AS today FROM patients p WHERE p.clinic_id = $1 AND p.id = $2
)
SELECT {DUE} AS instruments FROM me
"""  # noqa: S608 - built of constants

# $1 the clinic, $2 the moment, $3 so many, $4 the instruments that cannot be answered. One reminder for each time that it is
# due. Nobody is reminded in an episode that rests or is over, without an account, nor of what he could not answer: once he
# can, he is.
_REMIND = """
WITH due AS (
  UPDATE instrument_plans n SET reminded_on = n.next_on
  FROM (
    SELECT i.id FROM instrument_plans i
    JOIN patients p ON p.clinic_id = $1 AND p.id = i.patient_id AND p.account_id IS NOT NULL
    JOIN episodes e ON e.clinic_id = $1 AND e.id = i.episode_id AND e.status NOT IN ('on_hold', 'discharged')
    WHERE i.clinic_id = $1 AND i.status = 'active' AND i.asked_of = 'patient' AND i.next_on <= local_day($2, p.zone)
      AND i.reminded_on IS DISTINCT FROM i.next_on AND i.instrument_code <> ALL ($4::text[])
    ORDER BY i.next_on, i.id LIMIT $3 FOR UPDATE OF i SKIP LOCKED
  ) w
  WHERE n.clinic_id = $1 AND n.id = w.id
  RETURNING n.id, n.patient_id, n.next_on
), told AS (
  INSERT INTO notifications (clinic_id, account_id, patient_id, channel, category, template, parameters, dedupe_key, due_at)
  SELECT $1, p.account_id, d.patient_id, 'push', 'check_in', 'check_in_reminder',
         jsonb_build_object('instrument_plan_id', d.id),
         'instrument:' || d.id || ':' || d.next_on, $2
  FROM due d
  JOIN patients p ON p.clinic_id = $1 AND p.id = d.patient_id
  ON CONFLICT (clinic_id, dedupe_key) DO NOTHING RETURNING 1
)
SELECT (SELECT count(*) FROM due) AS taken, (SELECT count(*) FROM told) AS told
"""


class InstrumentPlanRefused(Invalid):
    """This plan does not fit the instrument, or asks for nothing."""


class InstrumentPlanStands(Conflict):
    """This instrument is planned in this episode already: change that plan."""


class InstrumentPlanEnded(Conflict):
    """This plan has ended: make another."""


async def browse(
    session: AsyncSession, actor: Actor, episode_id: UUID, page: Page, *, at: datetime
) -> Paged[InstrumentPlan]:
    """List an episode's plans, oldest first. Raises NotFound."""
    episode = await access.subject(session, actor, Action.READ_RECORD, Episode, episode_id, at=at)
    query = select(InstrumentPlan).where(
        InstrumentPlan.clinic_id == actor.clinic_id, InstrumentPlan.episode_id == episode_id
    )
    subject = ("instrument_plan", None)
    await audit.record(session, actor, "instrument_plan.list", subject=subject, patient_id=episode.patient_id, at=at)
    return await fetch_page(session, query, page, keys=(InstrumentPlan.created_at, InstrumentPlan.id))


async def create(
    session: AsyncSession, actor: Actor, episode_id: UUID, form: InstrumentPlanCreate, *, at: datetime
) -> InstrumentPlan:
    """Plan an instrument from today on.

    Raises NotFound, EpisodeClosed, UnknownInstrument, InstrumentNotLicensed, InstrumentPlanRefused, InstrumentPlanStands.
    """
    episode = await access.subject(session, actor, Action.PLAN_INSTRUMENTS, Episode, episode_id, at=at, lock=True)
    episode_gate.require_open(episode)
    instrument = await instruments.usable(session, actor, form.instrument, at=at)
    standing = exists().where(
        InstrumentPlan.clinic_id == actor.clinic_id,
        InstrumentPlan.episode_id == episode_id,
        InstrumentPlan.instrument_code == instrument.code,
        InstrumentPlan.status == InstrumentPlanStatus.ACTIVE,
    )
    if await session.scalar(select(standing)):
        raise InstrumentPlanStands
    plan = InstrumentPlan(
        clinic_id=actor.clinic_id,
        patient_id=episode.patient_id,
        episode_id=episode_id,
        instrument_code=instrument.code,
        starts_on=await _today(session, actor.clinic_id, episode.patient_id, at),
        status=InstrumentPlanStatus.ACTIVE,
        **form.model_dump(exclude={"instrument"}),
    )
    _check(plan)
    await _work_out(session, plan)
    session.add(plan)
    await session.flush()
    await _record(session, actor, "create", plan, at=at)
    return plan


async def update(
    session: AsyncSession,
    actor: Actor,
    plan_id: UUID,
    change: InstrumentPlanChange,
    *,
    version: int,
    at: datetime,
) -> InstrumentPlan:
    """Change or end a plan. Raises NotFound, Stale, InstrumentPlanEnded, InstrumentPlanRefused."""
    plan = await access.subject(session, actor, Action.PLAN_INSTRUMENTS, InstrumentPlan, plan_id, at=at, lock=True)
    if plan.version != version:
        raise Stale(plan.version)
    if plan.status is InstrumentPlanStatus.ENDED:
        raise InstrumentPlanEnded
    values = change.model_dump(exclude_unset=True)
    ends = values.pop("status", None) is not None
    with session.no_autoflush:
        for name, value in values.items():
            setattr(plan, name, value)
        _check(plan)
        await _work_out(session, plan)
    if ends:
        plan.status, plan.next_on, plan.occasion = InstrumentPlanStatus.ENDED, None, None
    plan.updated_at = at
    await session.flush()
    await _record(session, actor, "update", plan, at=at)
    return plan


async def due(session: AsyncSession, clinic_id: UUID, patient_id: UUID, *, at: datetime) -> list[DueInstrument]:
    """Give what a patient is to answer on his day, the first due on top."""
    (row,) = await fetch(session, _DUE_OF, clinic_id, patient_id, at)
    return await answerable(session, clinic_id, row["instruments"], at=at)


async def answerable(
    session: AsyncSession, clinic_id: UUID, found: Collection[Mapping[str, Any]], *, at: datetime
) -> list[DueInstrument]:
    """Leave out those whose answer would be refused, without a license in force. found: as `DUE` gives them."""
    if any(one["instrument"] in load().slots for one in found):
        unusable = await instrument_imports.unusable(session, clinic_id, at=at)
        found = [one for one in found if one["instrument"] not in unusable]
    return [DueInstrument.model_validate(one) for one in found]


async def follow_answers(session: AsyncSession, clinic_id: UUID, episode_id: UUID, code: str) -> None:
    """Work out anew when an instrument is due, now that it was answered in an episode."""
    query = select(InstrumentPlan).where(
        InstrumentPlan.clinic_id == clinic_id,
        InstrumentPlan.episode_id == episode_id,
        InstrumentPlan.instrument_code == code,
        InstrumentPlan.status == InstrumentPlanStatus.ACTIVE,
    )
    plan = await session.scalar(query.with_for_update().execution_options(populate_existing=True))
    if plan is not None:
        await _work_out(session, plan)
        await session.flush()


async def clinics_to_remind(session: AsyncSession, *, at: datetime) -> list[UUID]:
    """Clinics in which an instrument is due, or is on the next day. Runs as the sweeper, too."""
    return list(await session.scalars(select(InstrumentPlan.clinic_id).where(*_unreminded(at)).distinct()))


async def remind(session: AsyncSession, clinic_id: UUID, *, at: datetime, dry_run: bool = False) -> int:
    """Owe a reminder for the next instruments that are due, once each time; give how many. Safe to repeat."""
    unusable = await instrument_imports.unusable(session, clinic_id, at=at)
    if dry_run:
        query = select(func.count()).select_from(InstrumentPlan).where(InstrumentPlan.clinic_id == clinic_id)
        query = query.where(*_unreminded(at), InstrumentPlan.instrument_code.not_in(unusable))
        count: int = (await session.scalars(query)).one()
        return count
    told = 0
    while True:
        (row,) = await fetch(session, _REMIND, clinic_id, at, AT_ONCE, unusable)
        told += int(row["told"])
        if row["taken"] < AT_ONCE:
            return told


def _unreminded(at: datetime) -> tuple[ColumnElement[bool], ...]:
    return (
        InstrumentPlan.status == InstrumentPlanStatus.ACTIVE,
        InstrumentPlan.asked_of == InstrumentAsker.PATIENT,
        InstrumentPlan.next_on <= at.date() + timedelta(days=1),  # where the sun rises first
        InstrumentPlan.reminded_on.is_distinct_from(InstrumentPlan.next_on),
        # Columns by name: the sweeper may not read all of them.
        select(Patient.id)
        .where(
            Patient.clinic_id == InstrumentPlan.clinic_id,
            Patient.id == InstrumentPlan.patient_id,
            Patient.account_id.is_not(None),
        )
        .exists(),
        select(Episode.id)
        .where(
            Episode.clinic_id == InstrumentPlan.clinic_id,
            Episode.id == InstrumentPlan.episode_id,
            Episode.status.not_in([EpisodeStatus.ON_HOLD, EpisodeStatus.DISCHARGED]),
        )
        .exists(),
    )


# ------------------------------------------------------------------ what fits, and what follows
def _check(plan: InstrumentPlan) -> None:
    """Refuse what an instrument is not made for, and days that lie before the plan. Raises InstrumentPlanRefused."""
    problems = []
    if not plan.intake and plan.every_weeks is None and plan.report_on is None and plan.discharge_on is None:
        problems.append(Problem("", "nothing_asked", "Say when to ask: one of the four at least."))
    if plan.intake and load().measures[plan.instrument_code].frequency.never == "intake":
        problems.append(Problem("/intake", "not_at_intake", "This asks what has changed: not at the start."))
    problems += [
        Problem(f"/{name}", "in_the_past", "This day lies before the plan.")
        for name in ("report_on", "discharge_on")
        if getattr(plan, name) is not None and getattr(plan, name) < plan.starts_on
    ]
    if problems:
        raise InstrumentPlanRefused(*problems)


async def _work_out(session: AsyncSession, plan: InstrumentPlan) -> None:
    schedule = Schedule(plan.starts_on, plan.intake, plan.every_weeks, plan.report_on, plan.discharge_on)
    later = aliased(Outcome)
    last = select(func.max(Outcome.administered_on)).where(
        Outcome.clinic_id == plan.clinic_id,
        Outcome.episode_id == plan.episode_id,
        Outcome.instrument_code == plan.instrument_code,
        ~exists().where(later.clinic_id == plan.clinic_id, later.supersedes_id == Outcome.id),
    )
    found = next_due(schedule, await session.scalar(last), ahead_days=load().administration.ahead_days)
    plan.next_on = None if found is None else found[0]
    plan.occasion = None if found is None else InstrumentOccasion(found[1].value)


async def _today(session: AsyncSession, clinic_id: UUID, patient_id: UUID, at: datetime) -> date:
    query = select(Patient.zone).where(Patient.clinic_id == clinic_id, Patient.id == patient_id)
    return local_date(at, (await session.scalars(query)).one())


async def _record(session: AsyncSession, actor: Actor, verb: str, plan: InstrumentPlan, *, at: datetime) -> None:
    subject = ("instrument_plan", plan.id)
    await audit.record(session, actor, f"instrument_plan.{verb}", subject=subject, patient_id=plan.patient_id, at=at)
