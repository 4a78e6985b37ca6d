from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response
from sqlalchemy import func, select

from api.app import create_app
from core.crypto import new_id
from core.database import Sessions
from core.settings import Settings
from models.audit import AuditEvent
from models.patients import Patient
from models.red_flag_screens import RedFlagScreen
from models.sessions import ExerciseSession
from schemas import programs as forms
from schemas.red_flag_screens import EXAMPLE, QUESTIONS
from tests.api.conftest import Statements, client_of
from tests.services.caring import MOBILITY, STRENGTH, Care, care

Counting = Callable[[], AbstractContextManager[Statements]]
BODY = {"title": "Low back, at home", "phases": [MOBILITY, STRENGTH]}


@pytest.fixture
async def world(sessions: Sessions) -> Care:
    return await care(sessions, now=datetime.now(UTC))


@pytest.fixture
def bob(world: Care) -> dict[str, str]:
    return world.world.headers["bob"]


@pytest.fixture
def alice(world: Care) -> dict[str, str]:
    return world.world.headers["alice"]


def _match(headers: dict[str, str], answer: Response) -> dict[str, str]:
    return headers | {"If-Match": answer.headers["etag"]}


async def _screen(client: AsyncClient, world: Care, headers: dict[str, str], *yes: str, **changes: Any) -> Response:
    answers = dict.fromkeys(QUESTIONS, "no") | dict.fromkeys(yes, "yes")
    body = {"trigger": "intake", "answers": answers} | changes
    return await client.post(f"/v1/patients/{world.world.alice.id}/red-flag-screens", json=body, headers=headers)


async def _running(client: AsyncClient, world: Care, headers: dict[str, str]) -> Response:
    await _screen(client, world, headers)
    draft = await client.post(f"/v1/episodes/{world.episode_id}/programs", json=BODY, headers=headers)
    return await client.post(f"/v1/programs/{draft.json()['id']}/activate", headers=_match(headers, draft))


def _session(program: dict[str, Any], **changes: Any) -> dict[str, Any]:
    items = program["shown"]["phases"][0]["items"]
    return {
        "performed_at": datetime.now(UTC).isoformat(),
        "device_zone": "Europe/Berlin",
        "items": [{"item_id": item["id"], "sets": [{"reps": 8}], "pain_during": 2} for item in items],
    } | changes


async def test_a_program_is_written_activated_edited_paused_resumed_and_completed(
    client: AsyncClient, world: Care, bob: dict[str, str], alice: dict[str, str]
) -> None:
    assert (await _screen(client, world, alice)).status_code == 201
    draft = await client.post(f"/v1/episodes/{world.episode_id}/programs", json=BODY, headers=bob)
    assert (draft.status_code, draft.headers["etag"]) == (201, '"1"')
    path = draft.headers["location"]
    missing = await client.post(f"{path}/activate", headers=bob)
    assert missing.status_code == 428
    active = await client.post(f"{path}/activate", headers=_match(bob, draft))
    assert (active.status_code, active.json()["status"]) == (200, "active")
    stale = await client.post(f"{path}/pause", json={"reason": "Away"}, headers=_match(bob, draft))
    assert (stale.status_code, stale.json()["current_version"]) == (412, 2)
    edit = {"reason": "Less for a while", "phases": [MOBILITY]}
    edited = await client.post(f"{path}/versions", json=edit, headers=_match(bob, active))
    assert (edited.status_code, edited.headers["location"]) == (201, f"{path}?version=2")
    assert (await client.get(f"{path}?version=1", headers=alice)).json()["shown"]["number"] == 1
    assert (await client.get(f"{path}?version=9", headers=alice)).status_code == 404
    paused = await client.post(f"{path}/pause", json={"reason": "Away"}, headers=_match(bob, edited))
    resumed = await client.post(f"{path}/resume", json={"reason": "Back"}, headers=_match(bob, paused))
    done = await client.post(f"{path}/complete", json={"reason": "Goals reached"}, headers=_match(bob, resumed))
    assert [each.json()["status"] for each in (paused, resumed, done)] == ["paused", "active", "completed"]
    listed = await client.get(f"/v1/episodes/{world.episode_id}/programs", headers=alice)
    assert [each["status"] for each in listed.json()["items"]] == ["completed"]


