"""ES01 to ES12, each as it happens: the alert, its level, what is to be done, and by when."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from core.crypto import new_id
from models.alerts import AlertLevel
from schemas.check_ins import AdHocIn
from schemas.outcomes import OutcomeCreate
from services import adherence, check_ins, outcomes
from tests.services.check_ins.scene import DAILY, WEEKLY, Scene, berlin, scene

MONDAY = berlin(2, 10)
"""Staffed on weekdays from eight to six on Berlin's clock; Monday, ten o'clock, Wednesday is a holiday."""
HIGH, ROUTINE = AlertLevel.HIGH, AlertLevel.ROUTINE


@pytest.fixture
async def stage(sessions: Any) -> Scene:
    staffed = {str(weekday): [["08:00", "18:00"]] for weekday in range(1, 6)}
    return await scene(sessions, staffed_hours=staffed, holidays=["2026-03-04"])


async def say(stage: Scene, at: datetime = MONDAY, questions: str = "daily", **answers: Any) -> None:
    """Let alice send a check-in of her own."""
    form = {"question_set": questions, "answers": (WEEKLY if questions == "weekly" else DAILY) | answers}
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        made = AdHocIn.model_validate(form)
        await check_ins.put(session, stage.care.alice, new_id(at + timedelta(seconds=1)), made, at=at)


async def score(stage: Scene, instrument: str, answers: dict[str, Any], at: datetime) -> None:
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        form = OutcomeCreate.model_validate({"instrument": instrument, "answers": answers})
        await outcomes.create(session, stage.care.alice, stage.care.episode_id, form, at=at)


async def emergency(stage: Scene) -> None:
    await stage.care.screen(yes=["saddle"], at=MONDAY)


async def same_day(stage: Scene) -> None:
    await stage.care.screen(yes=["both_legs"], at=MONDAY)


async def crisis_word(stage: Scene) -> None:
    await say(stage, note="Some days I want to die.")


async def item_nine(stage: Scene) -> None:
    await score(stage, "phq9", {f"q{number}": 2 for number in range(1, 10)}, MONDAY)


async def high_pain(stage: Scene) -> None:
    await say(stage, pain_now=3, at=MONDAY - timedelta(days=2))
    await say(stage, pain_now=7)


async def rising_pain(stage: Scene) -> None:
    for days, pain in ((3, 2), (1, 4), (0, 5)):
        await say(stage, pain_now=pain, at=MONDAY - timedelta(days=days))


async def flare(stage: Scene) -> None:
    await say(stage, flare=True)


async def long_flare(stage: Scene) -> None:
    for days in range(7, -1, -1):
        assert "ES06" not in [one.rule_id for one in await stage.alerts()]
        await say(stage, flare=True, at=MONDAY - timedelta(days=days))


def missed(times: int) -> Callable[[Scene], Awaitable[None]]:
    """Let that many check-ins be missed; the last one closes on Monday at ten."""

    async def miss(stage: Scene) -> None:
        begin = MONDAY - timedelta(days=times)
        await stage.plan(
            at=begin - timedelta(hours=1), local_time="10:00", closes_minutes=1440, starts_on=begin.date().isoformat()
        )
        await stage.live(begin, MONDAY)

    return miss


async def few_sessions(stage: Scene) -> None:
    await stage.care.running(at=MONDAY - timedelta(days=16))
    async with stage.sessions.begin() as session:
        await stage.care.open(session)
        assert await adherence.review(session, stage.clinic_id, at=MONDAY) == 1


async def worse_outcome(stage: Scene) -> None:
    for days, many in ((1, 4), (0, 12)):
        answers = {f"q{number}": number <= many for number in range(1, 25)}
        await score(stage, "rmdq24", answers, MONDAY - timedelta(days=days))


async def opioid(stage: Scene) -> None:
    await say(stage, questions="weekly", at=MONDAY - timedelta(days=7))
    await say(stage, questions="weekly", opioid_use=True)


async def emergency_department(stage: Scene) -> None:
    await say(stage, questions="weekly", care_used="emergency_department")


HOUR = timedelta(hours=1)
TUESDAY, THURSDAY = berlin(3, 10), berlin(5, 10)


@pytest.mark.parametrize(
    ("rule", "happens", "level", "task", "respond_by"),
    [
        ("ES01", emergency, AlertLevel.EMERGENCY_NOW, None, MONDAY + HOUR),
        ("ES01", same_day, AlertLevel.URGENT_SAME_DAY, None, MONDAY + 4 * HOUR),
        ("ES02", crisis_word, AlertLevel.URGENT_SAME_DAY, None, MONDAY + 4 * HOUR),
        ("ES02", item_nine, AlertLevel.EMERGENCY_NOW, None, MONDAY + HOUR),
        ("ES03", high_pain, HIGH, None, TUESDAY),
        ("ES04", rising_pain, HIGH, None, TUESDAY),
        ("ES05", flare, ROUTINE, "start_flare_plan", THURSDAY),
        ("ES06", long_flare, HIGH, None, TUESDAY),
        ("ES08", missed(3), ROUTINE, "task_therapist_message", THURSDAY),
        ("ES09", missed(5), HIGH, "task_therapist_call", TUESDAY),
        ("ES10", few_sessions, ROUTINE, None, THURSDAY),
        ("ES11", worse_outcome, HIGH, None, TUESDAY),
        ("ES12", opioid, HIGH, None, TUESDAY),
        ("ES12", emergency_department, HIGH, None, TUESDAY),
    ],
)
async def test_the_rule_raises_its_alert(
    stage: Scene,
    rule: str,
    happens: Callable[[Scene], Awaitable[None]],
    level: AlertLevel,
    task: str | None,
    respond_by: datetime,
) -> None:
    await happens(stage)
    found = {one.rule_id: one for one in await stage.alerts()}
    assert rule in found, f"only {sorted(found)}"
    alert = found[rule]
    assert (alert.level, alert.task, alert.respond_by) == (level, task, respond_by)
    assert (alert.raised_at, alert.owner_id, alert.escalations) == (MONDAY, None, 0)
    assert alert.rule_version == "escalation-2026-2"


@pytest.mark.parametrize(
    ("said", "days"),
    [
        ({7: True, 3: True, 0: True}, 7),  # days without an answer do not end it
        ({9: True, 7: True, 6: False, 5: True, 0: True}, 9),  # nor does a better day: the rules do, or a person
        ({9: True, 0: False}, None),  # then the job calls
        ({30: True, 15: True, 0: True}, 15),
    ],
)
async def test_a_flare_lasts_from_its_first_day_and_calls_the_therapist_once(
    stage: Scene, said: dict[int, bool], days: int | None
) -> None:
    for ago, flare in said.items():
        await say(stage, flare=flare, at=MONDAY - timedelta(days=ago))
    found = [(one.inputs, one.repeats) for one in await stage.alerts() if one.rule_id == "ES06"]
    assert found == ([] if days is None else [({"days": days}, 0)])


async def test_two_missed_in_a_row_only_remind(stage: Scene) -> None:
    await missed(2)(stage)
    assert await stage.alerts() == []
    (letter,) = await stage.owed()
    assert (letter.template, letter.due_at.astimezone(UTC)) == ("check_in_reminder", MONDAY)
