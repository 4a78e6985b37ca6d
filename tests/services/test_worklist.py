"""The caseload ranked: every reason alone, the order, the pages, and only whom one treats."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select, update

from core.database import Sessions
from core.errors import Forbidden
from models.adverse_events import AdverseEvent, AdverseEventKind, AdverseEventReporter
from models.alerts import Alert, AlertLevel
from models.assessments import Assessment, AssessmentKind, DocumentStatus
from models.check_ins import CheckIn, CheckInAnswer, CheckInStatus
from models.consents import Consent, ConsentStatus
from models.episodes import Episode, EpisodeStatus
from models.instrument_plans import InstrumentAsker, InstrumentPlan
from models.outcomes import Outcome
from models.patients import Patient, PatientStatus
from models.sessions import ExerciseSession
from schemas.pages import Page
from schemas.worklist import Reason, WorklistEntry
from services import worklist
from services.worklist import WEIGHTS
from tests.factories import NOW, link, make_patient
from tests.services.caring import DAY, Care, care

HOUR = timedelta(hours=1)


@pytest.fixture
async def alices(sessions: Sessions) -> Care:
    return await care(sessions, now=NOW)


async def seen(here: Care, *, by: str = "bob", page: Page | None = None, at: Any = NOW) -> list[WorklistEntry]:
    async with here.sessions.begin() as session:
        await here.open(session)
        return list((await worklist.browse(session, here.world.actors[by], page or Page(), at=at)).items)


async def alice(here: Care, *, at: Any = NOW) -> WorklistEntry:
    (entry,) = await seen(here, at=at)
    return entry


async def add(here: Care, *rows: Any) -> None:
    async with here.sessions.begin() as session:
        await here.open(session)
        for row in rows:
            session.add(row)
            await session.flush()


def reasons(entry: WorklistEntry) -> list[Reason]:
    return [reason.code for reason in entry.reasons]


def of(here: Care, model: Any, **values: Any) -> Any:
    """Make a row of alice's episode."""
    return model(clinic_id=here.clinic_id, patient_id=here.world.alice.id, episode_id=here.episode_id, **values)


def alert(here: Care, level: AlertLevel, rule: str = "ES04", **changes: Any) -> Alert:
    values: Mapping[str, Any] = {
        "rule_id": rule,
        "rule_version": "1",
        "level": level,
        "source_type": "check_in",
        "raised_at": NOW - HOUR,
        "respond_by": NOW + HOUR,
    }
    made: Alert = of(here, Alert, **{**values, **changes})
    return made


def check_in(here: Care, due_at: Any, status: CheckInStatus, **changes: Any) -> CheckIn:
    made: CheckIn = of(
        here,
        CheckIn,
        id=uuid4(),
        local_date=due_at.date(),
        question_set="daily",
        zone="Europe/Berlin",
        status=status,
        opens_at=due_at,
        due_at=due_at,
        closes_at=due_at + 12 * HOUR,
        late_until=due_at + 20 * HOUR,
        **changes,
    )
    return made


def answered(here: Care, at: Any, *, pain: int, flare: bool) -> list[Any]:
    row = check_in(here, at, CheckInStatus.SUBMITTED, answered_at=at)
    answer = CheckInAnswer(
        clinic_id=here.clinic_id,
        check_in_id=row.id,
        patient_id=here.world.alice.id,
        question_set="daily",
        question_set_version="1",
        answers={"pain_now": pain, "flare": flare},
        pain_now=pain,
        late=False,
        answered_at=at,
        answered_by=here.alice.account_id,
        body_sha256=b"",
    )
    return [row, answer]


async def test_a_quiet_patient_is_there_with_nothing_to_do(alices: Care) -> None:
    entry = await alice(alices)
    assert (entry.urgency, entry.reasons) == (0, [])
    assert (entry.given_name, entry.episode_id) == ("Alice", alices.episode_id)
    assert (entry.last_check_in_on, entry.last_pain, entry.sessions_7_days) == (None, None, 0)
    assert (await alices.actions()).count("worklist.list") == 1


async def test_alerts_weigh_by_their_level_and_more_when_nobody_looked_in_time(alices: Care) -> None:
    await add(alices, alert(alices, AlertLevel.ROUTINE))
    entry = await alice(alices)
    assert (entry.urgency, reasons(entry)) == (200, [Reason.ALERT])
    assert (entry.reasons[0].rule_id, entry.reasons[0].overdue) == ("ES04", False)
    late = await alice(alices, at=NOW + 2 * HOUR)
    assert (late.urgency, late.reasons[0].overdue) == (300, True)
    await add(alices, alert(alices, AlertLevel.EMERGENCY_NOW, "ES01", respond_by=NOW + 2 * HOUR))
    both = await alice(alices)
    assert both.urgency == 10_000
    assert [reason.rule_id for reason in both.reasons] == ["ES04", "ES01"]


