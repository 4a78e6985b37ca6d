"""A POST that is sent again has its effect once, and the same answer.

The key's row is written first, in the transaction of the effect: a twin waits for that transaction and then finds the
answer, or does the work because it was rolled back. So there is no state "in progress" that a crash could leave behind.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import asyncpg
import orjson
from fastapi import Request
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response

from core.database import driver
from core.errors import Conflict, Invalid, Problem
from services import access, audit

HEADER = "idempotency-key"

_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_KEPT_HEADERS = ("content-type", "etag", "location")

_CLAIM = """
INSERT INTO idempotency_keys (clinic_id, account_id, route, key, body_sha256, created_at)
VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
"""
_FIND = """
SELECT body_sha256, status, headers, body, subject_patient_id FROM idempotency_keys
WHERE clinic_id = $1 AND account_id = $2 AND route = $3 AND key = $4 FOR UPDATE
"""
_KEEP = """
UPDATE idempotency_keys SET status = $5, headers = $6::text::jsonb, body = $7, subject_patient_id = $8
WHERE clinic_id = $1 AND account_id = $2 AND route = $3 AND key = $4
"""


class KeyReused(Invalid):
    """This Idempotency-Key was used for another request."""


class InFlight(Conflict):
    """The same request is being worked on: ask again."""

    retryable = True


@dataclass(frozen=True)
class Claim:
    """The right to do this work under this key, held by the transaction of `session`."""

    session: AsyncSession
    clinic_id: UUID
    account_id: UUID
    route: str
    key: str


class Replay(Exception):  # noqa: N818 - the work was done before: an answer, not a defect
    """The request was answered before."""

    def __init__(self, response: Response) -> None:
        """response: the stored answer."""
        super().__init__()
        self.response = response


def digest(request: Request, value: Any) -> bytes:
    """Fingerprint what is asked: path, query, the version meant, and the JSON value, however it is spaced and ordered."""
    lines = [f"{request.url.path}?{request.url.query}", request.headers.get("if-match") or ""]
    asked = "".join(f"{line}\n" for line in lines if line).encode()
    return sha256(asked + orjson.dumps(value, option=orjson.OPT_SORT_KEYS)).digest()


async def claim(
    session: AsyncSession, actor: access.Actor, request: Request, operation: str, value: Any, *, at: datetime
) -> Claim | None:
    """Claim the key of this request, if it sent one.

    Raises Replay when the work is done, after the same check of reach as for a fresh request, and with this look on
    record (commit it); KeyReused when the key stands for another request; InFlight when a twin takes longer than the
    lock timeout; NotFound when the patient that the answer is about has gone out of reach.
    """
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not _KEY.fullmatch(key):
        message = "Send 1 to 255 printable ASCII characters without spaces"
        raise Invalid(Problem("#/header/Idempotency-Key", "idempotency_key_syntax", message))
    mine = Claim(session, actor.clinic_id, actor.account_id, operation, key)
    names = (mine.clinic_id, mine.account_id, mine.route, mine.key)
    fingerprint = digest(request, value)
    connection = await driver(session)
    try:
        done = await connection.execute(_CLAIM, *names, fingerprint, at)
    except asyncpg.LockNotAvailableError as error:
        raise InFlight from error
    if done == "INSERT 0 1":
        return mine
    row = await connection.fetchrow(_FIND, *names)
    if row is None or row["body_sha256"] != fingerprint:
        raise KeyReused
    if row["status"] is None:  # "later, please", but what was counted stays: no answer was kept
        return mine
    subject = row["subject_patient_id"]
    if subject is not None:
        await access.patient(session, actor, access.OPERATIONS[operation], subject, at=at)
    await audit.record(session, actor, f"{operation}.replay", subject=("answer", None), patient_id=subject, at=at)
    headers = row["headers"] if isinstance(row["headers"], dict) else orjson.loads(row["headers"])
    raise Replay(Response(row["body"], row["status"], {**headers, "Idempotent-Replay": "true"}))


async def keep(mine: Claim, response: Response) -> None:
    """Keep the answer beside the effect; both are committed together, or neither."""
    headers = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    connection = await driver(mine.session)
    await connection.execute(
        _KEEP,
        mine.clinic_id,
        mine.account_id,
        mine.route,
        mine.key,
        response.status_code,
        orjson.dumps(headers).decode(),
        bytes(response.body),
        mine.session.info.get(access.SUBJECT),
    )
