"""Contributing factors: patients tell, under ids of their devices; therapists see them over time, next to pain."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from hashlib import sha256
from statistics import median
from typing import Any
from uuid import UUID

from sqlalchemy import exists, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from clinical import workstation
from clinical.answers import InvalidAnswers
from clinical.library import load
from clinical.recurrence import local_date
from core.database import fetch as fetch_rows
from core.errors import Conflict, Invalid, NotFound, Problem
from models.episodes import Episode, EpisodeStatus
from models.lifestyle import FactorEntry, FactorKind
from schemas.factors import (
    FactorEntryRead,
    FactorIn,
    Factors,
    MedicineUse,
    SelfCareDay,
    SelfCareIn,
    WorkExposure,
    WorkExposureIn,
    WorkstationCheckIn,
    WorkstationChecklist,
    WorkstationCheckOut,
    WorkstationComparison,
    WorkstationPoint,
)
from schemas.pages import Page, Paged, fetch
from schemas.progress import Point
from services import access, audit, daily_measures, progress
from services.access import Action, Actor

SKEW = timedelta(minutes=5)
"""How far a device's clock may be ahead."""

EARLIEST = timedelta(days=1)
"""How long before the episode's first day an entry may lie: days differ between zones."""

UUID_VERSION = 7

PAIN = "pain_now"

_MEDICINE = """
SELECT DISTINCT ON (d.day) d.day AS on, a.answers ->> 'medicine_use' AS medicine_use,
  (a.answers ->> 'opioid_use')::boolean AS opioid_use
FROM check_ins c
JOIN check_in_answers a ON a.clinic_id = c.clinic_id AND a.check_in_id = c.id
CROSS JOIN LATERAL (SELECT CASE WHEN a.late THEN local_day(a.answered_at, c.zone) ELSE c.local_date END AS day) d
WHERE c.clinic_id = $1 AND c.patient_id = $2 AND c.episode_id = $3 AND a.question_set = 'weekly'
  AND d.day BETWEEN $4 AND $5
ORDER BY d.day, a.answered_at DESC
"""


class EntryIdTaken(Conflict):
    """This id stands for another entry already."""


class EntrySupersededAlready(Conflict):
    """The entry to correct was corrected already."""


class EntryRefused(Invalid):
    """The entry's id, its time or what it corrects does not fit."""


class EntryWithoutEpisode(Conflict):
    """There is no course of treatment that this entry could belong to."""


def checklist(actor: Actor) -> WorkstationChecklist:
    """Give the present workstation check. Raises Forbidden."""
    access.require(actor, Action.READ_INSTRUMENTS)
    found = load().workstation
    return WorkstationChecklist(
        version=found.version,
        title=found.title,
        note=found.note,
        answers=list(found.answers),
        items=[WorkstationPoint.model_validate(item.model_dump()) for item in found.items],
    )


async def put_self_care(
    session: AsyncSession, actor: Actor, entry_id: UUID, form: SelfCareIn, *, at: datetime
) -> tuple[FactorEntryRead, bool]:
    """Keep something that the caller did for relief; see `_keep`."""
    return await _keep(session, actor, entry_id, FactorKind.SELF_CARE, form, at=at)


async def put_workstation_check(
    session: AsyncSession, actor: Actor, entry_id: UUID, form: WorkstationCheckIn, *, at: datetime
) -> tuple[FactorEntryRead, bool]:
    """Keep a check of the caller's workstation; see `_keep`. Raises InvalidAnswers, too."""
    return await _keep(session, actor, entry_id, FactorKind.WORKSTATION, form, at=at)


async def put_work_exposure(
    session: AsyncSession, actor: Actor, entry_id: UUID, form: WorkExposureIn, *, at: datetime
) -> tuple[FactorEntryRead, bool]:
    """Keep what the caller's work asks of the body; see `_keep`."""
    return await _keep(session, actor, entry_id, FactorKind.WORK_EXPOSURE, form, at=at)


