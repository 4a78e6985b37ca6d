"""The contract for programs, and as one page to read: no scripts, nothing loaded from elsewhere."""

import asyncio
import functools
import json
from collections.abc import Callable, Iterator
from html import escape
from typing import Any

from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse

Document = dict[str, Any]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1a2530;background:#fff}
h1{font-size:1.6rem}h2{margin-top:2.5rem;border-bottom:1px solid #cfd8dc}summary{cursor:pointer;padding:.3rem 0}
code,pre{font:14px/1.4 ui-monospace,monospace}pre{background:#f3f6f8;padding:.7rem;overflow:auto}
b{display:inline-block;width:4.5rem;font:700 13px ui-monospace,monospace;color:#00695c}
details{border-bottom:1px solid #eceff1}td{padding:.1rem 1rem .1rem 0;vertical-align:top}nav a{margin-right:1rem}
@media(prefers-color-scheme:dark){body{background:#12181d;color:#dfe7ec}pre{background:#1c252c}b{color:#4db6ac}
h2,details{border-color:#2b3740}a{color:#80cbc4}}
"""


def install(app: FastAPI, document: Callable[[], Document]) -> None:
    """Serve the document at `/openapi.json` and its page at `/docs`.

    It takes a second or two to make, so that is done once and beside the loop, whoever asks first.
    """
    made = functools.cache(document)
    app.openapi = made  # type: ignore[method-assign]
    turn = asyncio.Lock()

    async def read_document(_request: Request) -> JSONResponse:
        async with turn:
            return await asyncio.to_thread(lambda: JSONResponse(made()))

    async def read_page(_request: Request) -> HTMLResponse:
        async with turn:
            content = await asyncio.to_thread(lambda: page(made()))
        return HTMLResponse(content, headers={"Content-Security-Policy": POLICY})

    app.add_route("/openapi.json", read_document, include_in_schema=False)
    app.add_route("/docs", read_page, include_in_schema=False)


def page(document: Document) -> str:
    """Give the document as HTML, grouped by tag."""
    tags = document["tags"]
    links = "".join(f'<a href="#{escape(tag["name"])}">{escape(tag["name"])}</a> ' for tag in tags)
    parts = "".join(_tag(document, tag) for tag in tags)
    title = escape(document["info"]["title"])
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style><h1>{title}</h1>'
        f"<pre>{escape(document['info']['description'])}</pre>"
        f'<p>The same for programs: <a href="openapi.json">openapi.json</a></p><nav>{links}</nav>{parts}</html>'
    )


def _tag(document: Document, tag: Document) -> str:
    name = tag["name"]
    operations = "".join(
        _operation(document, method, path, operation)
        for path, item in document["paths"].items()
        for method, operation in item.items()
        if name in operation["tags"]
    )
    return f'<h2 id="{escape(name)}">{escape(name)}</h2><p>{escape(tag["description"])}</p>{operations}'


def _operation(document: Document, method: str, path: str, operation: Document) -> str:
    rows = "".join(
        f"<tr><td><code>{escape(each['name'])}</code><td>{each['in']}{', required' if each.get('required') else ''}"
        f"<td>{escape(each.get('description', ''))}"
        for each in operation["parameters"]
    )
    roles = ", ".join(f"{role} ({how})" for role, how in operation["x-permissions"].get("roles", {}).items())
    answers = ", ".join(sorted(operation["responses"]))
    examples = "".join(f"<pre>{escape(example)}</pre>" for example in _examples(document, operation))
    sentence = escape(operation["description"])
    return (
        f"<details><summary><b>{method.upper()}</b><code>{escape(path)}</code> {sentence}</summary>"
        f"<p>Who: {escape(roles or 'anyone')}. Answers: {answers}.</p><table>{rows}</table>{examples}</details>"
    )


def _examples(document: Document, operation: Document) -> Iterator[str]:
    for content in operation.get("requestBody", {}).get("content", {}).values():
        schema = content["schema"]
        if "$ref" in schema:
            schema = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        for example in schema.get("examples", []):
            yield json.dumps(example, indent=2, ensure_ascii=False)
