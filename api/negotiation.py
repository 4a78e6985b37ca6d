"""Which representation a client wants, by its Accept header (RFC 9110, section 12.5.1)."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Annotated

from fastapi import Depends, Header
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api.errors import NotAcceptable

JSON = "application/json"
VEGA_LITE = "application/vnd.vegalite.v5+json"
SVG = "image/svg+xml"
PNG = "image/png"
PDF = "application/pdf"

NOTHING = 0.0
READ = 1_000
"""So many characters of the header are looked at."""


async def _accept(
    accept: Annotated[str | None, Header(description="Media types with q-values")] = None,
) -> str:
    return (accept or "*/*")[:READ]


Accept = Annotated[str, Depends(_accept)]
"""What the client can read; anything where it does not say."""


def choose(accept: str, offered: Sequence[str]) -> str:
    """Give the offered media type that the client likes best; of equals the one offered first.

    Raises NotAcceptable, also where the header cannot be read.
    """
    wanted = [_range(part) for part in accept.split(",") if part.strip()]
    likings = {media_type: _liking(media_type, wanted) for media_type in offered}
    best = max(offered, key=lambda media_type: likings[media_type])
    if likings[best] <= NOTHING:
        raise NotAcceptable
    return best


def _range(part: str) -> tuple[str, float]:
    """Read `type/subtype;q=0.5`; a weight that is none counts as 0."""
    name, *parameters = (each.strip().lower() for each in part.split(";"))
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                weight = float(value)
            except ValueError:
                return name, NOTHING
            return name, weight if NOTHING <= weight <= 1 else NOTHING
    return name, 1.0


def _liking(media_type: str, wanted: Sequence[tuple[str, float]]) -> float:
    """Give the weight of the most specific range that holds the media type; 0 where none does."""
    kind = media_type.partition("/")[0]
    for name in (media_type, f"{kind}/*", "*/*"):
        weights = [weight for each, weight in wanted if each == name]
        if weights:
            return max(weights)
    return NOTHING


class Drawn(Response):
    """An answer that is drawn once the transaction is over, so that no connection waits for a picture.

    What refuses while it draws becomes problem+json all the same: nothing has been sent by then.
    """

    def __init__(
        self, draw: Callable[[], Awaitable[bytes]], media_type: str, headers: Mapping[str, str] | None = None
    ) -> None:
        """draw: gives the body."""
        self.draw = draw
        self.media_type = media_type
        super().__init__(None, headers=dict(headers or {}))
        del self.headers["content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Draw, then answer."""
        self.body = await self.draw()
        self.headers["content-length"] = str(len(self.body))
        await super().__call__(scope, receive, send)
