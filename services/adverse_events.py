"""The register of adverse events: whoever sees one reports it, a therapist completes it, a reviewer closes it.

What the patient must read is made of what he said alone, and stands in the answer, also where it is refused. Everything
anybody said stays on record beside who said it; after the review nothing is changed, unless it turns out to be worse.
"""

from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import adverse_events as rules
from clinical import levels, red_flags
from clinical.levels import Level
from clinical.recurrence import local_date
from core.errors import Conflict, Invalid, Problem, Refusal, Stale
from models.adverse_events import (
    AdverseEvent,
    AdverseEventChange,
    AdverseEventOutcome,
    AdverseEventReporter,
    AdverseEventStatus,
)
from models.episodes import Episode
from models.identity import Role
from models.patients import Patient
from models.programs import Program, ProgramItem, ProgramVersion
from models.sessions import ExerciseSession
from schemas.adverse_events import (
    AdverseEventChangeRead,
    AdverseEventCreate,
    AdverseEventDetail,
    AdverseEventPatch,
    AdverseEventRead,
    AdverseEventReported,
    AdverseEventReview,
)
from schemas.advice import Advice
from schemas.pages import Page, Paged, fetch
from services import access, alerts, audit, crisis, places
from services.access import Action, Actor
from services.crisis import told_in_refusals

AGAIN = {
    "status": "reported",
    "conclusion": None,
    "review_note": None,
    "reviewed_at": None,
    "reviewed_by": None,
}
"""What tells of its review, of an event that waits for one again."""

VIA = {Role.PATIENT: AdverseEventReporter.PATIENT, Role.THERAPIST: AdverseEventReporter.THERAPIST}
"""Who reported it, by his role; else an assistant did."""


class AdverseEventRefused(Invalid):
    """This does not fit together; see errors for each place."""


class AdverseEventReviewed(Conflict):
    """This adverse event was reviewed: it takes only what makes it worse; see errors for what does not."""


class AdverseEventIncomplete(Conflict):
    """Something must be known before this adverse event is reviewed; see errors for all of it."""


@told_in_refusals
async def create(
    session: AsyncSession, actor: Actor, patient_id: UUID, form: AdverseEventCreate, *, at: datetime
) -> AdverseEventReported:
    """Put an event on the register; what is severe or serious is alerted (AE01).

    Raises NotFound, AdverseEventRefused with the advice.
    """
    patient = await access.patient(session, actor, Action.REPORT_ADVERSE_EVENTS, patient_id, at=at)
    judged = rules.judge(form.grade, form.seriousness, form.outcome)
    country = await places.country_of(session, actor.clinic_id, patient_id)
    # Of a death staff read nothing; a patient who picks the worst of all lives, and needs help.
    died = rules.died(form.grade, form.seriousness, form.outcome) and actor.role is not Role.PATIENT
    advice = None if died else _advice(judged.advice, country)
    values = form.model_dump()
    try:
        if actor.role is Role.PATIENT and form.relatedness is not None:
            raise AdverseEventRefused(Problem("/relatedness", "staff_only", "A clinician judges this."))
        values |= await _checked(session, patient, values, at)
    except Refusal as refusal:
        refusal.extras = {**refusal.extras, "advice": None if advice is None else advice.model_dump(mode="json")}
        raise
    row = AdverseEvent(
        clinic_id=actor.clinic_id,
        patient_id=patient_id,
        rule_version=judged.rule_version,
        reported_via=VIA.get(actor.role, AdverseEventReporter.ASSISTANT),
        reported_at=at,
        reported_by=actor.account_id,
        status=AdverseEventStatus.REPORTED,
        created_at=at,
        updated_at=at,
        **_stored(values),
    )
    session.add(row)
    await session.flush()
    _note(session, actor, row, "reported", {}, _plain(values), at=at)
    await _alert(session, row, judged.alert, at=at)
    source = ("adverse_event", row.id)
    told = await crisis.heed(session, actor, [row.description], episode_id=row.episode_id, source=source, at=at)
    await _record(session, actor, "adverse_event.create", row, at=at)
    read = AdverseEventRead.model_validate(row).model_dump()
    return AdverseEventReported.model_validate({**read, "advice": told or advice})


def advice_on(body: Any) -> dict[str, Any] | None:
    """Say what to do from a report that cannot be read as a whole: a criterion that nobody knows counts as serious.

    None where it asks for nothing. Where the patient is is not known here: the number is the one that works most widely.
    """
    said = body if isinstance(body, dict) else {}
    given, criteria = said.get("grade"), said.get("seriousness")
    grade = max((each for each in range(1, rules.DEATH + 1) if _reaches(given, each)), default=None)
    outcome = said.get("outcome") if said.get("outcome") == rules.FATAL else None
    advice = _advice(rules.judge(grade, criteria if isinstance(criteria, list | str) else None, outcome).advice, "")
    return None if advice is None else advice.model_dump(mode="json")