async def _keep(
    session: AsyncSession, actor: Actor, entry_id: UUID, kind: FactorKind, form: FactorIn, *, at: datetime
) -> tuple[FactorEntryRead, bool]:
    """Keep an entry of the caller; tell whether it is new (the same again is not, and changes nothing).

    Raises Forbidden, NotFound for an episode out of reach, EntryRefused (also where there is no such entry to correct),
    EntryIdTaken, EntrySupersededAlready, EntryWithoutEpisode.
    """
    access.require(actor, Action.LOG_FACTORS)
    patient_id = actor.patient_id
    if patient_id is None:
        raise NotFound
    session.info[access.SUBJECT] = patient_id
    if entry_id.version != UUID_VERSION:
        raise EntryRefused(Problem("#/path/entry_id", "not_uuid7", "Make the id as a UUID of version 7."))
    digest = sha256(kind.value.encode() + form.model_dump_json().encode()).digest()
    stored = await _stored(session, actor, entry_id)
    if stored is not None:
        return await _again(session, actor, stored, digest, at=at), False
    if isinstance(form, WorkstationCheckIn):
        _check_answers(form)
    episode = await _episode(session, actor, patient_id, form.episode_id)
    on = _day(form, episode, at)
    if form.supersedes_id is not None:
        await _correctable(session, actor, kind, form.supersedes_id)
    content = form.model_dump(mode="json", exclude={*FactorIn.model_fields, "as_of"})
    values = {
        "clinic_id": actor.clinic_id,
        "id": entry_id,
        "patient_id": patient_id,
        "episode_id": episode.id,
        "kind": kind,
        "local_date": on,
        "noted_at": form.noted_at,
        "device_zone": form.device_zone,
        "received_at": at,
        "noted_by": actor.account_id,
        "content": content,
        "list_version": load().workstation.version if kind is FactorKind.WORKSTATION else None,
        "body_sha256": digest,
        "supersedes_id": form.supersedes_id,
    }
    made = insert(FactorEntry).values(values).on_conflict_do_nothing(index_elements=["clinic_id", "id"])
    try:
        new = await session.scalar(made.returning(FactorEntry.id))
    except IntegrityError as error:
        raise EntrySupersededAlready from error
    stored = await _stored(session, actor, entry_id)
    assert stored is not None
    if new is None:  # a twin of this request was faster
        return await _again(session, actor, stored, digest, at=at), False
    await audit.record(session, actor, "factor.log", subject=("factor", entry_id), patient_id=patient_id, at=at)
    return _read(stored), True


async def browse(
    session: AsyncSession, actor: Actor, patient_id: UUID, page: Page, *, kind: FactorKind | None, at: datetime
) -> Paged[FactorEntryRead]:
    """List a patient's entries, newest day first. Raises NotFound."""
    await access.patient(session, actor, Action.READ_RECORD, patient_id, at=at)
    query = select(FactorEntry).where(FactorEntry.clinic_id == actor.clinic_id, FactorEntry.patient_id == patient_id)
    if kind is not None:
        query = query.where(FactorEntry.kind == kind)
    await audit.record(session, actor, "factor.list", subject=("factor", None), patient_id=patient_id, at=at)
    found = await fetch(session, query, page, keys=(FactorEntry.local_date, FactorEntry.id), descending=True)
    return Paged([_read(row) for row in found.items], found.next_cursor)


