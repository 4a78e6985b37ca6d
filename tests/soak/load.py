"""Phones on a bad day: clients that send until they are answered, always the same request under the same id."""

import asyncio
import json
import random
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self
from uuid import UUID, uuid4

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from core.crypto import new_id
from core.database import make_engine, make_sessions
from models.check_ins import CheckIn, CheckInStatus
from schemas.check_ins import PlanIn
from services.check_ins import plans
from tests.conftest import Database
from tests.services.caring import DAY, Care, care

KINDS = ("check-in answers", "ad hoc check-ins", "session logs", "outcomes")
PATIENCE = 60.0
"""Seconds after which an unanswered request is given up, and counted as such."""
AGAIN = 0.1
"""Share of the acknowledged requests that are sent once more, as by a phone that did not see the answer."""


@dataclass
class Sending:
    """One request and what became of it. `marker` is found in the row that it makes."""

    kind: str
    id: UUID
    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any]
    marker: str
    answer: Any = None
    acknowledged: bool = False
    attempts: int = 0


@dataclass(frozen=True)
class Patient:
    """Somebody who is signed in, has a program, and is asked."""

    care: Care
    headers: dict[str, str]
    items: Sequence[str]
    check_ins: Iterator[UUID]


@dataclass
class Tally:
    """What the clients saw."""

    sent: list[Sending] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)
    answered_at: list[float] = field(default_factory=list)
    repeated: int = 0

    def acknowledged(self, kind: str) -> list[Sending]:
        return [one for one in self.sent if one.kind == kind and one.acknowledged]


# ------------------------------------------------------------------ the patients


async def prepare(database: Database, patients: int, check_ins: int) -> list[Patient]:
    """Make patients, each in a clinic of his own with a program in use and `check_ins` that are open now."""
    engine = make_engine(database.api, pool_size=2)
    sessions = make_sessions(engine)
    now = datetime.now(UTC)
    made = []
    for _ in range(patients):
        one = await care(sessions, now=now)
        program = await one.running(at=now - 2 * DAY)
        assert program.shown is not None
        items = [str(item.id) for item in program.shown.phases[0].items]
        async with sessions.begin() as session:
            await one.open(session)
            form = {"question_set": "after_session", "frequency": "after_session", "after_hours": 0}
            await plans.create(session, one.bob, one.episode_id, PlanIn.model_validate(form), at=now - DAY)
            opened = await _open(session, one, check_ins, now)
        made.append(Patient(one, one.world.headers["alice"], items, iter(opened)))
    await engine.dispose()
    return made


async def _open(session: AsyncSession, one: Care, count: int, now: datetime) -> list[UUID]:
    rows = [
        CheckIn(
            clinic_id=one.clinic_id, id=new_id(now), patient_id=one.world.alice.id, episode_id=one.episode_id,
            local_date=now.date(), question_set="daily", zone="UTC", status=CheckInStatus.OPEN, opens_at=now,
            due_at=now, closes_at=now + DAY, late_until=now + 2 * DAY,
        )
        for _ in range(count)
    ]  # fmt: skip
    session.add_all(rows)
    await session.flush()
    return [row.id for row in rows]


# ------------------------------------------------------------------ what they send


def sending(kind: str, patient: Patient, at: datetime) -> Sending | None:
    """Make a request of this kind; None when the patient has no check-in left to answer."""
    marker = uuid4().hex
    answers = {"pain_now": 3, "function_limit": 2, "flare": False, "new_symptoms": False, "note": marker}
    if kind == "outcomes":
        key = uuid4()
        path = f"/v1/episodes/{patient.care.episode_id}/outcomes"
        words = [{"id": marker[:20], "name": marker, "rating": 4}]
        body: dict[str, Any] = {"instrument": "psfs", "answers": {"activities": words}}
        return Sending(kind, key, "POST", path, patient.headers | {"Idempotency-Key": str(key)}, body, marker)
    if kind == "check-in answers":
        check_in = next(patient.check_ins, None)
        if check_in is None:
            return None
        path, headers = f"/v1/check-ins/{check_in}/answers", patient.headers | {"Idempotency-Key": str(uuid4())}
        return Sending(kind, check_in, "POST", path, headers, {"answers": answers}, marker)
    key = new_id(at)
    if kind == "ad hoc check-ins":
        body = {"question_set": "daily", "answers": answers}
        return Sending(kind, key, "PUT", f"/v1/check-ins/{key}", patient.headers, body, marker)
    items = [{"item_id": item, "sets": [{"reps": 8}], "effort": 4, "pain_during": 2} for item in patient.items]
    body = {"performed_at": at.isoformat(), "device_zone": "UTC", "note": marker, "items": items}
    return Sending(kind, key, "PUT", f"/v1/sessions/{key}", patient.headers, body, marker)


