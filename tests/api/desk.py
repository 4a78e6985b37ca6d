"""Somebody at a desk: requests as one of the people that recur, and what must be true of every refusal."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
from sqlalchemy import func, select

from core.database import Sessions, bind_clinic
from models.audit import AuditEvent
from models.therapists import Therapist
from tests import factories
from tests.factories import World

STRANGE = UUID("0198c0de-7a11-7000-8000-00000000dead")
"""An id that nothing has."""

EPISODE = {"title": "Low back pain", "body_region": "low_back", "icd10_codes": ["M54.50"], "started_on": "2026-01-05"}


@dataclass(frozen=True)
class Desk:
    """A world, and a client to talk about it."""

    client: httpx.AsyncClient
    sessions: Sessions
    world: World

    async def ask(
        self, who: str, method: str, path: str, body: Any = None, *, version: int | None = None
    ) -> httpx.Response:
        """Send a request of somebody's. version: what If-Match says."""
        headers = dict(self.world.headers[who])
        if version is not None:
            headers["If-Match"] = f'"{version}"'
        return await self.client.request(method, path, json=body, headers=headers)

    async def get(self, who: str, path: str) -> Any:
        """Read something that must be there."""
        answer = await self.ask(who, "GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, who: str, path: str, body: Any = None, *, version: int | None = None) -> Any:
        """Make or do something that must succeed."""
        answer = await self.ask(who, "POST", path, body, version=version)
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    @property
    def patient(self) -> str:
        """Path of alice."""
        return f"/v1/patients/{self.world.alice.id}"

    async def episode(self, **changes: Any) -> Any:
        """Let bob open an episode for alice."""
        return await self.post("bob", f"{self.patient}/episodes", EPISODE | changes)

    async def consent(self) -> Any:
        """Let alice agree to telehealth."""
        form = {"purpose": "telehealth", "text_version": "1", "method": "electronic"}
        return await self.post("alice", f"{self.patient}/consents", form)

    async def audited(self, action: str) -> int:
        """Count the audit rows of an action in this clinic."""
        async with self.sessions() as session:
            await bind_clinic(session, self.world.clinic.id)
            query = select(func.count()).select_from(AuditEvent)
            count = await session.scalar(
                query.where(AuditEvent.clinic_id == self.world.clinic.id, AuditEvent.action == action)
            )
        return count or 0

    async def therapist(self, name: str, **changes: Any) -> Therapist:
        """Hire one more therapist, with a license unless `licensed` says otherwise."""
        async with self.sessions.begin() as session:
            return await factories.make_therapist(session, self.world.clinic.id, name, **changes)


def refused(answer: httpx.Response, status: int, code: str, *problems: tuple[str, str], secret: str = "") -> Any:
    """Hold the answer to be a refusal with this status, code and (pointer, code) problems that echoes no `secret`."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["code"] == code, body
    if problems:
        assert [(each["pointer"], each["code"]) for each in body["errors"]] == list(problems), body
    if secret:
        assert secret not in answer.text
    return body


def days(count: int) -> str:
    """Give the day that many days from today."""
    return (datetime.now(UTC) + timedelta(days=count)).date().isoformat()


def instant(**delta: int) -> str:
    """Give the instant that far from now."""
    return (datetime.now(UTC) + timedelta(**delta)).isoformat()


def person(**changes: Any) -> Mapping[str, Any]:
    """Describe somebody to register."""
    return {
        "given_name": "Erin",
        "family_name": f"Novak {uuid4().hex[:6]}",
        "birth_date": "1990-02-28",
        "zone": "Europe/Berlin",
    } | changes
