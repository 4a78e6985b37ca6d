"""Goals over HTTP: in words, or held against a measure."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from core.database import Sessions
from tests.api.desk import STRANGE, Desk, days, refused
from tests.factories import make_world

STAIRS = {
    "statement": "Climb two flights of stairs",
    "measure": "psfs",
    "activity_id": "stairs",
    "baseline": 3,
    "target": 7,
}
WORDS = {"statement": "Sleep through the night"}


@pytest.fixture
async def desk(client: httpx.AsyncClient, sessions: Sessions) -> Desk:
    return Desk(client, sessions, await make_world(sessions))


@pytest.fixture
async def path(desk: Desk) -> str:
    """Give where goals of an episode are set, in which alice has named one activity."""
    episode = f"/v1/episodes/{(await desk.episode())['id']}"
    answers = {"activities": [{"id": "stairs", "name": "Climb stairs", "rating": 3}]}
    await desk.post("alice", f"{episode}/outcomes", {"instrument": "psfs", "answers": answers})
    return f"{episode}/goals"


async def test_goals_are_set_listed_and_seen_by_the_patient(desk: Desk, path: str) -> None:
    answer = await desk.ask("bob", "POST", path, STAIRS | {"due_on": days(42)})
    made = answer.json()
    assert answer.status_code == 201, made
    assert answer.headers["etag"] == '"1"'
    assert (made["status"], made["baseline"], made["target"], made["activity_id"]) == ("active", 3, 7, "stairs")
    plain = await desk.post("bob", path, WORDS)
    read = await desk.get("alice", path)
    assert [each["id"] for each in read["items"]] == [made["id"], plain["id"]]
    assert read["items"][0] == made
    assert (await desk.get("bob", f"{path}?status=achieved"))["items"] == []
    assert await desk.audited("goal.create") == 2
    assert await desk.audited("goal.list") == 2


async def test_a_goal_of_the_most_steps_of_a_day_is_kept(desk: Desk, path: str) -> None:
    made = await desk.post("bob", path, WORDS | {"measure": "steps", "baseline": 99_999, "target": 100_000})
    assert (made["baseline"], made["target"]) == (99_999, 100_000)


@pytest.mark.parametrize(
    ("form", "pointer", "code"),
    [
        (STAIRS | {"measure": "magic"}, "/measure", "measure_unknown"),
        (STAIRS | {"activity_id": None}, "/activity_id", "activity_missing"),
        (STAIRS | {"activity_id": "running"}, "/activity_id", "activity_unknown"),
        (STAIRS | {"measure": "rmdq24"}, "/activity_id", "activity_refused"),
        (STAIRS | {"target": None}, "/target", "target_missing"),
        (STAIRS | {"target": 11}, "/target", "out_of_range"),
        (STAIRS | {"baseline": -1}, "/baseline", "out_of_range"),
        (STAIRS | {"target": 6.5}, "/target", "too_fine"),
        (STAIRS | {"target": 3}, "/target", "not_better"),
        (WORDS | {"measure": "rmdq24", "baseline": 10, "target": 12}, "/target", "not_better"),
        (WORDS | {"measure": "rmdq24", "baseline": 10, "target": 25}, "/target", "out_of_range"),
        (WORDS | {"target": 3}, "/target", "measure_missing"),
        (WORDS | {"due_on": "2020-01-01"}, "/due_on", "in_the_past"),
        (WORDS | {"due_on": "2090-01-01"}, "/due_on", "too_far_ahead"),
    ],
)
async def test_a_goal_that_does_not_fit_its_measure_or_day_is_refused(
    desk: Desk, path: str, form: dict[str, Any], pointer: str, code: str
) -> None:
    body = refused(await desk.ask("bob", "POST", path, form), 422, "goal_refused", secret=str(form["statement"]))
    assert (pointer, code) in {(each["pointer"], each["code"]) for each in body["errors"]}
    assert (await desk.get("bob", path))["items"] == []


async def test_a_goal_of_an_instrument_without_its_licensed_text_is_refused(desk: Desk, path: str) -> None:
    refused(
        await desk.ask("bob", "POST", path, WORDS | {"measure": "odi", "target": 10}), 409, "instrument_not_licensed"
    )


async def test_an_activity_named_in_another_episode_is_not_meant(desk: Desk, path: str) -> None:
    other = f"/v1/episodes/{(await desk.episode())['id']}/goals"
    answer = await desk.ask("bob", "POST", other, STAIRS)
    refused(answer, 422, "goal_refused", ("/activity_id", "activity_unknown"))
    assert (await desk.get("bob", path))["items"] == []


async def test_better_means_lower_where_the_measure_says_so(desk: Desk, path: str) -> None:
    made = await desk.post("bob", path, WORDS | {"measure": "rmdq24", "baseline": 12, "target": 4})
    assert made["target"] == 4
    made = await desk.post("bob", path, WORDS | {"measure": "nprs", "target": 2})
    assert made["baseline"] is None


async def test_a_goal_is_changed_closed_and_made_active_again(desk: Desk, path: str) -> None:
    made = await desk.post("bob", path, STAIRS)
    goal = f"/v1/goals/{made['id']}"
    refused(await desk.ask("bob", "PATCH", goal, {"target": 8}), 428, "precondition_required")
    refused(await desk.ask("bob", "PATCH", goal, {"target": 8}, version=2), 412, "stale")
    answer = await desk.ask("bob", "PATCH", goal, {"target": 8, "due_on": days(30)}, version=1)
    assert (answer.json()["target"], answer.headers["etag"]) == (8, '"2"')
    for change, pointer, code in [
        ({"target": 2}, "/target", "not_better"),
        ({"statement": None}, "/statement", "null_refused"),
        ({"status": None}, "/status", "null_refused"),
        ({"due_on": "2020-01-01"}, "/due_on", "in_the_past"),
    ]:
        refused(await desk.ask("bob", "PATCH", goal, change, version=2), 422, "goal_refused", (pointer, code))
    answer = await desk.ask("bob", "PATCH", goal, {"status": "achieved"}, version=2)
    closed = answer.json()
    assert (closed["status"], closed["version"]) == ("achieved", 3)
    assert closed["closed_at"] is not None
    for change in ({"target": 9}, {"status": "canceled"}, {"status": "active", "target": 9}):
        refused(await desk.ask("bob", "PATCH", goal, change, version=3), 409, "goal_closed")
    answer = await desk.ask("bob", "PATCH", goal, {"status": "active"}, version=3)
    assert (answer.json()["status"], answer.json()["closed_at"]) == ("active", None)
    assert await desk.audited("goal.update") == 3


async def test_only_who_treats_the_patient_sets_goals(desk: Desk, path: str) -> None:
    made = await desk.post("bob", path, WORDS)
    for who, status in {"alice": 403, "dana": 403, "carol": 404}.items():
        assert (await desk.ask(who, "POST", path, WORDS)).status_code == status
        answer = await desk.ask(who, "PATCH", f"/v1/goals/{made['id']}", {"status": "achieved"}, version=1)
        assert answer.status_code == status
    refused(await desk.ask("bob", "POST", f"/v1/episodes/{STRANGE}/goals", WORDS), 404, "not_found")
    refused(await desk.ask("bob", "PATCH", f"/v1/goals/{STRANGE}", WORDS, version=1), 404, "not_found")
    assert (await desk.get("bob", path))["items"] == [made]


async def test_a_discharged_episode_takes_no_new_goal(desk: Desk, path: str) -> None:
    episode = path.removesuffix("/goals")
    await desk.post("bob", f"{episode}/discharge", {"reason": "Done"}, version=1)
    refused(await desk.ask("bob", "POST", path, WORDS), 409, "episode_closed")


async def test_a_list_takes_as_many_statements_for_fifty_as_for_one(
    desk: Desk, path: str, count_statements: Callable[[], Any]
) -> None:
    await desk.post("bob", path, WORDS)
    with count_statements() as one:
        await desk.get("bob", path)
    for _ in range(49):
        await desk.post("bob", path, WORDS)
    with count_statements() as fifty:
        assert len((await desk.get("bob", path))["items"]) == 50
    assert len(fifty) == len(one), fifty.sent
