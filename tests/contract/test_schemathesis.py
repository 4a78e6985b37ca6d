"""The committed OpenAPI document against a live server: hostile and valid requests for every operation, all checks on.

With `--thorough` (`make contract`) every operation gets its own patient, at the point of the walk just before it: so a
valid request can succeed, and one must. Without, all share one patient for whom everything is done, and a few requests
each: enough to see an answer that the document does not know (`test_examples.py` shows that what is valid works).
"""

import asyncio
import itertools
import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
import requests
import schemathesis
from schemathesis.core import NotSet
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.pytest._test_builder import build_operation_test
from schemathesis.specs.openapi.checks import negative_data_rejection

from api import openapi
from api.app import create_app
from api.routes import FILES
from core.database import make_engine, make_sessions
from core.settings import Settings
from tests import factories, walk
from tests.api.conftest import client_of
from tests.conftest import Database, clone
from tests.live import Live, serving
from tests.walk import STEPS, TABLES, Step, Walk

EXAMPLES = 50
FEW_EXAMPLES = 3

CHECKS: dict[str, Any] = {
    # Rules that JSON Schema cannot say (a zone's name, a check digit, days in order) are refused with 422, and a version
    # that is not the present one with 412.
    "positive_data_acceptance": {"expected-statuses": ["2xx", "401", "403", "404", "409", "412", "422", "429"]},
    # Without If-Match the answer is 428, and what is not there is 404 before that.
    "missing_required_header": {"expected-statuses": ["400", "401", "403", "404", "422", "428"]},
    # A header that is not a version is 428 as well; a resource that is not there 404; a body too large 413.
    "negative_data_rejection": {
        "expected-statuses": ["400", "401", "403", "404", "405", "409", "412", "413", "415", "422", "428", "429"]
    },
}
"""Checks that need to know a rule of ours; all the others are on as they come."""


def config(*, thorough: bool) -> schemathesis.Config:
    """Say how many requests are made of which kinds; always the same ones."""
    examples = EXAMPLES if thorough else FEW_EXAMPLES
    return schemathesis.Config.from_dict(
        {
            "seed": 20260302,
            "suppress-health-check": ["all"],
            "generation": {"max-examples": examples, "no-shrink": True, "deterministic": True, "database": "none"},
            "checks": CHECKS,
            "phases": {"stateful": {"enabled": False}, "coverage": {"enabled": thorough}},
        }
    )


DOCUMENT = json.loads(openapi.FILE.read_bytes())
OPERATIONS = walk.operations(DOCUMENT)
FIRST: dict[str, int] = {step.operation: place for place, step in reversed(list(enumerate(STEPS)))}
TAG = re.compile(r'"[1-9][0-9]{0,15}"')
NOTHING_TO_VARY = {"livez", "readyz"}
LAST = STEPS[-1].operation
OUT_OF_REACH: dict[str, str] = dict.fromkeys(
    walk.SANDBOX, "this server is no sandbox; tests/api/test_sandbox.py has one"
)
"""Operations that no generated request can bring to a 2xx, and why; at most a tenth of all."""


@dataclass
class Stage:
    """A live server, and how to bring a patient of its database to any point of the walk."""

    live: Live
    database: Database
    http: requests.Session
    rows: "psycopg.Connection[Any]"
    runner: asyncio.Runner
    schema: Any
    thorough: bool
    walks: dict[str, Walk] = field(default_factory=dict)
    statuses: Counter[int] = field(default_factory=Counter)
    turn: Iterator[int] = field(default_factory=itertools.count)

    def walk_to(self, name: str) -> Walk:
        """Give a patient for whom all is done that comes before the operation.

        Reading changes nothing, so all operations that read share one patient, for whom everything is done.
        """
        shared = not self.thorough or OPERATIONS[name].method == "GET" or name in walk.SANDBOX
        point = LAST if shared else name
        if point not in self.walks:
            self.walks[point] = self.runner.run(prepared(self.database, point))
        return self.walks[point]

    def version(self, here: Walk, name: str) -> str:
        operation = OPERATIONS[name]
        of = operation.placeholders[-1] if operation.placeholders else "clinic_id"
        wanted = here.known.get(of, str(here.cast.clinic_id))
        query = f"SELECT to_jsonb(t) ->> 'version' FROM {TABLES[of]} t WHERE id = %s"
        row = self.rows.execute(query, (UUID(wanted),)).fetchone()
        return row[0] if row and row[0] else "1"