class Load:
    """Clients in a thread of their own, until they are told to stop; then each still waits for its last answer."""

    def __init__(self, url: str, patients: Sequence[Patient], *, clients: int, pace: float, seed: int) -> None:
        """pace: seconds that each client rests between two requests."""
        self.url, self.patients, self.clients, self.pace = url, patients, clients, pace
        self.tally = Tally()
        self._luck = random.Random(seed)
        self._stop = threading.Event()
        self._accident: BaseException | None = None
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Let every client get its last answer."""
        self._stop.set()
        self._thread.join(2 * PATIENCE)
        assert not self._thread.is_alive(), "the clients do not come to an end"
        self._check()

    def _work(self) -> None:
        try:
            asyncio.run(self._run())
        except BaseException as error:  # noqa: BLE001 - told in the thread that can fail the test
            self._accident = error

    def _check(self) -> None:
        if self._accident is not None:
            raise AssertionError("the clients came to grief") from self._accident

    def answered_since(self, moment: float) -> bool:
        """Tell whether anything was answered after `moment` (monotonic)."""
        self._check()
        return bool(self.tally.answered_at) and self.tally.answered_at[-1] > moment

    async def _run(self) -> None:
        limits = httpx.Limits(max_connections=self.clients)
        async with httpx.AsyncClient(base_url=self.url, timeout=10, limits=limits) as client:
            await asyncio.gather(*(self._client(client, number) for number in range(self.clients)))

    async def _client(self, client: httpx.AsyncClient, number: int) -> None:
        turn = number
        while not self._stop.is_set():
            patient, kind = self.patients[turn % len(self.patients)], KINDS[turn % len(KINDS)]
            turn += self._luck.randrange(1, 6)
            one = sending(kind, patient, datetime.now(UTC))
            if one is None:
                continue
            self.tally.sent.append(one)
            await self._until_answered(client, one)
            if one.acknowledged and self._luck.random() < AGAIN:
                self.tally.repeated += 1
                await self._until_answered(client, one)
            await asyncio.sleep(self.pace)

    async def _until_answered(self, client: httpx.AsyncClient, one: Sending) -> None:
        """Send until it is acknowledged, refused for good, or too old."""
        began = time.monotonic()
        while time.monotonic() - began < PATIENCE:
            one.attempts += 1
            try:
                answer = await client.request(one.method, one.path, headers=one.headers, json=one.body)
            except httpx.TransportError as error:
                self.tally.failures[type(error).__name__] += 1
                await asyncio.sleep(0.05)
                continue
            if answer.is_success:
                self._acknowledge(one, answer)
                return
            self.tally.failures[str(answer.status_code)] += 1
            if answer.headers.get("Content-Type") != "application/problem+json":
                self.tally.wrong.append(f"{one.kind}: {answer.status_code} without a problem: {answer.text[:80]}")
                return
            told = answer.json()
            if not told["retryable"]:
                self.tally.wrong.append(f"{one.kind}: {answer.status_code} {told['code']}")
                return
            await asyncio.sleep(float(answer.headers.get("Retry-After", "0.1")))
        self.tally.wrong.append(f"{one.kind}: not answered within {PATIENCE} s")

    def _acknowledge(self, one: Sending, answer: httpx.Response) -> None:
        self.tally.answered_at.append(time.monotonic())
        found = json.loads(answer.content)
        if one.acknowledged and found != one.answer:
            self.tally.wrong.append(f"{one.kind}: answered differently when sent again")
        one.acknowledged, one.answer = True, found
