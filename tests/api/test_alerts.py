from datetime import UTC, datetime
from uuid import uuid4

from httpx import AsyncClient

from core.database import Sessions, bind_clinic
from models.identity import Role
from services.timetable import TIMETABLE
from tests.factories import bearer, make_actor, sign_in
from tests.services.caring import care
from tests.services.test_alerts import raise_


async def test_an_alert_is_seen_assigned_and_resolved_with_if_match(client: AsyncClient, sessions: Sessions) -> None:
    ward = await care(sessions, now=datetime.now(UTC))
    alert = await raise_(ward, at=datetime.now(UTC))
    bob = ward.world.headers["bob"]
    (listed,) = (await client.get("/v1/alerts?level=high&rule_id=ES03", headers=bob)).json()["items"]
    assert (listed["id"], listed["status"], listed["inputs"]) == (str(alert.id), "open", {"pain_now": 8})
    path = f"/v1/alerts/{alert.id}"
    one = await client.get(path, headers=bob)
    assert (one.json(), one.headers["ETag"]) == (listed, '"1"')
    assert (await client.get(path, headers=ward.world.headers["carol"])).status_code == 404
    assert (await client.post(f"{path}/acknowledge", headers=bob)).status_code == 428
    carol = ward.world.headers["carol"] | {"If-Match": '"1"'}
    assert (await client.post(f"{path}/acknowledge", headers=carol)).status_code == 404
    assert (await client.post(f"{path}/acknowledge", headers=bob | {"If-Match": '"7"'})).status_code == 412
    early = await client.post(f"{path}/resolve", json={"outcome": "referred"}, headers=bob | {"If-Match": '"1"'})
    assert (early.status_code, early.json()["code"]) == (409, "alert_not_acknowledged")
    seen = await client.post(f"{path}/acknowledge", headers=bob | {"If-Match": '"1"'})
    assert (seen.status_code, seen.headers["ETag"]) == (200, '"2"')
    to = {"therapist_id": str(ward.world.bob.id)}
    wrong = await client.post(f"{path}/assign", json={"therapist_id": str(uuid4())}, headers=bob | {"If-Match": '"2"'})
    assert (wrong.status_code, wrong.json()["errors"][0]["pointer"]) == (422, "/therapist_id")
    assert (await client.post(f"{path}/assign", json=to, headers=bob | {"If-Match": '"2"'})).status_code == 200
    bad = await client.post(f"{path}/resolve", json={"outcome": "ignored"}, headers=bob | {"If-Match": '"3"'})
    assert bad.status_code == 422
    outcome = {"outcome": "program_changed", "note": "Fewer repetitions."}
    done = await client.post(f"{path}/resolve", json=outcome, headers=bob | {"If-Match": '"3"'})
    assert (done.json()["status"], done.json()["outcome"]) == ("resolved", "program_changed")
    assert (await client.get("/v1/alerts", headers=bob)).json()["items"] == []
    assert (await client.get("/v1/alerts", headers=ward.world.headers["alice"])).status_code == 403
    for path in ("/v1/alerts?rule_id=%00", f"/v1/episodes/{ward.episode_id}/outcomes?instrument=%00"):
        refused = await client.get(path, headers=bob)
        assert refused.status_code == 422, "a character that no column holds"


async def test_a_scheduler_outside_runs_a_job_for_its_clinic(client: AsyncClient, sessions: Sessions) -> None:
    ward = await care(sessions, now=datetime.now(UTC))
    async with sessions.begin() as session:
        await bind_clinic(session, ward.clinic_id)
        service = await make_actor(session, ward.clinic_id, Role.SERVICE, scopes=["*"])
        headers = bearer(await sign_in(session, service))
    ran = await client.post("/v1/jobs/check-ins.dispatch/runs", json={}, headers=headers)
    assert (ran.status_code, ran.json()["status"]) == (201, "succeeded")
    dry = await client.post("/v1/jobs/check-ins.close/runs", json={"dry_run": True}, headers=headers)
    assert (dry.json()["id"], dry.json()["dry_run"]) == (None, True)
    assert (await client.post("/v1/jobs/nothing/runs", json={}, headers=headers)).status_code == 404
    bob = ward.world.headers["bob"]
    assert (await client.post("/v1/jobs/check-ins.close/runs", json={}, headers=bob)).status_code == 403
    listed = (await client.get("/v1/jobs", headers=ward.world.headers["dana"])).json()["items"]
    assert [one["job"] for one in listed] == [entry.job for entry in TIMETABLE]
    assert listed[0]["last_run"]["id"] == ran.json()["id"]
