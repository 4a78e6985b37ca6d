"""Episodes of care over HTTP, from intake to discharge and back."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from core.database import Sessions
from tests.api.desk import EPISODE, STRANGE, Desk, days, refused
from tests.factories import make_world

REASON = {"reason": "Moved to another town"}


@pytest.fixture
async def desk(client: httpx.AsyncClient, sessions: Sessions) -> Desk:
    return Desk(client, sessions, await make_world(sessions))


async def test_an_episode_opens_at_intake(desk: Desk) -> None:
    answer = await desk.ask("bob", "POST", f"{desk.patient}/episodes", EPISODE | {"onset_on": "2026-01-01"})
    made = answer.json()
    assert answer.status_code == 201, made
    assert answer.headers["location"] == f"/v1/episodes/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    assert (made["status"], made["icd10_codes"], made["started_on"]) == ("intake", ["M54.50"], "2026-01-05")
    read = await desk.get("alice", f"/v1/episodes/{made['id']}")
    assert read == made | {"assessments": []}
    listed = await desk.get("alice", f"{desk.patient}/episodes")
    assert listed["items"] == [made]
    assert (await desk.get("bob", f"{desk.patient}/episodes?status=active"))["items"] == []
    for action, count in {"episode.create": 1, "episode.read": 1, "episode.list": 2}.items():
        assert await desk.audited(action) == count


async def test_headache_and_the_regions_of_library_and_screen_are_known(desk: Desk) -> None:
    for region in ("headache", "neck", "knee", "whole_body"):
        await desk.episode(body_region=region, icd10_codes=[])


@pytest.mark.parametrize(
    ("changes", "code", "pointer", "problem"),
    [
        ({"body_region": "soul"}, "episode_refused", "/body_region", "region_unknown"),
        ({"body_region": "breathing"}, "episode_refused", "/body_region", "region_unknown"),
        ({"icd10_codes": ["M54.50", "M54.50"]}, "episode_refused", "/icd10_codes", "repeated"),
        ({"icd10_codes": ["back pain"]}, "invalid", "/icd10_codes/0", "string_pattern_mismatch"),
        ({"onset_on": days(2)}, "episode_refused", "/onset_on", "in_the_future"),
        ({"onset_on": "1950-01-01"}, "episode_refused", "/onset_on", "before_birth"),
        ({"started_on": days(2)}, "episode_refused", "/started_on", "in_the_future"),
        ({"title": ""}, "invalid", "/title", "text_empty"),
        ({"status": "active"}, "invalid", "/status", "literal_error"),
    ],
)
async def test_an_episode_that_cannot_be_is_refused(
    desk: Desk, changes: dict[str, Any], code: str, pointer: str, problem: str
) -> None:
    form = EPISODE | {"title": "Secret pain"} | changes
    answer = await desk.ask("bob", "POST", f"{desk.patient}/episodes", form)
    refused(answer, 422, code, (pointer, problem), secret="Secret pain")
    assert (await desk.get("bob", f"{desk.patient}/episodes"))["items"] == []


async def test_it_is_held_reopened_and_discharged_for_reasons(desk: Desk) -> None:
    path = f"/v1/episodes/{(await desk.episode())['id']}"
    refused(await desk.ask("bob", "POST", f"{path}/hold", REASON, version=1), 409, "episode_not_in_state")
    answer = await desk.ask("bob", "PATCH", path, {"status": "active"}, version=1)
    assert (answer.json()["status"], answer.headers["etag"]) == ("active", '"2"')
    held = await desk.post("bob", f"{path}/hold", REASON, version=2)
    assert (held["status"], held["status_reason"]) == ("on_hold", REASON["reason"])
    answer = await desk.ask("bob", "PATCH", path, {"status": "maintenance"}, version=3)
    refused(answer, 409, "episode_not_in_state")
    back = await desk.post("bob", f"{path}/reopen", {"reason": "Back home"}, version=3)
    assert (back["status"], back["discharged_at"]) == ("active", None)
    refused(await desk.ask("bob", "POST", f"{path}/reopen", REASON, version=4), 409, "episode_not_in_state")
    over = await desk.post("bob", f"{path}/discharge", REASON, version=4)
    assert over["status"] == "discharged"
    assert over["discharged_at"] is not None
    for verb in ("discharge", "hold"):
        refused(await desk.ask("bob", "POST", f"{path}/{verb}", REASON, version=5), 409, "episode_closed")
    refused(await desk.ask("bob", "PATCH", path, {"title": "Other"}, version=5), 409, "episode_closed")
    again = await desk.post("bob", f"{path}/reopen", REASON, version=5)
    assert (again["status"], again["discharged_at"]) == ("active", None)
    for action, count in {"episode.hold": 1, "episode.discharge": 1, "episode.reopen": 2, "episode.update": 1}.items():
        assert await desk.audited(action) == count


async def test_the_tag_changes_with_its_assessments(desk: Desk) -> None:
    path = f"/v1/episodes/{(await desk.episode(started_on=days(0)))['id']}"
    before = await desk.ask("bob", "GET", path)
    await desk.post("alice", f"{desk.patient}/locations", {"country": "DE"})
    await desk.post("bob", f"{path}/assessments", {"kind": "initial", "content": {}})
    after = await desk.ask("bob", "GET", path)
    assert after.json()["version"] == before.json()["version"]
    assert after.headers["etag"] != before.headers["etag"]


async def test_details_change_and_status_moves_on_only(desk: Desk) -> None:
    path = f"/v1/episodes/{(await desk.episode())['id']}"
    change = {"title": "Low back and leg", "icd10_codes": ["M54.16"], "onset_on": None, "status": "active"}
    answer = await desk.ask("bob", "PATCH", path, change, version=1)
    assert answer.json() | change == answer.json()
    await desk.ask("bob", "PATCH", path, {"status": "maintenance"}, version=2)
    answer = await desk.ask("bob", "PATCH", path, {"onset_on": "2026-01-02"}, version=3)
    assert (answer.json()["onset_on"], answer.json()["status"]) == ("2026-01-02", "maintenance")
    refused(await desk.ask("bob", "PATCH", path, {"status": "intake"}, version=4), 409, "episode_not_in_state")
    refused(await desk.ask("bob", "PATCH", path, {"status": "discharged"}, version=4), 422, "invalid")
    answer = await desk.ask("bob", "PATCH", path, {"title": None, "status": None}, version=4)
    refused(answer, 422, "episode_refused", ("/title", "null_refused"), ("/status", "null_refused"))
    assert (await desk.get("bob", path))["status"] == "maintenance"


async def test_every_change_names_the_version_it_means(desk: Desk) -> None:
    path = f"/v1/episodes/{(await desk.episode())['id']}"
    for method, target, body in [
        ("PATCH", path, {"title": "Other"}),
        ("POST", f"{path}/discharge", REASON),
        ("POST", f"{path}/hold", REASON),
    ]:
        refused(await desk.ask("bob", method, target, body), 428, "precondition_required")
        assert refused(await desk.ask("bob", method, target, body, version=9), 412, "stale")["current_version"] == 1
    await desk.post("bob", f"{path}/discharge", REASON, version=1)
    refused(await desk.ask("bob", "POST", f"{path}/reopen", REASON, version=1), 412, "stale")
    refused(await desk.ask("bob", "POST", f"{path}/reopen", {}, version=2), 422, "invalid", ("/reason", "missing"))


async def test_only_who_treats_the_patient_manages_episodes(desk: Desk, sessions: Sessions) -> None:
    made = await desk.episode()
    path = f"/v1/episodes/{made['id']}"
    other = await make_world(sessions, name="Another clinic")
    for who, status in {"alice": 403, "dana": 403, "carol": 404}.items():
        assert (await desk.ask(who, "POST", f"{desk.patient}/episodes", EPISODE)).status_code == status
        assert (await desk.ask(who, "PATCH", path, {"title": "X"}, version=1)).status_code == status
        assert (await desk.ask(who, "POST", f"{path}/discharge", REASON, version=1)).status_code == status
    refused(await desk.ask("dana", "GET", path), 403, "forbidden")
    for target in (path, f"{desk.patient}/episodes"):
        refused(await desk.ask("carol", "GET", target), 404, "not_found")
        elsewhere = await desk.client.get(target, headers=other.headers["bob"])
        refused(elsewhere, 404, "not_found")
    refused(await desk.ask("bob", "GET", f"/v1/episodes/{STRANGE}"), 404, "not_found")
    assert (await desk.get("bob", path)) == made | {"assessments": []}


async def test_a_list_takes_as_many_statements_for_fifty_as_for_one(
    desk: Desk, count_statements: Callable[[], Any]
) -> None:
    await desk.episode()
    with count_statements() as one:
        await desk.get("bob", f"{desk.patient}/episodes")
    for _ in range(49):
        await desk.episode()
    with count_statements() as fifty:
        assert len((await desk.get("bob", f"{desk.patient}/episodes"))["items"]) == 50
    assert len(fifty) == len(one), fifty.sent
