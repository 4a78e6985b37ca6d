import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.check_ins import InvalidAnswers
from core.crypto import new_id
from core.database import bind_clinic
from core.errors import Forbidden, Invalid, NotFound
from models.alerts import AlertLevel
from models.check_ins import CheckIn, CheckInAnswer, CheckInStatus
from models.clinics import Clinic
from models.outcomes import Outcome
from schemas.check_ins import AdHocIn, Answered, AnswersIn
from schemas.pages import Page
from services import check_ins
from services.check_ins import answering
from tests.factories import make_patient
from tests.services.caring import pointers
from tests.services.check_ins.scene import DAILY, DAY, WEEKLY, Scene, berlin


@pytest.fixture
async def today(stage: Scene) -> CheckIn:
    """The check-in of Monday at eight, open until four on Tuesday."""
    await stage.plan(at=berlin(2, 7))
    await stage.dispatch(berlin(2, 8))
    return (await stage.rows())[0]


async def _put(stage: Scene, check_in_id: UUID, **form: Any) -> tuple[Answered, bool]:
    at = form.pop("at", berlin(2, 12))
    values = {"question_set": "daily", "answers": DAILY} | form
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        return await check_ins.put(session, stage.care.alice, check_in_id, AdHocIn.model_validate(values), at=at)


async def test_an_answer_in_time_is_kept_with_its_audit_row(stage: Scene, today: CheckIn) -> None:
    answered, new = await stage.answer(today, berlin(2, 9), DAILY | {"sleep_hours": 7.25, "note": "Slept well"})
    assert (new, answered.status, answered.late) == (True, CheckInStatus.SUBMITTED, False)
    assert (answered.next_steps, answered.advice) == ([], None)
    row = (await stage.rows())[0]
    assert (row.status, row.answered_at) == (CheckInStatus.SUBMITTED, berlin(2, 9))
    async with stage.sessions() as session:
        await bind_clinic(session, stage.clinic_id)
        kept = (await session.scalars(select(CheckInAnswer).where(CheckInAnswer.check_in_id == today.id))).one()
        assert (kept.pain_now, kept.answers["sleep_hours"], kept.late) == (3, 7.25, False)
    assert (await stage.care.actions())[-1] == "check_in.answer"
    assert await stage.alerts() == []


async def test_the_same_answers_again_change_nothing_and_others_are_refused(stage: Scene, today: CheckIn) -> None:
    first, _ = await stage.answer(today, berlin(2, 9), DAILY | {"flare": True})
    again, new = await stage.answer(today, berlin(2, 10), DAILY | {"flare": True})
    assert not new
    assert again == first
    with pytest.raises(answering.AlreadyAnswered):
        await stage.answer(today, berlin(2, 10), DAILY)
    assert [each for each in await stage.care.actions() if each.startswith("check_in.")] == [
        "check_in.answer",
        "check_in.read",
    ]


async def test_the_window_decides_by_the_servers_clock(stage: Scene, today: CheckIn) -> None:
    with pytest.raises(answering.CheckInNotOpen):
        await stage.answer(today, berlin(2, 7, 59))
    with pytest.raises(answering.CheckInNotOpen):
        await stage.answer(today, today.late_until)
    await stage.close(berlin(3, 5))
    answered, _ = await stage.answer(today, today.late_until - timedelta(seconds=1))
    assert (answered.status, answered.late) == (CheckInStatus.LATE, True)


async def test_an_excused_check_in_takes_no_answers(stage: Scene, today: CheckIn) -> None:
    await stage.dispatch(berlin(2, 9))
    async with stage.sessions() as session:
        await bind_clinic(session, stage.clinic_id)
        row = await session.get_one(CheckIn, (stage.clinic_id, today.id))
        row.status = CheckInStatus.EXCUSED
        await session.flush()
        form = AnswersIn.model_validate({"answers": DAILY})
        with pytest.raises(answering.CheckInNotOpen):
            await check_ins.answer(session, stage.care.alice, today.id, form, at=berlin(2, 9))


async def test_what_an_outage_excused_is_excused_no_more_once_it_is_answered(stage: Scene) -> None:
    await stage.plan(at=berlin(2, 7), closes_minutes=2880)
    await stage.dispatch(berlin(3, 9))
    excused = (await stage.rows())[0]
    assert (excused.status, excused.excused_reason) == (CheckInStatus.EXCUSED, "outage")
    await stage.answer(excused, berlin(3, 10))
    answered = (await stage.rows())[0]
    assert (answered.status, answered.excused_reason) == (CheckInStatus.SUBMITTED, None)


