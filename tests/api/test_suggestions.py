"""Suggestions over HTTP: versions, retries, and what is out of date."""

from typing import Any

from sqlalchemy import text

from core.database import Sessions, bind_clinic
from tests import walk
from tests.api.conftest import app, client

__all__ = ["app", "client"]

UNTIL = next(place for place, step in enumerate(walk.STEPS) if step.operation == "list_suggestions")


async def test_a_suggestion_is_decided_once_and_an_outdated_one_is_out_of_the_way(
    client: Any,
    sessions: Sessions,
) -> None:
    (cast,) = await walk.make_clinic(sessions, "Alice Moreau")
    here = walk.Walk(cast, client, sessions)
    assert await walk.run(here, walk.STEPS[: UNTIL + 1]) == {}
    bob = dict(cast.headers["therapist"])
    place = f"/v1/suggestions/{here.known['suggestion_id']}"
    shown = await client.get(place, headers=bob)
    assert shown.headers["ETag"] == '"1"'
    assert shown.json()["to_dose"]["sets"] == shown.json()["from_dose"]["sets"] + 1
    assert (await client.post(f"{place}/accept", headers=bob, json={})).status_code == 428
    stale = await client.post(f"{place}/accept", headers=bob | {"If-Match": '"2"'}, json={})
    assert (stale.status_code, stale.json()["current_version"]) == (412, 1)
    sent = bob | {"If-Match": '"1"', "Idempotency-Key": "once"}
    taken = await client.post(f"{place}/accept", headers=sent)
    again = await client.post(f"{place}/accept", headers=sent)
    assert (taken.status_code, again.headers["Idempotent-Replay"]) == (200, "true")
    assert taken.json() == again.json()
    program = (await client.get(f"/v1/programs/{here.known['program_id']}", headers=bob)).json()
    assert program["shown"]["id"] == taken.json()["written_version_id"]
    assert program["shown"]["progression"]["mode"] == "auto"

    await walk._suggested(here)
    place = f"/v1/suggestions/{here.known['suggestion_id']}"
    sent = bob | {"If-Match": '"1"', "Idempotency-Key": "too-late"}
    late = await client.post(f"{place}/accept", headers=sent, json={})
    assert (late.status_code, late.json()["code"]) == (409, "suggestion_superseded")
    once_more = await client.post(f"{place}/accept", headers=sent, json={})
    assert once_more.headers["Idempotent-Replay"] == "true", "a refusal that changed something is the key's answer"
    assert (once_more.status_code, once_more.content, once_more.headers["Content-Type"]) == (
        409, late.content, late.headers["Content-Type"]
    )  # fmt: skip
    assert (await client.get(place, headers=bob)).json()["status"] == "superseded"
    listed = await client.get("/v1/suggestions", headers=bob, params={"status": ["accepted", "superseded"]})
    assert [each["status"] for each in listed.json()["items"]] == ["superseded", "accepted"]
    assert (await client.get("/v1/suggestions", headers=cast.headers["patient"])).status_code == 403
    async with sessions() as session:
        await bind_clinic(session, cast.clinic_id)
        waiting = await session.scalar(text("SELECT count(*) FROM suggestions WHERE status = 'open'"))
    assert waiting == 0
