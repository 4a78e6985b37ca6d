"""Patients over HTTP: who registers, reads and changes whom, and where a patient is."""

import asyncio
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from core.database import Sessions
from models.identity import Role
from tests import factories
from tests.api.desk import STRANGE, Desk, days, person, refused
from tests.factories import make_world


@pytest.fixture
async def desk(client: httpx.AsyncClient, sessions: Sessions) -> Desk:
    return Desk(client, sessions, await make_world(sessions))


async def test_a_therapist_who_registers_a_patient_becomes_the_lead(desk: Desk) -> None:
    made = await desk.post("carol", "/v1/patients", person(conditions=["pregnancy"]))
    assert made["record_number"] == "P000001"
    assert made["conditions"] == ["pregnancy"]
    assert made["place"] is None
    team = await desk.get("carol", f"/v1/patients/{made['id']}/care-team")
    assert [(each["therapist"]["family_name"], each["role"]) for each in team["items"]] == [("Brandt", "lead")]
    second = await desk.post("carol", "/v1/patients", person())
    assert second["record_number"] == "P000002"
    assert await desk.audited("patient.create") == 2
    assert await desk.audited("care_link.create") == 2


async def test_an_admin_registers_without_linking_anybody_and_sees_nothing_clinical(desk: Desk) -> None:
    made = await desk.post("dana", "/v1/patients", person(record_number="A-17"))
    assert made["record_number"] == "A-17"
    assert {"conditions", "place"}.isdisjoint(made)
    team = await desk.get("dana", f"/v1/patients/{made['id']}/care-team")
    assert team["items"] == []
    refused(await desk.ask("carol", "GET", f"/v1/patients/{made['id']}"), 404, "not_found")
    answer = await desk.ask("dana", "POST", "/v1/patients", person(conditions=["pregnancy"]))
    refused(answer, 403, "field_not_yours", ("/conditions", "field_not_yours"))
    assert {"conditions", "place"}.isdisjoint(await desk.get("dana", desk.patient))
    listed = await desk.get("dana", "/v1/patients")
    assert all({"conditions", "place"}.isdisjoint(each) for each in listed["items"])


