"""Consents over HTTP: given, recorded, given again, withdrawn."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from core.database import Sessions, bind_clinic
from models.consents import ConsentPurpose
from services import agreements
from tests.api.desk import STRANGE, Desk, days, refused
from tests.factories import make_world

TELEHEALTH = {"purpose": "telehealth", "text_version": "1", "method": "electronic"}


@pytest.fixture
async def desk(client: httpx.AsyncClient, sessions: Sessions) -> Desk:
    return Desk(client, sessions, await make_world(sessions))


def path(desk: Desk) -> str:
    return f"{desk.patient}/consents"


async def in_force(desk: Desk, *, at: datetime | None = None) -> bool:
    async with desk.sessions() as session:
        await bind_clinic(session, desk.world.clinic.id)
        when = at or datetime.now(UTC)
        try:
            await agreements.require(
                session, desk.world.clinic.id, desk.world.alice.id, ConsentPurpose.TELEHEALTH, at=when
            )
        except agreements.ConsentMissing:
            return False
        return True


async def test_the_list_shows_the_texts_to_agree_to(desk: Desk) -> None:
    read = await desk.get("alice", path(desk))
    assert read["items"] == []
    texts = {each["purpose"]: each for each in read["texts"]}
    assert set(texts) == {each.value for each in ConsentPurpose}
    assert texts["telehealth"]["version"] == "1"
    assert len(texts["telehealth"]["sections"]) >= 8
    assert await desk.audited("consent.list") == 1


async def test_consent_counts_from_the_next_request_until_it_is_withdrawn(desk: Desk) -> None:
    assert not await in_force(desk)
    answer = await desk.ask("alice", "POST", path(desk), TELEHEALTH)
    given = answer.json()
    assert answer.status_code == 201, given
    assert (given["status"], given["given_by"]) == ("given", str(desk.world.actors["alice"].account_id))
    assert answer.headers["etag"] == '"1"'
    assert await in_force(desk)
    withdraw = f"/v1/consents/{given['id']}/withdraw"
    refused(await desk.ask("alice", "POST", withdraw), 428, "precondition_required")
    refused(await desk.ask("alice", "POST", withdraw, version=2), 412, "stale")
    assert await in_force(desk)
    gone = await desk.post("alice", withdraw, version=1)
    assert (gone["status"], gone["version"]) == ("withdrawn", 2)
    assert gone["withdrawn_at"] is not None
    assert not await in_force(desk)
    refused(await desk.ask("alice", "POST", withdraw, version=2), 409, "consent_not_given")
    assert await desk.audited("consent.create") == 1
    assert await desk.audited("consent.withdraw") == 1


async def test_giving_again_supersedes(desk: Desk) -> None:
    first = await desk.post("alice", path(desk), TELEHEALTH)
    second = await desk.post("alice", path(desk), TELEHEALTH)
    await desk.post("alice", path(desk), TELEHEALTH | {"purpose": "reminders"})
    listed = (await desk.get("bob", f"{path(desk)}?purpose=telehealth"))["items"]
    assert [(each["id"], each["status"], each["version"]) for each in listed] == [
        (second["id"], "given", 1),
        (first["id"], "superseded", 2),
    ]
    assert len((await desk.get("bob", path(desk)))["items"]) == 3
    answer = await desk.ask("alice", "POST", f"/v1/consents/{first['id']}/withdraw", version=2)
    refused(answer, 409, "consent_not_given")


async def test_a_therapist_records_what_was_said(desk: Desk) -> None:
    form = TELEHEALTH | {"method": "verbal", "explained_by": "Bob Keller"}
    given = await desk.post("bob", path(desk), form)
    assert (given["method"], given["explained_by"]) == ("verbal", "Bob Keller")
    assert await in_force(desk)
    gone = await desk.post("bob", f"/v1/consents/{given['id']}/withdraw", version=1)
    assert gone["status"] == "withdrawn"


async def test_consent_for_a_time_holds_to_the_end_of_its_last_day_where_the_patient_lives(desk: Desk) -> None:
    await desk.post("alice", path(desk), TELEHEALTH | {"expires_on": days(10)})
    last = datetime.now(UTC).replace(hour=20, minute=0) + timedelta(days=10)
    assert await in_force(desk, at=last)
    assert not await in_force(desk, at=last + timedelta(hours=5))


@pytest.mark.parametrize(
    ("who", "changes", "pointer", "code"),
    [
        ("alice", {"text_version": "99"}, "/text_version", "text_unknown"),
        ("alice", {"language": "xx"}, "/text_version", "text_unknown"),
        ("alice", {"method": "verbal"}, "/method", "method_refused"),
        ("bob", {"method": "electronic"}, "/method", "method_refused"),
        ("alice", {"expires_on": "2020-01-01"}, "/expires_on", "in_the_past"),
    ],
)
async def test_consent_that_cannot_be_given_so_is_refused(
    desk: Desk, who: str, changes: dict[str, Any], pointer: str, code: str
) -> None:
    refused(await desk.ask(who, "POST", path(desk), TELEHEALTH | changes), 422, "consent_refused", (pointer, code))
    assert (await desk.get("alice", path(desk)))["items"] == []


async def test_only_the_patient_and_who_treats_him_give_and_withdraw(desk: Desk) -> None:
    given = await desk.post("alice", path(desk), TELEHEALTH)
    refused(await desk.ask("carol", "POST", path(desk), TELEHEALTH | {"method": "verbal"}), 404, "not_found")
    refused(await desk.ask("dana", "POST", path(desk), TELEHEALTH), 403, "forbidden")
    refused(await desk.ask("carol", "POST", f"/v1/consents/{given['id']}/withdraw", version=1), 404, "not_found")
    refused(await desk.ask("alice", "POST", f"/v1/consents/{STRANGE}/withdraw", version=1), 404, "not_found")
    refused(await desk.ask("carol", "GET", path(desk)), 404, "not_found")
    refused(await desk.ask("alice", "POST", path(desk), TELEHEALTH | {"purpose": "selling"}), 422, "invalid")
    assert await in_force(desk)


async def test_a_list_takes_as_many_statements_for_fifty_as_for_one(
    desk: Desk, count_statements: Callable[[], Any]
) -> None:
    await desk.post("alice", path(desk), TELEHEALTH)
    with count_statements() as one:
        await desk.get("alice", path(desk))
    for _ in range(49):
        await desk.post("alice", path(desk), TELEHEALTH)
    with count_statements() as fifty:
        assert len((await desk.get("alice", path(desk)))["items"]) == 50
    assert len(fifty) == len(one), fifty.sent


async def test_given_twice_at_the_same_moment_one_stands(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.ask("alice", "POST", path(desk), TELEHEALTH) for _ in range(4)))
    assert [answer.status_code for answer in answers] == [201] * 4
    listed = (await desk.get("alice", path(desk)))["items"]
    assert sorted(each["status"] for each in listed) == ["given", "superseded", "superseded", "superseded"]
