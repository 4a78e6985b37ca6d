"""Reads bodies, JSON strictly: what two readers could understand differently is refused."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import parse_qsl

import orjson
from fastapi import Depends, Request

from api.errors import ContentTooLarge, MalformedRequest, UnsupportedFileType, UnsupportedMediaType
from core.errors import Invalid, Problem
from schemas.base import INTEGER_LIMIT
from schemas.exercise_files import FileFormat

BODY_LIMIT = 256 * 1024
"""Largest body in bytes; uploads have their own."""

FILE_LIMIT = 2 * 1024 * 1024
"""Largest file in bytes."""

FIELDS_LIMIT = 100
"""Most fields of a form."""

DEPTH_LIMIT = 32
"""How deep lists and objects may lie within each other."""

_JSON = re.compile(rb"""\s*application/json\s*(;\s*charset\s*=\s*"?utf-8"?\s*)?""", re.IGNORECASE)
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_LARGE = re.compile(rb"[0-9]{16}|[0-9][eE]")
"""Found in every text without its strings that holds a number beyond INTEGER_LIMIT, and in few others."""


async def read(request: Request, limit: int = BODY_LIMIT) -> Any:
    """Read the body as JSON; None when there is none. The bytes stay readable by `request.body()`.

    Raises UnsupportedMediaType, ContentTooLarge (also for a body without a declared length), MalformedRequest when it
    is no JSON, and Invalid when it is JSON that readers disagree about.
    """
    raw = await _bytes(request, limit)
    request._body = raw  # noqa: SLF001 - FastAPI reads the body from the request; there is no public way to hand it over
    if not raw:
        return None
    content_type, encoding = b"", b"identity"
    for name, value in request.scope["headers"]:
        if name == b"content-type":
            content_type = value
        elif name == b"content-encoding":
            encoding = value.lower()
    if encoding != b"identity" or not _JSON.fullmatch(content_type):
        raise UnsupportedMediaType
    value = parse(raw)
    request._json = value  # noqa: SLF001 - as above: spares the second, laxer reading
    return value


async def read_form(request: Request, limit: int = BODY_LIMIT) -> list[tuple[str, str]]:
    """Read the body as a form. Raises UnsupportedMediaType, ContentTooLarge, MalformedRequest."""
    raw = await _bytes(request, limit)
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise UnsupportedMediaType
    try:
        return parse_qsl(raw.decode(), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_LIMIT)
    except ValueError as error:
        raise MalformedRequest from error


@dataclass(frozen=True)
class File:
    """A file of exercises: what it is by its Content-Type, and what it says."""

    kind: FileFormat
    text: str


_FILES: Mapping[str, FileFormat] = {
    "application/yaml": "yaml",
    "application/x-yaml": "yaml",
    "text/yaml": "yaml",
    "text/csv": "csv",
}


async def read_file(request: Request) -> File:
    """Read the body as a file in UTF-8. Raises UnsupportedFileType, ContentTooLarge, MalformedRequest."""
    raw = await _bytes(request, FILE_LIMIT)
    kind = _FILES.get(request.headers.get("content-type", "").partition(";")[0].strip().lower())
    if kind is None or request.headers.get("content-encoding", "identity").lower() != "identity":
        raise UnsupportedFileType
    try:
        return File(kind, raw.decode())
    except UnicodeDecodeError as error:
        raise MalformedRequest from error


async def _file_of(request: Request) -> File:
    """Give the file that was read before the caller was asked for."""
    file = request.scope["state"]["body"]
    assert isinstance(file, File)
    return file


Upload = Annotated[File, Depends(_file_of)]
"""The body of an operation in `api.routes.FILES`."""


async def _bytes(request: Request, limit: int) -> bytes:
    for name, value in request.scope["headers"]:
        if name == b"content-length" and value.isdigit() and (len(value) > 12 or int(value) > limit):  # noqa: PLR2004
            raise ContentTooLarge
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        size += len(part)
        if size > limit:
            raise ContentTooLarge
        parts.append(part)
    return b"".join(parts)


def parse(raw: bytes) -> Any:
    """Parse JSON (RFC 8259, UTF-8) without NaN and Infinity, and check what its grammar leaves open.

    Raises MalformedRequest, or Invalid for a key given twice, NUL in a text, a depth beyond 32, or a number beyond the
    integers that every reader keeps exactly (±(2^53 - 1)).
    """
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise MalformedRequest from error
    bare = _STRING.sub(b"", raw)
    if b"\\u0000" in raw or _LARGE.search(bare) or bare.count(b"[") + bare.count(b"{") > DEPTH_LIMIT:
        for node, pointer in _walk(value):
            problem = _problem(node)
            if problem:
                raise Invalid(Problem(pointer, *problem))
    members = _members(value)
    if members and members != bare.count(b":"):  # a colon outside a text stands behind a key
        raise Invalid(Problem("", "duplicate_key", "An object names one of its fields twice"))
    return value


def _members(value: Any) -> int:
    """Count the fields of all objects."""
    members = 0
    stack: list[Iterable[Any]] = [[value]]
    while stack:
        for part in stack.pop():
            if type(part) is dict:
                members += len(part)
                stack.append(part.values())
            elif type(part) is list:
                stack.append(part)
    return members


def _walk(value: Any) -> Iterator[tuple[Any, str]]:
    """Visit every value; a pointer is only made where it is needed, so it stays at the enclosing container."""
    stack: list[tuple[Any, str, int]] = [(value, "", 0)]
    while stack:
        node, pointer, depth = stack.pop()
        yield node, pointer
        if not isinstance(node, dict | list) or not node:
            continue
        if depth == DEPTH_LIMIT:
            raise Invalid(Problem("", "too_deep", f"Lists and objects lie at most {DEPTH_LIMIT} deep"))
        if isinstance(node, list):
            stack.extend((part, pointer, depth + 1) for part in node)
        else:
            for key, part in node.items():
                yield key, pointer
                stack.append((part, f"{pointer}/{key[:64].replace('~', '~0').replace('/', '~1')}", depth + 1))


def _problem(node: Any) -> tuple[str, str] | None:
    if isinstance(node, str):
        return ("text_characters", "Control characters are not allowed") if "\x00" in node else None
    if isinstance(node, int | float) and not -INTEGER_LIMIT <= node <= INTEGER_LIMIT:
        return "number_range", "A number lies beyond ±(2^53 - 1)"
    return None
