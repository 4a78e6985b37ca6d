"""The drawing process: a child that draws, that may die, and that never outlives its parent."""

import asyncio
import io
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from core.errors import Unavailable
from dev.pictures import sample_progress, sample_report
from schemas.progress import ChartName
from services import charts, documents
from services.documents import drawing, typesetting, worker

ROOT = Path(__file__).resolve().parents[2]
SPEC = charts.spec(ChartName.PAIN, sample_progress())


@pytest.fixture(autouse=True, scope="module")
async def _closed() -> AsyncIterator[None]:
    yield
    await documents.close()


@pytest.fixture
async def alone() -> AsyncIterator[None]:
    """No child of the test before, and none is left to the next."""
    await documents.close()
    yield
    await documents.close()


def child() -> asyncio.subprocess.Process:
    made = drawing._of_this_loop().child
    assert made is not None
    return made


def ended(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except FileNotFoundError:
        return True


async def gone(pid: int) -> bool:
    for _ in range(100):
        if ended(pid):
            return True
        await asyncio.sleep(0.05)
    return False


def pretend(monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    """Let the child be a process that runs `code`."""
    monkeypatch.setattr(drawing, "COMMAND", (sys.executable, "-c", code))


async def test_pictures_and_documents_come_from_one_child() -> None:
    svg, png, first, second = await asyncio.gather(
        documents.chart(SPEC, "svg"),
        documents.chart(SPEC, "png"),
        documents.progress_report(sample_report(), paper="a4"),
        documents.progress_report(sample_report(), paper="a4"),
    )
    assert svg.startswith(b"<svg")
    assert png.startswith(b"\x89PNG")
    assert first.startswith(b"%PDF")
    assert first == second
    assert child().pid != os.getpid()


def test_the_api_itself_never_loads_the_drawing_libraries() -> None:
    code = "import api.app, sys; print([name for name in ('vl_convert', 'typst') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


async def test_a_killed_child_is_replaced_without_anybody_noticing() -> None:
    await documents.chart(SPEC, "svg")
    first = child()
    first.kill()
    await first.wait()
    assert (await documents.chart(SPEC, "svg")).startswith(b"<svg")
    assert child().pid != first.pid


@pytest.mark.usefixtures("alone")
async def test_a_child_that_dies_every_time_is_unavailable_and_the_next_one_works(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as broken:
        pretend(broken, "raise SystemExit(1)")
        with pytest.raises(Unavailable):
            await documents.chart(SPEC, "svg")
    assert (await documents.chart(SPEC, "svg")).startswith(b"<svg")


async def test_a_request_that_breaks_the_child_is_refused_and_leaves_a_new_one() -> None:
    with pytest.raises(Unavailable):
        await documents.chart({"mark": 7}, "svg")
    assert (await documents.chart(SPEC, "svg")).startswith(b"<svg")


@pytest.mark.usefixtures("alone")
async def test_a_drawing_that_takes_too_long_is_unavailable_and_its_child_killed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    pretend(monkeypatch, "import time; time.sleep(60)")
    monkeypatch.setattr(drawing, "TIMEOUT_SECONDS", 2.0)
    asked = asyncio.create_task(documents.chart(SPEC, "svg"))
    for _ in range(150):  # a busy machine takes its time to start one
        if drawing._of_this_loop().child is None:
            await asyncio.sleep(0.01)
    pid = child().pid
    with pytest.raises(Unavailable) as refusal:
        await asked
    assert refusal.value.retry_after == drawing.RETRY_AFTER
    assert await gone(pid)


async def test_somebody_who_leaves_gets_nobody_else_his_drawing() -> None:
    leaving = asyncio.create_task(documents.chart(SPEC, "png"))
    await asyncio.sleep(0.05)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    assert (await documents.chart(SPEC, "svg")).startswith(b"<svg")


async def test_when_too_many_wait_the_next_one_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "QUEUE", 1)
    first = asyncio.create_task(documents.chart(SPEC, "svg"))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await documents.chart(SPEC, "svg")
    assert (await first).startswith(b"<svg")


async def test_an_idle_child_gives_its_memory_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "IDLE_SECONDS", 0.1)
    await documents.chart(SPEC, "svg")
    first = child()
    assert await asyncio.wait_for(first.wait(), 10) == 0
    assert (await documents.chart(SPEC, "svg")).startswith(b"<svg")
    assert child().pid != first.pid


async def test_a_child_that_has_drawn_enough_is_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drawing, "DRAWINGS", 1)
    await documents.chart(SPEC, "svg")
    assert drawing._of_this_loop().child is None


@pytest.mark.usefixtures("alone")
async def test_a_document_that_cannot_be_set_is_said_to_be_so(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = "import sys; sys.stdout.buffer.write((1).to_bytes(4, 'big') + b'\\x01'); sys.stdout.flush(); input()"
    pretend(monkeypatch, answer)
    with pytest.raises(documents.UnprintableDocumentError):
        await documents.progress_report(sample_report(), paper="a4")


async def test_closing_ends_the_child_and_closing_again_is_nothing() -> None:
    await documents.chart(SPEC, "svg")
    pid = child().pid
    await documents.close()
    assert await gone(pid)
    await documents.close()


async def test_the_child_ends_with_a_parent_that_is_killed() -> None:
    code = """
import asyncio, os
from services import documents
from services.documents import drawing, typesetting, worker
async def main():
    await documents.chart({"data": {"values": [{"a": 1}]}, "mark": "bar", "encoding": {"x": {"field": "a"}}}, "svg")
    print(drawing._of_this_loop().child.pid, flush=True)
    os.kill(os.getpid(), 9)
asyncio.run(main())
"""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", code, cwd=ROOT, stdout=subprocess.PIPE)
    said, _ = await parent.communicate()
    assert parent.returncode == -9
    assert await gone(int(said))


def test_what_a_library_prints_does_not_get_between_the_drawings(tmp_path: Path) -> None:
    def framed(request: dict[str, Any]) -> bytes:
        body = orjson.dumps(request)
        return len(body).to_bytes(4, "big") + body

    requests = framed({"draw": "svg", "spec": SPEC}) + framed({"draw": "png", "spec": SPEC})
    code = "import os; from services.documents import worker; worker.main(); os.write(1, b'printed')"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, input=requests, capture_output=True, check=True)
    length = int.from_bytes(done.stdout[:4], "big")
    assert done.stdout[4:9] == b"\x00<svg"
    rest = done.stdout[4 + length :]
    assert rest[4:9] == b"\x00\x89PNG"
    assert len(rest) == 4 + int.from_bytes(rest[:4], "big")
    assert done.stderr == b"printed"


def test_the_child_draws_what_is_asked_for_until_its_input_ends(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    report = {"draw": "report", "paper": "us-letter", "snapshot": sample_report().model_dump(mode="json")}
    drawings = io.BytesIO()
    body = orjson.dumps(report)
    worker.serve(io.BytesIO(len(body).to_bytes(4, "big") + body + b"\x00"), drawings)
    assert drawings.getvalue()[4:9] == b"\x00%PDF"
    assert worker.draw({"draw": "svg", "spec": SPEC}).startswith(b"\x00<svg")
    assert worker.draw({"draw": "png", "spec": SPEC}).startswith(b"\x00\x89PNG")
    (tmp_path / "broken.typ").write_text("#panic()", encoding="utf-8")
    monkeypatch.setattr(typesetting, "TEMPLATE", tmp_path / "broken.typ")
    assert worker.draw(report) == b"\x01"