def _reaches(given: Any, grade: int) -> bool:
    """Tell whether a grade as somebody wrote it is at least that bad."""
    if isinstance(given, str):
        return given.strip() == str(grade)
    return isinstance(given, int | float) and given >= grade


async def browse(
    session: AsyncSession, actor: Actor, patient_id: UUID, page: Page, *, at: datetime
) -> Paged[AdverseEventRead]:
    """List a patient's adverse events, the latest first. Raises NotFound."""
    await access.patient(session, actor, Action.READ_ADVERSE_EVENTS, patient_id, at=at)
    await audit.record(
        session, actor, "adverse_event.list", subject=("adverse_event", None), patient_id=patient_id, at=at
    )
    query = select(AdverseEvent).where(AdverseEvent.clinic_id == actor.clinic_id, AdverseEvent.patient_id == patient_id)
    found = await fetch(session, query, page, keys=(AdverseEvent.occurred_on, AdverseEvent.id), descending=True)
    return Paged([_read(actor, row) for row in found.items], found.next_cursor)


async def register(
    session: AsyncSession,
    actor: Actor,
    page: Page,
    *,
    status: AdverseEventStatus | None,
    least_grade: int | None,
    at: datetime,
) -> Paged[AdverseEvent]:
    """List the events within a reviewer's reach, the latest first. Raises Forbidden."""
    query = within_reach(actor, at)
    if status is not None:
        query = query.where(AdverseEvent.status == status)
    if least_grade is not None:
        query = query.where(AdverseEvent.grade >= least_grade)
    await audit.record(session, actor, "adverse_event.list", subject=("adverse_event", None), at=at)
    return await fetch(session, query, page, keys=(AdverseEvent.occurred_on, AdverseEvent.id), descending=True)


async def get(session: AsyncSession, actor: Actor, event_id: UUID, *, at: datetime) -> AdverseEventDetail:
    """Give an event with all that was said about it. Raises NotFound."""
    row = await access.subject(session, actor, Action.READ_ADVERSE_EVENTS, AdverseEvent, event_id, at=at)
    query = select(AdverseEventChange).where(
        AdverseEventChange.clinic_id == actor.clinic_id, AdverseEventChange.adverse_event_id == row.id
    )
    changes = await session.scalars(query.order_by(AdverseEventChange.at, AdverseEventChange.id))
    await _record(session, actor, "adverse_event.read", row, at=at)
    return AdverseEventDetail(**_read(actor, row).model_dump(), changes=[_change(actor, one) for one in changes])


def _read(actor: Actor, row: AdverseEvent) -> AdverseEventRead:
    """Give an event as the caller may read it: what the team wrote about it among themselves is not for the patient."""
    read = AdverseEventRead.model_validate(row)
    return read.model_copy(update={"review_note": None}) if actor.role is Role.PATIENT else read


def _change(actor: Actor, row: AdverseEventChange) -> AdverseEventChangeRead:
    read = AdverseEventChangeRead.model_validate(row)
    if actor.role is not Role.PATIENT or row.by == actor.account_id:
        return read
    facts = {name: change for name, change in read.changes.items() if name != "review_note"}
    return read.model_copy(update={"note": None, "changes": facts})