async def test_answers_that_do_not_fit_are_refused_with_their_places_and_change_nothing(
    stage: Scene, today: CheckIn
) -> None:
    with pytest.raises(InvalidAnswers) as refused:
        await stage.answer(today, berlin(2, 9), {"pain_now": 11, "flare": "no", "new_symptoms": False, "mood": 3})
    assert pointers(refused.value.problems) == {
        "/answers/pain_now": "out_of_range",
        "/answers/function_limit": "missing",
        "/answers/flare": "not_a_boolean",
        "/answers/mood": "unknown_question",
    }
    assert not any("11" in problem.message for problem in refused.value.problems)
    assert (await stage.rows())[0].status is CheckInStatus.OPEN


async def test_a_check_in_of_somebody_else_is_not_there(stage: Scene, today: CheckIn) -> None:
    form = AnswersIn.model_validate({"answers": DAILY})
    async with stage.sessions() as session:
        await bind_clinic(session, stage.clinic_id)
        with pytest.raises(Forbidden):
            await check_ins.answer(session, stage.care.bob, today.id, form, at=berlin(2, 9))
        with pytest.raises(NotFound):
            await check_ins.answer(session, stage.care.alice, uuid4(), form, at=berlin(2, 9))
        other = await make_patient(session, stage.clinic_id, "Erik Sand")
        stranger = type(stage.care.alice)(**{**stage.care.alice.__dict__, "patient_id": other.id})
        with pytest.raises(NotFound):
            await check_ins.answer(session, stranger, today.id, form, at=berlin(2, 9))
        with pytest.raises(NotFound):
            await check_ins.get(session, stage.care.world.actors["carol"], today.id, at=berlin(2, 9))


async def test_a_crisis_word_is_answered_with_help_and_an_urgent_alert(stage: Scene, today: CheckIn) -> None:
    answered, _ = await stage.answer(today, berlin(2, 9), DAILY | {"note": "I want to end it all"})
    assert [step.code for step in answered.next_steps] == ["crisis_help"]
    assert answered.advice is not None
    assert answered.advice.emergency_number == "112"
    (alert,) = await stage.alerts()
    assert (alert.rule_id, alert.level) == ("ES02", AlertLevel.URGENT_SAME_DAY)
    assert alert.respond_by == berlin(2, 13)  # four staffed hours
    assert "end it all" not in str(alert.inputs)
    again, new = await stage.answer(today, berlin(2, 9), DAILY | {"note": "I want to end it all"})
    assert (again, new) == (answered, False)


async def test_new_symptoms_ask_for_a_screen_and_a_flare_for_its_plan(stage: Scene, today: CheckIn) -> None:
    answered, _ = await stage.answer(today, berlin(2, 9), DAILY | {"new_symptoms": True, "flare": True})
    assert [step.code for step in answered.next_steps] == ["red_flag_screen", "flare_plan"]
    assert [(one.rule_id, one.task) for one in await stage.alerts()] == [("ES05", "start_flare_plan")]


async def test_pain_that_is_high_against_the_baseline_or_rises_twice_raises_alerts(
    stage: Scene, today: CheckIn
) -> None:
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        session.add(
            Outcome(
                clinic_id=stage.clinic_id,
                patient_id=stage.care.world.alice.id,
                episode_id=stage.care.episode_id,
                instrument_code="nprs",
                instrument_version="1",
                answers={"now": 4},
                scores={"now": 4},
                administered_at=berlin(2, 7),
                administered_on=berlin(2, 7).date(),
                recorded_by=uuid4(),
            )
        )
    await stage.answer(today, berlin(2, 9), DAILY | {"pain_now": 3})
    for day, pain in ((3, 5), (4, 7)):
        await stage.dispatch(berlin(day, 9))
        row = next(row for row in await stage.rows() if row.local_date.day == day)
        await stage.answer(row, berlin(day, 9), DAILY | {"pain_now": pain})
    raised = {one.rule_id: one.inputs for one in await stage.alerts()}
    assert raised == {
        "ES03": {"pain_now": 7, "baseline_pain": 4},
        "ES04": {"pain_now": 7, "rise": 4, "previous_rise": 2},
    }


async def test_an_opioid_newly_taken_raises_an_alert_once(stage: Scene) -> None:
    for day, opioid in ((2, False), (3, True), (4, True)):
        form = {"question_set": "weekly", "answers": WEEKLY | {"opioid_use": opioid}, "at": berlin(day, 12)}
        await _put(stage, new_id(berlin(day, 12)), **form)
    (alert,) = await stage.alerts()
    assert (alert.rule_id, alert.repeats) == ("ES12", 0)


