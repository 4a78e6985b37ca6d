"""The contract that clients read: FastAPI's document, completed from what the house knows.

`python -m api.openapi` writes it to docs/openapi.json, which is committed; a test compares.
"""

import functools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from fastapi import APIRouter
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute

from api.errors import DETAIL, MEDIA_TYPE
from api.routes import PUBLIC
from schemas.problems import ProblemDetails
from services import access

FILE = Path(__file__).resolve().parent.parent / "docs" / "openapi.json"

TITLE = "Physio"
VERSION = "1"
DESCRIPTION = """\
The backend of a virtual physiotherapy clinic: patients, licensed therapists, programs, check-ins and progress reports.

* **Time** is RFC 3339 with offset in, UTC out; days are `YYYY-MM-DD`.
* **Lists** take `limit` (1-200, default 50) and `cursor`, and answer `{"items": […], "next_cursor": …}`.
* **Changes** of what has a version need `If-Match` with the `ETag` you have read: missing 428, stale 412.
* **Retries**: send an `Idempotency-Key` with any POST; the same key and body again gives the same answer
  (`Idempotent-Replay: true`) and no second effect. `PUT` with an id of your own (UUIDv7) may be sent again as it is.
* **Errors** are `application/problem+json`; `code` is for programs, `errors` names places by JSON pointers, and nothing
  in them holds health data or what you sent. *Not yours* and *not there* are the same 404.
* **Unknown** fields and query parameters are refused, never ignored.
"""

TAGS: Mapping[str, str] = {
    "sign-in": "Sign in, stay signed in, sign out; who am I.",
    "invitations": "How patients and staff join a clinic.",
    "clinic": "The clinic itself: name, zone, staffed hours, thresholds.",
    "therapists": "The people who treat.",
    "licenses": "What a therapist may do where: licenses and their verification.",
    "patients": "The people who are treated, and where they are at the moment.",
    "care-team": "Who treats whom, in which role, since when.",
    "consents": "What a patient agreed to, and took back.",
    "episodes": "One course of treatment, from referral to discharge.",
    "instruments": "Published questionnaires: items and scoring.",
    "outcomes": "Answered questionnaires: score, band, change against the baseline.",
    "red-flags": "Screens for signs that need another kind of help; the advice is in the answer.",
    "assessments": "What the therapist found; draft, then signed for good.",
    "goals": "What the patient wants to reach, how far it is, and milestones on the way.",
    "lifestyle": "Targets for habits with trends, streaks, and small victories.",
    "factors": "What may add to the problem: self-care, the workstation, work, medicines.",
    "exercises": "The library of exercises.",
    "programs": "Assigned exercises, in versions that never change.",
    "sessions": "What was performed, next to what was prescribed.",
    "education": "Articles for patients: approved by a therapist, given, read.",
    "check-ins": "Short questions on a timetable, and their answers.",
    "flares": "Spells that are clearly worse: a lighter dose, daily questions, and the way back.",
    "adverse-events": "What came to harm: reported, graded, reviewed, exported.",
    "alerts": "What needs a clinician's eye.",
    "today": "All a patient's app needs, in one call.",
    "notifications": "What the caller is told, on which devices, and how he wants to be told.",
    "worklist": "A therapist's caseload, ranked, with reasons.",
    "events": "What happens, as it happens: Server-Sent Events, ids only.",
    "progress": "Series and charts over time.",
    "reports": "Frozen snapshots of progress, signed.",
    "jobs": "What starts because time passed.",
    "sandbox": "The clock of a sandbox, which can be moved ahead; 404 everywhere else.",
    "operations": "Probes.",
}

_METHODS = ("get", "put", "post", "delete", "patch")
_ID = "0198c0de-7a11-7000-8000-000000000001"

Document = dict[str, Any]


def document(routes: Sequence[BaseRoute]) -> Document:
    """Give the OpenAPI 3.1 document of these routes."""
    tags = {tag for route in routes if isinstance(route, APIRoute) for tag in route.tags}
    made = get_openapi(
        title=TITLE,
        version=VERSION,
        description=DESCRIPTION,
        routes=list(routes),
        tags=[{"name": name, "description": text} for name, text in TAGS.items() if name in tags],
    )
    schemas = made.setdefault("components", {}).setdefault("schemas", {})
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = ProblemDetails.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["ProblemDetails"] = problem
    made["components"]["securitySchemes"] = {
        "bearer": {"type": "http", "scheme": "bearer", "description": "The access token that signing in gave you."}
    }
    made["components"]["responses"] = {str(status): _problem_response(status) for status in DETAIL}
    for path, item in made["paths"].items():
        for method in _METHODS:
            if method in item:
                _complete(path, method, item[method], schemas)
    return made


