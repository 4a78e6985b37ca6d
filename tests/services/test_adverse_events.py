"""An adverse event from the patient's words to the review, and who gets to see it."""

from dataclasses import replace
from datetime import date, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from core.database import Sessions
from core.errors import Forbidden, NotFound, Stale
from models.adverse_events import AdverseEvent, AdverseEventChange, AdverseEventStatus
from models.alerts import Alert, AlertLevel, AlertOutcome, AlertStatus
from models.clinics import Clinic
from models.episodes import Episode
from schemas.adverse_events import AdverseEventCreate, AdverseEventPatch, AdverseEventReview
from schemas.pages import Page
from services import adverse_event_files, adverse_events
from services.access import Actor
from services.adverse_event_files import SpanRefused
from services.adverse_events import (
    AdverseEventIncomplete,
    AdverseEventRefused,
    AdverseEventReviewed,
)
from tests.factories import NOW
from tests.services.caring import Care, care, codes, pointers

TODAY = NOW.date()
CLOSE = AdverseEventReview.model_validate({"conclusion": "program_changed", "note": "The bridge was taken out."})


@pytest.fixture
async def here(sessions: Sessions) -> Care:
    return await care(sessions)


async def report(here: Care, by: str = "alice", **changes: Any) -> Any:
    form = AdverseEventCreate.model_validate(
        {"kind": "more_pain", "description": "=Sharp, during the bridge", "occurred_on": str(TODAY), **changes}
    )
    async with here.sessions.begin() as session:
        await here.open(session)
        return await adverse_events.create(session, here.world.actors[by], here.world.alice.id, form, at=NOW)


async def change(here: Care, row: Any, version: int, **changes: Any) -> AdverseEvent:
    form = AdverseEventPatch.model_validate(changes)
    async with here.sessions.begin() as session:
        await here.open(session)
        return await adverse_events.update(session, here.bob, row.id, form, version=version, at=NOW)


async def review(here: Care, row: Any, version: int, by: Actor | None = None) -> AdverseEvent:
    async with here.sessions.begin() as session:
        await here.open(session)
        return await adverse_events.review(session, by or here.bob, row.id, CLOSE, version=version, at=NOW)


async def alerts_of(here: Care) -> list[tuple[str, AlertLevel, int]]:
    async with here.sessions() as session:
        await here.open(session)
        rows = await session.scalars(select(Alert).where(Alert.rule_id == "AE01"))
        return [(row.rule_version, row.level, row.repeats) for row in rows]


async def test_an_event_is_reported_completed_and_reviewed_with_all_that_was_said(here: Care) -> None:
    program = await here.running()
    assert program.shown is not None
    item = program.shown.phases[0].items[0]
    made = await report(here, item_id=str(item.id), grade=2, seriousness=[])
    assert (made.version_id, made.episode_id, made.advice) == (program.shown.id, here.episode_id, None)
    assert await alerts_of(here) == [], "moderate, and not serious"
    with pytest.raises(AdverseEventIncomplete) as incomplete:
        await review(here, made, 1)
    assert codes(incomplete.value.problems) == {"missing"}
    with pytest.raises(Stale):
        await change(here, made, 7, outcome="recovered")

    # worse than it was thought: alerted once, and again only when it gets worse still
    await change(here, made, 1, grade=3, note="Seen by her doctor.")
    assert await alerts_of(here) == [("adverse-events-2026-1", AlertLevel.HIGH, 0)]
    await change(here, made, 2, relatedness="probable", outcome="recovered", ended_on=str(TODAY))
    assert await alerts_of(here) == [("adverse-events-2026-1", AlertLevel.HIGH, 0)]
    with pytest.raises(AdverseEventRefused) as refused:
        await change(here, made, 3, ended_on=str(TODAY - timedelta(days=1)))
    assert pointers(refused.value.problems) == {"/ended_on": "day_range"}
    done = await review(here, made, 3)
    assert (done.status, done.reviewed_by) == (AdverseEventStatus.REVIEWED, here.bob.therapist_id)
    for late in (change(here, made, 4, grade=1), change(here, made, 4, description="Sore"), review(here, made, 4)):
        with pytest.raises(AdverseEventReviewed):
            await late
    with pytest.raises(AdverseEventReviewed) as softer:
        await change(
            here, made, 4, grade=4, relatedness="unlikely", outcome="unknown", description="Sore", ended_on=None
        )
    assert pointers(softer.value.problems) == dict.fromkeys(("/relatedness", "/outcome", "/description"), "not_worse")
    # it turns out to be worse: reviewed again, and how the first review ended stays on record
    again = await change(here, made, 4, outcome="lasting_effects", seriousness=["disability"])
    assert (again.status, again.conclusion, again.review_note) == (AdverseEventStatus.REPORTED, None, None)
    assert (await alerts_of(here))[-1][1] is AlertLevel.URGENT_SAME_DAY
    await review(here, made, 5)
    read = {}
    for who in ("alice", "bob"):
        async with here.sessions.begin() as session:
            await here.open(session)
            read[who] = await adverse_events.get(session, here.world.actors[who], made.id, at=NOW)
            listed = await adverse_events.browse(
                session, here.world.actors[who], made.patient_id, Page(key=b"k"), at=NOW
            )
        assert [one.review_note for one in listed.items] == [read[who].review_note]
    detail, own = read["bob"], read["alice"]
    assert [one.kind for one in detail.changes] == ["reported", "changed", "changed", "reviewed", "changed", "reviewed"]
    assert (detail.changes[1].changes, detail.changes[1].note) == ({"grade": [2, 3]}, "Seen by her doctor.")
    assert detail.changes[4].changes["review_note"] == [CLOSE.note, None]
    assert detail.review_note == CLOSE.note
    assert (own.status, own.reviewed_at, own.conclusion) == (detail.status, detail.reviewed_at, detail.conclusion)
    assert own.changes[1].changes == detail.changes[1].changes
    said = own.model_dump_json()
    assert CLOSE.note not in said, "what the team wrote for itself"
    assert "Seen by her doctor." not in said
    assert detail.changes[0].changes["grade"] == [None, 2]
    assert {f"adverse_event.{verb}" for verb in ("create", "update", "review", "read")} <= set(await here.actions())


