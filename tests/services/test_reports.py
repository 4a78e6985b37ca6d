"""Reports: frozen when they are built, in the therapist's words, signed once."""

import json
from datetime import date, datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text, update
from sqlalchemy.exc import ProgrammingError

from core.database import Sessions
from core.errors import Forbidden, NotFound, Stale
from models.alerts import AlertOutcome
from models.assessments import Assessment, AssessmentKind, DocumentStatus
from models.care_team import CareRole
from models.episodes import Episode, EpisodeStatus
from models.goals import Goal
from models.identity import Role
from models.patients import Patient
from models.red_flag_screens import ScreenOutcome
from models.reports import Report, ReportKind
from models.therapists import Profession
from schemas.pages import Page
from schemas.programs import ProgramVersionCreate
from schemas.progress import ChangeRule
from schemas.red_flag_screens import RedFlagScreenClose
from schemas.reports import NarrativeUpdate, ReportCreate, ReportRead
from services import alerts, documents, programs, red_flag_screens, reports
from services.episode_gate import EpisodeClosed
from services.licensing import MayNotTreat
from services.reports import ReportIncomplete, ReportPeriodRefused, ReportSigned
from tests.factories import NOW, link, make_actor, make_therapist
from tests.services.caring import MOBILITY, Care, care, codes, pointers
from tests.services.histories import check_in, exercised, morning, outcome, roland, specific

MONDAY = NOW.date()
SUNDAY = MONDAY + timedelta(days=6)
LATER = morning(SUNDAY + timedelta(days=1), 9)
WORDS: dict[str, Any] = {
    "assessment_of_progress": "Sits for an hour again.",
    "justification_for_skilled_care": "Load is progressed against symptoms.",
    "plan": "Four more weeks of strength.",
}


@pytest.fixture
async def world(sessions: Sessions) -> Care:
    return await care(sessions, address="1 River Street\n10115 Berlin", phone="+49 30 5550100")


async def made(
    world: Care,
    *,
    kind: ReportKind = ReportKind.PROGRESS,
    first: date = MONDAY,
    last: date = SUNDAY,
    at: datetime = LATER,
    who: str = "bob",
) -> ReportRead:
    async with world.sessions.begin() as session:
        await world.open(session)
        form = ReportCreate(kind=kind, period_from=first, period_to=last)
        return await reports.create(session, world.world.actors[who], world.episode_id, form, at=at)


async def told(world: Care, report: ReportRead, *, version: int | None = None, **words: str | None) -> ReportRead:
    async with world.sessions.begin() as session:
        await world.open(session)
        change = NarrativeUpdate.model_validate(words)
        return await reports.update(session, world.bob, report.id, change, version=version or report.version, at=LATER)


async def signed(world: Care, report: ReportRead, *, who: str = "bob") -> ReportRead:
    async with world.sessions.begin() as session:
        await world.open(session)
        return await reports.sign(session, world.world.actors[who], report.id, version=report.version, at=LATER)


async def read(world: Care, report_id: UUID, who: str = "bob") -> ReportRead:
    async with world.sessions.begin() as session:
        await world.open(session)
        return await reports.get(session, world.world.actors[who], report_id, at=LATER)


async def add(world: Care, *rows: Any) -> None:
    async with world.sessions.begin() as session:
        await world.open(session)
        session.add_all(rows)


def goal(world: Care, statement: str, **changes: Any) -> Goal:
    return Goal(
        clinic_id=world.clinic_id,
        patient_id=world.world.alice.id,
        episode_id=world.episode_id,
        statement=statement,
        **changes,
    )


