"""Assessments over HTTP: drafted, signed once, sealed."""

import asyncio
import copy
import hashlib
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from core.database import Sessions, bind_clinic
from models.therapists import LicenseStatus
from schemas.assessments import EXAMPLE
from tests import factories
from tests.api.desk import STRANGE, Desk, days, refused
from tests.factories import make_world

INITIAL = {"kind": "initial", "content": EXAMPLE}


@pytest.fixture
async def desk(client: httpx.AsyncClient, sessions: Sessions) -> Desk:
    return Desk(client, sessions, await make_world(sessions))


@pytest.fixture
async def episode(desk: Desk) -> str:
    return f"/v1/episodes/{(await desk.episode())['id']}"


async def test_a_draft_keeps_what_was_sent(desk: Desk, episode: str) -> None:
    answer = await desk.ask("bob", "POST", f"{episode}/assessments", INITIAL)
    made = answer.json()
    assert answer.status_code == 201, made
    assert answer.headers["location"] == f"/v1/assessments/{made['id']}"
    assert answer.headers["etag"] == '"1"'
    assert (made["status"], made["signed_at"], made["content_sha256"]) == ("draft", None, None)
    assert made["author_id"] == str(desk.world.bob.id)
    assert made["content"]["plan"] == EXAMPLE["plan"]
    assert made["content"]["observations"]["strength"][0]["grade"] == 4
    assert "history" not in made["content"]
    assert await desk.get("bob", answer.headers["location"]) == made
    assert await desk.audited("assessment.create") == 1
    assert await desk.audited("assessment.read") == 1


async def test_a_section_that_is_sent_replaces_its_section_and_null_removes_it(desk: Desk, episode: str) -> None:
    made = await desk.post("bob", f"{episode}/assessments", INITIAL)
    path = f"/v1/assessments/{made['id']}"
    change = {"content": {"symptoms": {"easing": ["lying"]}, "consent": None}, "assessed_on": "2026-01-06"}
    answer = await desk.ask("bob", "PATCH", path, change, version=1)
    changed = answer.json()
    assert answer.headers["etag"] == '"2"'
    assert changed["content"]["symptoms"] == {"aggravating": [], "easing": ["lying"]}
    assert "consent" not in changed["content"]
    assert changed["content"]["plan"] == EXAMPLE["plan"]
    assert changed["assessed_on"] == "2026-01-06"
    refused(await desk.ask("bob", "PATCH", path, change), 428, "precondition_required")
    assert refused(await desk.ask("bob", "PATCH", path, change, version=1), 412, "stale")["current_version"] == 2
    moved = await desk.ask("bob", "PATCH", path, {"assessed_on": "2026-01-07"}, version=2)
    assert moved.json()["content"] == changed["content"]
    assert await desk.audited("assessment.update") == 2


async def test_signing_seals_the_assessment_for_good_and_begins_the_episode(desk: Desk, episode: str) -> None:
    await desk.consent()
    made = await desk.post("bob", f"{episode}/assessments", INITIAL)
    path = f"/v1/assessments/{made['id']}"
    refused(await desk.ask("alice", "GET", path), 404, "not_found")
    assert (await desk.get("alice", episode))["assessments"] == []
    refused(await desk.ask("bob", "POST", f"{path}/sign"), 428, "precondition_required")
    refused(await desk.ask("bob", "POST", f"{path}/sign", version=4), 412, "stale")
    signed = await desk.post("bob", f"{path}/sign", version=1)
    assert (signed["status"], signed["version"]) == ("signed", 2)
    assert signed["signed_as"]["name"] == "Bob Keller"
    assert signed["signed_as"]["license"]["jurisdiction"] == "DE"
    names = ("id", "patient_id", "episode_id", "kind", "assessed_on", "content", "signed_at", "signed_as")
    canonical = json.dumps(
        {name: signed[name] for name in names}, sort_keys=True, separators=(",", ":"), ensure_ascii=False
    )
    assert signed["content_sha256"] == hashlib.sha256(canonical.encode()).hexdigest()
    assert await desk.get("alice", path) == signed
    seen = await desk.get("alice", episode)
    assert (seen["status"], [each["id"] for each in seen["assessments"]]) == ("active", [made["id"]])
    for version in (1, 2):
        refused(await desk.ask("bob", "POST", f"{path}/sign", version=version), 409, "assessment_signed")
        answer = await desk.ask("bob", "PATCH", path, {"content": {"reason": "Other"}}, version=version)
        refused(answer, 409, "assessment_signed", secret="Other")
    assert await desk.get("bob", path) == signed
    assert await desk.audited("assessment.sign") == 1
    second = await desk.post("bob", f"{episode}/assessments", INITIAL | {"kind": "reassessment"})
    await desk.post("bob", f"/v1/assessments/{second['id']}/sign", version=1)
    assert (await desk.get("bob", episode))["version"] == seen["version"]