async def test_the_documents_examples_are_accepted(client: AsyncClient, world: Care, bob: dict[str, str]) -> None:
    path = f"/v1/patients/{world.world.alice.id}/red-flag-screens"
    assert (await client.post(path, json=EXAMPLE, headers=bob)).json()["complete"]
    for kind in (forms.ProgramCreate, forms.ProgramVersionCreate):
        (example,) = kind.model_json_schema()["examples"]
        kind.model_validate(example)
    (example,) = forms.ProgramCreate.model_json_schema()["examples"]
    made = await client.post(f"/v1/episodes/{world.episode_id}/programs", json=example, headers=bob)
    assert made.status_code == 201
    (edit,) = forms.ProgramVersionCreate.model_json_schema()["examples"]
    path = f"{made.headers['location']}/versions"
    assert (await client.post(path, json=edit, headers=_match(bob, made))).status_code == 201
    async with world.sessions() as session:
        await world.open(session)
        drafted = select(AuditEvent.action).where(AuditEvent.resource_type == "program_version")
        assert list(await session.scalars(drafted)) == ["program_version.draft"], "no news for the patient"


async def test_two_posts_with_one_key_write_one_program(client: AsyncClient, world: Care, bob: dict[str, str]) -> None:
    keyed = bob | {"Idempotency-Key": "one"}
    path = f"/v1/episodes/{world.episode_id}/programs"
    first, again = [await client.post(path, json=BODY, headers=keyed) for _ in range(2)]
    assert again.json() == first.json()
    assert again.headers["idempotent-replay"] == "true"


@pytest.mark.parametrize(
    ("path", "value", "pointer"),
    [
        (("phases", 0, "items", 0, "sets"), 11, "/phases/0/items/0/sets"),
        (("phases", 0, "items", 0, "reps"), 101, "/phases/0/items/0/reps"),
        (("phases", 0, "items", 0, "weekdays"), [8], "/phases/0/items/0/weekdays/0"),
        (("phases", 0, "items", 0, "load_kg"), 301, "/phases/0/items/0/load_kg"),
        (("phases", 0, "items", 0, "load_kg"), 1e-9, "/phases/0/items/0/load_kg"),
        (("phases", 0, "items", 0, "exercise_code"), "co_no_such", "/phases/0/items/0/exercise_code"),
        (("phases", 0, "kind"), "dancing", "/phases/0/kind"),
        (("starts_on",), "2020-01-01", "/starts_on"),
        (("pain_ceiling",), 11, "/pain_ceiling"),
        (("phases",), [], "/phases"),
        (("color",), "red", "/color"),
    ],
)
async def test_a_wrong_program_is_told_where(
    client: AsyncClient, world: Care, bob: dict[str, str], path: tuple[Any, ...], value: object, pointer: str
) -> None:
    body: Any = {"title": "T", "phases": [{**STRENGTH, "items": [{"exercise_code": "hp_bridge"}]}]}
    node = body
    for step in path[:-1]:
        node = node[step]
    node[path[-1]] = value
    answer = await client.post(f"/v1/episodes/{world.episode_id}/programs", json=body, headers=bob)
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


async def test_programs_of_others_are_not_there(client: AsyncClient, world: Care, bob: dict[str, str]) -> None:
    made = await client.post(f"/v1/episodes/{world.episode_id}/programs", json=BODY, headers=bob)
    carol = world.world.headers["carol"]
    foreign = await client.get(made.headers["location"], headers=carol)
    absent = await client.get(f"/v1/programs/{uuid4()}", headers=bob)
    assert foreign.status_code == absent.status_code == 404
    assert foreign.json()["code"] == absent.json()["code"]
    assert (await client.get(made.headers["location"], headers=world.world.headers["dana"])).status_code == 403


