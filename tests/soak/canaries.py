"""Words that nobody says: planted in every free text that a person can write, then looked for where none may be.

A walk through the whole API plants one in each free text of each body: names, notes, reasons, answers. Each operation is
also asked wrongly, with canaries where a number, a code or an id should be. Then the database drops the connections,
the jobs run, and messages of every kind go out on every way, to the providers' twins; then logs, notifications, letters,
text and push messages, queue, runs of jobs and error answers are searched.
"""

import asyncio
import copy
import itertools
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email import message_from_bytes
from email.policy import default
from pathlib import Path
from typing import Any

import httpx
from httpx import AsyncClient, Response

from core.crypto import new_id
from core.database import make_engine, make_sessions
from integrations import sealing
from integrations.jwt import to_base64url
from integrations.twins import Twins, open_twins
from integrations.web_push import read_key
from models.notifications import NotificationCategory
from services.notifications.policy import CATEGORIES
from tests import factories, walk
from tests.soak.figures import Figure, Tell, none, told
from tests.soak.house import House, until
from tests.walk import STEPS, Operation, Step, Walk

NAME = "canaries"
CANARY = re.compile("qzxv[0-9a-f]{6}", re.IGNORECASE)
FORMS = 4
"""How often a body is sent until only free texts hold a canary."""
NOT_OURS = frozenset({"update_clinic", "create_invitation"})
"""The clinic's own name and address stand in its letters; an invitation goes to the address that it names."""
CLOSED = frozenset({
    "email", "code", "password", "refresh_token", "zone", "device_zone", "language", "paper", "instrument", "country",
    "region", "jurisdiction", "number", "npi", "record_number", "activity_id", "icd10_codes", "local_time", "id",
})  # fmt: skip
"""Strings whose form is fixed by their meaning: what is put there is refused, which the wrong requests try."""

_SEARCHED = {
    "notifications": ("public.notifications",),
    "the queue": (
        "procrastinate.procrastinate_jobs",
        "procrastinate.procrastinate_events",
        "procrastinate.procrastinate_periodic_defers",
        "procrastinate.procrastinate_workers",
    ),
    "runs of jobs": ("public.job_runs",),
    "audit trail": ("public.audit_events",),
}
_KEPT = """
SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'
  AND table_name NOT IN ('notifications', 'job_runs', 'audit_events', 'idempotency_keys')
"""


_WEEKLY = {
    "pain_now": 3, "pain_average_7d": 3, "function_limit": 2, "flare": False, "stress": 2, "mood": 7, "confidence": 6,
    "medicine_use": "same", "opioid_use": False, "care_used": "none", "new_symptoms": False, "win": "I walked far",
}  # fmt: skip
_ACTIVITY = {"id": "stairs", "name": "Climb stairs", "rating": 4}


def _own_check_in(here: Walk) -> None:
    here.known["check_in_id"] = str(new_id(datetime.now(UTC)))


MORE: Mapping[str, tuple[Step, ...]] = {
    "create_outcome": (
        Step(
            "create_outcome",
            "patient",
            change=lambda _here, _body: {"instrument": "psfs", "answers": {"activities": [_ACTIVITY]}},
        ),
    ),
    "put_check_in": (
        Step(
            "put_check_in",
            "patient",
            before=_own_check_in,
            change=lambda _here, _body: {"question_set": "weekly", "answers": dict(_WEEKLY)},
        ),
    ),
}
"""What a person may write beside the examples."""


@dataclass(frozen=True)
class Size:
    """How many canaries are planted, at least, and in how many of six ways each operation is asked wrongly."""

    canaries: int
    ways: int = 6


SHORT = Size(50, ways=2)
LONG = Size(500)


@dataclass
class Cage:
    """All canaries: each is new. `planted` are those that were accepted, by operation."""

    turn: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    planted: dict[str, str] = field(default_factory=dict)
    errors: list[str] = field(default_factory=list)

    def new(self) -> str:
        return f"Qzxv{next(self.turn):06x}"

    def plant(self, value: Any, name: str = "") -> Any:
        """Put a canary into each free text of an example: a string that is neither a code nor a date nor an id."""
        if isinstance(value, dict):
            return {key: self.plant(each, key) for key, each in value.items()}
        if isinstance(value, list):
            return [self.plant(each, name) for each in value]
        if isinstance(value, str) and is_free(name, value):
            return f"{self.new()} {value}"[:60]
        return value

    def poison(self, value: Any) -> Any:
        """Put a canary into the place of everything."""
        if isinstance(value, dict):
            return {key: self.poison(each) for key, each in value.items()}
        if isinstance(value, list):
            return [self.poison(each) for each in value]
        return f"{self.new()} is no value"