# ------------------------------------------------------------------ what it says
async def test_a_report_says_who_where_and_how_it_went(world: Care) -> None:
    program = await world.running()
    await check_in(world, MONDAY, pain_now=6)
    await exercised(world, program, MONDAY)
    await outcome(world, MONDAY, "rmdq24", roland(14))
    await outcome(world, SUNDAY, "rmdq24", roland(7))
    report = await made(world)
    said = report.snapshot
    assert (report.status, report.version, report.signed_at) == (DocumentStatus.DRAFT, 1, None)
    assert (said.report_id, said.author, said.created_at) == (report.id, "Bob Keller", LATER)
    assert (said.clinic.name, said.clinic.phone) == ("Riverside Physiotherapy", "+49 30 5550100")
    assert (said.patient.name, said.patient.birth_date) == ("Alice Moreau", date(1984, 5, 17))
    assert (said.episode.title, said.episode.body_region) == ("Low back pain", "low_back")
    assert said.progress.pain.now.points[0].value == 6
    assert (said.progress.adherence.scheduled, said.counts.sessions_completed) == (10, 1)
    assert said.progress.outcomes[0].change is not None
    assert said.progress.outcomes[0].change.rule is ChangeRule.BOTH
    assert set(said.narrative.model_dump().values()) == {None}
    assert said.signature is None


async def test_goals_go_from_baseline_over_current_to_target(world: Care) -> None:
    await outcome(world, MONDAY, "rmdq24", roland(14))
    await outcome(world, SUNDAY, "rmdq24", roland(7))
    await outcome(world, MONDAY, "psfs", specific(stairs=3, lifting=2))
    await outcome(world, SUNDAY, "psfs", specific(stairs=8, lifting=3))
    await add(world, goal(world, "Less disabled", measure="rmdq24", baseline=12, target=8))
    await add(world, goal(world, "Climb stairs", measure="psfs", activity_id="stairs", target=9))
    await add(world, goal(world, "Less pain", measure="nprs", target=2), goal(world, "Enjoy walking"))
    await add(world, goal(world, "Calm", measure="gad2", baseline=4, target=1))
    await outcome(world, SUNDAY, "gad2", {"q1": 0, "q2": 0})
    disabled, stairs, *others = (await made(world)).snapshot.goals
    assert (disabled.baseline, disabled.current, disabled.current_on, disabled.target) == (12, 7, SUNDAY, 8)
    assert (disabled.target_reached, disabled.mic_reached, disabled.mic_rule) == (True, True, ChangeRule.BOTH)
    assert (stairs.measure, stairs.unit) == ("Patient-Specific Functional Scale: Stairs", "0-10")
    assert (stairs.baseline, stairs.current, stairs.target_reached) == (3, 8, False)
    assert (stairs.mic_reached, stairs.mic_rule) == (True, ChangeRule.POINTS)
    by_name = {each.statement: each for each in others}
    pain, walking, calm = by_name["Less pain"], by_name["Enjoy walking"], by_name["Calm"]
    assert (pain.baseline, pain.current, pain.target_reached, pain.mic_reached) == (None, None, None, None)
    assert (walking.measure, walking.unit, walking.target_reached) == (None, None, None)
    assert (calm.target_reached, calm.mic_reached, calm.mic_rule) == (True, None, None)


