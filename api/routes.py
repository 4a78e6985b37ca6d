"""What every route of ours does around its endpoint: strict input, one effect per Idempotency-Key, 304."""

import functools
import inspect
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from typing import Any, get_args, get_origin

from fastapi import APIRouter, Request
from fastapi.dependencies.models import Dependant
from fastapi.params import Depends
from fastapi.routing import APIRoute
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette.responses import Response
from starlette.routing import BaseRoute, Match
from starlette.types import ASGIApp, Receive, Scope, Send

from api import bodies, etags, idempotency
from api.dependencies import caller_of, in_line, moment_of, open_session, session_of
from api.errors import problem
from core.database import commit, give_back
from core.errors import Invalid, Problem, Refusal, Unauthenticated

GIVEN = frozenset({session_of, caller_of, moment_of})
"""What nearly every endpoint asks for. It is handed over: as dependencies FastAPI would solve each anew, at length."""

FORMS = frozenset({"receive_sms", "receive_sms_receipt"})
"""Operations that a provider calls: with a form, and signed by the secret we share with it instead of a token."""

FILES = frozenset({"import_exercises"})
"""Operations whose body is a file; see `api.bodies.Upload`."""

PUBLIC = frozenset({"log_in", "refresh_sign_in", "accept_invitation", "livez", "readyz"}) | FORMS
"""Operations that nobody needs to be signed in for. Every other one has a row in `access.OPERATIONS`."""


_REQUEST = "physio_request"
_WORD = 2
"""Where a path says what kind of thing is meant: after the version."""


class Route(APIRoute):
    """A route whose operationId is the name of its endpoint.

    Before the endpoint: an unknown or repeated query parameter is refused, the body is read strictly. After it, and
    still within the transaction: the answer is kept under the Idempotency-Key.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """See FastAPI's; the part after the version is a word in every path of ours."""
        self._given = _given(endpoint)
        super().__init__(path, _handed(endpoint, self._given), **options)
        parts = self.path_format.split("/")
        place = min(_WORD, len(parts) - 1)
        assert "{" not in parts[place], f"{path}: name the kind of thing after the version"
        self.kind = len(parts), parts[place]

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Give the handler that FastAPI runs for a request."""
        inner = super().get_route_handler()
        known = _query_parameters(self.dependant)
        public = self.unique_id in PUBLIC
        wants_body = self.body_field is not None
        asked = {*self._given.values(), *_asked(self.dependant)}
        asks_caller = caller_of in asked
        needs_session = asks_caller or session_of in asked

        async def handle(request: Request) -> Response:
            kept = request.scope.setdefault("state", {})
            if not public and "authorization" not in request.headers:
                raise Unauthenticated
            _check_query(request, known)
            safe = request.method == "GET"
            if self.unique_id in FORMS:
                kept["body"] = await bodies.read_form(request)
            elif self.unique_id in FILES:
                kept["body"] = await bodies.read_file(request)
            elif not safe:
                kept["body"] = await bodies.read(request)
                if not wants_body and kept["body"]:
                    raise Invalid(Problem("", "body_unexpected", "This operation takes no body"))
            if needs_session:
                response = await _in_transaction(inner, request, asks_caller=asks_caller)
            else:
                response = await inner(request)
            tag = response.headers.get("etag") if safe and response.status_code == 200 else None  # noqa: PLR2004
            if tag is not None and etags.matches(request.headers.get("if-none-match", ""), tag):
                kept_names = ("etag", "vary", "content-language")
                told = {name: response.headers[name] for name in kept_names if name in response.headers}
                return Response(status_code=304, headers=told)
            return response

        return handle


def _given(endpoint: Callable[..., Any]) -> Mapping[str, Callable[[Request], Awaitable[Any]]]:
    """Give the endpoint's parameters that are handed over, and where each comes from."""
    found = {}
    for name, parameter in inspect.signature(endpoint).parameters.items():
        for part in get_args(parameter.annotation)[1:]:
            if isinstance(part, Depends) and part.dependency in GIVEN:
                found[name] = part.dependency
    return found


def _asked(dependant: Dependant) -> set[Any]:
    """Give all that the endpoint's own dependencies ask for."""
    return {call for part in dependant.dependencies for call in (part.call, *_asked(part))}