def is_free(name: str, text: str) -> bool:
    """Tell whether a person writes this text."""
    if name in CLOSED or name.endswith(("_id", "_at", "_on", "_from", "_to", "_code", "_version")):
        return False
    return " " in text or text[:1].isupper() or name in {"note", "reason", "family_name", "given_name"}


class Planting(Walk):
    """A walk whose every request carries canaries, and whose every operation is first asked wrongly."""

    cage: Cage
    ways: int
    """In how many ways each operation is asked wrongly, at most six."""

    async def send(self, operation: Operation, by: str | None, body: Any) -> Response:
        """Send what is wrong, then what is right; what is planted there counts once it was accepted."""
        if operation.name in NOT_OURS or body is None:
            return await super().send(operation, by, body)
        if isinstance(body, str):  # a file
            answer = await super().send(operation, by, f"{self.cage.new()} is no file")
            assert answer.is_client_error, f"{operation.name}: {answer.status_code} {answer.text}"
            self.cage.errors.append(answer.text + str(answer.headers))
            return await super().send(operation, by, body)
        await self._wrongly(operation, by, body)
        plain = with_words(operation.name, copy.deepcopy(body))
        planted = self.cage.plant(plain)
        for _ in range(FORMS):
            answer = await super().send(operation, by, planted)
            if answer.status_code != httpx.codes.UNPROCESSABLE_ENTITY:
                break
            self.cage.errors.append(answer.text)
            for error in answer.json()["errors"]:  # a code after all: only its own form is taken there
                planted = put_back(planted, plain, error["pointer"].split("/")[1:])
        if answer.is_success:
            self.cage.planted |= dict.fromkeys(CANARY.findall(str(planted)), operation.name)
        return answer

    async def _wrongly(self, operation: Operation, by: str | None, body: Any) -> None:
        cage, method, where = self.cage, operation.method, self.path(operation)
        headers = dict(self.cast.headers.get(by or "", {}))
        word = {"Idempotency-Key": f"two words {cage.new()}", "X-Request-Id": cage.new(), "If-Match": cage.new()}
        stray = body | {"nobody_knows_this": cage.new()}  # refused, whatever else is right
        broken, plain = f'{{"note": "{cage.new()}", ', headers | {"Content-Type": "application/json"}
        elsewhere = re.sub(r"\{[^}]*\}", lambda _: cage.new(), operation.path)
        ways: Sequence[Callable[[], Awaitable[Response]]] = (
            lambda: super(Planting, self).send(operation, by, cage.poison(body) | stray),
            lambda: super(Planting, self).send(operation, by, cage.plant(stray)),
            lambda: self.client.request(method, elsewhere, headers=headers, json=stray),
            lambda: self.client.request(method, where, headers=headers | word, json=stray),
            lambda: self.client.request(method, where, headers=headers, params={"q": cage.new()}, json=body),
            lambda: self.client.request(method, where, headers=plain, content=broken),
        )
        for place in range(self.ways):
            answer = await ways[(next(cage.turn) + place) % len(ways)]()
            assert answer.is_client_error, f"{operation.name}: {answer.status_code} {answer.text}"
            cage.errors.append(answer.text + str(answer.headers))


def with_words(operation: str, body: Any) -> Any:
    """Add the free texts that the examples leave out."""
    if operation in {"answer_check_in", "put_check_in"}:
        body["answers"]["note"] = "It hurts"
    if operation == "log_session":
        body |= {"note": "It hurts", "items": [item | {"note": "It hurts"} for item in body["items"]]}
    if operation in {"create_patient", "update_patient"}:
        body |= {"emergency_contact": "A sister next door"}
    return body


def put_back(planted: Any, plain: Any, place: list[str]) -> Any:
    """Give the body with the example's own value in one place."""
    if not place or not isinstance(planted, dict | list):
        return plain
    copied = planted.copy()
    key: Any = int(place[0]) if isinstance(planted, list) else place[0]
    copied[key] = put_back(planted[key], plain[key], place[1:])
    return copied