async def test_an_inactive_patient_is_there_only_while_an_alert_stands(alices: Care) -> None:
    async with alices.sessions.begin() as session:
        await alices.open(session)
        await session.execute(
            update(Patient).where(Patient.id == alices.world.alice.id).values(status=PatientStatus.INACTIVE)
        )
    assert await seen(alices) == []
    await add(alices, alert(alices, AlertLevel.EMERGENCY_NOW))
    assert reasons(await alice(alices)) == [Reason.ALERT]


async def test_a_resolved_alert_is_none(alices: Care) -> None:
    done: dict[str, Any] = {"status": "resolved", "outcome": "no_action_needed", "resolved_at": NOW}
    await add(alices, alert(alices, AlertLevel.HIGH, **done))
    assert (await alice(alices)).urgency == 0


async def test_a_suspended_program_stands_above_almost_everything(alices: Care) -> None:
    await alices.running(at=NOW - DAY)
    await alices.screen(at=NOW - HOUR, yes=("saddle", "bladder"))
    entry = await alice(alices)
    assert Reason.SUSPENDED in reasons(entry)
    assert Reason.ALERT in reasons(entry)
    assert entry.urgency >= 800 + WEIGHTS[Reason.SUSPENDED]


async def test_a_worse_outcome_counts_for_two_weeks(alices: Care) -> None:
    change = {"worsened_points": True, "worsened_percent": False}
    await add(alices, outcome(alices, NOW - DAY, change))
    entry = await alice(alices)
    assert (reasons(entry), entry.urgency) == ([Reason.OUTCOME_WORSE], WEIGHTS[Reason.OUTCOME_WORSE])
    assert entry.reasons[0].since == NOW - DAY
    assert (await alice(alices, at=NOW + 14 * DAY)).reasons == []


async def test_a_worse_outcome_that_was_corrected_is_no_reason(alices: Care) -> None:
    worse = outcome(alices, NOW - DAY, {"worsened_points": True, "worsened_percent": False})
    worse.id = uuid4()
    await add(alices, worse)
    corrected = outcome(alices, NOW - DAY, {"worsened_points": False, "worsened_percent": False})
    corrected.supersedes_id = worse.id
    await add(alices, corrected)
    assert (await alice(alices)).reasons == []


async def test_a_better_outcome_is_no_reason(alices: Care) -> None:
    await add(alices, outcome(alices, NOW - DAY, {"worsened_points": False, "worsened_percent": False}))
    await add(alices, outcome(alices, NOW - DAY, None))
    assert (await alice(alices)).reasons == []


def outcome(here: Care, at: Any, change: dict[str, Any] | None) -> Outcome:
    made: Outcome = of(
        here,
        Outcome,
        instrument_code="rmdq24",
        instrument_version="1",
        answers={},
        scores={},
        change=change,
        administered_at=at,
        administered_on=at.date(),
        recorded_by=here.alice.account_id,
    )
    return made


async def test_one_missed_check_in_is_life_two_are_a_reason(alices: Care) -> None:
    await add(alices, check_in(alices, NOW - 2 * DAY, CheckInStatus.MISSED))
    assert (await alice(alices)).reasons == []
    await add(alices, check_in(alices, NOW - 3 * DAY, CheckInStatus.MISSED))
    entry = await alice(alices)
    assert reasons(entry) == [Reason.MISSED_CHECK_INS]
    assert entry.reasons[0].since == NOW - 3 * DAY
    assert (await alice(alices, at=NOW + 5 * DAY)).reasons == []


async def test_a_flare_is_a_reason_while_the_last_answer_says_so(alices: Care) -> None:
    await add(alices, *answered(alices, NOW - DAY, pain=7, flare=True))
    entry = await alice(alices)
    assert (reasons(entry), entry.last_pain) == ([Reason.FLARE], 7)
    assert entry.last_check_in_on == (NOW - DAY).date()
    assert (await alice(alices, at=NOW + 3 * DAY)).reasons == []
    await add(alices, *answered(alices, NOW - HOUR, pain=3, flare=False))
    assert ((await alice(alices)).reasons, (await alice(alices)).last_pain) == ([], 3)


