from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient

from core.crypto import new_id
from core.database import Sessions, bind_clinic
from services import check_ins
from tests.api.conftest import Statements
from tests.services.caring import Care, care
from tests.services.check_ins.scene import DAILY

PLAN = {"question_set": "daily", "frequency": "daily", "zone": "UTC"}


@pytest.fixture
async def ward(sessions: Sessions) -> Care:
    return await care(sessions, now=datetime.now(UTC))


async def make_plan(client: AsyncClient, ward: Care, **changes: Any) -> dict[str, Any]:
    soon = datetime.now(UTC) + timedelta(minutes=1)
    form = PLAN | {"local_time": soon.strftime("%H:%M:%S"), "opens_minutes": 60} | changes
    path = f"/v1/episodes/{ward.episode_id}/check-in-plans"
    answer = await client.post(path, json=form, headers=ward.world.headers["bob"])
    assert answer.status_code == 201, answer.text
    assert answer.headers["ETag"] == '"1"'
    found: dict[str, Any] = answer.json()
    return found


async def dispatched(client: AsyncClient, ward: Care) -> str:
    """Make a check-in that is open now, and give its path."""
    await make_plan(client, ward)
    async with ward.sessions.begin() as session:
        await bind_clinic(session, ward.clinic_id)
        await check_ins.dispatch(session, at=datetime.now(UTC))
    listed = await client.get("/v1/check-ins?status=open", headers=ward.world.headers["alice"])
    return f"/v1/check-ins/{listed.json()['items'][0]['id']}"


async def test_a_plan_is_made_changed_paused_and_resumed_with_if_match(client: AsyncClient, ward: Care) -> None:
    plan = await make_plan(client, ward)
    path, bob = f"/v1/check-in-plans/{plan['id']}", ward.world.headers["bob"]
    assert (await client.patch(path, json={"local_time": "20:00"}, headers=bob)).status_code == 428
    changed = await client.patch(path, json={"local_time": "20:00"}, headers=bob | {"If-Match": '"1"'})
    assert (changed.status_code, changed.json()["local_time"], changed.headers["ETag"]) == (200, "20:00:00", '"2"')
    stale = await client.post(f"{path}/pause", json={"reason": "Holiday"}, headers=bob | {"If-Match": '"1"'})
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    for verb, version, status in (("pause", 2, "paused"), ("resume", 3, "active")):
        done = await client.post(
            f"{path}/{verb}", json={"reason": "Holiday"}, headers=bob | {"If-Match": f'"{version}"'}
        )
        assert (done.status_code, done.json()["status"]) == (200, status)
    listed = await client.get(f"/v1/episodes/{ward.episode_id}/check-in-plans", headers=ward.world.headers["alice"])
    assert [one["version"] for one in listed.json()["items"]] == [4]
    carol = ward.world.headers["carol"]
    assert (await client.patch(path, json={}, headers=carol | {"If-Match": '"4"'})).status_code == 404


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"zone": "Middle/Earth"}, "/zone"),
        ({"local_time": "25:00"}, "/local_time"),
        ({"frequency": "hourly"}, "/frequency"),
        ({"weekdays": [1]}, "/weekdays"),
        ({"times": 2}, "/times"),
    ],
)
async def test_a_plan_with_wrong_words_is_refused_by_place(
    client: AsyncClient, ward: Care, change: dict[str, Any], pointer: str
) -> None:
    form = PLAN | {"local_time": "08:00"} | change
    path = f"/v1/episodes/{ward.episode_id}/check-in-plans"
    answer = await client.post(path, json=form, headers=ward.world.headers["bob"])
    assert answer.status_code == 422
    assert pointer in {error["pointer"] for error in answer.json()["errors"]}


async def test_a_check_in_is_read_and_answered_once(client: AsyncClient, ward: Care) -> None:
    path = await dispatched(client, ward)
    alice, bob = ward.world.headers["alice"], ward.world.headers["bob"]
    read = (await client.get(path, headers=alice)).json()
    assert (read["status"], read["answers"], read["questions"][0]["id"]) == ("open", None, "pain_now")
    first = await client.post(f"{path}/answers", json={"answers": DAILY}, headers=alice)
    assert (first.status_code, first.json()["status"], first.headers["Location"]) == (201, "submitted", path)
    again = await client.post(f"{path}/answers", json={"answers": DAILY}, headers=alice)
    assert (again.status_code, again.json()) == (200, first.json())
    other = await client.post(f"{path}/answers", json={"answers": DAILY | {"pain_now": 9}}, headers=alice)
    assert (other.status_code, other.json()["code"]) == (409, "already_answered")
    assert (await client.get(path, headers=bob)).json()["answers"]["answers"] == DAILY