async def test_reading_a_program_takes_the_same_few_statements(
    client: AsyncClient, world: Care, bob: dict[str, str], count_statements: Counting
) -> None:
    program = (await _running(client, world, bob)).json()
    with count_statements() as sent:
        await client.get(f"/v1/programs/{program['id']}", headers=bob)
    assert len(sent) <= 9


# ------------------------------------------------------------------ red flags


async def test_the_advice_is_in_the_answer_and_the_program_stops(
    client: AsyncClient, world: Care, bob: dict[str, str], alice: dict[str, str]
) -> None:
    program = (await _running(client, world, bob)).json()
    flag = await _screen(client, world, alice, "saddle", trigger="new_symptom")
    assert (flag.status_code, flag.json()["advice"]["actions"]) == (201, ["call_emergency"])
    assert flag.json()["advice"]["emergency_number"] == "112"
    seen = (await client.get(f"/v1/programs/{program['id']}", headers=alice)).json()
    assert (seen["status"], seen["shown"]) == ("suspended_red_flag", None)
    assert seen["advice"]["actions"] == ["call_emergency"]
    refused = await client.put(f"/v1/sessions/{new_id(datetime.now(UTC))}", json=_session(program), headers=alice)
    assert (refused.status_code, refused.json()["code"]) == (409, "program_suspended")
    path = f"/v1/red-flag-screens/{flag.json()['id']}/close"
    body = {"outcome": "sent_to_emergency", "note": "Ambulance called"}
    assert (await client.post(path, json=body, headers=bob)).status_code == 428
    assert (await client.post(path, json=body, headers=_match(alice, flag))).status_code == 403
    closed = await client.post(path, json=body, headers=_match(bob, flag))
    assert (closed.status_code, closed.json()["status"], closed.headers["etag"]) == (200, "closed", '"2"')
    listed = await client.get(f"/v1/patients/{world.world.alice.id}/red-flag-screens", headers=alice)
    assert [each["level"] for each in listed.json()["items"]] == ["emergency_now", "none"]


@pytest.mark.parametrize(
    "changes",
    [
        {"answers": {"saddle": "maybe"}},
        {"answers": {"Not An Id": "no"}},
        {"facts": {"pain_0_10": 11}},
        {"facts": {"age_years": 40}},
        {"trigger": "boredom"},
    ],
)
async def test_a_wrong_screen_changes_nothing(
    client: AsyncClient, world: Care, alice: dict[str, str], changes: dict[str, Any], sessions: Sessions
) -> None:
    assert (await _screen(client, world, alice, **changes)).status_code == 422
    async with sessions() as session:
        await world.open(session)
        assert await session.scalar(select(func.count()).select_from(RedFlagScreen)) == 0


async def test_a_refused_screen_carries_the_advice(client: AsyncClient, world: Care, alice: dict[str, str]) -> None:
    refused = await _screen(client, world, alice, "saddle", episode_id=str(uuid4()))
    assert (refused.status_code, refused.json()["advice"]["level"]) == (422, "emergency_now")


async def test_an_emergency_is_answered_even_when_it_cannot_be_saved(
    client: AsyncClient, world: Care, alice: dict[str, str], sessions: Sessions
) -> None:
    async with sessions() as other:
        await world.open(other)
        await other.execute(select(Patient).where(Patient.id == world.world.alice.id).with_for_update())
        refused = await _screen(client, world, alice, "saddle", trigger="new_symptom")
        await other.rollback()
    assert (refused.status_code, refused.json()["code"]) == (503, "screen_not_saved")
    assert refused.json()["advice"]["actions"] == ["call_emergency"]
    assert refused.headers["retry-after"] == "1"


# ------------------------------------------------------------------ sessions