async def test_half_of_last_weeks_sessions_is_a_reason(alices: Care) -> None:
    program = await alices.running(at=NOW - 20 * DAY)
    assert program.shown is not None
    done = [NOW - days * DAY for days in (8, 9, 10, 13)]
    await add(alices, *(session(alices, program.id, program.shown.id, at) for at in (*done, NOW - DAY)))
    entry = await alice(alices)
    assert (reasons(entry), entry.sessions_7_days) == ([Reason.FALLING_ADHERENCE], 1)
    await add(alices, *(session(alices, program.id, program.shown.id, NOW - hours * HOUR) for hours in (3, 30)))
    assert (await alice(alices)).reasons == []


async def test_a_corrected_session_counts_once(alices: Care) -> None:
    program = await alices.running(at=NOW - 20 * DAY)
    assert program.shown is not None
    done = [NOW - days * DAY for days in (8, 9, 10, 13)]
    await add(alices, *(session(alices, program.id, program.shown.id, at) for at in done))
    wrong = session(alices, program.id, program.shown.id, NOW - DAY)
    corrected = session(alices, program.id, program.shown.id, NOW - DAY)
    wrong.id = corrected.supersedes_id = uuid4()
    await add(alices, wrong, corrected)
    entry = await alice(alices)
    assert (reasons(entry), entry.sessions_7_days) == ([Reason.FALLING_ADHERENCE], 1)


def session(here: Care, program_id: UUID, version_id: UUID, at: Any) -> ExerciseSession:
    return ExerciseSession(
        clinic_id=here.clinic_id,
        patient_id=here.world.alice.id,
        program_id=program_id,
        version_id=version_id,
        local_date=at.date(),
        performed_at=at,
        device_zone="Europe/Berlin",
        received_at=at,
        items_prescribed=1,
        items_done=1,
        dose_prescribed=10,
        dose_done=10,
        body_sha256=b"",
    )


async def test_without_consent_to_telehealth_somebody_must_ask(alices: Care) -> None:
    async with alices.sessions.begin() as session:
        await alices.open(session)
        await session.execute(
            update(Consent)
            .where(Consent.patient_id == alices.world.alice.id)
            .values(status=ConsentStatus.WITHDRAWN, withdrawn_at=NOW)
        )
    entry = await alice(alices)
    assert (reasons(entry), entry.urgency) == ([Reason.CONSENT_MISSING], WEIGHTS[Reason.CONSENT_MISSING])


async def test_a_consent_that_has_run_out_is_asked_for_before_the_nightly_job_has_seen_it(alices: Care) -> None:
    async with alices.sessions.begin() as session:
        await alices.open(session)
        given = (await session.scalars(select(Consent).where(Consent.patient_id == alices.world.alice.id))).one()
        given.status = ConsentStatus.SUPERSEDED
        await session.flush()
        again = {"text_version": "1", "method": given.method, "given_at": NOW - DAY, "given_by": given.given_by}
        session.add(
            Consent(
                clinic_id=alices.clinic_id,
                patient_id=given.patient_id,
                purpose=given.purpose,
                status=ConsentStatus.GIVEN,
                expires_on=NOW.date(),
                **again,
            )
        )
    # its last day counts, on the patient's calendar
    assert reasons(await alice(alices)) == [Reason.CONSENT_EXPIRING]
    assert reasons(await alice(alices, at=NOW + 13 * HOUR)) == [Reason.CONSENT_EXPIRING]
    assert reasons(await alice(alices, at=NOW + 14 * HOUR)) == [Reason.CONSENT_MISSING]


async def test_a_review_is_due_four_weeks_after_the_last_signature(alices: Care) -> None:
    later = NOW + 29 * DAY
    assert reasons(await alice(alices, at=later)) == [Reason.REVIEW_DUE]
    signed = of(
        alices,
        Assessment,
        author_id=alices.world.bob.id,
        kind=AssessmentKind.REASSESSMENT,
        assessed_on=NOW.date(),
        status=DocumentStatus.SIGNED,
        signed_at=NOW + 10 * DAY,
        content_sha256="0" * 64,
    )
    await add(alices, signed)
    assert (await alice(alices, at=later)).reasons == []
    again = await alice(alices, at=NOW + 39 * DAY)
    assert (reasons(again), again.reasons[0].since) == ([Reason.REVIEW_DUE], NOW + 10 * DAY)