async def test_what_an_event_came_with_stays_of_one_version_and_its_episode_whatever_is_changed(here: Care) -> None:
    back = (await here.running()).shown
    async with here.sessions.begin() as session:
        await here.open(session)
        knee = Episode(clinic_id=here.clinic_id, patient_id=here.world.alice.id, title="Knee", body_region="knee")
        session.add(knee)
        await session.flush()
    other = replace(here, episode_id=knee.id)
    knees = (await other.draft()).shown
    assert back is not None
    assert knees is not None
    old, new = back.phases[0].items[0].id, knees.phases[0].items[0].id
    said = await report(here, item_id=str(old), version_id=str(back.id))
    for place, wrong in {
        "/item_id": {"version_id": str(knees.id)},
        "/episode_id": {"item_id": str(new), "episode_id": str(here.episode_id)},
    }.items():
        with pytest.raises(AdverseEventRefused) as refused:
            await change(here, said, 1, **wrong)
        assert pointers(refused.value.problems) == {place: "link_unknown"}
    moved = await change(here, said, 1, item_id=str(new))
    assert (moved.item_id, moved.version_id, moved.episode_id) == (new, knees.id, knee.id)
    loose = await change(here, said, 2, item_id=None)
    assert (loose.item_id, loose.version_id, loose.episode_id) == (None, knees.id, knee.id), "no word is lost"
    with pytest.raises(AdverseEventRefused) as refused:  # an episode that somebody named holds
        await change(here, await report(here, episode_id=str(here.episode_id)), 1, item_id=str(new))
    assert pointers(refused.value.problems) == {"/episode_id": "link_unknown"}


async def test_what_is_serious_rings_whoever_dealt_with_the_last_one(here: Care) -> None:
    first = await report(here, grade=4, seriousness=["life_threatening"])
    assert (first.advice.level, first.advice.emergency_number) == ("emergency_now", "112")
    assert (await alerts_of(here))[0][1] is AlertLevel.URGENT_SAME_DAY
    async with here.sessions.begin() as session:
        await here.open(session)
        alert = (await session.scalars(select(Alert))).one()
        alert.status, alert.resolved_at, alert.outcome = AlertStatus.RESOLVED, NOW, AlertOutcome.NO_ACTION_NEEDED
    await report(here, grade=3, by="bob", seriousness=[])
    assert len(await alerts_of(here)) == 2, "never muted"


async def test_what_gets_worse_within_one_level_is_told_again(here: Care) -> None:
    made = await report(here, grade=2, seriousness=["medically_important"])
    urgent = ("adverse-events-2026-1", AlertLevel.URGENT_SAME_DAY)
    await change(here, made, 1, seriousness=["medically_important"], outcome="recovering")
    assert await alerts_of(here) == [(*urgent, 0)], "no worse"
    await change(here, made, 2, grade=4)
    await change(here, made, 3, seriousness=["life_threatening"])
    await change(here, made, 4, grade=5, seriousness=["death"], outcome="fatal")
    assert await alerts_of(here) == [(*urgent, 3)]
    await change(here, made, 5, grade=None, seriousness=[], outcome=None)
    assert await alerts_of(here) == [(*urgent, 3)], "a mistake that is put right"


