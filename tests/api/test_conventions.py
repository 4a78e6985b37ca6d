"""What every operation has in common, held against a small concept of the tests' own."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.orm.exc import StaleDataError

import services.authentication
from api.app import create_app
from api.errors import refusal_of
from core.database import Sessions, bind_clinic, make_engine, make_sessions
from core.errors import Unauthenticated
from core.settings import Settings
from models.identity import Role
from services import access
from tests.api import things
from tests.api.conftest import client_of

CLINIC = UUID("0198c0de-0000-7000-8000-0000000000c1")
THING = {"name": "Knee", "kind": "joint", "pain": 3}

PEOPLE = {
    "bob": access.Actor(uuid4(), CLINIC, Role.THERAPIST, therapist_id=uuid4()),
    "carol": access.Actor(uuid4(), CLINIC, Role.THERAPIST, therapist_id=uuid4()),
    "alice": access.Actor(uuid4(), CLINIC, Role.PATIENT, patient_id=uuid4()),
}


async def _caller(_session: Any, token: str, *, tokens: Any, at: datetime, request_id: str) -> access.Actor:
    if token not in PEOPLE:
        raise Unauthenticated
    return PEOPLE[token]


def as_(name: str, **headers: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {name}"} | {key.replace("_", "-"): value for key, value in headers.items()}


BOB = as_("bob")


@pytest.fixture(scope="module")
async def _table(database: Any, engine: AsyncEngine) -> AsyncIterator[None]:
    owner = create_async_engine(database.owner)
    async with owner.begin() as connection:
        for statement in things.DDL.split(";\n"):
            await connection.execute(sa.text(statement))
    async with make_sessions(engine).begin() as session:
        await bind_clinic(session, CLINIC)
        clinic = "INSERT INTO clinics (id, name, country, zone) VALUES (:id, 'Test', 'DE', 'Europe/Berlin')"
        await session.execute(sa.text(f"{clinic} ON CONFLICT DO NOTHING"), {"id": CLINIC})
    yield
    async with owner.begin() as connection:
        await connection.execute(sa.text("DROP TABLE things"))
    await owner.dispose()


@pytest.fixture
def app(settings: Any, sessions: Sessions, _table: None, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    monkeypatch.setattr(services.authentication, "caller", _caller)
    monkeypatch.setattr(access, "OPERATIONS", things.ACTIONS)
    return create_app(settings, sessions=sessions, routers=[things.router])


def problem(answer: httpx.Response, status: int, code: str | None = None) -> Any:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["status"] == status
    assert body["request_id"] == answer.headers["x-request-id"]
    assert body["type"] == "/problems/" + body["code"].replace("_", "-")
    if code:
        assert body["code"] == code
    return body


def new_thing() -> dict[str, Any]:
    return {"name": str(uuid4()), "kind": str(uuid4())[:20], "pain": 1}


async def named(client: httpx.AsyncClient, **changes: Any) -> httpx.Response:
    return await client.post("/v1/things", json=new_thing() | changes, headers=BOB)


# ------------------------------------------------------------------ the ordinary way


async def test_a_made_thing_says_where_it_is_and_which_version(client: httpx.AsyncClient) -> None:
    made = await named(client)
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"/v1/things/{made.json()['id']}"
    assert made.headers["etag"] == '"1"'
    read = await client.get(made.headers["location"], headers=BOB)
    assert read.json() == made.json()
    assert read.headers["etag"] == '"1"'


async def test_every_answer_carries_its_request_id_and_is_not_stored(client: httpx.AsyncClient) -> None:
    mine = "0198c0de-7a11-7000-8000-00000000beef"
    answer = await client.get("/v1/things", headers=as_("bob", X_Request_Id=mine))
    assert answer.headers["x-request-id"] == mine
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = await client.get("/v1/things", headers=as_("bob", traceparent=trace))
    assert answer.headers["x-request-id"] == "0af7651916cd43dd8448eb211c80319c"
    answer = await client.get("/v1/things", headers=as_("bob", X_Request_Id="evil\tvalue"))
    UUID(answer.headers["x-request-id"])


async def test_a_write_needs_few_statements_and_a_list_the_same_for_one_row_and_many(
    client: httpx.AsyncClient, count_statements: Any
) -> None:
    await named(client)
    with count_statements() as write:
        await named(client)
    assert len(write) == 2, write.sent
    kind = str(uuid4())[:20]
    await named(client, kind=kind)
    with count_statements() as one:
        assert len((await client.get(f"/v1/things?kind={kind}", headers=BOB)).json()["items"]) == 1
    with count_statements() as many:
        assert len((await client.get("/v1/things", headers=BOB)).json()["items"]) > 1
    assert sum("synchronous_commit = off" in sql for sql in one.sent) == 1
    assert not any("synchronous_commit" in sql for sql in write.sent)
    assert len(one) == len(many) == 2, many.sent


# ------------------------------------------------------------------ who


@pytest.mark.parametrize("header", [{}, {"Authorization": "Basic eHg="}, {"Authorization": "Bearer"}, as_("mallory")])
async def test_a_caller_without_a_valid_token_is_asked_to_sign_in(
    client: httpx.AsyncClient, header: dict[str, str]
) -> None:
    answer = await client.get("/v1/things", headers=header)
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_signing_in_is_asked_for_before_the_body_is_read(client: httpx.AsyncClient) -> None:
    problem(await client.post("/v1/things?x=1", content=b"{not json"), 401)


async def test_a_role_that_never_may_is_told_so(client: httpx.AsyncClient) -> None:
    problem(await client.post("/v1/things", json=THING, headers=as_("alice")), 403, "forbidden")


# ------------------------------------------------------------------ bodies and queries


@pytest.mark.parametrize(
    ("raw", "status", "code"),
    [
        (b"{not json", 400, None),
        (b'{"pain": NaN}', 400, None),
        (b'{"pain": Infinity}', 400, None),
        (b'{"pain": 1e999}', 400, None),
        (b'{"name": "\\ud800"}', 400, None),
        (b'{"name": "\xff"}', 400, None),
        (b'{"name": "a", "name": "b"}', 422, "duplicate_key"),
        (b'{"name": "a", "n\\u0061me": "b"}', 422, "duplicate_key"),
        (b'{"name": "a\\u0000b"}', 422, "text_characters"),
        (b'{"a\\u0000": 1}', 422, "text_characters"),
        (b'{"pain": 99999999999999999999999}', 422, "number_range"),
        (b'{"pain": 9007199254740993}', 422, "number_range"),
        (b'{"pain": 1' + b"0" * 5000 + b"}", 400, None),
        (b"[" * 2000 + b"]" * 2000, 400, None),
        (b'{"a":' * 40 + b"1" + b"}" * 40, 422, "too_deep"),
        (b"[" * 40 + b"]" * 40, 422, "too_deep"),
        (b"[]", 422, None),
        (b"null", 422, None),
        (b'"text"', 422, None),
        (b"", 422, None),
    ],
)
async def test_a_body_that_readers_could_understand_differently_is_refused(
    client: httpx.AsyncClient, raw: bytes, status: int, code: str | None
) -> None:
    answer = await client.post("/v1/things", content=raw, headers=as_("bob", Content_Type="application/json"))
    body = problem(answer, status)
    if code:
        assert body["errors"][0]["code"] == code


@pytest.mark.parametrize(
    ("change", "pointer", "code"),
    [
        ({"pain": "3"}, "/pain", "int_type"),
        ({"pain": True}, "/pain", "int_type"),
        ({"pain": 3.0}, "/pain", "int_type"),
        ({"pain": 11}, "/pain", "less_than_equal"),
        ({"colour": "red"}, "/colour", "extra_forbidden"),
        ({"version": 3}, "/version", "extra_forbidden"),
        ({"name": "Kn\u202eee"}, "/name", "text_characters"),
        ({"name": "Knee\nLeft"}, "/name", "text_lines"),
        ({"name": "  "}, "/name", "text_empty"),
        ({"name": None}, "/name", "string_type"),
        ({"notes": ["fine", 5]}, "/notes/1", "string_type"),
        ({"a/b~c": 1}, "/a~1b~0c", "extra_forbidden"),
    ],
)
async def test_an_invalid_field_is_named_but_never_repeated(
    client: httpx.AsyncClient, change: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await client.post("/v1/things", json=THING | change, headers=BOB)
    body = problem(answer, 422, "invalid")
    assert [(each["pointer"], each["code"]) for each in body["errors"]] == [(pointer, code)]
    assert "Kn\u202eee" not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=utf-16"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {},
    ],
)
async def test_a_body_that_is_not_plain_json_is_refused(client: httpx.AsyncClient, headers: dict[str, str]) -> None:
    problem(await client.post("/v1/things", content=b"{}", headers=BOB | headers), 415, "unsupported_media_type")


async def test_a_body_may_name_its_charset(client: httpx.AsyncClient) -> None:
    headers = as_("bob", Content_Type='application/json; charset="UTF-8"')
    problem(await client.post("/v1/things", content=b"{}", headers=headers), 422, "invalid")


async def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(client: httpx.AsyncClient) -> None:
    headers = as_("bob", Content_Type="application/json")

    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(300):
            yield b"[" * 1024

    problem(await client.post("/v1/things", content=b"x" * 300_000, headers=headers), 413, "content_too_large")
    problem(await client.post("/v1/things", content=pieces(), headers=headers), 413, "content_too_large")
    headers["Content-Length"] = "9" * 30
    problem(await client.post("/v1/things", content=b"{}", headers=headers), 413, "content_too_large")


async def test_an_operation_without_a_body_takes_none(client: httpx.AsyncClient) -> None:
    path = f"/v1/things/{uuid4()}/pause"
    assert (await client.post(path, headers=BOB)).status_code == 204
    assert (await client.post(path, json={}, headers=BOB)).status_code == 204
    body = problem(await client.post(path, json={"a": 1}, headers=BOB), 422)
    assert body["errors"][0]["code"] == "body_unexpected"


@pytest.mark.parametrize(
    ("query", "pointer", "code"),
    [
        ("kinds=joint", "#/query/kinds", "query_unknown"),
        ("pain=1&pain=2", "#/query/pain", "query_repeated"),
        ("limit=0", "#/query/limit", "greater_than_equal"),
        ("limit=201", "#/query/limit", "less_than_equal"),
        ("pain=secret", "#/query/pain", "int_parsing"),
        ("cursor=abc", "#/query/cursor", "cursor_unknown"),
        ("cursor=" + "A" * 4501, "#/query/cursor", "string_too_long"),
        ("cursor=%C3%A4", "#/query/cursor", "cursor_unknown"),
    ],
)
async def test_a_query_parameter_is_never_ignored(
    client: httpx.AsyncClient, query: str, pointer: str, code: str
) -> None:
    answer = await client.get(f"/v1/things?{query}", headers=BOB)
    body = problem(answer, 422)
    assert (body["errors"][0]["pointer"], body["errors"][0]["code"]) == (pointer, code)
    assert "secret" not in answer.text


async def test_a_filter_that_is_a_list_may_be_repeated(client: httpx.AsyncClient) -> None:
    one, two = await named(client), await named(client)
    kinds = f"kind={one.json()['kind']}&kind={two.json()['kind']}"
    assert (await client.get(f"/v1/things?{kinds}", headers=BOB)).json()["items"] == [one.json(), two.json()]


async def test_an_id_that_is_none_is_invalid(client: httpx.AsyncClient) -> None:
    body = problem(await client.get("/v1/things/not-an-id", headers=BOB), 422)
    assert body["errors"][0]["pointer"] == "#/path/thing_id"


# ------------------------------------------------------------------ versions


async def test_a_change_names_the_version_it_means(client: httpx.AsyncClient) -> None:
    path = (await named(client)).headers["location"]
    problem(await client.patch(path, json={}, headers=BOB), 428, "precondition_required")
    for tag in ("1", 'W/"1"', "*", '"x"', '"0"', '"1", "2"'):
        problem(await client.patch(path, json={}, headers=as_("bob", If_Match=tag)), 422, "invalid")
    changed = await client.patch(path, json={"kind": "spine"}, headers=as_("bob", If_Match='"1"'))
    assert (changed.status_code, changed.headers["etag"], changed.json()["kind"]) == (200, '"2"', "spine")
    stale = await client.patch(path, json={"kind": "hip"}, headers=as_("bob", If_Match='"1"'))
    assert problem(stale, 412, "stale")["current_version"] == 2
    assert stale.headers["etag"] == '"2"'


async def test_a_client_that_has_the_version_gets_no_body(client: httpx.AsyncClient) -> None:
    path = (await named(client)).headers["location"]
    answer = await client.get(path, headers=as_("bob", If_None_Match='"7", W/"1"'))
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", '"1"')
    assert (await client.get(path, headers=as_("bob", If_None_Match='"2"'))).status_code == 200


# ------------------------------------------------------------------ repetition


async def test_a_repeated_post_has_its_effect_once_and_the_same_answer(client: httpx.AsyncClient) -> None:
    thing, key = new_thing(), str(uuid4())
    first = await client.post("/v1/things", json=thing, headers=as_("bob", Idempotency_Key=key))
    assert first.status_code == 201, first.text
    assert "idempotent-replay" not in first.headers
    spaced = json.dumps(dict(reversed(thing.items())), indent=2)
    headers = as_("bob", Idempotency_Key=key, Content_Type="application/json")
    again = await client.post("/v1/things", content=spaced, headers=headers)
    assert again.headers["idempotent-replay"] == "true", again.text
    assert (again.status_code, again.content) == (201, first.content)
    for name in ("location", "etag", "content-type"):
        assert again.headers[name] == first.headers[name]
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


async def test_a_key_stands_for_one_request_of_one_caller(client: httpx.AsyncClient) -> None:
    key = str(uuid4())
    mine = as_("bob", Idempotency_Key=key)
    pause = f"/v1/things/{uuid4()}/pause"
    assert (await client.post(pause, headers=mine)).status_code == 204
    assert (await client.post(pause, headers=mine)).headers["idempotent-replay"] == "true"
    problem(await client.post(f"/v1/things/{uuid4()}/pause", headers=mine), 422, "key_reused")
    problem(await client.post(pause + "?", json={"a": 1}, headers=mine), 422, "invalid")
    other = await client.post(pause, headers=as_("carol", Idempotency_Key=key))
    assert other.status_code == 204
    assert "idempotent-replay" not in other.headers


async def test_a_refused_request_leaves_its_key_free(client: httpx.AsyncClient) -> None:
    mine = as_("bob", Idempotency_Key=str(uuid4()))
    problem(await client.post("/v1/refusals/conflict", headers=mine), 409)
    problem(await client.post("/v1/things", json={}, headers=mine), 422)
    assert (await client.post("/v1/things", json=new_thing(), headers=mine)).status_code == 201


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "ünïcode"])
async def test_a_key_is_short_and_printable(client: httpx.AsyncClient, key: str) -> None:
    headers = {"Authorization": "Bearer bob", "Idempotency-Key": key.encode()}
    problem(await client.post(f"/v1/things/{uuid4()}/pause", headers=headers), 422, "invalid")  # type: ignore[arg-type]


async def test_twins_at_the_same_moment_have_one_effect(client: httpx.AsyncClient) -> None:
    thing, mine = new_thing(), as_("bob", Idempotency_Key=str(uuid4()))
    answers = await asyncio.gather(*(client.post("/v1/things", json=thing, headers=mine) for _ in range(6)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(201, answers[0].content)}
    assert sum("idempotent-replay" not in answer.headers for answer in answers) == 1


async def test_a_twin_of_work_that_takes_long_is_told_to_come_back(client: httpx.AsyncClient) -> None:
    mine = as_("bob", Idempotency_Key=str(uuid4()))
    slow = client.post("/v1/sql", json={"statement": "SELECT pg_sleep(3)"}, headers=mine)
    task = asyncio.create_task(slow)
    await asyncio.sleep(0.3)
    twin = await client.post("/v1/sql", json={"statement": "SELECT pg_sleep(3)"}, headers=mine)
    assert problem(twin, 409, "in_flight")["retryable"] is True
    assert twin.headers["retry-after"] == "1"
    assert (await task).status_code == 204


async def test_a_replay_is_refused_when_the_patient_has_gone_out_of_reach(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    key = str(uuid4())
    pause = f"/v1/things/{uuid4()}/pause"
    mine = as_("bob", Idempotency_Key=key)
    assert (await client.post(pause, headers=mine)).status_code == 204
    async with sessions.begin() as session:
        await session.execute(sa.text(f"SET LOCAL app.clinic_id = '{CLINIC}'"))
        aside = "UPDATE idempotency_keys SET subject_patient_id = :patient WHERE key = :key"
        await session.execute(sa.text(aside), {"patient": uuid4(), "key": key})
    problem(await client.post(pause, headers=mine), 404, "not_found")


# ------------------------------------------------------------------ lists


async def test_pages_hold_every_row_once_in_both_directions(client: httpx.AsyncClient) -> None:
    kind = str(uuid4())[:20]
    ids = [(await named(client, kind=kind, pain=pain)).json()["id"] for pain in range(7)]
    for direction, expected in (("false", ids), ("true", ids[::-1])):
        seen: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            more = f"&cursor={cursor}" if cursor else ""
            path = f"/v1/things?kind={kind}&newest_first={direction}&limit=3{more}"
            page = (await client.get(path, headers=BOB)).json()
            seen += [item["id"] for item in page["items"]]
            cursor = page["next_cursor"]
        assert seen == expected


async def test_a_cursor_belongs_to_one_list_its_filters_and_its_caller(client: httpx.AsyncClient) -> None:
    for _ in range(2):
        await named(client, pain=2)
    cursor = (await client.get("/v1/things?pain=2&limit=1", headers=BOB)).json()["next_cursor"]
    assert (await client.get(f"/v1/things?pain=2&limit=5&cursor={cursor}", headers=BOB)).status_code == 200
    foreign = [
        client.get(f"/v1/things?pain=2&cursor={cursor}", headers=as_("carol")),
        client.get(f"/v1/things?pain=1&cursor={cursor}", headers=BOB),
        client.get(f"/v1/things?cursor={cursor}", headers=BOB),
        client.get(f"/v1/things?pain=2&cursor={cursor[:-2]}AA", headers=BOB),
        client.get(f"/v1/things?pain=2&cursor=A{cursor[1:]}", headers=BOB),
    ]
    for answer in foreign:
        problem(await answer, 422, "unknown_cursor")


# ------------------------------------------------------------------ errors


async def test_an_unknown_path_is_a_problem(client: httpx.AsyncClient) -> None:
    for path in ("/nowhere", "/v1/things/", "/v1//things"):
        problem(await client.get(path, headers=BOB), 404, "not_found")


async def test_an_unknown_method_is_told_every_method_of_the_path(client: httpx.AsyncClient) -> None:
    answer = await client.delete("/v1/things", headers=BOB)
    problem(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "GET, POST"


async def test_a_refusal_tells_its_kind_and_no_more(client: httpx.AsyncClient) -> None:
    body = problem(await client.post("/v1/refusals/conflict", headers=BOB), 409, "thing_not_open")
    assert body["title"] == "This thing is not open."
    assert body["type"] == "/problems/thing-not-open"
    assert body["errors"] == [{"pointer": "/name", "code": "closed", "message": "It is closed"}]
    assert (body["state"], body["retryable"]) == ("closed", False)
    for kind, status, wait in (("many", 429, "7"), ("away", 503, "3")):
        answer = await client.post(f"/v1/refusals/{kind}", headers=BOB)
        assert problem(answer, status)["retryable"] is True
        assert answer.headers["retry-after"] == wait


async def test_an_accident_is_an_answer_without_its_secrets(client: httpx.AsyncClient) -> None:
    answer = await client.post("/v1/refusals/alice", headers=BOB)
    problem(answer, 500, "internal_error")
    assert "secret" not in answer.text


@pytest.mark.parametrize(
    ("statement", "status", "code"),
    [
        ("SELECT pg_terminate_backend(pg_backend_pid())", 503, "unavailable"),
        ("DO $$ BEGIN RAISE SQLSTATE '40001'; END $$", 503, "unavailable"),
        ("DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$", 503, "unavailable"),
        ("DO $$ BEGIN RAISE SQLSTATE '57014'; END $$", 503, "unavailable"),
        ("DO $$ BEGIN RAISE SQLSTATE '53100'; END $$", 503, "unavailable"),
        ("DO $$ BEGIN RAISE SQLSTATE '55P03'; END $$", 409, "locked"),
        ("DO $$ BEGIN RAISE SQLSTATE '23505'; END $$", 409, "already_there"),
        ("DO $$ BEGIN RAISE SQLSTATE '23514'; END $$", 422, "invalid"),
        ("SELECT secret FROM nowhere", 500, "internal_error"),
    ],
)
async def test_what_the_database_says_becomes_an_answer(
    client: httpx.AsyncClient, statement: str, status: int, code: str
) -> None:
    answer = await client.post("/v1/sql", json={"statement": statement}, headers=BOB)
    body = problem(answer, status, code)
    assert ("retry-after" in answer.headers) is body["retryable"] is (code in {"unavailable", "locked"})
    assert (await client.get("/v1/things?limit=1", headers=BOB)).status_code == 200


async def test_a_commit_that_fails_is_never_answered_with_success(client: httpx.AsyncClient) -> None:
    first = (await named(client)).json()
    # the unique key on (kind, pain) is deferred: only the commit finds out
    answer = await named(client, kind=first["kind"], pain=first["pain"])
    problem(answer, 409, "already_there")
    found = await client.get(f"/v1/things?kind={first['kind']}", headers=BOB)
    assert found.json()["items"] == [first]


async def test_a_lock_held_too_long_is_a_retryable_conflict(client: httpx.AsyncClient, sessions: Sessions) -> None:
    path = (await named(client)).headers["location"]
    async with sessions.begin() as session:
        await session.execute(sa.text("SELECT 1 FROM things WHERE id = :id FOR UPDATE"), {"id": path.rsplit("/")[-1]})
        answer = await client.patch(path, json={"kind": "x"}, headers=as_("bob", If_Match='"1"'))
    assert problem(answer, 409, "locked")["retryable"] is True


async def test_without_a_database_the_answer_is_to_come_back(settings: Any, app: FastAPI) -> None:
    for url in (
        "postgresql+asyncpg://nobody@/nothing?host=/nowhere",
        "postgresql+asyncpg://nobody@127.0.0.1:1/nothing",
    ):
        engine = make_engine(url)
        gone = create_app(settings, engine=engine, routers=[things.router])
        async with client_of(gone) as client:
            answer = await client.get("/v1/things", headers=BOB)
            problem(answer, 503, "unavailable")
            assert answer.headers["retry-after"] == "1"
        await engine.dispose()


async def test_a_full_pool_is_answered_with_come_back(settings: Any, app: FastAPI, database: Any) -> None:
    engine = make_engine(database.api, pool_size=1, pool_timeout=0.2)
    small = create_app(settings, engine=engine, routers=[things.router])
    async with client_of(small) as client, engine.connect():
        problem(await client.get("/v1/things", headers=BOB), 503, "unavailable")
    await engine.dispose()


async def test_asyncpg_errors_of_hot_paths_mean_the_same() -> None:
    assert refusal_of(asyncpg.InterfaceError("connection is closed")).code == "unavailable"
    assert refusal_of(asyncpg.InterfaceError("another operation is in progress")).code == "internal_error"
    assert refusal_of(asyncpg.LockNotAvailableError()).code == "locked"
    assert refusal_of(asyncpg.ConnectionDoesNotExistError()).code == "unavailable"
    assert refusal_of(asyncpg.InternalClientError("got result for unknown protocol state 3")).code == "unavailable"
    assert refusal_of(StaleDataError()).code == "locked"


async def test_a_refusal_that_keeps_effects_is_committed(client: httpx.AsyncClient) -> None:
    name = str(uuid4())
    problem(await client.post(f"/v1/refusals/kept-{name}", headers=BOB), 409, "kept_refusal")
    found = (await client.get("/v1/things?pain=7", headers=BOB)).json()["items"]
    assert name in {item["name"] for item in found}


async def test_before_the_app_has_started_it_is_not_there_yet(settings: Settings, app: FastAPI) -> None:
    async with client_of(create_app(settings, routers=[things.router])) as client:
        problem(await client.get("/v1/things", headers=BOB), 503, "unavailable")