async def test_a_therapist_without_a_license_in_force_registers_nobody(desk: Desk, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        eve = await factories.make_therapist(session, desk.world.clinic.id, "Eve Lang", licensed=None)
        actor = await factories.make_actor(session, desk.world.clinic.id, Role.THERAPIST, eve)
        headers = factories.bearer(await factories.sign_in(session, actor))
    form = person()
    answer = await desk.client.post("/v1/patients", json=form, headers=headers)
    refused(answer, 409, "may_not_treat", ("", "license_missing"), secret=form["family_name"])
    listed = await desk.get("dana", "/v1/patients")
    assert len(listed["items"]) == 1


@pytest.mark.parametrize(
    ("changes", "pointer", "code"),
    [
        ({"birth_date": days(2)}, "/birth_date", "in_the_future"),
        ({"birth_date": "1899-12-31"}, "/birth_date", "too_long_ago"),
        ({"zone": "Europe/Atlantis"}, "/zone", "zone_unknown"),
        ({"conditions": ["bad_luck"]}, "/conditions/0", "condition_unknown"),
        ({"conditions": ["pregnancy", "pregnancy"]}, "/conditions", "repeated"),
        ({"phone": "call me"}, "/phone", "string_pattern_mismatch"),
        ({"email": "nobody"}, "/email", "email_form"),
        ({"language": "English"}, "/language", "string_pattern_mismatch"),
        ({"given_name": ""}, "/given_name", "text_empty"),
        ({"given_name": "A\u0000"}, "/given_name", "text_characters"),
        ({"gender": "x"}, "/gender", "literal_error"),
        ({"birth_date": "28.02.1990"}, "/birth_date", "date_text"),
        ({"score": 1}, "/score", "extra_forbidden"),
    ],
)
async def test_what_no_patient_can_have_is_refused_and_nobody_registered(
    desk: Desk, changes: dict[str, Any], pointer: str, code: str
) -> None:
    answer = await desk.ask("bob", "POST", "/v1/patients", person(family_name="Secretowski", **changes))
    body = answer.json()
    assert answer.status_code == 422, body
    assert code in {each["code"] for each in body["errors"]}
    assert "Secretowski" not in answer.text
    if code != "text_characters":
        assert (pointer, code) in {(each["pointer"], each["code"]) for each in body["errors"]}
    assert len((await desk.get("dana", "/v1/patients"))["items"]) == 1


async def test_a_record_number_belongs_to_one_patient_of_the_clinic(desk: Desk) -> None:
    await desk.post("dana", "/v1/patients", person(record_number="A-17"))
    answer = await desk.ask("dana", "POST", "/v1/patients", person(record_number="A-17"))
    refused(answer, 409, "record_number_taken", ("/record_number", "taken"), secret="A-17")
    answer = await desk.ask("dana", "PATCH", desk.patient, {"record_number": "A-17"}, version=2)
    refused(answer, 409, "record_number_taken")


async def test_sending_a_registration_twice_registers_once(desk: Desk) -> None:
    headers = {**desk.world.headers["bob"], "Idempotency-Key": "register-erin"}
    form = person()
    first = await desk.client.post("/v1/patients", json=form, headers=headers)
    again = await desk.client.post("/v1/patients", json=form, headers=headers)
    assert again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["idempotent-replay"] == "true"
    assert len((await desk.get("dana", "/v1/patients"))["items"]) == 2


async def test_lists_are_in_order_of_names_and_pages_hold_no_name(desk: Desk) -> None:
    for given, family in [("Ben", "Adler"), ("Ada", "Adler"), ("Zoe", "Yilmaz"), ("Ann%", "O'Neil")]:
        await desk.post("dana", "/v1/patients", person(given_name=given, family_name=family, record_number=given[:3]))
    names: list[str] = []
    path = "/v1/patients?limit=2"
    while True:
        page = await desk.get("dana", path)
        names += [f"{each['given_name']} {each['family_name']}" for each in page["items"]]
        if page["next_cursor"] is None:
            break
        path = f"/v1/patients?limit=2&cursor={page['next_cursor']}"
    assert names == ["Ada Adler", "Ben Adler", "Alice Moreau", "Ann% O'Neil", "Zoe Yilmaz"]

    async def found(query: str) -> list[str]:
        return [each["given_name"] for each in (await desk.get("dana", f"/v1/patients?{query}"))["items"]]

    assert await found("q=adl") == ["Ada", "Ben"]
    assert await found("q=ZO") == ["Zoe"]
    assert await found("q=Ben") == ["Ben"]
    assert await found("q=ann%25") == ["Ann%"]
    assert await found("q=%25") == []
    assert await found("status=inactive") == []
    assert len(await found("status=active")) == 5
    refused(await desk.ask("dana", "GET", "/v1/patients?name=x"), 422, "invalid", ("#/query/name", "query_unknown"))
    refused(await desk.ask("dana", "GET", "/v1/patients?cursor=AAAA"), 422, "unknown_cursor")


async def test_everybody_lists_whom_they_reach(desk: Desk) -> None:
    for who, expected in {"alice": 1, "bob": 1, "carol": 0, "dana": 1}.items():
        assert len((await desk.get(who, "/v1/patients"))["items"]) == expected, who
    assert await desk.audited("patient.list") == 4


async def test_a_list_needs_as_many_statements_for_fifty_patients_as_for_one(
    desk: Desk, count_statements: Callable[[], Any]
) -> None:
    with count_statements() as one:
        await desk.get("dana", "/v1/patients")
    for _ in range(49):
        await desk.post("dana", "/v1/patients", person())
    with count_statements() as fifty:
        assert len((await desk.get("dana", "/v1/patients"))["items"]) == 50
    assert len(fifty) == len(one), fifty.sent


async def test_out_of_reach_and_absent_are_the_same(desk: Desk, sessions: Sessions) -> None:
    other = await make_world(sessions, name="Another clinic")
    answers = [
        await desk.ask("bob", "GET", f"/v1/patients/{STRANGE}"),
        await desk.ask("bob", "GET", f"/v1/patients/{other.alice.id}"),
        await desk.ask("carol", "GET", desk.patient),
        await desk.ask("dana", "GET", f"/v1/patients/{other.alice.id}"),
    ]
    bodies = []
    for answer in answers:
        body = refused(answer, 404, "not_found")
        body.pop("request_id")
        bodies.append(body)
    assert all(body == bodies[0] for body in bodies)


async def test_the_record_names_the_newest_place_and_every_look_is_on_record(desk: Desk) -> None:
    answer = await desk.ask("alice", "GET", desk.patient)
    read = answer.json()
    assert (read["given_name"], read["place"]["country"], read["signed_up"]) == ("Alice", "DE", True)
    assert answer.headers["etag"].startswith(f'"{read["version"]}-')
    assert await desk.get("bob", desk.patient) == read
    assert await desk.audited("patient.read") == 2


async def test_a_patient_changes_how_to_reach_him_and_nothing_else(desk: Desk) -> None:
    version = (await desk.get("alice", desk.patient))["version"]
    changes = {"phone": "+33 1 23456", "language": "fr", "emergency_contact": "Paul,\n+33 1 99", "zone": "Europe/Paris"}
    answer = await desk.ask("alice", "PATCH", desk.patient, changes, version=version)
    assert answer.status_code == 200, answer.text
    read = answer.json()
    assert read | changes == read
    assert read["version"] == version + 1
    for name, value in {"birth_date": "1985-01-01", "family_name": "X", "conditions": [], "status": "inactive"}.items():
        answer = await desk.ask("alice", "PATCH", desk.patient, {name: value}, version=version + 1)
        refused(answer, 403, "field_not_yours", (f"/{name}", "field_not_yours"))
    assert await desk.get("alice", desk.patient) == read


async def test_the_office_changes_names_and_the_therapist_conditions(desk: Desk) -> None:
    version = (await desk.get("bob", desk.patient))["version"]
    answer = await desk.ask("dana", "PATCH", desk.patient, {"family_name": "Moreau-Klein"}, version=version)
    assert answer.status_code == 200, answer.text
    assert "conditions" not in answer.json()
    answer = await desk.ask("dana", "PATCH", desk.patient, {"conditions": ["pregnancy"]}, version=version + 1)
    refused(answer, 403, "field_not_yours", secret="pregnancy")
    answer = await desk.ask("bob", "PATCH", desk.patient, {"conditions": ["pregnancy"]}, version=version + 1)
    assert answer.json()["conditions"] == ["pregnancy"]
    answer = await desk.ask("bob", "PATCH", desk.patient, {"zone": None, "phone": None}, version=version + 2)
    refused(answer, 422, "patient_refused", ("/zone", "null_refused"))
    answer = await desk.ask("bob", "PATCH", desk.patient, {"birth_date": days(2)}, version=version + 2)
    refused(answer, 422, "patient_refused", ("/birth_date", "in_the_future"))
    assert await desk.audited("patient.update") == 2


async def test_a_change_names_the_version_it_means(desk: Desk) -> None:
    read = await desk.get("alice", desk.patient)
    refused(await desk.ask("alice", "PATCH", desk.patient, {"phone": "+33 12"}), 428, "precondition_required")
    answer = await desk.ask("alice", "PATCH", desk.patient, {"phone": "+33 12"}, version=read["version"] + 1)
    assert refused(answer, 412, "stale")["current_version"] == read["version"]
    assert await desk.get("alice", desk.patient) == read


async def test_a_place_is_attested_by_the_patient_or_the_therapist_and_the_newest_counts(desk: Desk) -> None:
    path = f"{desk.patient}/locations"
    made = await desk.post("alice", path, {"country": "US", "region": "CA"})
    assert (made["country"], made["region"]) == ("US", "CA")
    assert (await desk.get("bob", desk.patient))["place"]["region"] == "CA"
    await desk.post("bob", path, {"country": "DE"})
    assert (await desk.get("bob", desk.patient))["place"]["country"] == "DE"
    assert await desk.audited("location.attest") == 2
    refused(await desk.ask("carol", "POST", path, {"country": "DE"}), 404, "not_found")
    refused(await desk.ask("dana", "POST", path, {"country": "DE"}), 403, "forbidden")


@pytest.mark.parametrize(
    ("place", "code", "problem"),
    [
        ({"country": "XX"}, "place_unknown", ("/country", "country_unknown")),
        ({"country": "US"}, "place_unknown", ("/region", "region_missing")),
        ({"country": "AU"}, "place_unknown", ("/region", "region_missing")),
        ({"country": "CA", "region": "TX"}, "place_unknown", ("/region", "region_unknown")),
        ({"country": "de"}, "invalid", ("/country", "string_pattern_mismatch")),
        ({}, "invalid", ("/country", "missing")),
    ],
)
async def test_a_place_that_is_none_is_refused(
    desk: Desk, place: dict[str, str], code: str, problem: tuple[str, str]
) -> None:
    refused(await desk.ask("alice", "POST", f"{desk.patient}/locations", place), 422, code, problem)
    assert (await desk.get("alice", desk.patient))["place"]["country"] == "DE"


async def test_two_registrations_at_the_same_moment_get_numbers_of_their_own(desk: Desk) -> None:
    answers = await asyncio.gather(*(desk.ask("dana", "POST", "/v1/patients", person()) for _ in range(4)))
    assert sorted(answer.json()["record_number"] for answer in answers) == ["P000001", "P000002", "P000003", "P000004"]