async def update(
    session: AsyncSession, actor: Actor, event_id: UUID, form: AdverseEventPatch, *, version: int, at: datetime
) -> AdverseEvent:
    """Say what is known better; what has become severe or serious by it is alerted.

    A reviewed one takes only what makes it worse, beside what nobody knew, and waits for a review again.
    Raises NotFound, Stale, AdverseEventReviewed, AdverseEventRefused.
    """
    row = await _locked(session, actor, Action.COMPLETE_ADVERSE_EVENTS, event_id, version, at=at)
    patient = await session.get_one(Patient, (row.clinic_id, row.patient_id))
    given = form.model_dump(exclude_unset=True)
    why = given.pop("note", None)
    held = AdverseEventRead.model_validate(row).model_dump(include=set(AdverseEventCreate.model_fields))
    named = {name for name in ("version_id", "item_id", "session_id") if given.get(name) is not None}
    if named and "version_id" not in given:
        held["version_id"] = None  # they tell it
    if named and row.version_id is not None:
        held["episode_id"] = None  # it was that of the version, and is that of the new one
    before = rules.judge(row.grade, row.seriousness)
    grade, criteria = row.grade or 0, set(row.seriousness or ())
    merged = held | given
    reviewed = row.status is AdverseEventStatus.REVIEWED
    known = AdverseEventRead.model_validate(row).model_dump(include=set(AdverseEventCreate.model_fields))
    softer = rules.softened(known, given) if reviewed else []
    if softer or (reviewed and not rules.worse(_known(held), _known(merged))):
        raise AdverseEventReviewed(*softer)
    linked = await _checked(session, patient, merged, at)
    moved = rules.softened(known, linked) if reviewed else []
    if moved:
        raise AdverseEventReviewed(*moved)
    merged |= linked
    for name, value in _stored(merged).items():
        setattr(row, name, value)
    judged = rules.judge(row.grade, row.seriousness)
    row.rule_version, row.updated_at = judged.rule_version, at
    ended = _reopen(row) if reviewed else {}
    _note(
        session,
        actor,
        row,
        "changed",
        _plain(known) | ended,
        _plain(merged) | (AGAIN if ended else {}),
        at=at,
        words=why,
    )
    await session.flush()
    # Within one level, too: life in danger after what was important, or a death, is news to whoever dealt with it.
    worse = (row.grade or 0) > grade or not criteria >= set(row.seriousness or ())
    fatal = row.outcome is AdverseEventOutcome.FATAL and held["outcome"] is not AdverseEventOutcome.FATAL
    if judged.alert > before.alert or worse or fatal:
        await _alert(session, row, rules.judge(row.grade, row.seriousness, row.outcome).alert, at=at)
    await _record(session, actor, "adverse_event.update", row, at=at)
    return row


async def review(
    session: AsyncSession, actor: Actor, event_id: UUID, form: AdverseEventReview, *, version: int, at: datetime
) -> AdverseEvent:
    """Close an event of which all is known. Raises NotFound, Stale, AdverseEventReviewed, AdverseEventIncomplete."""
    row = await _locked(session, actor, Action.REVIEW_ADVERSE_EVENTS, event_id, version, at=at)
    if row.status is AdverseEventStatus.REVIEWED:
        raise AdverseEventReviewed
    problems = rules.unknown(row.grade, row.seriousness, row.relatedness, row.outcome)
    if problems:
        raise AdverseEventIncomplete(*problems)
    row.status, row.conclusion, row.review_note = AdverseEventStatus.REVIEWED, form.conclusion, form.note
    row.reviewed_at, row.reviewed_by, row.updated_at = at, actor.therapist_id, at
    _note(session, actor, row, "reviewed", {"status": "reported"}, {"status": "reviewed"}, at=at)
    await session.flush()
    await _record(session, actor, "adverse_event.review", row, at=at)
    return row


def within_reach(actor: Actor, at: datetime) -> Select[Any]:
    """Events of the patients whose events the caller reviews. Raises Forbidden."""
    return select(AdverseEvent).where(
        AdverseEvent.clinic_id == actor.clinic_id,
        AdverseEvent.patient_id.in_(access.patients(actor, Action.REVIEW_ADVERSE_EVENTS, at)),
    )


async def _locked(
    session: AsyncSession, actor: Actor, action: Action, event_id: UUID, version: int, *, at: datetime
) -> AdverseEvent:
    """Lock an event for change. Raises NotFound, Stale."""
    row = await access.subject(session, actor, action, AdverseEvent, event_id, at=at, lock=True)
    if row.version != version:
        raise Stale(row.version)
    return row


def _known(values: Mapping[str, Any]) -> rules.Known:
    return rules.Known(values["grade"], values["seriousness"] or (), values["outcome"])


def _reopen(row: AdverseEvent) -> dict[str, Any]:
    """Let an event wait for a review again; give, for its history, how the last one ended."""
    ended = AdverseEventRead.model_validate(row).model_dump(mode="json", include=set(AGAIN))
    row.status, row.conclusion, row.review_note = AdverseEventStatus.REPORTED, None, None
    row.reviewed_at = row.reviewed_by = None
    return ended


# ------------------------------------------------------------------ what fits together
async def _checked(session: AsyncSession, patient: Patient, values: Mapping[str, Any], at: datetime) -> dict[str, Any]:
    """Give what follows from what the event is linked with: version and episode. Raises AdverseEventRefused."""
    problems = rules.contradictions(values["grade"], values["seriousness"], values["outcome"])
    # Who travels east has a later day than the zone on record.
    today = local_date(at, patient.zone) + timedelta(days=1)
    if values["occurred_on"] > today:
        problems.append(Problem("/occurred_on", "in_the_future", "This day has not come yet."))
    if values["occurred_on"] < patient.birth_date:
        problems.append(Problem("/occurred_on", "before_birth", "The day lies before the patient's birth."))
    if values["ended_on"] is not None and not values["occurred_on"] <= values["ended_on"] <= today:
        problems.append(Problem("/ended_on", "day_range", "It ends on or after its first day, and not in the future."))
    linked, unfit = await _linked(session, patient, values)
    problems += unfit
    if problems:
        raise AdverseEventRefused(*problems)
    return linked