async def test_a_check_in_from_the_device_is_kept_under_its_own_id_once(stage: Scene) -> None:
    check_in_id = new_id(berlin(2, 12))
    first, new = await _put(stage, check_in_id, device_at="2026-03-02T03:00:00+09:00", device_zone="Asia/Tokyo")
    again, newer = await _put(
        stage, check_in_id, device_at="2026-03-02T03:00:00+09:00", device_zone="Asia/Tokyo", at=berlin(3, 1)
    )
    assert (new, newer) == (True, False)
    assert again == first
    with pytest.raises(answering.AlreadyAnswered):
        await _put(stage, check_in_id)
    (row,) = await stage.rows()
    assert (row.plan_id, row.local_date, row.status) == (None, berlin(2, 12).date(), CheckInStatus.SUBMITTED)
    async with stage.sessions() as session:
        await bind_clinic(session, stage.clinic_id)
        read = await check_ins.get(session, stage.care.bob, check_in_id, at=berlin(2, 13))
        assert read.answers is not None
        assert (read.answers.device_zone, read.answers.answered_at) == ("Asia/Tokyo", berlin(2, 12))
        assert [question.id for question in read.questions][:2] == ["pain_now", "pain_worst_24h"]


@pytest.mark.parametrize(("second", "kept"), [(3, True), (9, False)])
async def test_of_two_requests_at_once_one_is_kept(stage: Scene, today: CheckIn, second: int, kept: bool) -> None:
    own_id = new_id(berlin(2, 9))

    async def send(session: AsyncSession, pain: int, *, scheduled: bool) -> tuple[Answered, bool]:
        form = {"answers": DAILY | {"pain_now": pain}}
        if scheduled:
            answers = AnswersIn.model_validate(form)
            return await check_ins.answer(session, stage.care.alice, today.id, answers, at=berlin(2, 9))
        own = AdHocIn.model_validate(form | {"question_set": "daily"})
        return await check_ins.put(session, stage.care.alice, own_id, own, at=berlin(2, 9))

    for scheduled in (True, False):
        async with stage.sessions() as first, stage.sessions() as other:
            await bind_clinic(first, stage.clinic_id)
            await bind_clinic(other, stage.clinic_id)
            answered, new = await send(first, 3, scheduled=scheduled)
            assert new
            waiting = asyncio.ensure_future(send(other, second, scheduled=scheduled))
            await asyncio.sleep(0.2)
            assert not waiting.done()
            await first.commit()
            if kept:
                assert await waiting == (answered, False)
            else:
                with pytest.raises(answering.AlreadyAnswered):
                    await waiting


async def test_an_id_that_is_no_uuid7_taken_or_without_an_episode_is_refused(stage: Scene, today: CheckIn) -> None:
    with pytest.raises(Invalid):
        await _put(stage, uuid4())
    with pytest.raises(answering.CheckInIdTaken):
        await _put(stage, today.id)
    with pytest.raises(NotFound):
        await _put(stage, new_id(berlin(2, 12)), episode_id=str(uuid4()))
    async with stage.sessions() as session:
        await bind_clinic(session, stage.clinic_id)
        other = await make_patient(session, stage.clinic_id, "Erik Sand")
        stranger = type(stage.care.alice)(**{**stage.care.alice.__dict__, "patient_id": other.id})
        form = AdHocIn.model_validate({"question_set": "daily", "answers": DAILY})
        with pytest.raises(answering.NoEpisode):
            await check_ins.put(session, stranger, new_id(berlin(2, 12)), form, at=berlin(2, 12))
        with pytest.raises(NotFound):
            await check_ins.put(session, stranger, today.id, form, at=berlin(2, 12))


async def test_check_ins_are_listed_by_patient_plan_status_and_day(stage: Scene, today: CheckIn) -> None:
    await stage.dispatch(berlin(6, 9))
    await stage.answer(today, berlin(2, 9))
    async with stage.sessions() as session:
        await bind_clinic(session, stage.clinic_id)

        async def days(page: Page | None = None, **filters: Any) -> list[int]:
            found = await check_ins.browse(session, stage.care.bob, page or Page(limit=200), **filters, at=berlin(6, 9))
            return [row.local_date.day for row in found.items]

        assert await days() == [7, 6, 5, 4, 3, 2]
        assert await days(patient_id=stage.care.world.alice.id, plan_id=today.plan_id) == [7, 6, 5, 4, 3, 2]
        assert await days(status=[CheckInStatus.SUBMITTED]) == [2]
        first = berlin(3, 9).date()
        assert await days(from_=first, to=first + DAY) == [4, 3]
        with pytest.raises(NotFound):
            await days(patient_id=uuid4())
        unseen = await check_ins.browse(session, stage.care.world.actors["carol"], Page(), at=berlin(6, 9))
        assert list(unseen.items) == []


async def test_the_clinics_own_limit_counts(stage: Scene, today: CheckIn) -> None:
    async with stage.sessions.begin() as session:
        await bind_clinic(session, stage.clinic_id)
        clinic = await session.get_one(Clinic, stage.clinic_id)
        clinic.settings = {"high_pain": 5}
    await stage.answer(today, berlin(2, 9), DAILY | {"pain_now": 5})
    assert [one.rule_id for one in await stage.alerts()] == ["ES03"]