async def test_logging_a_session_takes_five_statements_at_most(
    client: AsyncClient, world: Care, bob: dict[str, str], alice: dict[str, str], count_statements: Counting
) -> None:
    program = (await _running(client, world, bob)).json()
    path = f"/v1/sessions/{new_id(datetime.now(UTC))}"
    body = _session(program)
    with count_statements() as sent:
        first = await client.put(path, json=body, headers=alice)
    assert first.status_code == 201
    assert len(sent) <= 5, sent.sent
    again = await client.put(path, json=body, headers=alice)
    assert (again.status_code, again.json()) == (200, first.json())
    other = await client.put(path, json=body | {"slot": 2}, headers=alice)
    assert (other.status_code, other.json()["code"]) == (409, "session_id_taken")


async def test_a_list_of_sessions_takes_as_many_statements_for_one_as_for_many(
    client: AsyncClient, world: Care, bob: dict[str, str], alice: dict[str, str], count_statements: Counting
) -> None:
    program = (await _running(client, world, bob)).json()
    path = f"/v1/patients/{world.world.alice.id}/sessions"
    counts = []
    for count in (1, 6):
        for _ in range(count):
            await client.put(f"/v1/sessions/{new_id(datetime.now(UTC))}", json=_session(program), headers=alice)
        with count_statements() as sent:
            listed = await client.get(path, headers=bob, params={"limit": 200})
        counts.append(len(sent))
    assert len(listed.json()["items"]) == 7
    assert counts[0] == counts[1] <= 7


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"device_zone": "Mars/Olympus"}, "/device_zone"),
        ({"performed_at": "2026-03-02T10:00:00"}, "/performed_at"),
        ({"performed_at": "2099-03-02T10:00:00Z"}, "/performed_at"),
        ({"pain_before": 11}, "/pain_before"),
        ({"effort": -1}, "/effort"),
        ({"items": []}, "/items"),
        ({"items": [{"item_id": str(uuid4())}]}, "/items/0/item_id"),
        ({"slot": 7}, "/slot"),
    ],
)
async def test_a_wrong_session_is_told_where_and_not_kept(
    client: AsyncClient,
    world: Care,
    bob: dict[str, str],
    alice: dict[str, str],
    changes: dict[str, Any],
    pointer: str,
    sessions: Sessions,
) -> None:
    program = (await _running(client, world, bob)).json()
    path = f"/v1/sessions/{new_id(datetime.now(UTC))}"
    refused = await client.put(path, json=_session(program, **changes), headers=alice)
    assert refused.status_code == 422
    assert [error["pointer"] for error in refused.json()["errors"]] == [pointer]
    async with sessions() as session:
        await world.open(session)
        assert await session.scalar(select(func.count()).select_from(ExerciseSession)) == 0


async def test_the_id_must_be_of_version_seven(client: AsyncClient, world: Care, alice: dict[str, str]) -> None:
    body = {
        "performed_at": (datetime.now(UTC) - timedelta(hours=1)).isoformat(),
        "device_zone": "Europe/Berlin",
        "items": [{"item_id": str(uuid4())}],
    }
    refused = await client.put(f"/v1/sessions/{uuid4()}", json=body, headers=alice)
    assert [error["code"] for error in refused.json()["errors"]] == ["uuid_version"]


async def test_another_clinic_sees_nothing_of_it(
    client: AsyncClient, world: Care, bob: dict[str, str], sessions: Sessions
) -> None:
    program = (await _running(client, world, bob)).json()
    elsewhere = await care(sessions, now=datetime.now(UTC))
    foreign = await client.get(f"/v1/programs/{program['id']}", headers=elsewhere.world.headers["bob"])
    assert foreign.status_code == 404
    path = f"/v1/sessions/{new_id(datetime.now(UTC))}"
    refused = await client.put(path, json=_session(program), headers=elsewhere.world.headers["alice"])
    assert {error["code"] for error in refused.json()["errors"]} == {"item_unknown"}


