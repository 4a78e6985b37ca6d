"""The register of adverse events over HTTP: versions, refusals, and an export that no spreadsheet calculates."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from api.app import create_app
from core.database import Sessions
from core.settings import Settings
from tests.api.conftest import client_of
from tests.api.desk import Desk, refused
from tests.factories import make_world

YESTERDAY = (datetime.now(UTC) - timedelta(days=1)).date().isoformat()
WORDS = '=HYPERLINK("http://evil.example")'


@pytest.fixture
async def desk(client: httpx.AsyncClient, sessions: Sessions) -> Desk:
    return Desk(client, sessions, await make_world(sessions))


async def test_an_event_is_reported_completed_reviewed_and_exported(desk: Desk) -> None:
    path = f"{desk.patient}/adverse-events"
    event = {"kind": "fall", "description": WORDS, "occurred_on": YESTERDAY, "grade": 3}
    judged = await desk.ask("alice", "POST", path, event | {"relatedness": "unlikely"})
    refused(judged, 422, "adverse_event_refused", ("/relatedness", "staff_only"))
    assert judged.json()["advice"]["level"] == "urgent_same_day"
    answer = await desk.ask("alice", "POST", path, event)
    made = answer.json()
    place = f"/v1/adverse-events/{made['id']}"
    assert (answer.status_code, answer.headers["location"], answer.headers["etag"]) == (201, place, '"1"')
    assert (made["advice"]["level"], made["status"], made["reported_via"]) == ("urgent_same_day", "reported", "patient")

    refused(await desk.ask("alice", "PATCH", place, {"grade": 1}, version=1), 403, "forbidden")
    refused(await desk.ask("bob", "PATCH", place, {"grade": 1}), 428, "precondition_required")
    review = {"conclusion": "no_action_needed", "note": "Slipped on ice."}
    early = await desk.ask("bob", "POST", f"{place}/review", review, version=1)
    refused(early, 409, "adverse_event_incomplete")
    assert {one["pointer"] for one in early.json()["errors"]} == {"/seriousness", "/relatedness", "/outcome"}
    known = {"seriousness": [], "relatedness": "unrelated", "outcome": "recovered"}
    changed = await desk.ask("bob", "PATCH", place, known, version=1)
    assert (changed.headers["etag"], changed.json()["seriousness"]) == ('"2"', [])
    assert (await desk.ask("bob", "POST", f"{place}/review", review, version=2)).json()["status"] == "reviewed"
    refused(await desk.ask("bob", "PATCH", place, known, version=3), 409, "adverse_event_reviewed")

    headers = desk.world.headers["bob"]
    export = "/v1/adverse-event-files"
    table = await desk.client.get(export, headers=headers, params={"from": YESTERDAY})
    assert table.headers["content-type"].startswith("text/csv")
    (row,) = csv.DictReader(io.StringIO(table.text, newline=""))
    assert (row["id"], row["description"], row["seriousness"], row["item_id"]) == (made["id"], f"'{WORDS}", "none", "")
    lines = await desk.client.get(export, headers=headers | {"Accept": "application/x-ndjson"})
    (line,) = map(json.loads, lines.text.splitlines())
    assert (line["description"], line["grade"], line["item_id"]) == (WORDS, 3, None)
    assert (await desk.client.get(export, headers=headers | {"Accept": "image/png"})).status_code == 406
    refused(await desk.ask("alice", "GET", export, None), 403, "forbidden")


async def test_a_report_that_cannot_be_read_or_kept_still_says_what_to_do(desk: Desk) -> None:
    path = f"{desk.patient}/adverse-events"
    event = {"kind": "fall", "description": "x" * 2_001, "occurred_on": YESTERDAY}
    told: dict[str | None, list[dict[str, Any]]] = {
        "emergency_now": [{"grade": 4}, {"grade": 9}, {"grade": "4", "seriousness": {}}],
        "urgent_same_day": [{"grade": 3}, {"grade": True, "seriousness": ["hospitl"]}, {"seriousness": "hospital"}],
        None: [{}, {"grade": 2, "seriousness": []}, {"grade": "bad"}],
    }
    for level, forms in told.items():
        for form in forms:
            answer = await desk.ask("alice", "POST", path, event | form)
            said = answer.json().get("advice")
            assert (answer.status_code, said and said["level"]) == (422, level), form
    away = create_app(Settings(environment="test", rate_per_second=0, _env_file=None))  # its database never came
    async with client_of(away) as unserved:
        headers = desk.world.headers["alice"]
        answer = await unserved.post(path, json=event | {"description": "Fell", "grade": 4}, headers=headers)
    assert (answer.status_code, answer.json()["advice"]["level"]) == (503, "emergency_now")
