"""What every route of ours does around its endpoint: strict input, one effect per Idempotency-Key, 304."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, get_args, get_origin

from fastapi import APIRouter, Request
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncSession
from starlette._utils import get_route_path
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from api import bodies, etags, idempotency
from api.dependencies import caller_of, in_line, open_session, session_of
from core.database import commit
from core.errors import Invalid, Problem, Refusal, Unauthenticated

_PARTS = "physio_path_parts"
_NOT_MEANT: tuple[Match, Scope] = (Match.NONE, {})

FORMS = frozenset({"receive_sms", "receive_sms_receipt"})
"""Operations that a provider calls: with a form, and signed by the secret we share with it instead of a token."""

PUBLIC = frozenset({"log_in", "refresh_sign_in", "accept_invitation", "livez", "readyz"}) | FORMS
"""Operations that nobody needs to be signed in for. Every other one has a row in `access.OPERATIONS`."""


class Route(APIRoute):
    """A route whose operationId is the name of its endpoint.

    Before the endpoint: an unknown or repeated query parameter is refused, the body is read strictly. After it, and
    still within the transaction: the answer is kept under the Idempotency-Key.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        """See FastAPI's; the part after the version is a word in every path of ours."""
        super().__init__(path, endpoint, **options)
        parts = self.path_format.split("/")
        self._length = len(parts)
        self._place = min(2, self._length - 1)
        self._word = parts[self._place]
        assert "{" not in self._word, f"{path}: name the kind of thing after the version"

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Tell whether this route is meant. Most are not, which is seen at once; the rest is asked in full."""
        parts = scope.get(_PARTS)
        if parts is None:
            parts = scope[_PARTS] = get_route_path(scope).split("/")
        if len(parts) != self._length or parts[self._place] != self._word:
            return _NOT_MEANT
        return super().matches(scope)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Give the handler that FastAPI runs for a request."""
        inner = super().get_route_handler()
        known = _query_parameters(self.dependant)
        public = self.unique_id in PUBLIC
        wants_body = self.body_field is not None
        needs_session = _needs_session(self.dependant)

        async def handle(request: Request) -> Response:
            kept = request.scope.setdefault("state", {})
            if not public and "authorization" not in request.headers:
                raise Unauthenticated
            _check_query(request, known)
            safe = request.method == "GET"
            if self.unique_id in FORMS:
                kept["body"] = await bodies.read_form(request)
            elif not safe:
                kept["body"] = await bodies.read(request)
                if not wants_body and kept["body"]:
                    raise Invalid(Problem("", "body_unexpected", "This operation takes no body"))
            response = await (_in_transaction(inner, request) if needs_session else inner(request))
            tag = response.headers.get("etag") if safe and response.status_code == 200 else None  # noqa: PLR2004
            if tag is not None and etags.matches(request.headers.get("if-none-match", ""), tag):
                return Response(status_code=304, headers={"ETag": tag})
            return response

        return handle


async def _in_transaction(inner: Callable[[Request], Coroutine[Any, Any, Response]], request: Request) -> Response:
    """Run the endpoint in one transaction: committed before the answer leaves, rolled back on any error.

    A refusal that says so (`keeps_effects`) leaves what was done before it.
    """
    async with in_line(request):
        session = await open_session(request)
        try:
            return await _committed(inner, request, session)
        finally:
            if session.sync_session.in_transaction():
                await asyncio.shield(session.close())


async def _committed(
    inner: Callable[[Request], Coroutine[Any, Any, Response]], request: Request, session: AsyncSession
) -> Response:
    try:
        response = await inner(request)
    except idempotency.Replay as replay:
        await commit(session)  # that the answer was given again is on record
        return replay.response
    except Refusal as refusal:
        if refusal.keeps_effects:  # a counted attempt, a revoked sign-in
            await session.commit()
        raise
    claim = request.scope["state"].get("claim")
    if claim is not None:
        await idempotency.keep(claim, response)
    await commit(session)
    return response


def _needs_session(dependant: Dependant) -> bool:
    return any(part.call in {session_of, caller_of} or _needs_session(part) for part in dependant.dependencies)


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
