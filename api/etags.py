"""Versions as strong entity tags: what you have read is what you change."""

import re
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Header, Response
from pydantic import BaseModel

from core.errors import Invalid, PreconditionRequired, Problem

_TAG = re.compile(r'"([1-9][0-9]{0,15})(?:-[0-9a-f]{16})?"')


def etag(response: Response, version: int, shown: BaseModel | None = None) -> None:
    """Name the version of the resource that this answer holds.

    shown: the answer itself, where it depends on more than that row (the day, the caller, what belongs to it); the tag
    then changes with it. If-Match takes both forms, and goes by the version.
    """
    digest = "" if shown is None else f"-{sha256(shown.model_dump_json().encode()).hexdigest()[:16]}"
    response.headers["ETag"] = f'"{version}{digest}"'


def created(response: Response, location: str, version: int | None = None) -> None:
    """Say where the new resource is, and its version."""
    response.headers["Location"] = location
    if version is not None:
        etag(response, version)


def matches(if_none_match: str, tag: str) -> bool:
    """Tell whether a client that holds `if_none_match` already has what `tag` names (weak comparison, RFC 9110)."""
    held = {each.strip().removeprefix("W/") for each in if_none_match.split(",")}
    return "*" in held or tag.removeprefix("W/") in held


async def _if_match(
    if_match: Annotated[
        str | None,
        Header(
            alias="If-Match", max_length=64, description='The version you have read, such as `"3"`', examples=['"1"']
        ),
    ] = None,
) -> int:
    if if_match is None:
        raise PreconditionRequired
    tag = _TAG.fullmatch(if_match.strip())
    if tag is None:
        raise Invalid(Problem("#/header/If-Match", "etag_syntax", 'Send one version in quotes, such as "3"'))
    return int(tag[1])


IfMatch = Annotated[int, Depends(_if_match)]
"""The version that the client means to change. Without the header 428; not a version of ours 422."""
