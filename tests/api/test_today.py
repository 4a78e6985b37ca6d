"""The patient's day over HTTP: one call, few statements."""

from datetime import UTC, datetime
from typing import Any

from httpx import AsyncClient

from core.database import Sessions
from tests.services.caring import care


async def test_the_day_comes_in_one_call(client: AsyncClient, sessions: Sessions, count_statements: Any) -> None:
    alices = await care(sessions, now=datetime.now(UTC))
    await alices.running(at=datetime.now(UTC))
    headers = alices.world.headers["alice"]
    with count_statements() as sent:
        answer = await client.get("/v1/me/today", headers=headers)
    assert answer.status_code == 200
    assert len(sent) <= 4, sent.sent  # who asks, which clinic, the day, the audit row
    day = answer.json()
    assert day["program"]["status"] == "active"
    assert day["emergency"]["actions"]
    assert (await client.get("/v1/me/today", headers=alices.world.headers["bob"])).status_code == 403