async def test_what_is_missing_to_sign_is_named(desk: Desk, episode: str) -> None:
    await desk.consent()
    made = await desk.post("bob", f"{episode}/assessments", {"kind": "initial", "content": {"reason": "Back pain"}})
    answer = await desk.ask("bob", "POST", f"/v1/assessments/{made['id']}/sign", version=1)
    refused(
        answer,
        409,
        "assessment_incomplete",
        ("/content/hypothesis", "section_missing"),
        ("/content/plan", "section_missing"),
        secret="Back pain",
    )
    assert (await desk.get("bob", f"/v1/assessments/{made['id']}"))["status"] == "draft"


async def test_nothing_is_signed_without_consent_license_and_link(desk: Desk, episode: str, sessions: Sessions) -> None:
    made = await desk.post("bob", f"{episode}/assessments", INITIAL)
    sign = f"/v1/assessments/{made['id']}/sign"
    refused(await desk.ask("bob", "POST", sign, version=1), 409, "consent_missing", ("", "telehealth_consent_missing"))
    given = await desk.consent()
    await desk.post("alice", f"{desk.patient}/locations", {"country": "FR"})
    refused(await desk.ask("bob", "POST", sign, version=1), 409, "may_not_treat", ("", "license_missing"))
    async with sessions.begin() as session:
        await bind_clinic(session, desk.world.clinic.id)
        await factories.make_license(session, desk.world.bob, "FR", status=LicenseStatus.EXPIRED, number="FR1")
    refused(await desk.ask("bob", "POST", sign, version=1), 409, "may_not_treat", ("", "license_expired"))
    answer = await desk.ask("bob", "POST", f"{episode}/assessments", INITIAL)
    refused(answer, 409, "may_not_treat", ("", "license_expired"))
    await desk.post("alice", f"{desk.patient}/locations", {"country": "DE"})
    await desk.post("alice", f"/v1/consents/{given['id']}/withdraw", version=1)
    refused(await desk.ask("bob", "POST", sign, version=1), 409, "consent_missing")
    link = (await desk.get("dana", f"{desk.patient}/care-team"))["items"][0]["id"]
    await desk.post("dana", f"/v1/care-team/{link}/end", {"reason": "Leaves"}, version=1)
    refused(await desk.ask("bob", "POST", sign, version=1), 404, "not_found")
    assert await desk.audited("assessment.sign") == 0


def _with(place: tuple[Any, ...], value: Any) -> dict[str, Any]:
    content: dict[str, Any] = copy.deepcopy(EXAMPLE)
    inner: Any = content
    for part in place[:-1]:
        inner = inner[part]
    inner[place[-1]] = value
    return content


