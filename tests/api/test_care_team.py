"""Care teams over HTTP: who treats whom, and that access hangs on it."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from core.database import Sessions, bind_clinic
from models.therapists import LicenseStatus, Profession, TherapistStatus
from tests import factories
from tests.api.desk import STRANGE, Desk, instant, refused
from tests.factories import make_world


@pytest.fixture
async def desk(client: httpx.AsyncClient, sessions: Sessions) -> Desk:
    return Desk(
        client, sessions, await make_world(sessions, staffed_hours={"1": [["08:00", "17:00"]]}, phone="+49 30 1")
    )


def team(desk: Desk) -> str:
    return f"{desk.patient}/care-team"


async def test_a_patient_sees_who_treats_him_and_who_looks_when(desk: Desk) -> None:
    read = await desk.get("alice", team(desk))
    assert [(each["therapist"]["given_name"], each["role"], each["ends_at"]) for each in read["items"]] == [
        ("Bob", "lead", None)
    ]
    assert set(read["items"][0]["therapist"]) == {"id", "given_name", "family_name", "credentials", "profession"}
    assert [each["given_name"] for each in read["watch"]["therapists"]] == ["Bob"]
    assert read["watch"]["staffed_hours"] == {"1": [["08:00", "17:00"]]}
    assert (read["watch"]["zone"], read["watch"]["phone"]) == ("Europe/Berlin", "+49 30 1")
    assert await desk.audited("care_link.list") == 1


async def test_a_linked_therapist_reaches_the_record_until_the_link_ends(desk: Desk) -> None:
    form = {"therapist_id": str(desk.world.carol.id), "role": "member"}
    answer = await desk.ask("bob", "POST", team(desk), form)
    made = answer.json()
    assert answer.status_code == 201, made
    assert (answer.headers["etag"], answer.headers["location"]) == ('"1"', team(desk))
    assert (await desk.get("carol", desk.patient))["given_name"] == "Alice"
    end = f"/v1/care-team/{made['id']}/end"
    refused(await desk.ask("bob", "POST", end, {"reason": "Done"}), 428, "precondition_required")
    refused(await desk.ask("bob", "POST", end, {"reason": "Done"}, version=7), 412, "stale")
    refused(await desk.ask("bob", "POST", end, {}, version=1), 422, "invalid", ("/reason", "missing"))
    ended = await desk.post("bob", end, {"reason": "Handed over"}, version=1)
    assert (ended["ended_reason"], ended["version"]) == ("Handed over", 2)
    assert ended["ends_at"] is not None
    refused(await desk.ask("carol", "GET", desk.patient), 404, "not_found")
    refused(await desk.ask("bob", "POST", end, {"reason": "Again"}, version=2), 409, "care_link_ended")
    mine = await desk.get("alice", team(desk))
    assert [each["ended_reason"] for each in mine["items"]] == [None, None]
    assert [each["ended_reason"] for each in (await desk.get("bob", team(desk)))["items"]] == ["Handed over", None]
    assert await desk.audited("care_link.end") == 1


async def test_an_admin_puts_a_team_together(desk: Desk) -> None:
    form = {
        "therapist_id": str(desk.world.carol.id),
        "role": "covering",
        "starts_at": instant(days=1),
        "ends_at": instant(days=8),
    }
    made = await desk.post("dana", team(desk), form)
    refused(await desk.ask("carol", "GET", desk.patient), 404, "not_found")
    ended = await desk.post("dana", f"/v1/care-team/{made['id']}/end", {"reason": "Trip off"}, version=1)
    assert ended["starts_at"] == made["starts_at"]
    assert ended["ends_at"] < made["ends_at"]
    await desk.post("dana", team(desk), form | {"starts_at": instant(days=2)})


async def test_one_lead_at_a_time_and_no_pair_twice(desk: Desk) -> None:
    carol = {"therapist_id": str(desk.world.carol.id)}
    refused(await desk.ask("dana", "POST", team(desk), carol | {"role": "lead"}), 409, "lead_taken")
    bob = {"therapist_id": str(desk.world.bob.id), "role": "member"}
    refused(await desk.ask("dana", "POST", team(desk), bob), 409, "already_linked")
    lead = (await desk.get("dana", team(desk)))["items"][0]
    await desk.post("dana", f"/v1/care-team/{lead['id']}/end", {"reason": "Leaves"}, version=1)
    await desk.post("dana", team(desk), carol | {"role": "lead"})
    assert len((await desk.get("dana", team(desk)))["items"]) == 2


@pytest.mark.parametrize(
    ("period", "pointer", "code"),
    [
        ({"role": "covering"}, "/ends_at", "end_missing"),
        ({"role": "member", "ends_at": instant(days=-1)}, "/ends_at", "ends_before_it_begins"),
        ({"role": "member", "starts_at": instant(days=-1)}, "/starts_at", "in_the_past"),
    ],
)
async def test_a_period_that_cannot_be_is_refused(desk: Desk, period: dict[str, str], pointer: str, code: str) -> None:
    form = {"therapist_id": str(desk.world.carol.id)} | period
    refused(await desk.ask("dana", "POST", team(desk), form), 422, "care_period_refused", (pointer, code))
    assert len((await desk.get("dana", team(desk)))["items"]) == 1


async def test_only_who_may_treat_the_patient_where_he_is_is_linked(desk: Desk) -> None:
    async def link(role: str = "member", **changes: Any) -> httpx.Response:
        made = await desk.therapist("Eve Lang", email=f"{len(changes)}{role}@riverside.example", **changes)
        return await desk.ask("dana", "POST", team(desk), {"therapist_id": str(made.id), "role": role})

    refused(await link(licensed="FR"), 409, "may_not_treat", ("", "license_missing"))
    refused(await link(licensed=None, phone="1"), 409, "may_not_treat", ("", "license_missing"))
    gone = await link(status=TherapistStatus.INACTIVE, phone="1", credentials="PT")
    refused(gone, 409, "therapist_not_active")
    refused(await link("lead", profession=Profession.PTA), 409, "assistant_cannot_lead")
    late = await desk.therapist("Ira Lenz", licensed=None)
    async with desk.sessions.begin() as session:
        await bind_clinic(session, desk.world.clinic.id)
        await factories.make_license(session, late, status=LicenseStatus.EXPIRED)
    answer = await desk.ask("dana", "POST", team(desk), {"therapist_id": str(late.id), "role": "member"})
    refused(answer, 409, "may_not_treat", ("", "license_expired"))
    assert len((await desk.get("dana", team(desk)))["items"]) == 1


async def test_unknown_and_foreign_ids_are_not_there(desk: Desk, sessions: Sessions) -> None:
    other = await make_world(sessions, name="Another clinic")
    for therapist in (STRANGE, other.bob.id):
        form = {"therapist_id": str(therapist), "role": "member"}
        refused(await desk.ask("dana", "POST", team(desk), form), 404, "not_found")
    reason = {"reason": "None of mine"}
    refused(await desk.ask("dana", "POST", f"/v1/care-team/{STRANGE}/end", reason, version=1), 404, "not_found")
    link = (await desk.get("bob", team(desk)))["items"][0]["id"]
    refused(await desk.ask("carol", "POST", f"/v1/care-team/{link}/end", reason, version=1), 404, "not_found")
    refused(await desk.ask("alice", "POST", f"/v1/care-team/{link}/end", reason, version=1), 403, "forbidden")
    refused(await desk.ask("carol", "GET", team(desk)), 404, "not_found")


async def test_a_team_of_many_takes_as_many_statements_as_one_of_one(
    desk: Desk, count_statements: Callable[[], Any]
) -> None:
    with count_statements() as one:
        await desk.get("dana", team(desk))
    for number in range(1, 50):
        form = {
            "therapist_id": str(desk.world.carol.id),
            "role": "covering",
            "starts_at": instant(days=number),
            "ends_at": instant(days=number, hours=1),
        }
        await desk.post("dana", team(desk), form)
    with count_statements() as fifty:
        page = await desk.get("dana", team(desk))
    assert len(page["items"]) == 50
    assert len(fifty) == len(one), fifty.sent
    part = await desk.get("dana", f"{team(desk)}?limit=30")
    rest = await desk.get("dana", f"{team(desk)}?limit=30&cursor={part['next_cursor']}")
    assert [each["id"] for each in part["items"] + rest["items"]] == [each["id"] for each in page["items"]]


async def test_of_two_leads_at_the_same_moment_one_is_refused(desk: Desk) -> None:
    lead = (await desk.get("dana", team(desk)))["items"][0]
    await desk.post("dana", f"/v1/care-team/{lead['id']}/end", {"reason": "Leaves"}, version=1)
    eve = await desk.therapist("Eve Lang")
    forms = [{"therapist_id": str(each), "role": "lead"} for each in (desk.world.carol.id, eve.id)]
    answers = await asyncio.gather(*(desk.ask("dana", "POST", team(desk), form) for form in forms))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    refused(max(answers, key=lambda answer: answer.status_code), 409, "lead_taken")
