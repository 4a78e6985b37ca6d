"""Turns every kind of refusal, and every accident, into problem+json (RFC 9457). Only this module knows statuses."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

import asyncpg
import orjson
import sqlalchemy.exc
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError, ResponseValidationError
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import Response

from core.errors import (
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    PreconditionRequired,
    Problem,
    Refusal,
    Stale,
    TooMany,
    Unauthenticated,
    Unavailable,
)
from services import adverse_events, crisis, red_flag_screens

log = structlog.get_logger(__name__)

MEDIA_TYPE = "application/problem+json"


class MalformedRequest(Refusal):
    """The request cannot be read."""


class ContentTooLarge(Refusal):
    """The body is too large."""


class UnsupportedMediaType(Refusal):
    """Send JSON: Content-Type application/json, without Content-Encoding."""


class UnsupportedFileType(UnsupportedMediaType):
    """Send YAML or CSV: Content-Type application/yaml or text/csv, without Content-Encoding."""


class MethodNotAllowed(Refusal):
    """This path does not know this method."""


class NotAcceptable(Refusal):
    """None of the media types in Accept is offered here."""


class InternalError(Refusal):
    """Something went wrong on our side."""


class Locked(Conflict):
    """Somebody else is changing this at the moment: try again."""

    retryable = True


class AlreadyThere(Conflict):
    """This clashes with something that is already there."""


STATUS: Mapping[type[Refusal], int] = {
    MalformedRequest: 400,
    Unauthenticated: 401,
    Forbidden: 403,
    NotFound: 404,
    MethodNotAllowed: 405,
    NotAcceptable: 406,
    Conflict: 409,
    Stale: 412,
    ContentTooLarge: 413,
    UnsupportedMediaType: 415,
    Invalid: 422,
    PreconditionRequired: 428,
    TooMany: 429,
    InternalError: 500,
    Unavailable: 503,
}

DETAIL: Mapping[int, str] = {
    400: "The request is not well formed; see the documentation of this operation.",
    401: "Send a valid access token: Authorization: Bearer …",
    403: "The role you signed in with never has this right.",
    404: "It does not exist, or it is not within your reach.",
    405: "See the header Allow.",
    406: "The documentation of this operation lists the media types it offers.",
    409: "Read the resource again and decide anew.",
    412: "Read the resource again, merge, and send its present version as If-Match.",
    413: "Send less at once.",
    415: "Bodies are in UTF-8, of a media type that the documentation of this operation lists, without Content-Encoding.",
    422: "See errors: each names its place by a JSON pointer.",
    428: 'Send If-Match with the version you have read, such as If-Match: "3".',
    429: "Wait as long as Retry-After says.",
    500: "The accident is on record under request_id.",
    503: "Wait as long as Retry-After says, then send the same request again.",
}

_ADVICE: Mapping[str, Callable[[Any], dict[str, Any] | None]] = {
    "create_red_flag_screen": red_flag_screens.advice_on,
    "create_adverse_event": lambda body: crisis.advice_on(body) or adverse_events.advice_on(body),
    **dict.fromkeys(("answer_check_in", "put_check_in", "log_session", "create_outcome"), crisis.advice_on),
}
_GONE = ("08", "53", "57P", "58", "25P03", "25P04")  # connection lost, resources, shutdown, system, timeouts
_RACES = {"40001", "40P01", "57014"}  # serialization failure, deadlock, statement timeout
_CLASHES = {"23505", "23P01", "23503"}  # unique, exclusion, foreign key


def status_of(kind: type[Refusal]) -> int:
    """Give the status of a kind of refusal: that of its nearest known ancestor."""
    for ancestor in kind.__mro__:
        if ancestor in STATUS:
            return STATUS[ancestor]
    raise LookupError(f"{kind.__name__} belongs to no kind of refusal that has a status")


def problem(
    refusal: Refusal, request: Request, *, headers: Mapping[str, str] | None = None, retryable: bool | None = None
) -> Response:
    """Write the refusal as problem+json, with the headers that its kind demands."""
    status = status_of(type(refusal))
    extras = {**_advice(request), **refusal.extras}
    body = {
        "type": f"/problems/{refusal.code.replace('_', '-')}",
        "title": refusal.title,
        "status": status,
        "code": refusal.code,
        "detail": DETAIL[status],
        "errors": [{"pointer": each.pointer, "code": each.code, "message": each.message} for each in refusal.problems],
        "request_id": request.scope.get("state", {}).get("request_id", ""),
        "retryable": refusal.retryable if retryable is None else retryable,
    }
    response = Response(orjson.dumps(extras | body, default=str), status, media_type=MEDIA_TYPE)
    response.headers.update(_headers(refusal))
    response.headers.update(headers or {})
    return response


def _advice(request: Request) -> dict[str, Any]:
    """Say what to do where a screen, answers or a patient's own words are refused: they may hold a warning sign."""
    advice_on = _ADVICE.get(getattr(request.scope.get("route"), "unique_id", ""))
    advice = None if advice_on is None else advice_on(request.scope.get("state", {}).get("body"))
    return {} if advice is None else {"advice": advice}