@pytest.mark.parametrize(
    "body",
    [
        {"trigger": "intake", "answers": {"saddle": "yes"}, "facts": {"pain_0_10": 11}},
        {"trigger": "intake", "answers": {"saddle": "yes", "bladder": "maybe"}},
        {"trigger": "intake", "answers": {"saddle": "yes", "no_such": 1}, "extra": True},
    ],
)
async def test_a_form_with_a_mistake_in_it_still_says_what_to_do(
    client: AsyncClient, world: Care, alice: dict[str, str], body: dict[str, Any]
) -> None:
    path = f"/v1/patients/{world.world.alice.id}/red-flag-screens"
    refused = await client.post(path, json=body, headers=alice)
    assert (refused.status_code, refused.json()["advice"]["level"]) == (422, "emergency_now")
    silent = await client.post(path, json={"trigger": "intake", "answers": []}, headers=alice)
    assert (silent.status_code, "advice" in silent.json()) == (422, False)


async def test_every_refusal_of_a_screen_says_what_to_do(
    client: AsyncClient, world: Care, alice: dict[str, str], bob: dict[str, str]
) -> None:
    path = f"/v1/patients/{world.world.alice.id}/red-flag-screens"
    body = {"trigger": "new_symptom", "answers": {"saddle": "yes"}}
    nobody = f"/v1/patients/{uuid4()}/red-flag-screens"
    refusals = {
        401: await client.post(path, json=body, headers={"Authorization": "Bearer gone"}),
        403: await client.post(path, json=body, headers=world.world.headers["dana"]),
        404: await client.post(nobody, json=body, headers=bob),
        422: await client.post(path, json=body | {"episode_id": str(uuid4())}, headers=alice),
    }
    away = create_app(Settings(environment="test", rate_per_second=0, _env_file=None))  # its database never came
    async with client_of(away) as unserved:
        refusals[503] = await unserved.post(path, json=body, headers=alice)
    for status, answer in refusals.items():
        assert (answer.status_code, answer.json()["advice"]["level"]) == (status, "emergency_now"), status
    assert refusals[422].json()["advice"]["emergency_number"] == "112", "where he is is known by then"
    other = await client.post(f"/v1/episodes/{uuid4()}/programs", json=BODY, headers=bob)
    assert (other.status_code, "advice" in other.json()) == (404, False)


async def test_the_tag_of_a_program_changes_with_what_is_shown_and_names_its_version(
    client: AsyncClient, world: Care, bob: dict[str, str], alice: dict[str, str]
) -> None:
    active = await _running(client, world, bob)
    path = f"/v1/programs/{active.json()['id']}"
    done = await client.post(f"{path}/complete", json={"reason": "Over"}, headers=_match(bob, active))
    read = await client.get(path, headers=alice)
    held = alice | {"If-None-Match": read.headers["etag"]}
    assert read.headers["etag"].startswith(f'"{done.json()["version"]}-')
    assert (await client.get(path, headers=held)).status_code == 304
    assert (await client.get(f"{path}?version=1", headers=bob)).headers["etag"] == read.headers["etag"]
    await _screen(client, world, alice, "saddle", trigger="new_symptom")  # changes no program that is over
    again = await client.get(path, headers=held)
    assert (again.status_code, again.json()["shown"]) == (200, None)
    assert again.json()["version"] == read.json()["version"]


async def test_if_match_takes_the_tag_of_a_read_as_well_as_the_plain_version(
    client: AsyncClient, world: Care, bob: dict[str, str]
) -> None:
    active = await _running(client, world, bob)
    path = f"/v1/programs/{active.json()['id']}"
    read = await client.get(path, headers=bob)
    paused = await client.post(f"{path}/pause", json={"reason": "Away"}, headers=_match(bob, read))
    assert paused.status_code == 200
    stale = await client.post(f"{path}/resume", json={"reason": "Back"}, headers=_match(bob, read))
    assert stale.status_code == 412
    plain = bob | {"If-Match": f'"{paused.json()["version"]}"'}
    assert (await client.post(f"{path}/resume", json={"reason": "Back"}, headers=plain)).status_code == 200
    for wrong in ('"3-xyz"', '"3-"', '"-0123456789abcdef"'):
        answer = await client.post(f"{path}/pause", json={"reason": "Away"}, headers=bob | {"If-Match": wrong})
        assert answer.status_code == 422
