"""Live updates, a look at a time (`wait=0`): who is told what, and where a client goes on."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from itertools import count, takewhile
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import text, update
from sqlalchemy.dialects.postgresql import Range

from api import events as door
from api import live as hub
from api.app import create_app
from api.live import Live, Stream
from api.state import of
from core.database import Sessions, as_identity, bind_clinic, make_engine, make_sessions
from core.settings import Settings
from models.care_team import CareLink, CareRole
from models.identity import Role, SignIn
from services import alerts, audit, authentication, events
from services.events import KINDS, SILENT, SILENT_THINGS, Bookmark, Position
from tests import factories, walk
from tests.api.desk import Desk, refused
from tests.conftest import Database
from tests.factories import TOKENS, World, make_world
from tests.stream import messages

PATH = "/v1/events"


@pytest.fixture
async def desk(client: httpx.AsyncClient, sessions: Sessions) -> Desk:
    return Desk(client, sessions, await make_world(sessions))


async def write(sessions: Sessions, world: World, action: str, about: UUID | None = None, by: str = "bob") -> UUID:
    """Let somebody leave a trace as the services do; give the id of what it is about."""
    thing = uuid4()
    async with sessions.begin() as session:
        await bind_clinic(session, world.clinic.id)
        await trace(session, world, action, thing, about, by)
    return thing


async def trace(session: Any, world: World, action: str, thing: UUID, about: UUID | None, by: str = "bob") -> None:
    subject = (action.partition(".")[0], thing)
    await audit.record(session, world.actors[by], action, at=datetime.now(UTC), subject=subject, patient_id=about)


async def look(
    client: httpx.AsyncClient, headers: dict[str, str], after: str | None = None, **parameters: Any
) -> httpx.Response:
    asked = {"wait": 0, **({} if after is None else {"after": after}), **parameters}
    answer = await client.get(PATH, headers=headers, params=asked)
    assert answer.status_code == 200, answer.text
    return answer


async def begin(desk: Desk, who: str) -> str:
    """Give the id from which somebody goes on who listens from now on."""
    first = messages((await look(desk.client, desk.world.headers[who])).text)
    ready = [each for each in first if each.event == "ready"]
    assert len(ready) == 1
    assert ready[0].id is not None
    return ready[0].id


async def told(desk: Desk, who: str, after: str, world: World | None = None) -> list[dict[str, Any]]:
    """Give what somebody is told up to now: up to an event of the clinic itself that everybody may know of."""
    world = world or desk.world
    last = str(await write(desk.sessions, world, "clinic.update", by="dana"))
    found: list[dict[str, Any]] = []
    deadline = time.monotonic() + 30  # a transaction of another test may hold the feed back for a moment
    while time.monotonic() < deadline:
        for each in messages((await look(desk.client, world.headers[who], after)).text):
            after = each.id or after
            if each.event == "message" and each.data is not None:
                if each.data["resource_id"] == last:
                    return found
                if each.data["type"] != "clinic.updated":
                    found.append(each.data)
    raise AssertionError(f"not told to the end: {found}")


def types(found: list[dict[str, Any]]) -> list[str]:
    return [each["type"] for each in found]


# ------------------------------------------------------------------ what is told


async def test_an_event_names_what_happened_to_what_and_nothing_else(desk: Desk) -> None:
    after = await begin(desk, "bob")
    episode = await desk.episode()
    (one,) = await told(desk, "bob", after)
    at = datetime.fromisoformat(one.pop("at"))
    assert abs(datetime.now(UTC) - at) < timedelta(minutes=1)
    assert one == {
        "type": "episode.created",
        "resource_type": "episode",
        "resource_id": episode["id"],
        "patient_id": str(desk.world.alice.id),
    }


async def test_the_answer_is_a_stream_that_nobody_stores_or_holds_back(desk: Desk) -> None:
    answer = await look(desk.client, desk.world.headers["bob"])
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.text.startswith("retry: ")
    assert 2_000 <= int(answer.text.split()[1]) < 5_000


async def test_looking_is_not_told_and_is_itself_on_record(desk: Desk) -> None:
    after = await begin(desk, "bob")
    await desk.get("bob", desk.patient)
    await desk.get("bob", "/v1/worklist")
    assert await told(desk, "bob", after) == []
    assert await desk.audited("event.follow") >= 2


async def test_every_action_of_a_whole_walk_is_told_or_silent_on_purpose(
    client: httpx.AsyncClient, sessions: Sessions
) -> None:
    (cast,) = await walk.make_clinic(sessions, "Alice Moreau")
    assert await walk.run(walk.Walk(cast, client, sessions)) == {}
    async with sessions() as session:
        await bind_clinic(session, cast.clinic_id)
        rows = await session.scalars(text("SELECT action FROM audit_events UNION SELECT action FROM events"))
        found = set(rows)
    assert len(found) > 40
    unknown = {
        action
        for action in found - KINDS.keys()
        if action.partition(".")[2] not in SILENT and action.partition(".")[0] not in SILENT_THINGS
    }
    assert unknown == set(), "say in services.events whether these are told"


def test_types_are_a_resource_and_what_was_done_to_it() -> None:
    for action, kind in KINDS.items():
        assert kind.type.rpartition(".")[0].endswith(action.partition(".")[0]), action


async def test_what_rules_and_sweeps_do_is_told(desk: Desk) -> None:
    after = await begin(desk, "bob")
    now = datetime.now(UTC)
    async with desk.sessions.begin() as session:
        await bind_clinic(session, desk.world.clinic.id)
        raised = [
            await alerts.raise_alert(
                session,
                clinic_id=desk.world.clinic.id,
                patient_id=desk.world.alice.id,
                episode_id=None,
                rule_id="ES03",
                rule_version="escalation-2026-1",
                level="high",
                task=None,
                source=("check_in", uuid4()),
                inputs={},
                at=now - timedelta(days=30),
            )
            for _ in range(2)
        ]
    async with desk.sessions.begin() as session:
        await bind_clinic(session, desk.world.clinic.id)
        assert await alerts.mark_overdue(session, at=now) == 1
    found = await told(desk, "bob", after)
    assert types(found) == ["alert.raised", "alert.repeated", "alert.overdue"]
    assert {each["resource_id"] for each in found} == {str(raised[0].id)}
    assert await told(desk, "alice", after) == [], "an alert is not the patient's to know"


# ------------------------------------------------------------------ to whom


async def test_a_patient_is_told_of_himself_only_and_never_of_drafts(desk: Desk) -> None:
    async with desk.sessions.begin() as session:
        other = await factories.make_patient(session, desk.world.clinic.id, "Emil Novak")
        await factories.link(session, other, desk.world.bob)
    after = await begin(desk, "alice")
    world, mine = desk.world, desk.world.alice.id
    for action, about in (
        ("goal.create", other.id),
        ("assessment.create", mine),
        ("report.update", mine),
        ("program.create", mine),
        ("program_version.draft", mine),
        ("report.sign", mine),
        ("check_in.answer", mine),
        ("alert.acknowledge", mine),
        ("therapist.create", None),
    ):
        await write(desk.sessions, world, action, about)
    assert types(await told(desk, "alice", after)) == ["report.signed", "check_in.answered"]
    assert len(await told(desk, "bob", after)) == 9


async def test_the_office_is_told_of_people_and_never_of_anything_clinical(desk: Desk) -> None:
    after = await begin(desk, "dana")
    mine = desk.world.alice.id
    for action in KINDS:
        await write(desk.sessions, desk.world, action, mine)
    assert {each["resource_type"] for each in await told(desk, "dana", after)} == {
        "therapist",
        "license",
        "patient",
        "care_link",
        "consent",
    }


async def test_who_does_not_treat_is_told_nothing_and_who_begins_to_from_then_on(desk: Desk) -> None:
    after = await begin(desk, "carol")
    await desk.episode()
    assert await told(desk, "carol", after) == []
    async with desk.sessions.begin() as session:
        await bind_clinic(session, desk.world.clinic.id)
        await factories.link(session, desk.world.alice, desk.world.carol, CareRole.MEMBER, since=datetime.now(UTC))
    await write(desk.sessions, desk.world, "goal.create", desk.world.alice.id)
    assert "goal.created" in types(await told(desk, "carol", after))


async def test_a_link_that_has_just_ended_tells_nothing_more_not_even_of_before(desk: Desk) -> None:
    after = await begin(desk, "bob")
    await desk.episode()
    async with desk.sessions.begin() as session:
        await bind_clinic(session, desk.world.clinic.id)
        now = datetime.now(UTC)
        ended = Range(now - timedelta(days=365), now, bounds="[)")
        await session.execute(update(CareLink).values(during=ended))
    assert await told(desk, "bob", after) == []


async def test_another_clinic_is_told_nothing(desk: Desk) -> None:
    there = await make_world(desk.sessions)
    answer = await look(desk.client, there.headers["bob"])
    after = messages(answer.text)[-1].id
    assert after is not None
    await desk.episode()
    assert await told(desk, "bob", after, there) == []


@pytest.mark.parametrize("role", [Role.AUDITOR, Role.SERVICE])
async def test_who_reads_no_record_may_not_listen(desk: Desk, role: Role) -> None:
    async with desk.sessions.begin() as session:
        actor = await factories.make_actor(session, desk.world.clinic.id, role)
        token = await factories.sign_in(session, actor)
    refused(await desk.client.get(PATH, headers=factories.bearer(token)), 403, "forbidden")
    refused(await desk.client.get(PATH), 401, "unauthenticated")


# ------------------------------------------------------------------ where it goes on


async def test_a_client_goes_on_behind_the_last_event_it_has(desk: Desk) -> None:
    after = await begin(desk, "bob")
    mine = desk.world.alice.id
    things = [str(await write(desk.sessions, desk.world, "goal.update", mine)) for _ in range(5)]
    assert [each["resource_id"] for each in await told(desk, "bob", after)] == things
    answer = await look(desk.client, desk.world.headers["bob"], after)
    got = [each for each in messages(answer.text) if each.event == "message" and each.data]
    assert len({each.id for each in got}) == len(got)
    for place in range(5):
        rest = await told(desk, "bob", str(got[place].id))
        assert [each["resource_id"] for each in rest] == things[place + 1 :]


async def test_the_header_of_a_reconnecting_client_goes_before_its_first_address(desk: Desk) -> None:
    first = await begin(desk, "bob")
    await desk.episode()
    await told(desk, "bob", first)
    second = messages((await look(desk.client, desk.world.headers["bob"], first)).text)[-1].id
    answer = await look(desk.client, {**desk.world.headers["bob"], "Last-Event-ID": str(second)}, first)
    assert [each for each in messages(answer.text) if each.event == "message" and each.data] == []


@pytest.mark.parametrize("away", [timedelta(hours=23), timedelta(hours=25)])
async def test_who_was_away_for_a_day_is_told_to_load_everything(desk: Desk, away: timedelta) -> None:
    (xid, row_id), _ = bookmark(desk, await begin(desk, "bob"))
    old = cursor(desk, Bookmark(Position(xid, row_id), datetime.now(UTC) - away))
    names = [each.event for each in messages((await look(desk.client, desk.world.headers["bob"], old)).text)]
    assert names[:2] == ["message", "ready" if away < events.KEPT else "reset"]


async def test_an_id_that_is_not_ours_is_answered_with_a_reset_and_a_good_id(desk: Desk) -> None:
    there = await make_world(desk.sessions)
    foreign = messages((await look(desk.client, there.headers["bob"])).text)[-1].id
    good = await begin(desk, "bob")
    flipped = good[:-1] + ("A" if good[-1] != "A" else "B")
    for wrong in (foreign, flipped, "7", "not one of ours", "é" * 20):
        found = messages((await look(desk.client, desk.world.headers["bob"], wrong)).text)
        (reset,) = [each for each in found if each.event == "reset"]
        assert reset.id is not None
        assert await told(desk, "bob", reset.id) == []


async def test_a_place_in_another_database_is_answered_with_a_reset(desk: Desk) -> None:
    ahead = cursor(desk, Bookmark(Position(2**60, events.FIRST), datetime.now(UTC)))
    found = [each.event for each in messages((await look(desk.client, desk.world.headers["bob"], ahead)).text)]
    assert found[-1] == "reset" or "reset" in found


def bookmark(desk: Desk, text: str) -> Bookmark:
    found = events.bookmark_of(text, desk.world.clinic.id, key=TOKENS.key, at=datetime.now(UTC))
    assert found is not None
    return found


def cursor(desk: Desk, place: Bookmark) -> str:
    return events.cursor_of(place, desk.world.clinic.id, key=TOKENS.key)


async def test_a_long_absence_is_made_up_for_page_by_page(desk: Desk) -> None:
    after = await begin(desk, "bob")
    async with desk.sessions.begin() as session:
        await bind_clinic(session, desk.world.clinic.id)
        things = [uuid4() for _ in range(2 * hub.PAGE + 50)]
        for thing in things:
            await trace(session, desk.world, "goal.update", thing, desk.world.alice.id)
    found = await told(desk, "bob", after)
    assert [each["resource_id"] for each in found] == [str(each) for each in things]


async def test_a_transaction_that_commits_late_is_told_and_told_once(desk: Desk) -> None:
    after = await begin(desk, "bob")
    mine, late, early = desk.world.alice.id, uuid4(), uuid4()
    async with desk.sessions.begin() as slow:
        await bind_clinic(slow, desk.world.clinic.id)
        await trace(slow, desk.world, "goal.update", late, mine)
        async with desk.sessions.begin() as fast:
            await bind_clinic(fast, desk.world.clinic.id)
            await trace(fast, desk.world, "goal.update", early, mine)
        found = messages((await look(desk.client, desk.world.headers["bob"], after)).text)
        assert [each for each in found if each.event == "message" and each.data] == [], "not before the one before it"
        after = next(each.id for each in reversed(found) if each.id)
    assert [each["resource_id"] for each in await told(desk, "bob", after)] == [str(late), str(early)]


async def test_parameters_that_make_no_sense_are_refused(desk: Desk) -> None:
    for wrong in ({"wait": -1}, {"wait": 3601}, {"after": "x" * 61}, {"since": "yesterday"}):
        answer = await desk.client.get(PATH, headers=desk.world.headers["bob"], params=wrong)
        assert answer.status_code == 422, wrong


# ------------------------------------------------------------------ bounds


@pytest.fixture
def live(app: FastAPI) -> Live:
    return of(app).live


async def opened(live: Live, world: World, who: str = "bob") -> Any:
    token = world.headers[who]["Authorization"].partition(" ")[2]
    fingerprint = authentication.fingerprint(token, tokens=TOKENS)
    return live.joined(world.actors[who], fingerprint, None, lost=False, seconds=None)


async def soon(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        for _ in takewhile(lambda _: not condition(), count()):
            await asyncio.sleep(0)


async def next_frame(frames: AsyncIterator[bytes], *, seconds: float = 30) -> str:
    async with asyncio.timeout(seconds):
        return (await anext(frames)).decode()


async def test_an_account_listens_in_ten_places_and_a_process_has_room_for_so_many(
    desk: Desk, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    joined = [await opened(live, desk.world) for _ in range(hub.PER_ACCOUNT)]
    for each in joined:
        each.__enter__()
    answer = await desk.ask("bob", "GET", f"{PATH}?wait=0")
    refused(answer, 429, "too_many_streams")
    assert answer.headers["retry-after"] == str(hub.FULL_SECONDS)
    assert (await desk.ask("carol", "GET", f"{PATH}?wait=0")).status_code == 200
    monkeypatch.setattr(hub, "PER_PROCESS", hub.PER_ACCOUNT)
    refused(await desk.ask("carol", "GET", f"{PATH}?wait=0"), 503, "unavailable")
    for each in joined:
        each.__exit__(None, None, None)
    assert len(live) == 0
    assert (await desk.ask("bob", "GET", f"{PATH}?wait=0")).status_code == 200


async def test_two_hundred_listeners_are_one_who_asks(
    desk: Desk, live: Live, monkeypatch: pytest.MonkeyPatch, count_statements: Callable[[], Any]
) -> None:
    monkeypatch.setattr(hub, "POLL_SECONDS", 0.05)
    joined = [await opened(live, desk.world) for _ in range(200)]
    streams = [each.__enter__() for each in joined]
    everybody = [live.frames(stream) for stream in streams]
    assert {"event: ready" in await next_frame(frames) for frames in everybody} == {True}
    with count_statements() as statements:
        before = live.rounds
        thing = await write(desk.sessions, desk.world, "goal.update", desk.world.alice.id)
        for frames in everybody:
            assert str(thing) in await next_frame(frames)
        rounds = live.rounds - before + 1
    asked = [sql for sql in statements.sent if "audit_events a" in sql]
    assert 0 < len(asked) <= 2 * rounds, "once a round for all, and what is new is looked at again"
    assert len([sql for sql in statements.sent if "identity.caller" in sql]) <= rounds
    for each in joined:
        each.__exit__(None, None, None)


async def test_without_listeners_nobody_asks(desk: Desk, live: Live) -> None:
    await begin(desk, "bob")
    await soon(lambda: live._task is None)
    rounds = live.rounds
    await begin(desk, "bob")
    assert live.rounds > rounds


async def test_silence_is_filled_with_comments_that_say_where_to_go_on(
    desk: Desk, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "HEARTBEAT_SECONDS", 0.05)
    with await opened(live, desk.world) as stream:
        frames = live.frames(stream)
        while "event: ready" not in (first := await next_frame(frames)):
            assert first == ": still here\n\n"
        beat = messages(await next_frame(frames))[0]
        assert beat.comment == "still here"
        assert beat.id is not None
    assert await told(desk, "bob", beat.id) == []


async def ended(live: Live, stream: Stream) -> list[str]:
    async with asyncio.timeout(30):
        return [frame.decode() async for frame in live.frames(stream)]


async def test_a_sign_in_that_ends_ends_its_streams(desk: Desk, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "CHECK_SECONDS", 0.0)
    monkeypatch.setattr(hub, "POLL_SECONDS", 0.05)
    with await opened(live, desk.world) as bob, await opened(live, desk.world, "alice") as alice:
        assert (await desk.ask("bob", "POST", "/v1/auth/logout")).is_success
        assert not any('data: {"type' in frame for frame in await ended(live, bob))
        assert not alice.ended


async def test_who_signed_out_is_not_told_what_happens_in_the_same_moment(
    desk: Desk, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "CHECK_SECONDS", 3600.0)  # only what is to be sent makes it ask
    with await opened(live, desk.world) as bob:
        frames = live.frames(bob)
        assert "event: ready" in await next_frame(frames)
        async with desk.sessions.begin() as session, as_identity(session):
            await session.execute(
                update(SignIn)
                .where(SignIn.account_id == desk.world.actors["bob"].account_id)
                .values(revoked_at=datetime.now(UTC), revoked_reason="signed_out")
            )
        await write(desk.sessions, desk.world, "goal.update", desk.world.alice.id)
        assert await ended(live, bob) == []


async def test_who_takes_nothing_is_let_go_and_goes_on_where_he_was(
    desk: Desk, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "STALE_SECONDS", 0.1)
    monkeypatch.setattr(hub, "POLL_SECONDS", 0.05)
    with await opened(live, desk.world) as bob:
        frames = live.frames(bob)
        ready = messages(await next_frame(frames))[0]
        thing = await write(desk.sessions, desk.world, "goal.update", desk.world.alice.id)
        await soon(lambda: bob.ended)
        assert len(bob.waiting) == 1
        assert await ended(live, bob) == []
    assert ready.id is not None
    assert [each["resource_id"] for each in await told(desk, "bob", ready.id)] == [str(thing)]


async def test_a_socket_that_takes_nothing_is_given_up(desk: Desk, live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "SEND_SECONDS", 0.1)
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)
        if message["type"] == "http.response.body":
            await asyncio.Event().wait()

    async def receive() -> Any:
        await asyncio.Event().wait()

    token = desk.world.headers["bob"]["Authorization"].partition(" ")[2]
    answer = door.EventStream(
        live, desk.world.actors["bob"], authentication.fingerprint(token, tokens=TOKENS), None, lost=False, wait=None
    )
    async with asyncio.timeout(30):
        await answer({"type": "http"}, receive, send)
    assert [each["type"] for each in sent] == ["http.response.start", "http.response.body"]
    assert len(live) == 0


async def test_a_client_that_goes_away_leaves_nothing_behind(desk: Desk, live: Live) -> None:
    async def send(_message: Any) -> None:
        pass

    async def receive() -> Any:
        return {"type": "http.disconnect"}

    token = desk.world.headers["bob"]["Authorization"].partition(" ")[2]
    answer = door.EventStream(
        live, desk.world.actors["bob"], authentication.fingerprint(token, tokens=TOKENS), None, lost=False, wait=None
    )
    async with asyncio.timeout(30):
        await answer({"type": "http"}, receive, send)
    assert len(live) == 0


async def test_a_process_that_stops_ends_every_stream_and_takes_no_new_one(desk: Desk, live: Live) -> None:
    with await opened(live, desk.world) as bob:
        await live.stop()
        assert await ended(live, bob) == []
        refused(await desk.ask("carol", "GET", f"{PATH}?wait=0"), 503, "unavailable")
    with await opened(live, desk.world) as late:
        assert await ended(live, late) == []


async def test_the_request_of_a_stream_holds_no_connection(desk: Desk, live: Live, app: FastAPI) -> None:
    gate = of(app).gate
    joined = [await opened(live, desk.world) for _ in range(50)]
    streams = [each.__enter__() for each in joined]
    for stream in streams:
        assert "event: ready" in await next_frame(live.frames(stream))
    await soon(lambda: gate._value == of(app).settings.pool_size)
    for each in joined:
        each.__exit__(None, None, None)


async def test_a_look_that_is_too_long_for_the_database_ends_in_a_reset(
    desk: Desk, live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "_READS", ("transaction_read_only = on", "statement_timeout = '50ms'"))
    with await opened(live, desk.world) as bob:
        frames = live.frames(bob)
        assert "event: ready" in await next_frame(frames)
        monkeypatch.setattr(events, "_READ", events._READ.replace("e.* FROM", "e.*, pg_sleep(5) FROM", 1))
        await soon(lambda: bob.lost)
        monkeypatch.undo()
        while "event: reset" not in await next_frame(frames):
            pass


async def test_a_database_that_counts_from_elsewhere_resets_everybody(desk: Desk, live: Live) -> None:
    with await opened(live, desk.world) as bob:
        frames = live.frames(bob)
        assert "event: ready" in await next_frame(frames)
        live._horizons.append((time.monotonic(), 2**60))
        while "event: reset" not in await next_frame(frames):
            pass


async def test_what_was_seen_just_before_the_database_went_away_does_not_count(live: Live) -> None:
    now = time.monotonic()
    live._horizons.extend([(now - 9, 10), (now - 5, 20), (now - 1, 30), (now, 40)])
    live._unsettle()
    assert list(live._horizons) == [(now - 9, 10), (now - 5, 20)]


async def test_a_server_without_a_database_keeps_its_listeners_waiting(
    desk: Desk, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "PATIENCE_SECONDS", 0.3)
    alone = of(create_app(settings)).live
    token = desk.world.headers["bob"]["Authorization"].partition(" ")[2]
    fingerprint = authentication.fingerprint(token, tokens=TOKENS)
    with alone.joined(desk.world.actors["bob"], fingerprint, None, lost=False, seconds=0) as bob:
        assert set(await ended(alone, bob)) == {": still here\n\n"}


# ------------------------------------------------------------------ the sweeps' own rows


async def test_old_events_are_forgotten_by_the_sweeper(fresh_database: Database) -> None:
    api, sweeper = make_engine(fresh_database.api), make_engine(fresh_database.sweeper)
    world = await make_world(make_sessions(api))
    async with make_sessions(api).begin() as session:
        await bind_clinic(session, world.clinic.id)
        await session.execute(
            text(
                "INSERT INTO events (clinic_id, id, action, resource_id, patient_id, at)"
                " SELECT :clinic, uuidv7(make_interval(hours => -age)), 'check_in.open', uuidv7(), :patient, now()"
                " FROM unnest(ARRAY[1, 47, 49, 72]) AS age"
            ),
            {"clinic": world.clinic.id, "patient": world.alice.id},
        )
    async with make_sessions(sweeper).begin() as session:
        assert await events.forget(session) == 2
        assert await events.forget(session) == 0
    await api.dispose()
    await sweeper.dispose()
