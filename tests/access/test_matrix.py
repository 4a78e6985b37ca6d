"""Every operation as everybody on everything: the answer is what the access table says, nowhere anything else."""

import itertools
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from httpx import AsyncClient, Response
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from api.app import create_app
from core.crypto import new_id
from core.database import as_identity, bind_clinic, make_sessions
from core.settings import Settings
from models.exercises import Exercise, ExerciseScope
from models.identity import Role, SignIn
from services.access import GRANTS, OPERATIONS, Relation
from tests import walk
from tests.api.conftest import client_of
from tests.walk import Operation, Walk

ROUTED = walk.operations(walk.DOCUMENT)
NAMES = sorted((OPERATIONS.keys() & ROUTED.keys()) - walk.SANDBOX)

PRINCIPALS: Mapping[str, Role | None] = {
    "anonymous": None,
    "patient": Role.PATIENT,
    "therapist": Role.THERAPIST,  # linked
    "stranger": Role.THERAPIST,  # of the same clinic, never linked
    "colleague": Role.THERAPIST,  # the link has ended
    "assistant": Role.ASSISTANT,  # linked
    "admin": Role.CLINIC_ADMIN,
    "auditor": Role.AUDITOR,
    "service": Role.SERVICE,
}
LINKED = {"therapist", "assistant"}

THINGS = ("own", "other", "foreign", "absent")
"""Of the patient whom the principals are about; of another patient of the clinic; of another clinic; of nobody."""

OF_CLINIC = {"therapist_id", "license_id", "exercise_id", "article_id"}
"""Names of things that hang on the clinic, not on a patient."""
PUBLISHED = {"code": "rmdq24", "slot_code": "odi", "job": "check-ins.dispatch"}
"""Names of things that are the same everywhere."""
CLIENT_MADE = {
    "log_session",
    "put_check_in",
    "put_device",
    "put_self_care",
    "put_work_exposure",
    "put_workstation_check",
}
"""The client makes the id: one that is not there is the usual case, one that is somebody else's only a clash."""
OWN_THING = {"put_device"}
"""Of these everybody may make one of his own, under an id that nothing has yet."""
BY_BODY = {"create_invitation": "patient_id"}
"""Operations that name their object in the body."""


@dataclass(frozen=True)
class Cell:
    """One request of the matrix."""

    operation: Operation
    principal: str
    thing: str

    @property
    def name(self) -> str | None:
        """What kind of thing the request is about, by the name of its id."""
        names = self.operation.placeholders
        return names[0] if names else BY_BODY.get(self.operation.name)

    @property
    def expected(self) -> str:
        """Give `401`, `403`, `404`, or `granted`."""
        role = PRINCIPALS[self.principal]
        if role is None:
            return "401"
        relation = GRANTS[OPERATIONS[self.operation.name]].get(role)
        if relation is None:
            return "403"
        if self.name is None or self.operation.name in CLIENT_MADE:
            return "granted"
        return "granted" if self._reaches(relation) else "404"

    def _reaches(self, relation: Relation) -> bool:
        if self.name == "template_id":
            return (self.principal, self.thing) == ("therapist", "own")  # whose own it is
        if self.name in OF_CLINIC or relation is Relation.CLINIC:
            return self.thing in {"own", "other"}
        if self.thing != "own":
            return False
        if self.name == "view_id":
            return self.principal == "therapist"  # who keeps it
        return self.principal == "patient" if relation is Relation.SELF else self.principal in LINKED


def cells(operation: Operation) -> Iterator[Cell]:
    names = operation.placeholders
    if not names and operation.name not in BY_BODY:
        things: tuple[str, ...] = ("own",)
    elif operation.name in CLIENT_MADE:
        things = ("own", "other", "absent")  # the same id in another clinic is simply another thing
    elif names and names[0] in PUBLISHED:
        things = ("own", "absent")
    else:
        things = THINGS
    yield from (Cell(operation, *pair) for pair in itertools.product(PRINCIPALS, things))


# ------------------------------------------------------------------ the world


@dataclass
class Stage:
    """Two clinics, three patients, one of everything for each; no request changes who reaches what."""

    walks: Mapping[str, Walk]
    client: AsyncClient

    async def ask(self, cell: Cell) -> Response:
        """Send the request of a cell."""
        operation, principal = cell.operation, cell.principal
        owner = self.walks[cell.thing if cell.thing in self.walks else "own"]
        known = owner.known if cell.thing != "absent" else {**owner.known, **absent(operation)}
        here = Walk(owner.cast, self.client, owner.sessions)
        here.known |= known
        body = here.body(operation)
        if operation.name in BY_BODY:
            body = {BY_BODY[operation.name]: known[BY_BODY[operation.name]]}
        if operation.name in {"create_exercise", "create_program_template"} and principal == "admin":
            body = {**body, "scope": "clinic"}  # an admin has no shelf of his own
        headers = {} if principal == "anonymous" else dict(self.walks["own"].cast.headers[principal])
        if operation.needs_version:
            headers["If-Match"] = '"1"'
        if isinstance(body, str):
            headers["Content-Type"] = operation.media_type
        answer = await self.client.request(
            operation.method, here.path(operation), headers=headers, **operation.carry(body)
        )
        if operation.name == "log_out":
            await self.sign_in_again(here)
        return answer

    async def sign_in_again(self, here: Walk) -> None:
        """Let everybody's tokens be good again."""
        async with here.sessions.begin() as session, as_identity(session):
            await session.execute(update(SignIn).values(revoked_at=None, revoked_reason=None))