async def get(
    session: AsyncSession,
    actor: Actor,
    patient_id: UUID,
    *,
    first: date | None,
    last: date | None,
    episode_id: UUID | None,
    at: datetime,
) -> Factors:
    """Tell what may add to a patient's problem in one episode (by default the newest), next to pain.

    Raises NotFound, also where there is no episode; PeriodRefused.
    """
    patient = await access.patient(session, actor, Action.READ_RECORD, patient_id, at=at)
    period = progress.period_of(first, last, local_date(at, patient.zone))
    episode = await progress.episode_of(session, patient, episode_id)
    whose, span = (patient.clinic_id, patient.id), (period.first, period.last)
    pains = await daily_measures.of_patient(session, *whose, [PAIN], *span, episode_id=episode.id)
    pain = daily_measures.by_day(pains[PAIN])
    medicine = await fetch_rows(session, _MEDICINE, *whose, episode.id, *span)
    query = _standing(actor.clinic_id).where(
        FactorEntry.patient_id == patient.id,
        FactorEntry.episode_id == episode.id,
        FactorEntry.local_date <= period.last,
        (FactorEntry.local_date >= period.first) | (FactorEntry.kind != FactorKind.SELF_CARE),
    )
    rows = (await session.scalars(query.order_by(FactorEntry.local_date, FactorEntry.noted_at, FactorEntry.id))).all()
    of = {kind: [row for row in rows if row.kind is kind] for kind in FactorKind}
    checks = of[FactorKind.WORKSTATION]
    await audit.record(session, actor, "factor.read", subject=("episode", episode.id), patient_id=patient.id, at=at)
    return Factors(
        patient_id=patient.id,
        episode_id=episode.id,
        period_from=period.first,
        period_to=period.last,
        zone=patient.zone,
        pain=[Point(on=day, value=float(pain[day]) if day in pain else None) for day in period.days],
        medicine=[MedicineUse.model_validate(dict(row)) for row in medicine],
        self_care=_self_care(of[FactorKind.SELF_CARE]),
        workstation=[_check(row) for row in checks if row.local_date >= period.first],
        workstation_changes=_compared(checks),
        work=_work(of[FactorKind.WORK_EXPOSURE], period.first),
    )


# ------------------------------------------------------------------ keeping
async def _stored(session: AsyncSession, actor: Actor, entry_id: UUID) -> FactorEntry | None:
    query = select(FactorEntry).where(FactorEntry.clinic_id == actor.clinic_id, FactorEntry.id == entry_id)
    found: FactorEntry | None = await session.scalar(query)
    return found


async def _again(
    session: AsyncSession, actor: Actor, stored: FactorEntry, digest: bytes, *, at: datetime
) -> FactorEntryRead:
    """Give the stored entry once more, if it is the same one. Raises EntryIdTaken."""
    if stored.patient_id != actor.patient_id or stored.body_sha256 != digest:
        raise EntryIdTaken
    await audit.record(
        session, actor, "factor.read", subject=("factor", stored.id), patient_id=stored.patient_id, at=at
    )
    return _read(stored)


def _check_answers(form: WorkstationCheckIn) -> None:
    try:
        workstation.validate(form.answers)
    except InvalidAnswers as refusal:
        problems = (Problem(f"/answers{one.pointer}", one.code, one.message) for one in refusal.problems)
        raise InvalidAnswers(*problems) from None


async def _episode(session: AsyncSession, actor: Actor, patient_id: UUID, wanted: UUID | None) -> Episode:
    """Give the episode that is named, or the newest that is not over."""
    query = select(Episode).where(
        Episode.clinic_id == actor.clinic_id,
        Episode.patient_id == patient_id,
        Episode.status != EpisodeStatus.DISCHARGED,
    )
    if wanted is not None:
        query = query.where(Episode.id == wanted)
    episode = await session.scalar(query.order_by(Episode.started_on.desc(), Episode.id.desc()).limit(1))
    if episode is None:
        raise EntryWithoutEpisode if wanted is None else NotFound
    return episode