def run(house: House, size: Size, tell: Tell, server_log: Path | None = None) -> list[Figure]:
    """Run the test in an empty database. server_log: what PostgreSQL says, searched like the other logs."""
    cage = Cage()
    with _twins() as twins, house:
        settings: dict[str, Any] = {"log_level": "DEBUG", **twins.settings}
        server, worker = house.api(**settings), house.worker(**settings)
        server.start()
        server.wait_until_ready()
        asyncio.run(_plant(house, server.url, cage, size, tell))
        tell("the database drops everybody", 0.85)
        asyncio.run(_drop(house, server.url, cage))
        tell("messages go out", 0.9)
        _owe(house, twins)
        waiting = "SELECT count(*) FROM notifications WHERE status IN ('owed', 'failed')"
        worker.start()  # what comes every minute is done at once by a worker that starts
        until(lambda: house.value(waiting) == 0, 60, lambda: worker.last_words)
        server.stop()
        worker.stop()
        tell("searching", 0.95)
        return _search(house, cage, size, [server.log, worker.log, *([server_log] if server_log else [])], twins)


@contextmanager
def _twins() -> Iterator[Twins]:
    """Let the providers' twins run beside this thread."""
    loop, stack = asyncio.new_event_loop(), AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield asyncio.run_coroutine_threadsafe(stack.enter_async_context(open_twins()), loop).result()
    finally:
        asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


_REACHED = """
UPDATE devices SET retired_at = now();
UPDATE patients SET phone = '+4915155500001' WHERE account_id IS NOT NULL;
UPDATE therapists SET phone = '+4915155500002' WHERE account_id IS NOT NULL;
INSERT INTO consents (clinic_id, patient_id, purpose, status, text_version, method, given_at)
  SELECT clinic_id, id, 'reminders', 'given', '1', 'electronic', now() FROM patients WHERE account_id IS NOT NULL;
INSERT INTO notification_preferences (clinic_id, account_id, quiet_from, quiet_until)
  SELECT clinic_id, account_id, '00:00', '00:00' FROM patients WHERE account_id IS NOT NULL
  ON CONFLICT (clinic_id, account_id) DO UPDATE
  SET quiet_from = '00:00', quiet_until = '00:00', muted_until = NULL, channels = '{}'
"""
"""Everybody has a number, agrees to be reached by it, and does not sleep."""

_PEOPLE = """
SELECT clinic_id, account_id, patient_id FROM (
  SELECT p.clinic_id, p.account_id, p.id AS patient_id FROM patients p
  UNION ALL
  SELECT t.clinic_id, t.account_id, NULL FROM therapists t
  WHERE EXISTS (SELECT FROM care_links l WHERE l.therapist_id = t.id AND l.role = 'lead')
) one WHERE account_id IS NOT NULL
"""

_DEVICE = """
INSERT INTO devices (clinic_id, account_id, platform, token, endpoint, p256dh, auth, zone, last_seen_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, 'UTC', now())
"""

_OWED = """
INSERT INTO notifications (clinic_id, account_id, patient_id, template, category, channel, dedupe_key, due_at, parameters)
SELECT %(clinic)s, %(account)s, %(patient)s, template, category, channel, 'soak:' || gen_random_uuid(), now(),
  jsonb_build_object('alert_id', (SELECT id FROM alerts WHERE clinic_id = %(clinic)s LIMIT 1))
FROM unnest(%(templates)s::text[], %(categories)s::text[]) AS kind(template, category),
  unnest('{email,push,sms}'::text[]) AS channel
WHERE category <> 'security' OR channel <> 'sms'
"""


def _owe(house: House, twins: Twins) -> None:
    """Owe everybody a message of every kind on every way, to devices that the twins know."""
    key = to_base64url(sealing.point(read_key(str(twins.settings["vapid_key"])).public_key()))
    with house.rows() as rows:
        rows.execute(_REACHED)
        for number, (clinic_id, account_id, patient_id) in enumerate(rows.execute(_PEOPLE).fetchall()):
            browser = twins.browsers.subscribe(key)
            keys = browser.endpoint, browser.p256dh, browser.auth
            rows.execute(_DEVICE, (clinic_id, account_id, "android", f"phone-{number}", None, None, None))
            rows.execute(_DEVICE, (clinic_id, account_id, "web", None, *keys))
            kinds = [
                (template, category)
                for template, category in (*CATEGORIES.items(), ("alert_raised", NotificationCategory.RED_FLAG))
                if category is not NotificationCategory.INVITATION
                and (category is NotificationCategory.CHECK_IN) == (patient_id is not None)
            ]
            templates, categories = zip(*kinds, strict=True)
            whom = {"clinic": clinic_id, "account": account_id, "patient": patient_id}
            rows.execute(_OWED, whom | {"templates": list(templates), "categories": list(categories)})


