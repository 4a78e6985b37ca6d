"""Which representation a client wants, by Accept and Accept-Language (RFC 9110, sections 12.5.1 and 12.5.4)."""

import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
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


MOST_LANGUAGES = 10
"""So many of the languages that a client reads are looked at, the best first."""
_TAG = re.compile(r"[a-z]{2,3}(-[a-z0-9]{2,8}){0,3}")


async def _languages(
    accept_language: Annotated[
        str | None,
        Header(description="What you read, with q-values; heard where no `language` is asked for", examples=["de-AT"]),
    ] = None,
) -> tuple[str, ...]:
    return languages(accept_language or "")


AcceptLanguage = Annotated[tuple[str, ...], Depends(_languages)]
"""The languages that the client reads, the best first; none where it does not say."""


def languages(accepted: str) -> tuple[str, ...]:
    """Give the languages of an Accept-Language header, the best first, as we write them: `de-AT`.

    Those of weight 0 are none, nor is what cannot be read: there is always a text to show. What stands behind `*` is worse
    than any other language, and so it is not asked for.
    """
    ranges = [_range(part) for part in accepted[:READ].split(",") if part.strip()]
    liked = sorted((each for each in ranges if each[1] > NOTHING), key=lambda each: -each[1])
    names = [name for name, _ in liked]
    before = names[: names.index("*")] if "*" in names else names
    return tuple(dict.fromkeys(_written(name) for name in before if _TAG.fullmatch(name)))[:MOST_LANGUAGES]


def _written(tag: str) -> str:
    """Write a tag as RFC 5646 recommends: `zh-Hans-CN`."""
    first, *others = tag.split("-")
    cases = {2: str.upper, 4: str.title}
    return "-".join([first, *(cases.get(len(each), str.lower)(each) for each in others)])


def told_in(response: Response, shown: Iterable[str]) -> None:
    """Say in which languages an answer is, and that it hangs on what the client reads."""
    response.headers["Vary"] = "Accept-Language"
    spoken = ", ".join(sorted(set(shown)))
    if spoken:
        response.headers["Content-Language"] = spoken


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