async def test_red_flags_and_alerts_stand_with_how_a_person_closed_them(world: Care) -> None:
    await world.screen(at=morning(MONDAY, 9))
    unclear = await world.screen(at=morning(MONDAY, 10), answers={"saddle": "no"})
    found = await world.screen(at=morning(SUNDAY, 11), yes=["saddle"])
    last = await world.screen(at=LATER, yes=["saddle"])
    async with world.sessions.begin() as session:
        await world.open(session)
        (alert,) = (await alerts.browse(session, world.bob, Page(), at=LATER)).items
        for screen in (found, last):
            form = RedFlagScreenClose(outcome=ScreenOutcome.SENT_TO_EMERGENCY, note="Sent on.")
            await red_flag_screens.close(session, world.bob, screen.id, form, version=screen.version, at=LATER)
        alert = await alerts.acknowledge(session, world.bob, alert.id, version=alert.version, at=LATER)
        await alerts.resolve(
            session, world.bob, alert.id, AlertOutcome.SENT_TO_EMERGENCY, None, version=alert.version, at=LATER
        )
    said = (await made(world)).snapshot
    assert said.counts.red_flag_screens == 2
    incomplete, urgent = said.red_flags
    assert (incomplete.screened_at, incomplete.complete, incomplete.outcome) == (unclear.screened_at, False, None)
    assert (urgent.screened_at, urgent.complete, urgent.level) == (found.screened_at, True, "emergency_now")
    assert (urgent.outcome, urgent.closed_at) == ("sent_to_emergency", LATER)
    assert urgent.findings
    (told_of,) = said.alerts
    assert (told_of.rule, told_of.title) == ("ES01", "Warning sign in a red-flag screen")
    assert (told_of.outcome, told_of.resolved_at) == ("sent_to_emergency", LATER)


async def test_changes_of_the_program_stand_with_their_reason(world: Care) -> None:
    program = await world.running()
    async with world.sessions.begin() as session:
        await world.open(session)
        form = ProgramVersionCreate.model_validate({"reason": "Pain rose: fewer sets", "phases": [MOBILITY]})
        await programs.create_version(
            session, world.bob, program.id, form, version=program.version, at=morning(MONDAY + timedelta(days=3), 9)
        )
    first, second = (await made(world)).snapshot.program_changes
    assert (first.version, first.reason, first.author) == (1, "Program begun: Low back, at home", "Bob Keller")
    assert (second.version, second.reason) == (2, "Pain rose: fewer sets")
    later = await made(world, first=SUNDAY, last=SUNDAY)
    assert later.snapshot.program_changes == []


async def test_visits_are_the_days_of_signed_assessments(world: Care) -> None:
    def assessment(day: date, status: DocumentStatus) -> Assessment:
        sealed: dict[str, Any] = {} if status is DocumentStatus.DRAFT else {"signed_at": LATER, "content_sha256": "0"}
        return Assessment(
            clinic_id=world.clinic_id,
            patient_id=world.world.alice.id,
            episode_id=world.episode_id,
            author_id=world.world.bob.id,
            kind=AssessmentKind.INITIAL,
            assessed_on=day,
            status=status,
            **sealed,
        )

    await add(
        world,
        assessment(MONDAY, DocumentStatus.SIGNED),
        assessment(MONDAY, DocumentStatus.SIGNED),
        assessment(SUNDAY, DocumentStatus.SIGNED),
        assessment(SUNDAY - timedelta(days=1), DocumentStatus.DRAFT),
        assessment(MONDAY - timedelta(days=1), DocumentStatus.SIGNED),
    )
    assert (await made(world)).snapshot.counts.visits == 2


# ------------------------------------------------------------------ frozen
async def test_what_comes_later_does_not_change_a_report(world: Care) -> None:
    await check_in(world, MONDAY, pain_now=6)
    await outcome(world, MONDAY, "rmdq24", roland(14))
    before = await made(world)
    await check_in(world, MONDAY + timedelta(days=1), pain_now=1)
    await outcome(world, SUNDAY, "rmdq24", roland(2))
    await add(world, goal(world, "Climb stairs"))
    async with world.sessions.begin() as session:
        await world.open(session)
        await session.execute(update(Patient).values(family_name="Changed"))
    after = await read(world, before.id)
    assert after == before
    assert (await made(world)).snapshot.progress != before.snapshot.progress


async def test_the_same_report_gives_the_same_bytes(world: Care) -> None:
    report = await signed(world, await told(world, await made(world), **WORDS))
    again = await read(world, report.id)
    try:
        first = await documents.progress_report(report.snapshot, paper="a4")
        assert await documents.progress_report(again.snapshot, paper="a4") == first
    finally:
        await documents.close()