async def prepared(database: Database, name: str) -> Walk:
    engine = make_engine(database.api, pool_size=2)
    sessions = make_sessions(engine)
    settings = Settings(environment="test", rate_per_second=0, _env_file=None)
    (cast,) = await walk.make_clinic(sessions, "Alice Moreau")
    earlier = [step for step in STEPS[: FIRST[name]] if step.operation in OPERATIONS]
    steps = [step for step in earlier if OPERATIONS[step.operation].method != "GET" or step.keep]
    async with client_of(create_app(settings, sessions=sessions)) as client:
        here = Walk(cast, client, sessions)
        wrong = await walk.run(here, steps)
        assert wrong == {}
        step = STEPS[FIRST[name]]
        if step.before is not None:
            made = step.before(here)
            if made is not None:
                await made
        for parameter in OPERATIONS[name].placeholders:
            here.known.setdefault(parameter, str(uuid4()))
    await engine.dispose()
    return here


@pytest.fixture(scope="module")
def stage(server: Any, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Stage]:
    database = clone(server)
    thorough = bool(request.config.getoption("--thorough"))
    url = database.superuser.replace("+asyncpg", "")
    with (
        serving(database, Path(tmp_path_factory.mktemp("contract"))) as live,
        requests.Session() as http,
        psycopg.connect(url, autocommit=True) as rows,
        asyncio.Runner() as runner,
    ):
        schema = schemathesis.openapi.from_path(openapi.FILE, config=config(thorough=thorough))
        yield Stage(live, database, http, rows, runner, schema, thorough)
        assert "Traceback" not in live.said


def shape(stage: Stage, case: Any, here: Walk, step: Step) -> None:
    """Let a generated request be about things that are there; what was made wrong on purpose stays wrong."""
    operation, turn = OPERATIONS[step.operation], next(stage.turn)
    negative = case.meta is not None and case.meta.generation.mode.is_negative

    def untouched(location: ParameterLocation) -> bool:
        return case.meta is None or not case.meta.is_negative_at(location)

    if operation.placeholders and untouched(ParameterLocation.PATH) and turn % 8:
        case.path_parameters = {name: here.known[name] for name in operation.placeholders}
    if operation.needs_version and turn % 8 and TAG.fullmatch(str(case.headers.get("If-Match", ""))):
        case.headers["If-Match"] = f'"{stage.version(here, operation.name)}"'
    if operation.examples and not negative and not isinstance(case.body, NotSet):  # no body is a choice of its own
        body = walk.fresh(case.body, here.known, datetime.now(UTC))
        if turn % 3 == 0:
            body = here.body(operation, step.which)
            if step.change is not None:
                body = step.change(here, body)
        case.body = body
    if operation.name == "follow_events" and re.fullmatch(r"[0-9]*", str((case.query or {}).get("wait", ""))):
        case.query = {**(case.query or {}), "wait": 0}  # else it would be listened to for an hour
    if operation.name == "log_in":
        stage.rows.execute("TRUNCATE identity.throttles")


def send(stage: Stage, name: str, case: Any) -> None:
    step = STEPS[FIRST[name]] if name in FIRST else Step(name, "admin")
    here = stage.walk_to(name)
    shape(stage, case, here, step)
    headers: dict[str, str] = {}
    if step.by is not None:
        headers |= here.cast.headers.get(step.by) or factories.bearer(here.known["access_token"])
    response = case.call(base_url=stage.live.url, session=stage.http, headers=headers)
    stage.statuses[response.status_code] += 1
    # Every text is a file, one that holds no exercise as well: a dry run says so.
    any_text = name in FILES and case.meta is not None and case.meta.is_negative_at(ParameterLocation.BODY)
    case.validate_response(
        response,
        excluded_checks=[negative_data_rejection] if any_text else None,
        headers=headers,
        transport_kwargs={"base_url": stage.live.url, "session": stage.http, "headers": headers},
    )


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_server_keeps_its_contract(name: str, stage: Stage) -> None:
    stage.statuses.clear()
    stage.turn = itertools.count()  # the same requests, whichever operations came before in this worker
    operation = stage.schema[OPERATIONS[name].path][OPERATIONS[name].method]
    # What `@schema.parametrize()` does for all operations when tests are collected, in every worker; here for one only.
    attack = build_operation_test(
        config=stage.schema.config,
        operation=operation,
        test_func=lambda case: send(stage, name, case),
        given_kwargs={},
        feedback=FeedbackSources(),
    )
    attack()
    assert stage.statuses.total() >= (EXAMPLES if stage.thorough else FEW_EXAMPLES) or name in NOTHING_TO_VARY
    reached = not stage.thorough or name in OUT_OF_REACH or any(200 <= status < 300 for status in stage.statuses)
    assert reached, stage.statuses
    assert not any(status >= 500 for status in stage.statuses), stage.statuses


def test_few_operations_are_out_of_reach() -> None:
    assert OUT_OF_REACH.keys() <= OPERATIONS.keys()
    assert len(OUT_OF_REACH) <= len(OPERATIONS) / 10
