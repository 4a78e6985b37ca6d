"""A small concept of its own, mounted on a test app, to hold the conventions against."""

from typing import Annotated, Any
from uuid import UUID

from fastapi import Query, Response
from pydantic import ConfigDict, Field
from sqlalchemy import Column, DateTime, Integer, MetaData, Table, Text, Uuid, func, insert, select, text, update
from starlette.responses import StreamingResponse

from api.dependencies import Caller, Now, Session
from api.etags import IfMatch, created, etag
from api.pages import Page
from api.routes import Router
from core.errors import Conflict, NotFound, Problem, Stale, TooMany, Unavailable
from schemas import base, pages
from services import access

THINGS = Table(
    "things",
    MetaData(),
    Column("clinic_id", Uuid),
    Column("id", Uuid, server_default=func.uuidv7()),
    Column("name", Text),
    Column("kind", Text),
    Column("pain", Integer),
    Column("version", Integer, server_default=text("1")),
    Column("created_at", DateTime(timezone=True)),
)

DDL = """
DROP TABLE IF EXISTS things;
CREATE TABLE things (
  clinic_id uuid NOT NULL, id uuid NOT NULL DEFAULT uuidv7(), name text NOT NULL, kind text NOT NULL,
  pain int NOT NULL CHECK (pain <> 9), version int NOT NULL DEFAULT 1, created_at timestamptz NOT NULL,
  PRIMARY KEY (clinic_id, id), UNIQUE (clinic_id, name), UNIQUE (clinic_id, kind, pain) DEFERRABLE INITIALLY DEFERRED
);
GRANT SELECT, INSERT, UPDATE ON things TO physio_api
"""

ACTIONS = {
    "create_thing": access.Action.SET_GOALS,
    "list_things": access.Action.READ_RECORD,
    "get_thing": access.Action.READ_RECORD,
    "update_thing": access.Action.SET_GOALS,
    "pause_thing": access.Action.SET_GOALS,
    "draw_thing": access.Action.READ_RECORD,
    "refuse_thing": access.Action.SET_GOALS,
    "run_sql": access.Action.SET_GOALS,
}

router = Router("/v1", tags=["goals"])


class ThingNotOpen(Conflict):
    """This thing is not open."""


class KeptRefusal(Conflict):
    """What was done before this stays."""

    keeps_effects = True


class ThingIn(base.In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"name": "Knee", "kind": "joint", "pain": 3}]})

    name: Annotated[str, base.Line(40)]
    kind: str = Field(max_length=20)
    pain: base.PainRating
    notes: list[str] = Field(default_factory=list)


class ThingChange(base.In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"kind": "joint"}]})

    kind: Annotated[str, base.Line(20)] | None = None


class ThingOut(base.Out):
    id: UUID
    name: str
    kind: str
    pain: int
    version: int
    created_at: base.UtcDatetime


@router.post("/things", status_code=201, response_model=ThingOut)
async def create_thing(thing: ThingIn, response: Response, session: Session, actor: Caller, now: Now) -> Any:
    """Make a thing."""
    made = insert(THINGS).values(
        clinic_id=actor.clinic_id, name=thing.name, kind=thing.kind, pain=thing.pain, created_at=now
    )
    row = (await session.execute(made.returning(THINGS))).one()
    session.info[access.SUBJECT] = session.info.get("pretend_subject")
    created(response, f"/v1/things/{row.id}", row.version)
    return row


@router.get("/things", response_model=base.Listing[ThingOut])
async def list_things(
    page: Page,
    session: Session,
    actor: Caller,
    kind: Annotated[list[str] | None, Query(max_length=20)] = None,
    pain: Annotated[int | None, Query(ge=0, le=10)] = None,
    newest_first: Annotated[bool, Query()] = False,
) -> Any:
    """List things."""
    query = select(THINGS).where(THINGS.c.clinic_id == actor.clinic_id)
    if kind:
        query = query.where(THINGS.c.kind.in_(kind))
    if pain is not None:
        query = query.where(THINGS.c.pain == pain)
    return await pages.fetch(session, query, page, keys=(THINGS.c.created_at, THINGS.c.id), descending=newest_first)


@router.get("/things/{thing_id}", response_model=ThingOut)
async def get_thing(thing_id: UUID, response: Response, session: Session, actor: Caller) -> Any:
    """Give a thing."""
    query = select(THINGS).where(THINGS.c.clinic_id == actor.clinic_id, THINGS.c.id == thing_id)
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise NotFound
    etag(response, row.version)
    return row


@router.patch("/things/{thing_id}", response_model=ThingOut)
async def update_thing(
    thing_id: UUID, change: ThingChange, if_match: IfMatch, response: Response, session: Session, actor: Caller
) -> Any:
    """Change a thing."""
    mine = (THINGS.c.clinic_id == actor.clinic_id, THINGS.c.id == thing_id)
    version = await session.scalar(select(THINGS.c.version).where(*mine).with_for_update())
    if version != if_match:
        raise Stale(version or 0)
    values = {**change.model_dump(exclude_unset=True), "version": version + 1}
    row = (await session.execute(update(THINGS).where(*mine).values(values).returning(THINGS))).one()
    etag(response, row.version)
    return row


@router.post("/things/{thing_id}/pause", status_code=204)
async def pause_thing(thing_id: UUID, session: Session, actor: Caller) -> None:
    """Pause a thing."""


@router.get("/things/{thing_id}/drawing", response_class=StreamingResponse)
async def draw_thing(thing_id: UUID, session: Session, actor: Caller) -> Response:
    """Draw a thing."""
    return Response(b"drawn", media_type="image/png")


@router.post("/refusals/{kind}", status_code=204)
async def refuse_thing(kind: str, session: Session, actor: Caller) -> None:
    """Refuse in every way."""
    match kind:
        case "conflict":
            raise ThingNotOpen(Problem("/name", "closed", "It is closed"), extras={"status": 200, "state": "closed"})
        case "many":
            raise TooMany(7)
        case "away":
            raise Unavailable(3)
        case _ if kind.startswith("kept-"):
            name = kind.removeprefix("kept-")
            values = {"clinic_id": actor.clinic_id, "name": name, "kind": name, "pain": 7, "created_at": func.now()}
            await session.execute(insert(THINGS).values(values))
            raise KeptRefusal
        case _:
            raise ValueError(f"the secret of {kind}")


class Sql(base.In):
    model_config = ConfigDict(json_schema_extra={"examples": [{"statement": "SELECT 1"}]})

    statement: str


@router.post("/sql", status_code=204)
async def run_sql(sql: Sql, session: Session, actor: Caller) -> None:
    """Run what the test says, to see what becomes of its error."""
    await session.execute(text(sql.statement))
