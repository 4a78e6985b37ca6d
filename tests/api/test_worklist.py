"""The caseload over HTTP: few statements, however long it is, and pages by cursor."""

from datetime import UTC, datetime, timedelta
from typing import Any

from httpx import AsyncClient

from core.database import Sessions, bind_clinic
from tests.factories import link, make_patient
from tests.services.caring import care


async def test_the_caseload_comes_in_few_statements_and_pages(
    client: AsyncClient, sessions: Sessions, count_statements: Any
) -> None:
    now = datetime.now(UTC)
    bobs = await care(sessions, now=now)
    async with sessions.begin() as session:
        await bind_clinic(session, bobs.clinic_id)
        for number in range(3):
            patient = await make_patient(session, bobs.clinic_id, f"Emil Novak{number}")
            await link(session, patient, bobs.world.bob, since=now - timedelta(days=1))
    headers = bobs.world.headers["bob"]
    await client.get("/v1/worklist", params={"limit": 1}, headers=headers)  # a new connection learns its types once
    with count_statements() as sent:
        first = await client.get("/v1/worklist", params={"limit": 3}, headers=headers)
    assert first.status_code == 200
    assert len(sent) <= 4, sent.sent
    page = first.json()
    rest = await client.get("/v1/worklist", params={"limit": 3, "cursor": page["next_cursor"]}, headers=headers)
    assert (len(page["items"]), len(rest.json()["items"]), rest.json()["next_cursor"]) == (3, 1, None)
    shown = {each["patient_id"] for each in page["items"] + rest.json()["items"]}
    assert len(shown) == 4
    assert (await client.get("/v1/worklist", headers=bobs.world.headers["alice"])).status_code == 403
    forged = await client.get("/v1/worklist", params={"cursor": "AAAA"}, headers=headers)
    assert (forged.status_code, forged.json()["code"]) == (422, "unknown_cursor")