async def test_an_instrument_is_overdue_a_week_after_its_day_and_on_it_where_staff_ask(alices: Care) -> None:
    days = {"starts_on": NOW.date(), "next_on": NOW.date(), "occasion": "intake", "intake": True}
    await add(alices, of(alices, InstrumentPlan, instrument_code="rmdq24", asked_of=InstrumentAsker.PATIENT, **days))
    assert (await alice(alices, at=NOW + 6 * DAY)).reasons == []
    entry = await alice(alices, at=NOW + 7 * DAY)
    assert (reasons(entry), entry.urgency) == ([Reason.INSTRUMENT_OVERDUE], WEIGHTS[Reason.INSTRUMENT_OVERDUE])
    assert entry.reasons[0].since == NOW.replace(hour=0)
    await add(alices, of(alices, InstrumentPlan, instrument_code="psfs", asked_of=InstrumentAsker.STAFF, **days))
    assert reasons(await alice(alices)) == [Reason.INSTRUMENT_OVERDUE]
    async with alices.sessions.begin() as session:
        await alices.open(session)
        await session.execute(update(Episode).values(status=EpisodeStatus.ON_HOLD, updated_at=NOW))
    assert (await alice(alices, at=NOW + 7 * DAY)).reasons == [], "nobody is asked while it rests"


async def test_an_adverse_event_waits_for_its_review(alices: Care) -> None:
    said = {"kind": AdverseEventKind.SORENESS, "description": "Stiff", "occurred_on": NOW.date(), "rule_version": "1"}
    by = {"reported_via": AdverseEventReporter.PATIENT, "reported_by": alices.alice.account_id}
    await add(alices, *(of(alices, AdverseEvent, reported_at=NOW - days * DAY, **said, **by) for days in (1, 2)))
    entry = await alice(alices)
    weight = WEIGHTS[Reason.ADVERSE_EVENT_WAITING]
    assert (reasons(entry), entry.urgency) == ([Reason.ADVERSE_EVENT_WAITING], weight)
    assert entry.reasons[0].since == NOW - 2 * DAY
    looked = {"reviewed_at": NOW, "reviewed_by": alices.world.bob.id, "conclusion": "no_action_needed"}
    known = {"grade": 1, "seriousness": [], "relatedness": "unlikely", "outcome": "recovered"}
    async with alices.sessions.begin() as session:
        await alices.open(session)
        await session.execute(update(AdverseEvent).values(status="reviewed", **looked, **known))
    assert (await alice(alices)).reasons == []


async def test_a_discharged_or_held_episode_needs_no_review(alices: Care) -> None:
    for status, ended, said in (
        (EpisodeStatus.ON_HOLD, None, [Reason.HELD_LONG]),
        (EpisodeStatus.DISCHARGED, NOW, []),
    ):
        async with alices.sessions.begin() as session:
            await alices.open(session)
            values = {"status": status, "discharged_at": ended, "updated_at": NOW}
            await session.execute(update(Episode).where(Episode.id == alices.episode_id).values(**values))
        entry = await alice(alices, at=NOW + 60 * DAY)
        assert (reasons(entry), entry.episode_id, entry.episode_status) == (said, alices.episode_id, status)


async def test_the_most_urgent_stands_first_and_pages_miss_nobody(alices: Care) -> None:
    async with alices.sessions.begin() as session:
        await alices.open(session)
        for number in range(4):
            patient = await make_patient(session, alices.clinic_id, f"Emil Novak{number}")
            await link(session, patient, alices.world.bob, since=NOW - DAY)
        session.add(alert(alices, AlertLevel.HIGH))
    whole = await seen(alices)
    assert (whole[0].given_name, len(whole)) == ("Alice", 5)
    assert [entry.urgency for entry in whole] == sorted((entry.urgency for entry in whole), reverse=True)
    walked, cursor = list[UUID](), None
    while True:
        async with alices.sessions.begin() as session:
            await alices.open(session)
            page = await worklist.browse(session, alices.bob, Page(limit=2, cursor=cursor), at=NOW)
        walked += [entry.patient_id for entry in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert walked == [entry.patient_id for entry in whole]


async def test_only_whom_one_treats_now(alices: Care) -> None:
    assert await seen(alices, by="carol") == []
    assert await seen(alices, at=NOW - 400 * DAY) == []
    async with alices.sessions.begin() as session:
        await alices.open(session)
        values = {"status": PatientStatus.INACTIVE}
        await session.execute(update(Patient).where(Patient.id == alices.world.alice.id).values(**values))
    assert await seen(alices) == []


async def test_a_caseload_is_a_therapists(alices: Care) -> None:
    for name in ("alice", "dana"):
        with pytest.raises(Forbidden):
            await seen(alices, by=name)