async def _linked(
    session: AsyncSession, patient: Patient, values: Mapping[str, Any]
) -> tuple[dict[str, Any], list[Problem]]:
    """Look up what is named, all of it the patient's own and of one version; give version and episode, and what is wrong."""
    versions = select(ProgramVersion.id).where(
        ProgramVersion.clinic_id == patient.clinic_id, ProgramVersion.patient_id == patient.id
    )
    queries = {
        "version_id": versions.where(ProgramVersion.id == values["version_id"]),
        "item_id": select(ProgramItem.version_id).where(
            ProgramItem.clinic_id == patient.clinic_id,
            ProgramItem.id == values["item_id"],
            ProgramItem.version_id.in_(versions),
        ),
        "session_id": select(ExerciseSession.version_id).where(
            ExerciseSession.clinic_id == patient.clinic_id,
            ExerciseSession.patient_id == patient.id,
            ExerciseSession.id == values["session_id"],
        ),
    }
    version_id, episode_id, problems = None, values["episode_id"], []
    for name, query in queries.items():
        if values[name] is None:
            continue
        found = await session.scalar(query)
        if found is None or (version_id is not None and found != version_id):
            problems.append(
                Problem(f"/{name}", "link_unknown", "The patient has no such thing, or not in that version.")
            )
        version_id = version_id or found
    episodes = select(Episode.id).where(Episode.clinic_id == patient.clinic_id, Episode.patient_id == patient.id)
    if version_id is not None:
        of_version = select(Program.episode_id).join(
            ProgramVersion,
            (ProgramVersion.clinic_id == Program.clinic_id) & (ProgramVersion.program_id == Program.id),
        )
        own = await session.scalar(
            of_version.where(ProgramVersion.clinic_id == patient.clinic_id, ProgramVersion.id == version_id)
        )
        fits = episode_id in {None, own}
        episode_id = own
    else:
        fits = episode_id is None or await session.scalar(episodes.where(Episode.id == episode_id)) is not None
    if not fits:
        problems.append(
            Problem("/episode_id", "link_unknown", "The patient has no such episode, or it is another one.")
        )
    return {"version_id": version_id, "episode_id": episode_id}, problems


# ------------------------------------------------------------------ what is left behind
def _stored(values: Mapping[str, Any]) -> dict[str, Any]:
    criteria = values["seriousness"]
    return {**values, "seriousness": None if criteria is None else sorted({str(one) for one in criteria})}


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    """Give values as they stand in a history."""
    form = AdverseEventCreate.model_validate(dict(values))
    plain: dict[str, Any] = form.model_dump(mode="json")
    return plain


def _note(
    session: AsyncSession,
    actor: Actor,
    row: AdverseEvent,
    kind: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
    *,
    at: datetime,
    words: str | None = None,
) -> None:
    """Keep what somebody said: each field that it changed, with what it was."""
    session.add(
        AdverseEventChange(
            clinic_id=row.clinic_id,
            adverse_event_id=row.id,
            kind=kind,
            at=at,
            by=actor.account_id,
            changes={name: [before.get(name), value] for name, value in after.items() if before.get(name) != value},
            note=words,
        )
    )


async def _alert(session: AsyncSession, row: AdverseEvent, level: levels.AlertLevel, *, at: datetime) -> None:
    if level is levels.AlertLevel.NONE:
        return
    await alerts.raise_alert(
        session,
        clinic_id=row.clinic_id,
        patient_id=row.patient_id,
        episode_id=row.episode_id,
        rule_id=rules.RULE,
        rule_version=row.rule_version,
        level=level,
        task=None,
        source=("adverse_event", row.id),
        inputs={"grade": row.grade, "seriousness": row.seriousness},
        at=at,
    )


def _advice(level: Level, country: str) -> Advice | None:
    if level is Level.NONE:
        return None
    told = asdict(red_flags.advice(level, country=country))
    return Advice.model_validate({**told, "actions": list(told["actions"])})


async def _record(session: AsyncSession, actor: Actor, action: str, row: AdverseEvent, *, at: datetime) -> None:
    await audit.record(session, actor, action, subject=("adverse_event", row.id), patient_id=row.patient_id, at=at)
