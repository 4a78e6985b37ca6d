"""The floor: what FastAPI and the raw driver can do at best, without roles, audit, tenancy walls or rules.

A write is BEGIN, SET LOCAL, one insert into a table like the check-ins (13 columns, primary key, one index), COMMIT.
A read is one scan of an index. `uvicorn` runs it as it runs the API: same loop, same parser, one process.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import orjson
import uvicorn
from fastapi import FastAPI, Request
from pydantic import BaseModel

TABLE = """
DROP SCHEMA IF EXISTS floor CASCADE;
CREATE SCHEMA floor;
CREATE TABLE floor.writes (
  clinic_id uuid NOT NULL, id uuid NOT NULL DEFAULT uuidv7(), patient_id uuid NOT NULL, subject_id uuid NOT NULL,
  local_date date NOT NULL, kind text NOT NULL, zone text NOT NULL, pain_now int, late boolean NOT NULL,
  body jsonb NOT NULL, answered_at timestamptz NOT NULL, received_at timestamptz NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (clinic_id, id)
);
CREATE INDEX writes_patient ON floor.writes (clinic_id, patient_id, answered_at);
GRANT USAGE ON SCHEMA floor TO physio_api;
GRANT INSERT ON floor.writes TO physio_api
"""

_INSERT = """
INSERT INTO floor.writes (clinic_id, id, patient_id, subject_id, local_date, kind, zone, pain_now, late, body, answered_at,
  received_at) VALUES ($1, uuidv7(), $2, $3, $4, $5, $6, $7, false, $8, $9, $10)
"""
_READ = """
SELECT id, local_date, status, question_set, due_at FROM check_ins
WHERE clinic_id = $1 AND patient_id = $2 ORDER BY due_at DESC LIMIT 50
"""


class Answers(BaseModel):
    """The body of a check-in's answers."""

    answers: dict[str, int | float | bool]


class Done(BaseModel):
    """One exercise of a session."""

    item_id: UUID
    sets: list[dict[str, int]]
    effort: int
    pain_during: int


class Session(BaseModel):
    """The body of a session."""

    performed_at: datetime
    device_zone: str
    pain_before: int
    pain_after: int
    effort: int
    items: list[Done]


class Written(BaseModel):
    """What a write answers."""

    id: UUID
    status: str
    late: bool
    answered_at: datetime


class Row(BaseModel):
    """What a read answers, many times."""

    id: UUID
    local_date: Any
    status: str
    question_set: str
    due_at: datetime


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with asyncpg.create_pool(os.environ["FLOOR_DATABASE_URL"], min_size=8, max_size=8) as pool:
        app.state.pool = pool
        yield


def make_app() -> FastAPI:
    """Make the floor's application; the database stands in FLOOR_DATABASE_URL."""
    app = FastAPI(lifespan=_lifespan)

    @app.get("/readyz")
    async def readyz(request: Request) -> bool:
        return bool(await request.app.state.pool.fetchval("SELECT true"))

    @app.post("/check-ins/{clinic_id}/{subject_id}/answers")
    async def answer(clinic_id: UUID, subject_id: UUID, form: Answers, request: Request) -> Written:
        return await _write(request, clinic_id, subject_id, form, form.answers["pain_now"])

    @app.put("/sessions/{clinic_id}/{subject_id}")
    async def log(clinic_id: UUID, subject_id: UUID, form: Session, request: Request) -> Written:
        return await _write(request, clinic_id, subject_id, form, form.pain_after)

    @app.get("/check-ins/{clinic_id}/{patient_id}")
    async def read(clinic_id: UUID, patient_id: UUID, request: Request) -> list[Row]:
        async with request.app.state.pool.acquire() as connection, connection.transaction():
            await connection.execute(f"SET LOCAL app.clinic_id = '{clinic_id}'")
            return [Row(**row) for row in await connection.fetch(_READ, clinic_id, patient_id)]

    return app


async def _write(request: Request, clinic_id: UUID, subject_id: UUID, form: BaseModel, pain: float) -> Written:
    at = datetime.now(UTC)
    body = orjson.dumps(form.model_dump(mode="json")).decode()
    row_id = uuid4()
    async with request.app.state.pool.acquire() as connection, connection.transaction():
        await connection.execute(f"SET LOCAL app.clinic_id = '{clinic_id}'")
        await connection.execute(
            _INSERT, clinic_id, row_id, subject_id, at.date(), "daily", "UTC", int(pain), body, at, at
        )
    return Written(id=row_id, status="submitted", late=False, answered_at=at)


if __name__ == "__main__":
    uvicorn.run(
        "benchmarks.floor:make_app",
        factory=True,
        host="127.0.0.1",
        port=int(os.environ["FLOOR_PORT"]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_level="warning",
    )