def absent(operation: Operation) -> dict[str, str]:
    """Give ids of things that are not there."""
    return {
        name: "nothing" if name in PUBLISHED else str(uuid4())
        for name in (*operation.placeholders, *filter(None, [BY_BODY.get(operation.name)]))
        if name != "name"
    }


@pytest.fixture(scope="module")
async def stage(engine: AsyncEngine, settings: Settings) -> AsyncIterator[Stage]:
    sessions = make_sessions(engine)
    casts = [
        *await walk.make_clinic(sessions, "Alice Moreau", "Emil Novak"),
        *await walk.make_clinic(sessions, "Frida Lind"),
    ]
    walks = {}
    async with client_of(create_app(settings, sessions=sessions)) as client:
        for thing, cast in zip(THINGS, casts, strict=False):
            walks[thing] = Walk(cast, client, sessions)
            assert await walk.run(walks[thing]) == {}
    async with sessions() as session:
        for thing, offset in (("own", 0), ("other", 1), ("foreign", 0)):
            await bind_clinic(session, walks[thing].cast.clinic_id)
            shipped = select(Exercise.id).where(Exercise.scope == ExerciseScope.LIBRARY).order_by(Exercise.code)
            walks[thing].known["exercise_id"] = str((await session.scalars(shipped.offset(offset).limit(1))).one())
    async with client_of(create_app(settings, sessions=sessions)) as client:
        yield Stage(walks, client)


# ------------------------------------------------------------------ the matrix


def verdict(answer: Response) -> str:
    if answer.status_code >= 500:
        return "broken"
    return str(answer.status_code) if answer.status_code in {401, 403, 404} else "granted"


@pytest.mark.parametrize("name", NAMES)
async def test_everybody_gets_what_the_table_says(name: str, stage: Stage) -> None:
    wrong = []
    silent: dict[str, set[str]] = {}
    for cell in cells(ROUTED[name]):
        answer = await stage.ask(cell)
        found = "granted" if clashes(cell, answer) else verdict(answer)
        if found != cell.expected:
            wrong.append(
                f"{cell.principal} on {cell.thing}: {answer.status_code} instead of {cell.expected} {answer.text[:300]}"
            )
        fresh = cell.thing == "absent" and name in OWN_THING
        if cell.thing != "own" and not fresh and name in CLIENT_MADE and answer.is_success:
            wrong.append(f"{cell.principal} on {cell.thing}: {answer.status_code}, written over somebody's own")
        if found == "404":
            silent.setdefault(cell.principal, set()).add(told(answer))
    assert wrong == []
    assert {principal: bodies for principal, bodies in silent.items() if len(bodies) > 1} == {}, (
        "absent looks different"
    )


def clashes(cell: Cell, answer: Response) -> bool:
    """Tell whether a client chose an id that somebody else's thing has: nothing is told but that it will not do."""
    return cell.operation.name in CLIENT_MADE and cell.thing == "other" and answer.status_code in {404, 409}


def told(answer: Response) -> str:
    """Give all that an answer tells, but for the request's own id."""
    body = {key: value for key, value in answer.json().items() if key != "request_id"}
    headers = {key: value for key, value in answer.headers.items() if key not in {"x-request-id", "date"}}
    return repr((sorted(body.items()), sorted(headers.items())))


def test_the_matrix_holds_every_operation_role_and_object(record_property: Any) -> None:
    size = Counter(cell.expected for name in NAMES for cell in cells(ROUTED[name]))
    record_property("cells", sum(size.values()))
    told = ", ".join(f"{answer} {count}" for answer, count in sorted(size.items()))
    print(f"\naccess matrix: {len(NAMES)} operations, {sum(size.values())} cells: {told}")  # noqa: T201
    assert {role for role in PRINCIPALS.values() if role is not None} == set(Role)
    assert set(NAMES) | walk.SANDBOX == OPERATIONS.keys(), "an operation of the table has no route yet"
    assert sum(size.values()) > 2000
    assert min(size[each] for each in ("401", "403", "404", "granted")) > 100


async def test_lists_filtered_by_somebody_elses_patient_show_nothing(stage: Stage) -> None:
    for name in ("list_alerts", "list_check_ins", "list_suggestions"):
        for thing in ("other", "foreign"):
            headers = stage.walks["own"].cast.headers["therapist"]
            filters = {"patient_id": stage.walks[thing].known["patient_id"]}
            answer = await stage.client.get(ROUTED[name].path, headers=headers, params=filters)
            unknown = await stage.client.get(
                ROUTED[name].path, headers=headers, params={"patient_id": str(new_id(datetime.now(UTC)))}
            )
            assert (answer.status_code, answer.json().get("items", [])) == (unknown.status_code, [])


async def test_lists_hold_only_what_is_within_reach(stage: Stage) -> None:
    def ids(thing: str) -> set[str]:
        kept = {name: value for name, value in stage.walks[thing].known.items() if name.endswith("_id")}
        return {str(value) for name, value in kept.items() if name != "exercise_id"}

    for name in NAMES:
        for principal, role in PRINCIPALS.items():
            relation = None if role is None else GRANTS[OPERATIONS[name]].get(role)
            if ROUTED[name].method != "GET" or relation is None:
                continue
            answer = await stage.ask(Cell(ROUTED[name], principal, "own"))
            secrets = ids("foreign") | (set() if relation is Relation.CLINIC else ids("other") - ids("own"))
            shown = answer.text if answer.is_success else ""
            assert [secret for secret in secrets if secret in shown] == [], (name, principal)