def _headers(refusal: Refusal) -> dict[str, str]:
    match refusal:
        case Unauthenticated():
            return {"WWW-Authenticate": 'Bearer realm="physio"'}
        case Stale(current_version=version):
            return {"ETag": f'"{version}"'}
        case TooMany(retry_after=seconds) | Unavailable(retry_after=seconds):
            return {"Retry-After": str(seconds)}
        case _ if refusal.retryable:
            return {"Retry-After": "1"}
        case _:
            return {}


# ------------------------------------------------------------------ handlers


async def _refused(request: Request, refusal: Refusal) -> Response:
    return problem(refusal, request)


async def _not_valid(request: Request, error: RequestValidationError) -> Response:
    return problem(Invalid(*problems(error.errors())), request)


async def _http(request: Request, error: HTTPException) -> Response:
    refusal: Refusal
    match error.status_code:
        case 404:
            refusal = NotFound()
        case 405:
            refusal = MethodNotAllowed()
        case 413:
            refusal = ContentTooLarge()
        case _:
            refusal = MalformedRequest()
    headers = dict(error.headers or {})
    if isinstance(refusal, MethodNotAllowed):
        headers["Allow"] = ", ".join(_methods_of(request))
    return problem(refusal, request, headers=headers)


def _methods_of(request: Request) -> list[str]:
    """Every method that some route offers on the path: FastAPI names those of the first route only."""
    methods: set[str] = set()
    for route in request.app.routes:
        if route.path_regex.match(request.scope["path"]):
            methods |= route.methods or set()
    return sorted(methods)


async def _database(request: Request, error: Exception) -> Response:
    refusal = refusal_of(error)
    if isinstance(refusal, InternalError):
        return await _accident(request, error)
    log.warning("database_refused", code=refusal.code, reason=sqlstate(error))
    return problem(refusal, request)


async def _accident(request: Request, error: Exception) -> Response:
    log.error("request_failed", exc_info=error)
    return problem(InternalError(), request)


def sqlstate(error: BaseException | None) -> str:
    """Give PostgreSQL's five-letter reason of an error, or nothing when it has none."""
    while error is not None:
        state = getattr(error, "sqlstate", None)
        if isinstance(state, str):
            return state
        error = getattr(error, "orig", None) or error.__cause__
    return ""


def refusal_of(error: Exception) -> Refusal:
    """Say what an error of the database means to the client; an `InternalError` if it is our mistake."""
    state = sqlstate(error)
    gone = (
        # InternalClientError: the server died while its answer was on the way
        isinstance(error, sqlalchemy.exc.TimeoutError | OSError | asyncpg.InternalClientError)
        or (isinstance(error, sqlalchemy.exc.DBAPIError) and error.connection_invalidated)
        or (isinstance(error, asyncpg.InterfaceError) and "clos" in str(error))
    )
    if gone or state in _RACES or state.startswith(_GONE):
        return Unavailable()
    if state == "55P03" or isinstance(error, StaleDataError):  # waited too long, or overtaken between read and write
        return Locked()
    if state in _CLASHES:
        return AlreadyThere()
    if state == "23514":
        return Invalid()
    return InternalError()


# ------------------------------------------------------------------ invalid input


def problems(errors: Iterable[Mapping[str, Any]]) -> list[Problem]:
    """Translate Pydantic's errors; the value that was sent is left out."""
    return [
        Problem(
            pointer(error["loc"]),
            "missing" if error["type"] == "missing" else str(error["type"]),
            _message(error),
        )
        for error in islice(errors, 100)
    ]


def pointer(place: Sequence[str | int]) -> str:
    """Give the JSON pointer of a place: into the body, or `#/query/…` and the like for a parameter.

    Names of unknown fields are the client's own words; they are cut at 64 characters.
    """
    kind, *rest = place
    path = "".join(f"/{str(part)[:64].replace('~', '~0').replace('/', '~1')}" for part in rest)
    return path if kind == "body" else f"#/{kind}{path}"


def _message(error: Mapping[str, Any]) -> str:
    # Messages of constraints are ours or Pydantic's own words; those of a parser or a validator may quote the input.
    kind = str(error["type"])
    if kind == "extra_forbidden":
        return "This field is not known here"
    if kind.endswith(("_parsing", "_from_datetime_parsing")) or kind in {"value_error", "assertion_error"}:
        return "This is not a valid value"
    return str(error["msg"])


def install(app: FastAPI) -> None:
    """Teach the app to answer every error with problem+json."""
    handlers: Mapping[Any, Any] = {
        Refusal: _refused,
        RequestValidationError: _not_valid,
        HTTPException: _http,
        sqlalchemy.exc.DBAPIError: _database,
        sqlalchemy.exc.TimeoutError: _database,
        StaleDataError: _database,
        asyncpg.PostgresError: _database,
        asyncpg.InterfaceError: _database,
        asyncpg.InternalClientError: _database,
        ConnectionError: _database,
        TimeoutError: _database,
        ResponseValidationError: _accident,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


def last_resort() -> Middleware:
    """Answer what nobody expected.

    FastAPI's own place for this raises the error again after the answer, and the server then prints a message that may
    quote a patient; so this stands within it.
    """
    return Middleware(ExceptionMiddleware, handlers={Exception: _accident})