def _handed(
    endpoint: Callable[..., Any], given: Mapping[str, Callable[[Request], Awaitable[Any]]]
) -> Callable[..., Any]:
    """Make the endpoint one that FastAPI asks for the request instead, and for what is left."""
    if not given:
        return endpoint
    signature = inspect.signature(endpoint)
    keyword = inspect.Parameter.KEYWORD_ONLY
    left = [each.replace(kind=keyword) for name, each in signature.parameters.items() if name not in given]
    own = next((each.name for each in left if each.annotation is Request), None)
    if own is None:
        left.append(inspect.Parameter(_REQUEST, keyword, annotation=Request))

    @functools.wraps(endpoint)
    async def handed(**others: Any) -> Any:
        request = others[own] if own is not None else others.pop(_REQUEST)
        for name, source in given.items():
            others[name] = await source(request)
        return await endpoint(**others)

    handed.__signature__ = signature.replace(parameters=left)  # type: ignore[attr-defined]
    return handed


def at_once(routes: Sequence[BaseRoute], otherwise: ASGIApp) -> ASGIApp:
    """Go straight to the few routes that may be meant by a path; what is none of ours is asked of all, as usual."""
    kinds: dict[tuple[int, str], list[Route]] = defaultdict(list)
    for route in routes:
        if isinstance(route, Route):
            kinds[route.kind].append(route)

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            parts = scope["path"].split("/")
            for route in kinds.get((len(parts), parts[min(_WORD, len(parts) - 1)]), ()):
                match, found = route.matches(scope)
                if match is Match.FULL:
                    scope.update(found)
                    await route.handle(scope, receive, send)
                    return
        await otherwise(scope, receive, send)

    return app


async def _in_transaction(
    inner: Callable[[Request], Coroutine[Any, Any, Response]], request: Request, *, asks_caller: bool
) -> Response:
    """Run the endpoint in one transaction: committed before the answer leaves, rolled back on any error.

    A refusal that says so (`keeps_effects`) leaves what was done before it.
    """
    async with in_line(request):
        session = await open_session(request)
        try:
            return await _committed(inner, request, session, asks_caller=asks_caller)
        finally:
            await give_back(session)


async def _committed(
    inner: Callable[[Request], Coroutine[Any, Any, Response]],
    request: Request,
    session: AsyncSession,
    *,
    asks_caller: bool,
) -> Response:
    try:
        if asks_caller:
            await caller_of(request)  # who may not ask is told so before he is told what is wrong with the form
        response = await inner(request)
    except idempotency.Replay as replay:
        await commit(session)  # that the answer was given again is on record
        return replay.response
    except Refusal as refusal:
        if refusal.keeps_effects:  # a counted attempt, a revoked sign-in
            claim = request.scope["state"].get("claim")
            if claim is not None and not refusal.retryable:  # what has an effect has it once, and the same answer
                await idempotency.keep(claim, problem(refusal, request))
            await commit(session)
        raise
    claim = request.scope["state"].get("claim")
    if claim is not None:
        await idempotency.keep(claim, response)
    await commit(session)
    return response


def Router(prefix: str, *, tags: list[str], **options: Any) -> APIRouter:  # noqa: N802 - stands where APIRouter would
    """Make the router of one concept; its routes are `Route`s."""
    return APIRouter(
        prefix=prefix,
        tags=[*tags],
        route_class=Route,
        generate_unique_id_function=lambda route: route.name,
        **options,
    )


def _query_parameters(dependant: Dependant) -> dict[str, bool]:
    """Give the names a route and what it depends on know, and whether each may be repeated."""
    known: dict[str, bool] = {}
    for part in dependant.dependencies:
        known |= _query_parameters(part)
    for parameter in dependant.query_params:
        annotation = parameter.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for name, field in annotation.model_fields.items():
                known[field.alias or name] = _is_list(field.annotation)
        else:
            known[parameter.alias] = _is_list(annotation)
    return known


def _is_list(annotation: Any) -> bool:
    if get_origin(annotation) in {list, set, tuple, frozenset}:
        return True
    return any(_is_list(part) for part in get_args(annotation))


def _check_query(request: Request, known: dict[str, bool]) -> None:
    if not request.scope["query_string"]:
        return
    seen: set[str] = set()
    for name, _ in request.query_params.multi_items():
        if name not in known:
            raise Invalid(Problem(f"#/query/{name[:64]}", "query_unknown", "This parameter is not known here"))
        if name in seen and not known[name]:
            raise Invalid(Problem(f"#/query/{name[:64]}", "query_repeated", "This parameter may be given once"))
        seen.add(name)