ROM = ("observations", "range_of_motion", 0)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ((*ROM, "degrees"), 400),
        ((*ROM, "degrees"), "40"),
        ((*ROM, "method"), "guess"),
        ((*ROM, "side"), "top"),
        (("observations", "strength", 0, "grade"), 6),
        (("observations", "functional_tests", 0, "value"), -1),
        (("observations", "functional_tests", 0, "unit"), "furlongs"),
        (("symptoms", "pain_now"), 11),
        (("plan", "interventions"), []),
        (("plan", "weeks"), 0),
        (("impairments",), ["x"] * 31),
        (("reason",), "x" * 2001),
        (("encounter", "modality"), "telepathy"),
        (("diagnosis",), "unknown section"),
    ],
)
async def test_what_is_out_of_bounds_is_refused(desk: Desk, episode: str, place: tuple[Any, ...], value: Any) -> None:
    form = {"kind": "initial", "content": _with(place, value)}
    answer = await desk.ask("bob", "POST", f"{episode}/assessments", form)
    body = refused(answer, 422, "invalid", secret=EXAMPLE["hypothesis"])
    assert body["errors"][0]["pointer"].startswith(f"/content/{place[0]}")
    assert (await desk.get("bob", episode))["assessments"] == []


async def test_the_day_lies_within_the_episode(desk: Desk, episode: str) -> None:
    for day, code in {days(2): "in_the_future", "2025-12-31": "before_the_episode"}.items():
        answer = await desk.ask("bob", "POST", f"{episode}/assessments", INITIAL | {"assessed_on": day})
        refused(answer, 422, "assessment_refused", ("/assessed_on", code))


async def test_a_discharged_episode_takes_a_discharge_assessment_only(desk: Desk, episode: str) -> None:
    await desk.post("bob", f"{episode}/discharge", {"reason": "Done"}, version=1)
    refused(await desk.ask("bob", "POST", f"{episode}/assessments", INITIAL), 409, "episode_closed")
    made = await desk.post("bob", f"{episode}/assessments", {"kind": "discharge"})
    assert made["content"] == {}


async def test_only_who_treats_the_patient_writes_and_reads(desk: Desk, episode: str, sessions: Sessions) -> None:
    made = await desk.post("bob", f"{episode}/assessments", INITIAL)
    path = f"/v1/assessments/{made['id']}"
    for who, status in {"alice": 403, "dana": 403, "carol": 404}.items():
        assert (await desk.ask(who, "POST", f"{episode}/assessments", INITIAL)).status_code == status
        assert (await desk.ask(who, "PATCH", path, {"content": {}}, version=1)).status_code == status
        assert (await desk.ask(who, "POST", f"{path}/sign", version=1)).status_code == status
    for who, status in {"alice": 404, "dana": 403, "carol": 404}.items():
        assert (await desk.ask(who, "GET", path)).status_code == status
    other = await make_world(sessions, name="Another clinic")
    refused(await desk.client.get(path, headers=other.headers["bob"]), 404, "not_found")
    refused(await desk.ask("bob", "GET", f"/v1/assessments/{STRANGE}"), 404, "not_found")


async def test_an_episode_with_many_assessments_takes_as_many_statements_as_with_one(
    desk: Desk, episode: str, count_statements: Callable[[], Any]
) -> None:
    await desk.post("bob", f"{episode}/assessments", INITIAL)
    with count_statements() as one:
        await desk.get("bob", episode)
    for _ in range(50):
        await desk.post("bob", f"{episode}/assessments", INITIAL)
    with count_statements() as many:
        assert len((await desk.get("bob", episode))["assessments"]) == 50
    assert len(many) == len(one), many.sent


async def test_signed_twice_at_the_same_moment_it_is_signed_once(desk: Desk, episode: str) -> None:
    await desk.consent()
    made = await desk.post("bob", f"{episode}/assessments", INITIAL)
    sign = f"/v1/assessments/{made['id']}/sign"
    answers = await asyncio.gather(*(desk.ask("bob", "POST", sign, version=1) for _ in range(4)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 200
    assert set(codes[1:]) <= {409, 412}
    assert await desk.audited("assessment.sign") == 1
