"""Reports over HTTP."""

import io
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from pypdf import PdfReader

from core.database import Sessions
from services import documents
from tests.services.caring import Care, care

WORDS = {
    "assessment_of_progress": "Sits for an hour again.",
    "justification_for_skilled_care": "Load is progressed against symptoms.",
    "plan": "Four more weeks of strength.",
}


def form(**changes: Any) -> dict[str, Any]:
    """A period is given in days from today, whatever day it is when the test runs."""
    days = {"period_from": -27, "period_to": -1} | {name: each for name, each in changes.items() if type(each) is int}
    today = datetime.now(UTC).date()
    return {"kind": "progress"} | changes | {name: str(today + timedelta(days=each)) for name, each in days.items()}


@pytest.fixture
async def world(sessions: Sessions) -> AsyncIterator[Care]:
    yield await care(sessions, now=datetime.now(UTC))
    await documents.close()


class Writer:
    """Requests of the people of a world about reports."""

    def __init__(self, client: httpx.AsyncClient, world: Care) -> None:
        self.client, self.world = client, world

    async def ask(
        self, method: str, path: str, body: Any = None, *, who: str = "bob", version: int | None = None, **headers: str
    ) -> httpx.Response:
        sent = self.world.world.headers[who] | {name.replace("_", "-"): value for name, value in headers.items()}
        if version is not None:
            sent["If-Match"] = f'"{version}"'
        return await self.client.request(method, path, json=body, headers=sent)

    async def create(self, who: str = "bob", **changes: Any) -> httpx.Response:
        return await self.ask("POST", f"/v1/episodes/{self.world.episode_id}/reports", form(**changes), who=who)

    async def signed(self) -> Any:
        path = (await self.create()).headers["location"]
        await self.ask("PATCH", path, WORDS, version=1)
        answer = await self.ask("POST", f"{path}/sign", version=2)
        assert answer.status_code == 200, answer.text
        return answer.json()


@pytest.fixture
def writer(client: httpx.AsyncClient, world: Care) -> Writer:
    return Writer(client, world)


async def test_a_report_goes_from_draft_to_signed(writer: Writer) -> None:
    created = await writer.create()
    assert created.status_code == 201, created.text
    assert created.headers["etag"] == '"1"'
    path = created.headers["location"]
    assert path == f"/v1/reports/{created.json()['id']}"
    changed = await writer.ask("PATCH", path, WORDS, version=1)
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    signed = await writer.ask("POST", f"{path}/sign", version=2)
    assert (signed.status_code, signed.headers["etag"]) == (200, '"3"')
    body = signed.json()
    assert body["status"] == "signed"
    assert body["snapshot"]["signature"]["content_sha256"] == body["content_sha256"]
    read = await writer.ask("GET", path, who="alice")
    assert (read.status_code, read.headers["etag"], read.json()) == (200, '"3"', body)
    assert (await writer.ask("GET", path, If_None_Match='"3"')).status_code == 304


async def test_the_same_key_makes_one_report(writer: Writer) -> None:
    path = f"/v1/episodes/{writer.world.episode_id}/reports"
    first, again = [await writer.ask("POST", path, form(), Idempotency_Key="report-1") for _ in range(2)]
    assert first.json() == again.json()
    assert again.headers["idempotent-replay"] == "true"


async def test_a_report_is_printed_as_the_pdf_that_is_sent(writer: Writer) -> None:
    report = await writer.signed()
    path = f"/v1/reports/{report['id']}"
    answer = await writer.ask("GET", path, Accept="application/pdf")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.headers["etag"] == '"3-a4"'
    assert answer.headers["vary"] == "Accept"
    assert answer.headers["content-disposition"] == f'inline; filename="report-{report["id"]}.pdf"'
    reader = PdfReader(io.BytesIO(answer.content))
    words = " ".join(" ".join(page.extract_text() for page in reader.pages).split())
    for said in ("Alice Moreau", "Riverside Physiotherapy", "Sits for an hour again.", report["content_sha256"][:8]):
        assert said in words
    assert (await writer.ask("GET", path, Accept="application/pdf")).content == answer.content
    letter = await writer.ask("GET", f"{path}?paper=us-letter", who="alice", Accept="application/pdf")
    assert letter.headers["etag"] == '"3-us-letter"'
    assert round(PdfReader(io.BytesIO(letter.content)).pages[0].mediabox.width) == 612
    held = await writer.ask("GET", path, Accept="application/pdf", If_None_Match='"3-a4"')
    assert held.status_code == 304


async def test_patients_find_no_draft_in_any_form(writer: Writer) -> None:
    path = (await writer.create()).headers["location"]
    for accept in ("application/json", "application/pdf"):
        assert (await writer.ask("GET", path, who="alice", Accept=accept)).status_code == 404
    assert (await writer.ask("GET", path, Accept="text/csv")).status_code == 406
    assert (await writer.ask("GET", f"{path}?paper=a3")).status_code == 422


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"period_to": 2}, 422),
        ({"period_from": 0, "period_to": -1}, 422),
        ({"period_from": -400}, 422),
        ({"kind": "letter"}, 422),
        ({"content": "mine"}, 422),
    ],
)
async def test_what_makes_no_report_is_refused(writer: Writer, changes: dict[str, Any], status: int) -> None:
    answer = await writer.create(**changes)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["errors"]


@pytest.mark.parametrize(("who", "status"), [("alice", 403), ("dana", 403), ("carol", 404)])
async def test_who_may_not_write_reports_makes_none(writer: Writer, who: str, status: int) -> None:
    assert (await writer.create(who)).status_code == status


async def test_versions_are_asked_for_and_compared(writer: Writer) -> None:
    path = (await writer.create()).headers["location"]
    for method, where, body in (("PATCH", path, {"plan": "Go on"}), ("POST", f"{path}/sign", None)):
        assert (await writer.ask(method, where, body)).status_code == 428
        stale = await writer.ask(method, where, body, version=7)
        assert (stale.status_code, stale.json()["current_version"]) == (412, 1)


async def test_what_is_missing_or_final_is_409(writer: Writer) -> None:
    path = (await writer.create()).headers["location"]
    missing = await writer.ask("POST", f"{path}/sign", version=1)
    assert (missing.status_code, missing.json()["code"]) == (409, "report_incomplete")
    signed = await writer.signed()
    path = f"/v1/reports/{signed['id']}"
    for answer in (
        await writer.ask("PATCH", path, {"plan": "Else"}, version=3),
        await writer.ask("POST", f"{path}/sign", version=3),
    ):
        assert (answer.status_code, answer.json()["code"]) == (409, "report_signed")


async def test_looks_at_both_forms_are_on_record(writer: Writer) -> None:
    report = await writer.signed()
    await writer.ask("GET", f"/v1/reports/{report['id']}", who="alice")
    await writer.ask("GET", f"/v1/reports/{report['id']}", who="alice", Accept="application/pdf")
    assert [action for action in await writer.world.actions() if action.startswith("report.")] == [
        "report.create",
        "report.update",
        "report.sign",
        "report.read",
        "report.print",
    ]