# ------------------------------------------------------------------ periods
@pytest.mark.parametrize(
    ("first", "last", "code"),
    [
        (MONDAY, SUNDAY + timedelta(days=2), "in_the_future"),
        (MONDAY - timedelta(days=20), MONDAY - timedelta(days=2), "before_the_episode"),
    ],
)
async def test_a_period_must_lie_between_the_episode_s_beginning_and_today(
    world: Care, first: date, last: date, code: str
) -> None:
    with pytest.raises(ReportPeriodRefused) as refused:
        await made(world, first=first, last=last)
    assert pointers(refused.value.problems) == {"/period_to": code}


async def test_a_period_in_the_first_years_of_the_calendar_is_refused(world: Care) -> None:
    with pytest.raises(ReportPeriodRefused) as refused:
        await made(world, first=date(1, 1, 1), last=date(1, 1, 2))
    assert codes(refused.value.problems) == {"before_the_episode"}


async def test_a_discharged_episode_takes_a_discharge_summary_only(world: Care) -> None:
    async with world.sessions.begin() as session:
        await world.open(session)
        await session.execute(update(Episode).values(status=EpisodeStatus.DISCHARGED, discharged_at=LATER))
    with pytest.raises(EpisodeClosed):
        await made(world)
    summary = await told(
        world, await made(world, kind=ReportKind.DISCHARGE), assessment_of_progress="Well.", plan="Go on."
    )
    assert (await signed(world, summary)).status is DocumentStatus.SIGNED


# ------------------------------------------------------------------ narrative and signature
async def test_the_narrative_changes_part_by_part_while_it_is_a_draft(world: Care) -> None:
    report = await told(world, await made(world), plan="Go on", updated_goals="None")
    report = await told(world, report, assessment_of_progress="Better", plan=None)
    assert report.version == 3
    narrative = report.snapshot.narrative
    assert (narrative.assessment_of_progress, narrative.plan, narrative.updated_goals) == ("Better", None, "None")
    assert (await read(world, report.id)).snapshot.narrative == narrative


async def test_a_stale_version_changes_nothing(world: Care) -> None:
    report = await told(world, await made(world), plan="Go on")
    with pytest.raises(Stale) as stale:
        await told(world, report, version=1, plan="Stop")
    assert stale.value.current_version == 2
    assert (await read(world, report.id)).snapshot.narrative.plan == "Go on"


async def test_of_two_changes_at_once_one_is_stale(world: Care) -> None:
    report = await made(world)
    async with world.sessions() as slow, world.sessions() as fast:
        for session in (slow, fast):
            await world.open(session)
        held = await slow.get_one(Report, (world.clinic_id, report.id))
        change = NarrativeUpdate(plan="Go on")
        await reports.update(fast, world.bob, report.id, change, version=1, at=LATER)
        await fast.commit()
        assert held.version == 1
        with pytest.raises(Stale):
            await reports.update(slow, world.bob, report.id, change, version=1, at=LATER)


async def test_what_is_signed_is_sealed_and_final(world: Care) -> None:
    draft = await told(world, await made(world), **WORDS)
    report = await signed(world, draft)
    signature = report.snapshot.signature
    assert signature is not None
    assert (signature.name, signature.license_jurisdiction, signature.signed_at) == ("Bob Keller", "DE", LATER)
    assert report.snapshot.status is DocumentStatus.SIGNED
    assert report.content_sha256 == signature.content_sha256
    async with world.sessions() as session:
        await world.open(session)
        row = await session.get_one(Report, (world.clinic_id, report.id))
        assert row.signed_at is not None
        content = {
            "snapshot": row.snapshot,
            "narrative": row.narrative,
            "signed_as": row.signed_as,
            "signed_at": row.signed_at.isoformat(),
        }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    assert sha256(canonical).hexdigest() == report.content_sha256
    with pytest.raises(ReportSigned):
        await told(world, report, plan="Something else")
    with pytest.raises(ReportSigned):
        await signed(world, report)
    async with world.sessions.begin() as session:
        await world.open(session)
        try:
            changed = await session.execute(update(Report).values(narrative={}))
            assert changed.rowcount == 0  # type: ignore[attr-defined]
        except ProgrammingError:
            await session.rollback()
    assert await read(world, report.id) == report


