"""Which page of a list a client asks for."""

from typing import Annotated

from fastapi import Depends, Query, Request

from api.dependencies import Caller
from api.state import state_of
from schemas import pages


async def _page(
    request: Request,
    actor: Caller,
    limit: Annotated[int, Query(ge=1, le=pages.LIMIT, description="Most rows of one page")] = pages.DEFAULT_LIMIT,
    cursor: Annotated[
        str | None, Query(max_length=pages.CURSOR_LIMIT, description="`next_cursor` of the page before")
    ] = None,
) -> pages.Page:
    filters = sorted(each for each in request.query_params.multi_items() if each[0] not in {"limit", "cursor"})
    scope = f"{actor.clinic_id} {actor.account_id} {request.url.path} {filters}"
    return pages.Page(limit, cursor, scope, state_of(request).page_key)


Page = Annotated[pages.Page, Depends(_page)]
"""The page of a list; give it to `schemas.pages.fetch` in the service."""
