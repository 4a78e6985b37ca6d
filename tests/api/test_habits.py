"""Milestones, targets for habits and contributing factors over HTTP: what is refused, and who may do what."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from clinical.library import load
from core.crypto import new_id
from core.database import Sessions
from tests.api.desk import STRANGE, Desk, days, instant, refused
from tests.factories import make_world

GOAL = {"statement": "Climb two flights", "measure": "rmdq24", "baseline": 12, "target": 4}
BAKERY = {"statement": "Walk to the bakery"}
HEAT = {"method": "heat", "minutes": 20, "helped": 6}
WORK = {"sitting_hours": 6, "standing_hours": 1, "lifting_hours": 0, "driving_hours": 1.25, "shift_pattern": "day"}


@pytest.fixture
async def desk(client: httpx.AsyncClient, sessions: Sessions) -> Desk:
    return Desk(client, sessions, await make_world(sessions))


@pytest.fixture
async def episode(desk: Desk) -> str:
    return f"/v1/episodes/{(await desk.episode())['id']}"


def own() -> str:
    return str(new_id(datetime.now(UTC)))


def noted(form: dict[str, Any], **changes: Any) -> dict[str, Any]:
    return {"noted_at": instant(minutes=-1), "device_zone": "Europe/Berlin", **form, **changes}


# ------------------------------------------------------------------ milestones
async def test_a_milestone_is_set_reached_by_word_dropped_and_put_back(desk: Desk, episode: str) -> None:
    goal = await desk.post("bob", f"{episode}/goals", GOAL)
    path = f"/v1/goals/{goal['id']}/milestones"
    answer = await desk.ask("alice", "POST", path, BAKERY | {"due_on": days(7)})
    made = answer.json()
    assert (answer.status_code, answer.headers["etag"], made["reached_on"], made["percent"]) == (201, '"1"', None, None)
    own_ = f"/v1/milestones/{made['id']}"
    refused(await desk.ask("alice", "PATCH", own_, {"reached_on": days(0)}), 428, "precondition_required")
    refused(await desk.ask("alice", "PATCH", own_, {"reached_on": days(0)}, version=7), 412, "stale")
    for change, pointer, code in [
        ({"reached_on": days(3)}, "/reached_on", "in_the_future"),
        ({"due_on": "2020-01-01"}, "/due_on", "in_the_past"),
        ({"target": 8}, "/target", "target_refused"),
    ]:
        body = refused(await desk.ask("alice", "PATCH", own_, change, version=1), 422, "milestone_refused")
        assert (pointer, code) in {(each["pointer"], each["code"]) for each in body["errors"]}
    answer = await desk.ask("alice", "PATCH", own_, {"reached_on": days(-1)}, version=1)
    assert (answer.json()["reached_on"], answer.headers["etag"]) == (days(-1), '"2"')
    answer = await desk.ask("bob", "PATCH", own_, {"dropped": True, "reached_on": None}, version=2)
    assert (answer.json()["reached_on"], answer.json()["dropped_at"] is None) == (None, False)
    assert (await desk.ask("bob", "PATCH", own_, {"dropped": False}, version=3)).json()["dropped_at"] is None
    assert [each["id"] for each in (await desk.get("bob", path))["items"]] == [made["id"]]
    assert [await desk.audited(f"milestone.{verb}") for verb in ("create", "update", "list")] == [1, 3, 1]


async def test_a_measured_milestone_lies_on_the_way_and_is_the_therapists(
    desk: Desk, episode: str, count_statements: Callable[[], Any]
) -> None:
    goal = await desk.post("bob", f"{episode}/goals", GOAL)
    path = f"/v1/goals/{goal['id']}/milestones"
    for target, code in [(25, "out_of_range"), (13, "not_better"), (3, "beyond_goal"), (7.5, "too_fine")]:
        form = BAKERY | {"target": target}
        assert code in {
            each["code"]
            for each in refused(await desk.ask("bob", "POST", path, form), 422, "milestone_refused")["errors"]
        }
    refused(
        await desk.ask("alice", "POST", path, BAKERY | {"target": 8}),
        422,
        "milestone_refused",
        ("/target", "target_refused"),
    )
    made = await desk.post("bob", path, BAKERY | {"target": 8})
    ticks = {f"q{number}": True for number in range(1, 7)}
    await desk.post("alice", f"{episode}/outcomes", {"instrument": "rmdq24", "answers": ticks})
    with count_statements() as one:
        (read,) = (await desk.get("alice", path))["items"]
    assert (read["percent"], read["reached_on"] is None, read["version"]) == (100, False, 1)
    (goal,) = (await desk.get("alice", f"{episode}/goals"))["items"]
    assert (goal["achievement"]["percent"], goal["achievement"]["holds"]) == (75, False)
    easier = await desk.ask("bob", "PATCH", f"/v1/goals/{goal['id']}", {"target": 9}, version=1)
    assert easier.json()["target"] == 9, "the milestone beyond it is reached already"
    further = await desk.post("bob", f"{episode}/goals", GOAL)
    ahead = await desk.post("bob", f"/v1/goals/{further['id']}/milestones", BAKERY | {"target": 5})
    place = f"/v1/goals/{further['id']}"
    answer = await desk.ask("bob", "PATCH", place, {"target": 10}, version=1)
    refused(answer, 422, "goal_refused", ("/target", "milestones_beyond"))
    await desk.ask("bob", "PATCH", f"/v1/milestones/{ahead['id']}", {"dropped": True}, version=1)
    assert (await desk.ask("bob", "PATCH", place, {"target": 10}, version=1)).status_code == 200
    answer = await desk.ask("bob", "PATCH", f"/v1/milestones/{ahead['id']}", {"dropped": False}, version=2)
    refused(answer, 422, "milestone_refused", ("/dropped", "beyond_goal"))
    for who, change, problem in [
        ("bob", {"reached_on": days(0)}, ("/reached_on", "measured")),
        ("alice", {"statement": "Mine now"}, ("/statement", "not_yours")),
    ]:
        answer = await desk.ask(who, "PATCH", f"/v1/milestones/{made['id']}", change, version=1)
        refused(answer, 422, "milestone_refused", problem, secret="Mine now")
    for _ in range(3):
        await desk.post("bob", path, BAKERY | {"target": 9})
    with count_statements() as four:
        await desk.get("alice", path)
    assert len(four) == len(one), four.sent
    closed = await desk.ask("bob", "PATCH", f"/v1/goals/{goal['id']}", {"status": "canceled"}, version=2)
    assert closed.status_code == 200
    refused(await desk.ask("bob", "POST", path, BAKERY), 409, "goal_closed")
    plain = await desk.post("bob", f"{episode}/goals", {"statement": "Be calm"})
    path = f"/v1/goals/{plain['id']}/milestones"
    answer = await desk.ask("bob", "POST", path, BAKERY | {"target": 2})
    refused(answer, 422, "milestone_refused", ("/target", "measure_missing"))
    await desk.post("bob", f"{episode}/discharge", {"reason": "Done"}, version=1)
    refused(await desk.ask("alice", "POST", path, BAKERY), 409, "episode_closed")


async def test_a_goal_may_be_held_against_a_daily_measure(desk: Desk, episode: str) -> None:
    sleep = {"statement": "Sleep", "measure": "sleep_hours", "baseline": 5.5, "target": 7.25}
    made = await desk.post("bob", f"{episode}/goals", sleep)
    nothing = {"current": None, "current_on": None, "percent": None, "reached_on": None, "holds": None}
    assert made["achievement"] == {"baseline": 5.5, "overdue": None, **nothing}
    for target, code in [(25, "out_of_range"), (5, "not_better"), (6.001, "too_fine")]:
        answer = await desk.ask("bob", "POST", f"{episode}/goals", {**sleep, "target": target})
        refused(answer, 422, "goal_refused", ("/target", code))
    answer = await desk.ask("bob", "POST", f"{episode}/goals", {**sleep, "activity_id": "stairs"})
    refused(answer, 422, "goal_refused", ("/activity_id", "activity_refused"))


# ------------------------------------------------------------------ targets for habits
async def test_a_target_for_a_habit_is_set_once_changed_and_ended(desk: Desk, episode: str) -> None:
    path = f"{episode}/lifestyle-targets"
    for form, code in [
        ({"kind": "steps", "target": 100}, "out_of_range"),
        ({"kind": "steps", "target": 6000.5}, "too_fine"),
    ]:
        refused(await desk.ask("bob", "POST", path, form), 422, "lifestyle_target_refused", ("/target", code))
    made = await desk.post("bob", path, {"kind": "steps", "target": 6000})
    assert (made["unit"], made["lower_is_better"], made["progress"]["trend"]["direction"]) == (
        "steps",
        False,
        "unknown",
    )
    refused(await desk.ask("bob", "POST", path, {"kind": "steps", "target": 7000}), 409, "lifestyle_target_stands")
    own_ = f"/v1/lifestyle-targets/{made['id']}"
    refused(await desk.ask("alice", "PATCH", own_, {"target": 2000}, version=1), 403, "forbidden")
    refused(await desk.ask("carol", "PATCH", own_, {"target": 2000}, version=1), 404, "not_found")
    refused(await desk.ask("bob", "PATCH", own_, {"target": 1}, version=1), 422, "lifestyle_target_refused")
    refused(await desk.ask("bob", "PATCH", own_, {"target": 7000}, version=2), 412, "stale")
    answer = await desk.ask("bob", "PATCH", own_, {"target": 7000}, version=1)
    assert (answer.json()["target"], answer.headers["etag"]) == (7000, '"2"')
    ended = (await desk.ask("bob", "PATCH", own_, {"ended": True}, version=2)).json()
    assert ended["ended_on"] is not None
    refused(await desk.ask("bob", "PATCH", own_, {"target": 8000}, version=3), 409, "lifestyle_target_ended")
    again = await desk.post("bob", path, {"kind": "steps", "target": 8000})
    assert [each["id"] for each in (await desk.get("alice", path))["items"]] == [made["id"], again["id"]]
    assert await desk.audited("lifestyle_target.create") == 2


# ------------------------------------------------------------------ contributing factors
async def test_an_entry_is_kept_once_and_corrected_by_another(desk: Desk, episode: str) -> None:
    entry, form = own(), noted(HEAT)
    answer = await desk.ask("alice", "PUT", f"/v1/self-care/{entry}", form)
    made = answer.json()
    assert (answer.status_code, made["kind"], made["content"]) == (201, "self_care", HEAT)
    assert episode.endswith(made["episode_id"])
    again = await desk.ask("alice", "PUT", f"/v1/self-care/{entry}", form)
    assert (again.status_code, again.json()) == (200, made)
    refused(await desk.ask("alice", "PUT", f"/v1/self-care/{entry}", form | {"minutes": 5}), 409, "entry_id_taken")
    refused(await desk.ask("alice", "PUT", f"/v1/work-exposures/{entry}", noted(WORK)), 409, "entry_id_taken")
    mended = form | {"minutes": 15, "supersedes_id": entry}
    assert (await desk.ask("alice", "PUT", f"/v1/self-care/{own()}", mended)).status_code == 201
    refused(await desk.ask("alice", "PUT", f"/v1/self-care/{own()}", mended), 409, "entry_superseded_already")
    for unknown in (entry, own()):  # of another kind, and of nobody
        wrong = noted(WORK, supersedes_id=unknown)
        answer = await desk.ask("alice", "PUT", f"/v1/work-exposures/{own()}", wrong)
        refused(answer, 422, "entry_refused", ("/supersedes_id", "entry_unknown"), secret=unknown)
    found = await desk.get("bob", f"{desk.patient}/factors")
    (day,) = found["self_care"]
    assert (day["times"], day["minutes"], day["helped"]) == (1, 15, 6)
    assert len((await desk.get("bob", f"{desk.patient}/factor-entries?kind=self_care"))["items"]) == 2
    assert [await desk.audited(f"factor.{verb}") for verb in ("log", "list")] == [2, 1]


async def test_twins_leave_one_entry_and_one_target(desk: Desk, episode: str) -> None:
    entry, form = f"/v1/self-care/{own()}", noted(HEAT)
    kept = await asyncio.gather(*(desk.ask("alice", "PUT", entry, form) for _ in range(3)))
    assert sorted(each.status_code for each in kept) == [200, 200, 201]
    path, target = f"{episode}/lifestyle-targets", {"kind": "steps", "target": 6000}
    made = await asyncio.gather(*(desk.ask("bob", "POST", path, target) for _ in range(3)))
    assert sorted(each.status_code for each in made) == [201, 409, 409]
    mended = noted(HEAT, supersedes_id=entry.rpartition("/")[2])
    last = await asyncio.gather(*(desk.ask("alice", "PUT", f"/v1/self-care/{own()}", mended) for _ in range(3)))
    assert sorted(each.status_code for each in last) == [201, 409, 409]
    assert {each.json()["code"] for each in last if each.status_code == 409} == {"entry_superseded_already"}


async def test_what_does_not_fit_is_refused_and_nothing_is_kept(desk: Desk, episode: str) -> None:
    async def put(path: str, form: dict[str, Any], status: int, code: str, *problems: tuple[str, str]) -> None:
        refused(await desk.ask("alice", "PUT", path.format(own()), form), status, code, *problems)

    care, work, desk_ = "/v1/self-care/{}", "/v1/work-exposures/{}", "/v1/workstation-checks/{}"
    await put(care, noted(HEAT, minutes=0), 422, "invalid")
    await put(care, noted(HEAT, method="needles"), 422, "invalid")
    await put(care, noted(HEAT, note="It was hot"), 422, "invalid")
    await put(care, noted(HEAT, noted_at=instant(hours=2)), 422, "entry_refused", ("/noted_at", "in_the_future"))
    before = noted(HEAT, noted_at="2025-12-01T10:00:00Z")
    await put(care, before, 422, "entry_refused", ("/noted_at", "before_episode"))
    await put(care, noted(HEAT, episode_id=str(STRANGE)), 404, "not_found")
    await put(work, noted(WORK, sitting_hours=23), 422, "invalid")
    await put(work, noted(WORK, sitting_hours=1.1), 422, "invalid")
    await put(work, noted(WORK, as_of=days(3)), 422, "entry_refused", ("/as_of", "in_the_future"))
    await put(desk_, noted({"place": "home", "answers": {"aura": "fine"}}), 422, "invalid_answers")
    form = noted(HEAT)
    answer = await desk.ask("alice", "PUT", "/v1/self-care/0198c0de-7a11-4000-8000-000000000001", form)
    refused(answer, 422, "entry_refused", ("#/path/entry_id", "not_uuid7"))
    refused(await desk.ask("bob", "PUT", care.format(own()), form), 403, "forbidden")
    assert (await desk.get("alice", f"{desk.patient}/factor-entries"))["items"] == []
    await desk.post("bob", f"{episode}/discharge", {"reason": "Done"}, version=1)
    await put(care, form, 409, "entry_without_episode")


async def test_a_workstation_is_compared_with_what_it_was_and_work_over_time(desk: Desk, episode: str) -> None:
    points = (await desk.get("alice", "/v1/workstation-checklist"))["items"]
    fine = {each["code"]: "fine" for each in points}
    for minutes, worse in [
        (-9, {"feet": "not_fine", "glare": "not_fine"}),
        (-3, {"glare": "not_fine", "reach": "not_fine"}),
    ]:
        form = noted({"place": "home", "answers": fine | worse}, noted_at=instant(minutes=minutes))
        made = await desk.ask("alice", "PUT", f"/v1/workstation-checks/{own()}", form)
        assert (made.status_code, made.json()["list_version"]) == (201, load().workstation.version)
    office = noted({"place": "office", "answers": fine})
    assert (await desk.ask("alice", "PUT", f"/v1/workstation-checks/{own()}", office)).status_code == 201
    for as_of, hours in [(days(-60), 8), (days(-40), 7), (days(-2), 2)]:
        form = noted(WORK, as_of=as_of, sitting_hours=hours)
        assert (await desk.ask("alice", "PUT", f"/v1/work-exposures/{own()}", form)).status_code == 201
    found = await desk.get("bob", f"{desk.patient}/factors?episode_id={episode.rpartition('/')[2]}")
    (changed,) = found["workstation_changes"]
    assert (changed["place"], changed["improved"], changed["worsened"], changed["open"]) == (
        "home",
        ["feet"],
        ["reach"],
        ["reach", "glare"],
    )
    assert len(found["workstation"]) == 3
    assert [each["sitting_hours"] for each in found["work"]] == [7, 2], "what held when the period began, and since"
    assert len(found["pain"]) == 28
    assert found["medicine"] == []
    refused(await desk.ask("bob", "GET", f"{desk.patient}/factors?from=2020-01-01"), 422, "period_refused")
    refused(await desk.ask("bob", "GET", f"{desk.patient}/factors?episode_id={STRANGE}"), 404, "not_found")