async def test_a_patient_who_picks_the_last_grade_for_the_worst_is_told_to_get_help(here: Care) -> None:
    assert (await report(here, grade=5)).advice.level == "emergency_now"
    assert (await report(here, by="bob", grade=5)).advice is None, "nobody is left to read it"
    assert (await report(here, by="bob", outcome="fatal")).advice is None


async def test_a_death_is_alerted_however_it_is_told(here: Care) -> None:
    made = await report(here, by="bob", outcome="fatal")
    urgent = ("adverse-events-2026-1", AlertLevel.URGENT_SAME_DAY)
    assert await alerts_of(here) == [(*urgent, 0)]
    await change(here, made, 1, description="Told by his wife")
    assert await alerts_of(here) == [(*urgent, 0)], "known already"
    other = await report(here, by="bob")
    await change(here, other, 1, outcome="fatal")
    assert await alerts_of(here) == [(*urgent, 1)]


async def test_a_traveller_reports_on_a_day_that_his_zone_on_record_has_not_reached(here: Care) -> None:
    tomorrow = str(TODAY + timedelta(days=1))
    assert (await report(here, occurred_on=tomorrow, ended_on=tomorrow)).status == "reported"


async def test_what_does_not_fit_is_refused_with_the_advice_and_leaves_nothing(here: Care) -> None:
    program = await here.running()
    assert program.shown is not None
    wrong: dict[str, dict[str, Any]] = {
        "/occurred_on": {"occurred_on": str(TODAY + timedelta(days=2))},
        "/ended_on": {"ended_on": str(TODAY - timedelta(days=1))},
        "/item_id": {"item_id": str(uuid4())},
        "/session_id": {"session_id": str(uuid4())},
        "/version_id": {"version_id": str(uuid4())},
        "/episode_id": {"episode_id": str(uuid4()), "version_id": str(program.shown.id)},
        "/relatedness": {"relatedness": "definite"},
        "/outcome": {"grade": 5, "outcome": "recovered"},
    }
    with pytest.raises(AdverseEventRefused) as unborn:
        await report(here, occurred_on="1900-01-01")
    assert pointers(unborn.value.problems) == {"/occurred_on": "before_birth"}
    for pointer, changes in wrong.items():
        with pytest.raises(AdverseEventRefused) as refused:
            await report(here, **{"grade": 3, **changes})
        assert pointer in pointers(refused.value.problems)
        if changes.get("grade") != 5:
            assert refused.value.extras["advice"]["level"] == "urgent_same_day"
    async with here.sessions() as session:
        await here.open(session)
        for model in (AdverseEvent, AdverseEventChange, Alert):
            assert await session.scalar(select(model)) is None


async def test_a_reviewer_reaches_his_patients_and_the_clinical_lead_everybody(here: Care) -> None:
    made = await report(here, grade=1)
    stranger = here.world.actors["carol"]

    async def listed(actor: Actor, **more: Any) -> list[Any]:
        async with here.sessions.begin() as session:
            await here.open(session)
            asked = {"status": None, "least_grade": None} | more
            paged = await adverse_events.register(session, actor, Page(key=b"k"), **asked, at=NOW)
            return [row.id for row in paged.items]

    assert await listed(here.bob) == [made.id]
    assert await listed(here.bob, least_grade=2) == []
    assert await listed(here.bob, status=AdverseEventStatus.REVIEWED) == []
    assert await listed(stranger) == []
    with pytest.raises(Forbidden):
        await listed(here.alice)
    with pytest.raises(NotFound):
        await review(here, made, 1, by=stranger)
    async with here.sessions.begin() as session:
        await here.open(session)
        clinic = await session.get_one(Clinic, here.clinic_id)
        clinic.settings = {**clinic.settings, "clinical_lead_id": str(stranger.therapist_id)}
    assert await listed(stranger) == [made.id]
    with pytest.raises(AdverseEventIncomplete):
        await review(here, made, 1, by=stranger)

    async with here.sessions.begin() as session:
        await here.open(session)
        (told,) = await adverse_event_files.export(session, stranger, first=None, last=None, at=NOW)
        nothing = await adverse_event_files.export(
            session, stranger, first=None, last=TODAY - timedelta(days=1), at=NOW
        )
        with pytest.raises(SpanRefused):
            await adverse_event_files.export(session, stranger, first=TODAY, last=TODAY - timedelta(days=1), at=NOW)
        kept = await session.scalar(text("SELECT count(*) FROM audit_events WHERE action = 'adverse_event.export'"))
        assert await adverse_event_files.export(session, stranger, first=None, last=date.min, at=NOW) == []
    assert (tuple(told), told["id"], told["seriousness"]) == (adverse_event_files.EXPORTED, str(made.id), None)
    assert (nothing, kept) == ([], 2), "each look is on record, also one at nothing"