def _day(form: FactorIn, episode: Episode, at: datetime) -> date:
    """Give the local day that the entry tells of. Raises EntryRefused."""
    noted = local_date(form.noted_at, form.device_zone)
    if form.noted_at > at + SKEW:
        raise EntryRefused(Problem("/noted_at", "in_the_future", "This has not happened yet."))
    as_of = form.as_of if isinstance(form, WorkExposureIn) else None
    if as_of is not None and as_of > noted:
        raise EntryRefused(Problem("/as_of", "in_the_future", "This day is not here yet."))
    if as_of is None and noted < episode.started_on - EARLIEST:
        raise EntryRefused(Problem("/noted_at", "before_episode", "This was before the episode began."))
    return noted if as_of is None else as_of


async def _correctable(session: AsyncSession, actor: Actor, kind: FactorKind, entry_id: UUID) -> None:
    """Refuse to correct what is no entry of this kind of the patient, as what is not there, or was corrected already."""
    mine = (FactorEntry.id == entry_id, FactorEntry.patient_id == actor.patient_id, FactorEntry.kind == kind)
    query = select(FactorEntry.id).where(FactorEntry.clinic_id == actor.clinic_id, *mine)
    if await session.scalar(query) is None:
        raise EntryRefused(Problem("/supersedes_id", "entry_unknown", "There is no such entry to correct."))
    if await session.scalar(_standing(actor.clinic_id).where(*mine).with_only_columns(FactorEntry.id)) is None:
        raise EntrySupersededAlready


def _standing(clinic_id: UUID) -> Any:
    """Entries of the clinic that no correction has replaced."""
    later = aliased(FactorEntry)
    return select(FactorEntry).where(
        FactorEntry.clinic_id == clinic_id,
        ~exists().where(later.clinic_id == clinic_id, later.supersedes_id == FactorEntry.id),
    )


def _read(row: FactorEntry) -> FactorEntryRead:
    plain = FactorEntryRead.model_fields.keys() - {"on"}
    return FactorEntryRead.model_validate({name: getattr(row, name) for name in plain} | {"on": row.local_date})


# ------------------------------------------------------------------ over time
def _self_care(rows: Sequence[FactorEntry]) -> list[SelfCareDay]:
    days: dict[tuple[date, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        days.setdefault((row.local_date, row.content["method"]), []).append(row.content)
    made = []
    for (on, method), entries in days.items():
        helped = [each["helped"] for each in entries if each["helped"] is not None]
        made.append(
            SelfCareDay.model_validate(
                {
                    "on": on,
                    "method": method,
                    "times": len(entries),
                    "minutes": sum(each["minutes"] for each in entries),
                    "helped": median(helped) if helped else None,
                }
            )
        )
    return made


def _check(row: FactorEntry) -> WorkstationCheckOut:
    points = list(workstation.open_points(row.content["answers"]))
    known = {"id": row.id, "on": row.local_date, "place": row.content["place"], "list_version": row.list_version}
    return WorkstationCheckOut.model_validate({**known, "open": points})


def _compared(checks: Sequence[FactorEntry]) -> list[WorkstationComparison]:
    """Compare, of each place, the first check with the newest; one alone has nothing to compare with."""
    places: dict[str, list[FactorEntry]] = {}
    for row in checks:
        places.setdefault(row.content["place"], []).append(row)
    made = []
    for place, rows in places.items():
        before, after = rows[0], rows[-1]
        if before is after:
            continue
        found = workstation.compare(before.content["answers"], after.content["answers"])
        made.append(
            WorkstationComparison.model_validate(
                {
                    "place": place,
                    "before_id": before.id,
                    "before_on": before.local_date,
                    "after_id": after.id,
                    "after_on": after.local_date,
                    "improved": list(found.improved),
                    "worsened": list(found.worsened),
                    "open": list(found.open),
                }
            )
        )
    return made


def _work(rows: Sequence[FactorEntry], first: date) -> list[WorkExposure]:
    """Give what held on the first day, and what changed since."""
    held = [row for row in rows if row.local_date < first][-1:]
    within = [row for row in rows if row.local_date >= first]
    return [WorkExposure.model_validate({**row.content, "id": row.id, "on": row.local_date}) for row in held + within]
