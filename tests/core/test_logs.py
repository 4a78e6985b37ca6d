"""Logs are JSON lines of ids and numbers; a person's words do not get out."""

import asyncio
import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from core import clock, logs


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Iterator[io.StringIO]:
    root, out, before = logging.getLogger(), io.StringIO(), structlog.get_config()
    handlers, level = root.handlers[:], root.level
    monkeypatch.setattr("sys.stderr", out)
    logs.configure("INFO")
    yield out
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.configure(**before)


def lines(written: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


def test_only_listed_fields_are_written(written: io.StringIO) -> None:
    structlog.contextvars.bind_contextvars(request_id="r-1")
    structlog.get_logger("api").info("request", status=200, email="alice@example.org", answers={"pain": 8})
    structlog.contextvars.clear_contextvars()
    (line,) = lines(written)
    assert line.pop("timestamp")
    assert line == {"event": "request", "level": "info", "logger": "api", "request_id": "r-1", "status": 200}


def test_an_exception_is_its_type_and_frames_never_its_message(written: io.StringIO) -> None:
    try:
        int("Alice Moreau has pain 8")
    except ValueError as error:
        structlog.get_logger("api").exception("failed")
        structlog.get_logger("api").error("failed", exc_info=error)
        logging.getLogger("asyncpg").exception("failed")
    assert "Alice" not in written.getvalue()
    for line in lines(written):
        assert line["error"] == "ValueError"
        assert "test_logs.py:" in line["exception"]


def test_the_libraries_write_the_same_way_and_access_lines_stay_silent(written: io.StringIO) -> None:
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.access").info("GET /v1/patients?name=Alice")
    logging.getLogger("sqlalchemy.engine").info("SELECT 1")
    assert [line["event"] for line in lines(written)] == ["started"]


def test_what_asyncio_says_of_a_lost_task_does_not_quote_its_error(written: io.StringIO) -> None:
    loop = asyncio.new_event_loop()
    error = ValueError("Alice Moreau has pain 8")
    loop.call_exception_handler({"message": "Task exception was never retrieved", "exception": error, "note": error})
    loop.close()
    (line,) = lines(written)
    assert (line["event"], line["error"]) == ("Task exception was never retrieved", "ValueError")
    assert "Alice" not in written.getvalue()


def test_the_clock_knows_its_zone() -> None:
    assert clock.now().utcoffset() is not None