async def _plant(house: House, url: str, cage: Cage, size: Size, tell: Tell) -> None:
    engine = make_engine(house.database.api, pool_size=2)
    sessions = make_sessions(engine)
    try:
        while len(cage.planted) < size.canaries:
            tell(f"{len(cage.planted)} planted", len(cage.planted) / size.canaries * 0.85)
            before = len(cage.planted)
            (cast,) = await walk.make_clinic(sessions, "Alice Moreau")
            async with AsyncClient(base_url=url, timeout=30) as client:
                here = Planting(cast, client, sessions)
                here.cage, here.ways = cage, size.ways
                wrong = await walk.run(here, _steps())
            assert wrong == {}, wrong
            assert len(cage.planted) > before, cage.planted
    finally:
        await engine.dispose()


def _steps() -> list[Step]:
    """Leave out reading, unless something is kept of it: nothing can be planted there."""
    known = walk.operations(walk.DOCUMENT)
    steps = [more for step in STEPS for more in (step, *MORE.get(step.operation, ()))]
    return [step for step in steps if step.operation in known and (known[step.operation].method != "GET" or step.keep)]


async def _drop(house: House, url: str, cage: Cage) -> None:
    """Cut off every connection of the API, then send canaries: what happens then is an accident, and is logged."""
    with house.rows() as rows:
        rows.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'physio_api' AND datname = current_database()"
        )
    async with AsyncClient(base_url=url, timeout=30) as client:
        for _ in range(8):
            body = {"email": "nobody@patients.example", "password": cage.new(), "device": cage.new()}
            answer = await client.post("/v1/auth/login", json=body, headers=factories.bearer(cage.new()))
            assert answer.status_code in {httpx.codes.UNAUTHORIZED, httpx.codes.SERVICE_UNAVAILABLE}, answer.text
            cage.errors.append(answer.text)


# ------------------------------------------------------------------ looking for them


def _search(house: House, cage: Cage, size: Size, logs: list[Path], twins: Twins) -> list[Figure]:
    found: list[Figure] = []
    with house.rows() as rows:
        kept = {row[0] for row in rows.execute(_KEPT)}
        seen: set[str] = set()
        for table in sorted(kept):
            for (text,) in rows.execute(f"SELECT t::text FROM public.{table} t".encode()):
                seen.update(CANARY.findall(text))
        for what, tables in _SEARCHED.items():
            texts = [row[0] for table in tables for row in rows.execute(f"SELECT t::text FROM {table} t".encode())]
            found.append(_none_in(what, texts))
        (owed,) = rows.execute("SELECT count(*) FROM notifications").fetchone() or (0,)
    letters = [_readable(file) for file in sorted((house.folder / "mail").glob("*.eml"))]
    others = {"text messages": twins.twilio, "messages to phones": twins.fcm, "messages to browsers": twins.browsers}
    said = [log.read_text(encoding="utf-8", errors="replace") for log in logs]
    return [
        Figure(
            NAME,
            "canaries planted",
            len(cage.planted),
            goal=f">= {size.canaries}",
            holds=len(cage.planted) >= size.canaries,
        ),
        told(NAME, "operations that took one", len(set(cage.planted.values()))),
        told(NAME, "canaries seen where they belong", len(seen & cage.planted.keys())),
        told(NAME, "canaries in wrong requests", next(cage.turn) - 1 - len(cage.planted)),
        told(NAME, "notifications", owed),
        told(NAME, "lines of logs", sum(text.count("\n") for text in said)),
        told(NAME, "error answers", len(cage.errors)),
        _none_in("logs", said),
        _none_in("error answers", cage.errors),
        _none_in(f"{len(letters)} letters", letters),
        *(_none_in(f"{len(twin.taken)} {what}", [str(each) for each in twin.taken]) for what, twin in others.items()),
        none(NAME, "ways that nothing went by", sum(not twin.taken for twin in others.values()) + (not letters)),
        *found,
    ]


def _none_in(what: str, texts: list[str]) -> Figure:
    hits = [text for text in texts if CANARY.search(text)]
    return none(NAME, f"hits in {what}", len(hits), hits[0][:600] if hits else "")


def _readable(file: Path) -> str:
    message = message_from_bytes(file.read_bytes(), policy=default)
    return f"{message.items()} {message.get_content()}"
