"""Therapists and their licenses over HTTP."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient
from sqlalchemy import func, select

from core.database import Sessions, as_identity, bind_clinic
from models.audit import AuditEvent
from models.identity import Account, Role
from models.therapists import LicenseVerification
from tests import factories
from tests.factories import World

ERIN = {"given_name": "Erin", "family_name": "Wolf", "email": "Erin@Clinic.example", "profession": "PT"}
TODAY = datetime.now(UTC).date()
LICENSE = {
    "jurisdiction": "GB",
    "kind": "register",
    "number": "PH123456",
    "issued_on": "2024-05-01",
    "expires_on": str(TODAY + timedelta(days=700)),
}
LOOK = {"result": "verified", "method": "primary_source_site", "source": "HCPC register"}


@pytest.fixture
async def world(sessions: Sessions) -> World:
    return await factories.make_world(sessions)


async def register(client: AsyncClient, world: World, who: str = "dana", **changes: Any) -> Any:
    return await client.post("/v1/therapists", json=ERIN | changes, headers=world.headers[who])


async def enter(client: AsyncClient, world: World, therapist_id: Any = None, who: str = "dana", **changes: Any) -> Any:
    path = f"/v1/therapists/{therapist_id or world.bob.id}/licenses"
    return await client.post(path, json=LICENSE | changes, headers=world.headers[who])


async def verify(client: AsyncClient, world: World, license_id: Any, who: str = "dana", **changes: Any) -> Any:
    return await client.post(
        f"/v1/licenses/{license_id}/verifications", json=LOOK | changes, headers=world.headers[who]
    )


async def test_the_admin_registers_a_therapist(client: AsyncClient, world: World, sessions: Sessions) -> None:
    answer = await register(client, world, npi="1234567893", phone="+49 30 1234", credentials="PT, DPT")
    assert answer.status_code == 201
    told = answer.json()
    assert answer.headers["location"] == f"/v1/therapists/{told['id']}"
    assert (told["email"], told["status"], told["account_id"]) == ("erin@clinic.example", "active", None)
    read = await client.get(answer.headers["location"], headers=world.headers["bob"])
    assert read.json() == told
    assert read.headers["etag"] == answer.headers["etag"] == '"1"'
    async with sessions() as session:
        await bind_clinic(session, world.clinic.id)
        events = select(AuditEvent.action).where(AuditEvent.resource_id == told["id"])
        assert list(await session.scalars(events)) == ["therapist.create"]


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"npi": "1234567890"}, "/npi", "check_digit"),
        ({"npi": "123456789"}, "/npi", "length"),
        ({"npi": "3234567893"}, "/npi", "characters"),
        ({"email": "erin"}, "/email", "email_form"),
        ({"profession": "MD"}, "/profession", "enum"),
        ({"given_name": " "}, "/given_name", "text_empty"),
        ({"status": "active"}, "/status", "extra_forbidden"),
        ({"account_id": str(uuid4())}, "/account_id", "extra_forbidden"),
    ],
)
async def test_a_therapist_that_cannot_be_is_refused(
    client: AsyncClient, world: World, changes: Any, pointer: str, code: str
) -> None:
    answer = await register(client, world, **changes)
    assert answer.status_code == 422
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [(pointer, code)]


async def test_an_address_or_number_belongs_to_one_therapist(client: AsyncClient, world: World) -> None:
    assert (await register(client, world, npi="1234567893")).status_code == 201
    answer = await register(client, world, npi="1234567893")
    assert (answer.status_code, answer.json()["code"]) == (409, "therapist_exists")
    assert [each["code"] for each in answer.json()["errors"]] == ["email_taken", "npi_taken"]
    path = f"/v1/therapists/{world.bob.id}"
    answer = await client.patch(path, json={"npi": "1234567893"}, headers=world.headers["dana"] | {"If-Match": '"2"'})
    assert [each["code"] for each in answer.json()["errors"]] == ["npi_taken"]


async def test_only_the_admin_registers_and_changes_and_patients_do_not_browse(
    client: AsyncClient, world: World
) -> None:
    assert (await register(client, world, "bob")).status_code == 403
    assert (await enter(client, world, who="bob")).status_code == 403
    path = f"/v1/therapists/{world.bob.id}"
    assert (await client.patch(path, json={}, headers=world.headers["bob"] | {"If-Match": '"1"'})).status_code == 403
    for get in ("/v1/therapists", path, f"{path}/licenses"):
        assert (await client.get(get, headers=world.headers["alice"])).status_code == 403
        assert (await client.get(get, headers=world.headers["carol"])).status_code == 200


async def test_the_list_is_filtered_and_paged(client: AsyncClient, world: World) -> None:
    await register(client, world, profession="PTA")

    async def names(query: str) -> list[str]:
        answer = await client.get(f"/v1/therapists{query}", headers=world.headers["bob"])
        return [each["given_name"] for each in answer.json()["items"]]

    assert await names("") == ["Bob", "Carol", "Erin"]
    assert await names("?profession=PTA") == ["Erin"]
    assert await names("?status=inactive") == []
    first = (await client.get("/v1/therapists?limit=2", headers=world.headers["bob"])).json()
    assert await names(f"?limit=2&cursor={first['next_cursor']}") == ["Erin"]
    assert (await client.get("/v1/therapists?name=Bob", headers=world.headers["bob"])).status_code == 422


async def test_foreign_and_absent_ids_are_the_same_404(client: AsyncClient, world: World, sessions: Sessions) -> None:
    other = await factories.make_world(sessions, name="Hillside Clinic")
    for therapist_id in (other.bob.id, uuid4()):
        path = f"/v1/therapists/{therapist_id}"
        assert (await client.get(path, headers=world.headers["dana"])).status_code == 404
        assert (await client.get(f"{path}/licenses", headers=world.headers["dana"])).status_code == 404
        assert (await enter(client, world, therapist_id)).status_code == 404
        headers = world.headers["dana"] | {"If-Match": '"1"'}
        assert (await client.patch(path, json={}, headers=headers)).status_code == 404
    theirs = (await enter(client, other)).json()["id"]
    for license_id in (theirs, uuid4()):
        assert (await verify(client, world, license_id)).status_code == 404


async def test_a_therapist_who_leaves_is_out_at_once_and_may_come_back(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    path = f"/v1/therapists/{world.bob.id}"
    async with sessions.begin() as session:
        before = await factories.open_sign_in(session, world.actors["bob"])
    version = (await client.get(path, headers=world.headers["dana"])).headers["etag"]
    headers = world.headers["dana"] | {"If-Match": version}
    answer = await client.patch(path, json={"status": "inactive", "phone": None, "credentials": "PT"}, headers=headers)
    assert (answer.json()["status"], answer.json()["phone"], answer.json()["credentials"]) == ("inactive", "", "PT")
    assert (await client.get("/v1/me", headers=world.headers["bob"])).status_code == 401
    stale = await client.patch(path, json={"status": "active"}, headers=headers)
    assert (stale.status_code, stale.json()["current_version"]) == (412, answer.json()["version"])
    async with sessions.begin() as session:  # as if it had been opened in the very moment of the end
        between = await factories.open_sign_in(session, world.actors["bob"])
    headers["If-Match"] = answer.headers["etag"]
    assert (await client.patch(path, json={"status": "active"}, headers=headers)).status_code == 200
    for old in (before, between):
        assert (await client.get("/v1/me", headers=factories.bearer(old.access_token))).status_code == 401
        refreshed = await client.post("/v1/auth/refresh", json={"refresh_token": old.refresh_token})
        assert (refreshed.status_code, refreshed.json()["code"]) == (401, "sign_in_ended")
    async with sessions.begin() as session:
        after = await factories.open_sign_in(session, world.actors["bob"])
    assert (await client.get("/v1/me", headers=factories.bearer(after.access_token))).status_code == 200


async def test_who_leaves_one_clinic_stays_signed_in_to_another(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    async with sessions.begin() as session:
        other = await factories.make_clinic(session, "Hillside Clinic")
        async with as_identity(session):
            account = await session.get_one(Account, world.actors["bob"].account_id)
        membership = await factories.make_membership(session, account, other.id, Role.CLINIC_ADMIN)
        elsewhere = replace(
            world.actors["bob"], clinic_id=other.id, role=Role.CLINIC_ADMIN, membership_id=membership.id
        )
        signed = await factories.sign_in(session, elsewhere)
    path = f"/v1/therapists/{world.bob.id}"
    version = (await client.get(path, headers=world.headers["dana"])).headers["etag"]
    headers = world.headers["dana"] | {"If-Match": version}
    assert (await client.patch(path, json={"status": "inactive"}, headers=headers)).status_code == 200
    assert (await client.get("/v1/me", headers=factories.bearer(signed))).status_code == 200


# ------------------------------------------------------------------ licenses


async def test_a_license_counts_once_a_register_confirmed_it(
    client: AsyncClient, world: World, sessions: Sessions
) -> None:
    entered = await enter(client, world)
    assert entered.status_code == 201
    assert entered.headers["location"] == f"/v1/therapists/{world.bob.id}/licenses"
    told = entered.json()
    assert (told["status"], told["profession"], told["verified_at"]) == ("unverified", "PT", None)
    looked = await verify(client, world, told["id"], evidence={"reference": "R-1"})
    assert looked.status_code == 201
    assert looked.json()["license"]["status"] == "verified"
    assert looked.json()["license"]["next_check_on"] is not None
    assert looked.json()["verified_by"] == str(world.actors["dana"].account_id)
    listed = (await client.get(entered.headers["location"], headers=world.headers["bob"])).json()["items"]
    assert listed[-1] == looked.json()["license"]


@pytest.mark.parametrize(
    ("changes", "problems"),
    [
        ({"number": "PH1234567"}, [("/number", "form")]),
        ({"jurisdiction": "US", "number": "12345"}, [("/jurisdiction", "jurisdiction_unknown")]),
        ({"jurisdiction": "US-XX", "number": "12345"}, [("/jurisdiction", "jurisdiction_unknown")]),
        ({"jurisdiction": "gb"}, [("/jurisdiction", "jurisdiction_unknown")]),
        ({"expires_on": "2024-05-01"}, [("/expires_on", "dates_order")]),
        ({"issued_on": "2099-01-01", "expires_on": "2100-01-01"}, [("/issued_on", "date_future")]),
        ({"number": "X", "expires_on": "2020-01-01"}, [("/number", "form"), ("/expires_on", "dates_order")]),
        ({"kind": "diploma"}, [("/kind", "enum")]),
        ({"status": "verified"}, [("/status", "extra_forbidden")]),
        ({"issued_on": "1.5.2024"}, [("/issued_on", "date_text")]),
    ],
)
async def test_a_license_that_cannot_be_right_is_refused(
    client: AsyncClient, world: World, changes: Any, problems: Any
) -> None:
    answer = await enter(client, world, **changes)
    assert answer.status_code == 422
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == problems


async def test_one_license_is_entered_once(client: AsyncClient, world: World) -> None:
    assert (await enter(client, world)).status_code == 201
    answer = await enter(client, world, world.carol.id)
    assert (answer.status_code, answer.json()["code"]) == (409, "license_exists")


@pytest.mark.parametrize(
    ("look", "status"),
    [
        ({"result": "not_found"}, "unverified"),
        ({"result": "expired"}, "expired"),
        ({"result": "restricted", "conditions": "Supervised practice only"}, "restricted"),
        ({"result": "revoked"}, "revoked"),
        ({"expires_on": str(TODAY + timedelta(days=60))}, "expiring"),
        ({"expires_on": str(TODAY + timedelta(days=900))}, "verified"),
    ],
)
async def test_every_look_moves_the_status_and_a_later_one_brings_it_back(
    client: AsyncClient, world: World, sessions: Sessions, look: Any, status: str
) -> None:
    license_id = (await enter(client, world)).json()["id"]
    assert (await verify(client, world, license_id)).json()["license"]["status"] == "verified"
    told = (await verify(client, world, license_id, **look)).json()["license"]
    assert told["status"] == status
    assert told["conditions"] == look.get("conditions", "")
    assert told["expires_on"] == look.get("expires_on", LICENSE["expires_on"])
    back = await verify(client, world, license_id, expires_on=str(TODAY + timedelta(days=800)))
    assert back.json()["license"]["status"] == "verified"
    async with sessions() as session:
        await bind_clinic(session, world.clinic.id)
        looks = select(func.count()).select_from(LicenseVerification)
        assert await session.scalar(looks.where(LicenseVerification.license_id == license_id)) == 3


async def test_an_older_look_is_kept_but_changes_nothing(client: AsyncClient, world: World) -> None:
    license_id = (await enter(client, world)).json()["id"]
    await verify(client, world, license_id)
    older = await verify(client, world, license_id, result="revoked", verified_at="2025-01-01T00:00:00Z")
    assert older.status_code == 201
    assert older.json()["license"]["status"] == "verified"


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"verified_at": "2099-01-01T00:00:00Z"}, "/verified_at", "instant_future"),
        ({"expires_on": "2024-04-01"}, "/expires_on", "dates_order"),
        ({"expires_on": "2024-06-01"}, "/expires_on", "license_over"),
        ({"result": "fine"}, "/result", "enum"),
        ({"source": ""}, "/source", "text_empty"),
        ({"evidence": {"x": 1}}, "/evidence/x", "string_type"),
    ],
)
async def test_what_no_register_says_is_refused(
    client: AsyncClient, world: World, changes: Any, pointer: str, code: str
) -> None:
    license_id = (await enter(client, world)).json()["id"]
    answer = await verify(client, world, license_id, **changes)
    assert answer.status_code == 422
    assert [(each["pointer"], each["code"]) for each in answer.json()["errors"]] == [(pointer, code)]


async def test_the_date_that_counts_is_the_clinics(client: AsyncClient, sessions: Sessions) -> None:
    east = await factories.make_world(sessions, zone="Pacific/Kiritimati")
    ahead = datetime.now(UTC) + timedelta(hours=14)
    answer = await enter(client, east, issued_on=str(ahead.date()), expires_on=str(date(2099, 1, 1)))
    assert answer.status_code == 201, "there it is that day already"