async def test_a_double_submit_under_one_key_has_one_effect(client: AsyncClient, ward: Care) -> None:
    path = await dispatched(client, ward)
    headers = ward.world.headers["alice"] | {"Idempotency-Key": "morning"}
    first = await client.post(f"{path}/answers", json={"answers": DAILY}, headers=headers)
    again = await client.post(f"{path}/answers", json={"answers": DAILY}, headers=headers)
    assert (again.status_code, again.json(), again.headers["Idempotent-Replay"]) == (201, first.json(), "true")
    assert (await ward.actions()).count("answer_check_in.replay") == 1  # it was disclosed once more


async def test_answers_that_do_not_fit_are_refused_without_an_echo(client: AsyncClient, ward: Care) -> None:
    path = await dispatched(client, ward)
    answers = DAILY | {"pain_now": 777777, "note": 4}
    refused = await client.post(f"{path}/answers", json={"answers": answers}, headers=ward.world.headers["alice"])
    assert refused.status_code == 422
    assert {error["pointer"]: error["code"] for error in refused.json()["errors"]} == {
        "/answers/pain_now": "out_of_range",
        "/answers/note": "not_text",
    }
    assert "777777" not in refused.text


@pytest.mark.parametrize("who", ["bob", "carol", "dana"])
async def test_nobody_answers_for_the_patient(client: AsyncClient, ward: Care, who: str) -> None:
    path = await dispatched(client, ward)
    answer = await client.post(f"{path}/answers", json={"answers": DAILY}, headers=ward.world.headers[who])
    assert answer.status_code == 403


async def test_unknown_check_ins_and_filters_are_refused(client: AsyncClient, ward: Care) -> None:
    alice = ward.world.headers["alice"]
    assert (await client.get(f"/v1/check-ins/{uuid4()}", headers=alice)).status_code == 404
    missing = await client.post(f"/v1/check-ins/{uuid4()}/answers", json={"answers": DAILY}, headers=alice)
    assert missing.status_code == 404
    assert (await client.get("/v1/check-ins?colour=red", headers=alice)).status_code == 422
    assert (await client.get("/v1/check-ins?status=lost", headers=alice)).status_code == 422


async def test_the_device_may_send_its_own_check_in_again(client: AsyncClient, ward: Care) -> None:
    path = f"/v1/check-ins/{new_id(datetime.now(UTC))}"
    form = {"question_set": "daily", "answers": DAILY | {"new_symptoms": True}}
    alice = ward.world.headers["alice"]
    first = await client.put(path, json=form, headers=alice)
    assert (first.status_code, [step["code"] for step in first.json()["next_steps"]]) == (201, ["red_flag_screen"])
    again = await client.put(path, json=form, headers=alice)
    assert (again.status_code, again.json()) == (200, first.json())
    assert (await client.put(path, json=form | {"answers": DAILY}, headers=alice)).status_code == 409
    assert (await client.put(f"/v1/check-ins/{uuid4()}", json=form, headers=alice)).status_code == 422


async def test_an_answer_takes_at_most_four_statements(
    client: AsyncClient, ward: Care, count_statements: Callable[[], AbstractContextManager[Statements]]
) -> None:
    path = await dispatched(client, ward)
    with count_statements() as sent:
        await client.post(f"{path}/answers", json={"answers": DAILY}, headers=ward.world.headers["alice"])
    assert len(sent) <= 4, sent.sent  # who asks, the clinic, what to decide by, what was decided
    check_in = {"question_set": "daily", "answers": DAILY}
    with count_statements() as sent:
        await client.put(
            f"/v1/check-ins/{new_id(datetime.now(UTC))}", json=check_in, headers=ward.world.headers["alice"]
        )
    assert len(sent) <= 4, sent.sent


async def test_a_list_takes_as_many_statements_for_one_row_as_for_many(
    client: AsyncClient, ward: Care, count_statements: Callable[[], AbstractContextManager[Statements]]
) -> None:
    alice = ward.world.headers["alice"]
    counted = []
    for _ in range(2):
        for _ in range(3):
            form = {"question_set": "daily", "answers": DAILY}
            await client.put(f"/v1/check-ins/{new_id(datetime.now(UTC))}", json=form, headers=alice)
        with count_statements() as sent:
            await client.get("/v1/check-ins", headers=alice)
        counted.append(len(sent))
    assert counted[0] == counted[1] <= 5