def _problem_response(status: int) -> Document:
    content = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}}
    response: Document = {"description": DETAIL[status], "content": content}
    if status in {429, 503}:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds to wait"}}
    return response


def _complete(path: str, method: str, operation: Document, schemas: Document) -> None:
    parameters = operation.setdefault("parameters", [])
    _say_who(operation)
    if method == "post" and operation["security"]:
        parameters.append(_IDEMPOTENCY_KEY)
    for parameter in parameters:
        if parameter["name"] == "If-Match":
            parameter["required"] = True
            parameter["schema"] = _VERSION_TAG
        if parameter["in"] == "path" and parameter["schema"].get("format") == "uuid":
            parameter.setdefault("example", _ID)
    responses = operation["responses"]
    if "HTTPValidationError" in json.dumps(responses.get("422", {})):
        del responses["422"]
    for status in sorted(_refusals(path, method, operation, schemas) - responses.keys()):
        responses[status] = {"$ref": f"#/components/responses/{status}"}


def _say_who(operation: Document) -> None:
    """State who may do this, from the access table."""
    action = access.OPERATIONS.get(operation["operationId"])
    if action is None or operation["operationId"] in PUBLIC:
        operation["security"] = []
        operation["x-permissions"] = {}
        return
    operation["security"] = [{"bearer": []}]
    roles = {role.value: relation.value for role, relation in access.GRANTS[action].items()}
    operation["x-permissions"] = {"action": action.value, "roles": roles}


def _refusals(path: str, method: str, operation: Document, schemas: Document) -> set[str]:
    """Give the statuses with which this operation may refuse."""
    statuses = {"429", "503"}
    names = {parameter["name"] for parameter in operation["parameters"]}
    if operation["security"]:
        statuses |= {"401", "403"}
    if method != "get":
        statuses.add("409")
    if "If-Match" in names:
        statuses |= {"412", "428"}
    if "requestBody" in operation:
        statuses |= {"400", "413", "415"}
    if "requestBody" in operation or names:
        statuses.add("422")
    if "{" in path or any(name.endswith("_id") for name in names | _fields(operation, schemas)):
        statuses.add("404")
    return statuses | _ALSO.get(operation["operationId"], set())


def _fields(operation: Document, schemas: Document) -> set[str]:
    """Give the names of the body's own fields."""
    found: set[str] = set()
    for content in operation.get("requestBody", {}).get("content", {}).values():
        found |= schemas.get(content["schema"].get("$ref", "").rsplit("/", 1)[-1], {}).get("properties", {}).keys()
    return found


_ALSO: Mapping[str, set[str]] = {
    "log_in": {"401", "403"},
    "refresh_sign_in": {"401"},
    "accept_invitation": {"401", "404"},
    "get_progress_chart": {"406"},
    "get_report": {"406"},
    "get_sandbox_clock": {"404"},
    "move_sandbox_clock": {"404"},
}
"""Refusals that the form of an operation does not tell: who is not signed in shows a password, a token or a code."""


_VERSION_TAG: Document = {"type": "string", "pattern": '^"[1-9][0-9]{0,15}(-[0-9a-f]{16})?"$', "examples": ['"1"']}

_IDEMPOTENCY_KEY: Document = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
    "description": "The same key with the same request gives the same answer, and no second effect, for 30 days.",
}


def without_example(made: Document) -> list[str]:
    """Name the operations whose body shows no example."""
    missing = []
    for item in made["paths"].values():
        for method, operation in item.items():
            if method not in _METHODS:
                continue
            for content in operation.get("requestBody", {}).get("content", {}).values():
                schema = content["schema"]
                if "$ref" in schema:
                    schema = made["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
                if not (content.get("examples") or content.get("example") or schema.get("examples")):
                    missing.append(operation["operationId"])
    return missing


def routes_of(routers: Sequence[APIRouter]) -> list[BaseRoute]:
    """Give all routes of these routers, with their full paths."""
    return [route for router in routers for route in router.routes]


@functools.cache
def of_house() -> Document:
    """Give the document of the house's routes: made once, for all who only read it."""
    from api.routers import ROUTERS  # noqa: PLC0415 - the concepts stand above this module

    return document(routes_of(ROUTERS))


def rendered(made: Document) -> str:
    """Write the document as it is committed."""
    return json.dumps(made, indent=1, ensure_ascii=False) + "\n"


def write(file: Path = FILE) -> None:
    """Write the document of the house's routes."""
    file.write_text(rendered(of_house()), encoding="utf-8")


if __name__ == "__main__":
    write()