async def test_without_the_needed_parts_nothing_is_signed(world: Care) -> None:
    report = await told(world, await made(world), plan="Go on")
    with pytest.raises(ReportIncomplete) as refused:
        await signed(world, report)
    assert pointers(refused.value.problems) == {
        "/assessment_of_progress": "part_missing",
        "/justification_for_skilled_care": "part_missing",
    }
    assert (await read(world, report.id)).status is DocumentStatus.DRAFT


async def test_only_who_is_licensed_where_the_patient_is_may_sign(world: Care) -> None:
    async with world.sessions.begin() as session:
        await world.open(session)
        erin = await make_therapist(session, world.clinic_id, "Erin Weiss", licensed=None)
        await link(session, world.world.alice, erin, CareRole.MEMBER)
        world.world.actors["erin"] = await make_actor(session, world.clinic_id, Role.THERAPIST, erin)
    report = await told(world, await made(world), **WORDS)
    with pytest.raises(MayNotTreat) as refused:
        await signed(world, report, who="erin")
    assert codes(refused.value.problems) == {"license_missing"}


# ------------------------------------------------------------------ who
async def test_assistants_and_patients_write_no_reports(world: Care) -> None:
    async with world.sessions.begin() as session:
        await world.open(session)
        pat = await make_therapist(session, world.clinic_id, "Pat Lind", profession=Profession.PTA)
        await link(session, world.world.alice, pat, CareRole.MEMBER)
        world.world.actors["pat"] = await make_actor(session, world.clinic_id, Role.ASSISTANT, pat)
    for who in ("pat", "alice", "dana"):
        with pytest.raises(Forbidden):
            await made(world, who=who)
    report = await made(world)
    assert await read(world, report.id, "pat") == report
    with pytest.raises(Forbidden):
        await read(world, report.id, "dana")


async def test_a_stranger_finds_nothing(world: Care) -> None:
    report = await made(world)
    with pytest.raises(NotFound):
        await made(world, who="carol")
    for who, report_id in (("carol", report.id), ("bob", uuid4())):
        with pytest.raises(NotFound):
            await read(world, report_id, who)
    with pytest.raises(NotFound):
        await signed(world, report, who="carol")


async def test_patients_read_what_is_signed_and_no_draft(world: Care) -> None:
    report = await told(world, await made(world), **WORDS)
    with pytest.raises(NotFound):
        await read(world, report.id, "alice")
    report = await signed(world, report)
    assert await read(world, report.id, "alice") == report


async def test_paper_is_the_clinic_s_unless_another_is_asked_for(world: Care) -> None:
    report = await made(world)
    async with world.sessions.begin() as session:
        await world.open(session)
        _, usual = await reports.printed(session, world.bob, report.id, paper=None, at=LATER)
        _, asked = await reports.printed(session, world.bob, report.id, paper="us-letter", at=LATER)
        await session.execute(text("UPDATE clinics SET paper = 'us-letter'"))
        _, changed = await reports.printed(session, world.bob, report.id, paper=None, at=LATER)
    assert (usual, asked, changed) == ("a4", "us-letter", "us-letter")


async def test_every_step_is_on_record(world: Care) -> None:
    report = await signed(world, await told(world, await made(world), **WORDS))
    await read(world, report.id)
    async with world.sessions.begin() as session:
        await world.open(session)
        await reports.printed(session, world.bob, report.id, paper=None, at=LATER)
    actions = [action for action in await world.actions() if action.startswith("report.")]
    assert actions == ["report.create", "report.update", "report.sign", "report.read", "report.print"]
