"""Flare-ups over HTTP: reported by the patient, steered by the therapist, closed by either."""

from datetime import UTC, date, datetime, timedelta

import httpx
import pytest

from core.database import Sessions
from tests.api.desk import Desk, refused
from tests.factories import make_world


@pytest.fixture
async def desk(client: httpx.AsyncClient, sessions: Sessions) -> Desk:
    return Desk(client, sessions, await make_world(sessions))


async def test_a_flare_up_is_reported_steered_and_closed(desk: Desk) -> None:
    path = f"{desk.patient}/flares"
    refused(await desk.ask("alice", "POST", path, {}), 409, "flare_without_episode")
    episode = (await desk.episode())["id"]
    twice = ["stress", "long_drive", "stress"]
    named = ("/triggers", "repeated")
    refused(await desk.ask("alice", "POST", path, {"triggers": twice}), 422, "flare_refused", named)
    answer = await desk.ask("alice", "POST", path, {"triggers": ["long_drive"]})
    made = answer.json()
    flare = f"/v1/flares/{made['id']}"
    assert (answer.status_code, answer.headers["location"], answer.headers["etag"]) == (201, flare, '"1"')
    assert (made["step"], made["share_percent"], made["opened_via"], made["version"]) == ("reduced", 50, "patient", 1)
    soon = (date.fromisoformat(made["opened_on"]) + timedelta(days=2)).isoformat()
    assert (made["next_step"]["step"], made["next_step"]["not_before"]) == ("three_quarters", soon)
    refused(await desk.ask("bob", "POST", path), 409, "flare_stands")
    plans = (await desk.get("alice", f"/v1/episodes/{episode}/check-in-plans"))["items"]
    assert [(one["flare_id"], one["flare_only"], one["status"]) for one in plans] == [(made["id"], True, "active")]
    alerts = await desk.get("bob", f"/v1/alerts?patient_id={desk.world.alice.id}")
    assert [one["rule_id"] for one in alerts["items"]] == ["ES05"]

    step = {"step": "three_quarters", "note": "Moves freely again."}
    refused(await desk.ask("alice", "PATCH", flare, step, version=1), 403, "forbidden")
    refused(await desk.ask("bob", "PATCH", flare, step), 428, "precondition_required")
    late = (datetime.now(UTC) + timedelta(days=40)).date().isoformat()
    held = step | {"held_until": late}
    refused(await desk.ask("bob", "PATCH", flare, held, version=1), 422, "flare_refused", ("/held_until", "hold_range"))
    changed = await desk.ask("bob", "PATCH", flare, step, version=1)
    assert (changed.json()["share_percent"], changed.json()["reasons"], changed.headers["etag"]) == (
        75,
        ["overridden"],
        '"2"',
    )
    refused(await desk.ask("bob", "PATCH", flare, step, version=1), 412, "stale")

    mine = await desk.ask("alice", "POST", f"{flare}/close", {"reason": "plan_changed"}, version=2)
    refused(mine, 422, "flare_refused", ("/reason", "reason_refused"))
    mine = await desk.ask("alice", "POST", f"{flare}/close", {"reason": "over", "triggers": twice}, version=2)
    refused(mine, 422, "flare_refused", named)
    closed = await desk.post("alice", f"{flare}/close", {"reason": "over", "triggers": ["stress"]}, version=2)
    assert (closed["step"], closed["close_reason"], closed["triggers"]) == ("full", "over", ["stress"])
    refused(await desk.ask("bob", "PATCH", flare, step, version=3), 409, "flare_closed")
    read = await desk.get("alice", flare)
    assert [(one["kind"], one["note"]) for one in read["events"]] == [
        ("opened", None),
        ("overridden", "Moves freely again."),
        ("closed", None),
    ]
    opened, overridden, over = (one["inputs"] for one in read["events"])
    assert (opened["opened_via"], opened["role"], opened["triggers"]) == ("patient", "patient", ["long_drive"])
    assert (opened["baseline_pain"], opened["baseline_pain_answers"]) == (None, 0)
    before = {"from_step": "reduced", "from_held_until": None}
    assert overridden == {**before, "to_step": "three_quarters", "to_held_until": None, "role": "therapist"}
    assert over == {"reason": "over", "from_step": "three_quarters", "from_held_until": None, "role": "patient"}
    assert [one["id"] for one in (await desk.get("bob", path))["items"]] == [made["id"]]
    plans = (await desk.get("alice", f"/v1/episodes/{episode}/check-in-plans"))["items"]
    assert [(one["status"], one["status_reason"]) for one in plans] == [("ended", "flare_over")]
    assert [await desk.audited(f"flare.{verb}") for verb in ("open", "update", "close", "read", "list")] == [1] * 5


async def test_a_flare_up_ends_with_its_episode(desk: Desk) -> None:
    episode = await desk.episode()
    made = await desk.post("bob", f"{desk.patient}/flares", {"episode_id": episode["id"]})
    assert made["opened_via"] == "therapist"
    over = {"reason": "goals_met"}
    answer = await desk.ask("bob", "POST", f"/v1/episodes/{episode['id']}/discharge", over, version=episode["version"])
    assert answer.status_code == 200, answer.text
    read = await desk.get("bob", f"/v1/flares/{made['id']}")
    assert (read["close_reason"], read["step"]) == ("episode_discharged", "full")
    refused(
        await desk.ask("bob", "POST", f"{desk.patient}/flares", {"episode_id": episode["id"]}), 409, "episode_closed"
    )
