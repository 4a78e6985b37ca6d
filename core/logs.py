"""Logs as JSON lines with an allow-list of fields: what is not on it does not get out, so health data cannot."""

import functools
import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, TextIO

import orjson
import structlog

FIELDS = frozenset(
    {
        "event",
        "level",
        "logger",
        "timestamp",
        "request_id",
        "method",
        "route",
        "status",
        "code",
        "duration_ms",
        "job",
        "job_id",
        "run_id",
        "counts",
        "attempt",
        "error",
        "exception",
        "host",
        "port",
        "pid",
        "role",
        "clinic_id",
        "sign_in_id",
        "seconds",
        "reason",
        "revision",
        "retry_after",
        "waiting",
        "oldest_seconds",
    }
)
"""Names of ids, codes and numbers. A new one needs a thought: could it ever hold something about a person?"""


def _allowed(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> Mapping[str, Any]:
    return {key: value for key, value in event.items() if key in FIELDS}


def _frames(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write an exception as its type and its frames: its message may quote what somebody typed."""
    error = event.pop("exc_info", None)
    if error is True:
        error = sys.exc_info()[1]
    if isinstance(error, tuple):
        error = error[1]
    if isinstance(error, BaseException):
        event["error"] = type(error).__name__
        frames, step = [], error.__traceback__
        while step is not None:
            frames.append(f"{step.tb_frame.f_code.co_filename.rsplit('/', 2)[-1]}:{step.tb_lineno}")
            step = step.tb_next
        event["exception"] = " ".join(frames[-12:])
    return event


def _headline(_logger: Any, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep the first line of what a library says: asyncio writes the exception of a lost task, words and all, below."""
    event["event"] = str(event["event"]).partition("\n")[0]
    return event


def _json(event: Any, default: Any = None) -> str:
    return orjson.dumps(event, default=default).decode()


class _Lines:
    """Writes finished lines to standard error."""

    def __init__(self, out: TextIO, name: str = "") -> None:
        self.name = name
        self._out = out

    def write(self, line: str) -> None:
        self._out.write(f"{line}\n")
        self._out.flush()

    debug = info = warning = error = critical = write


def configure(level: str = "INFO") -> None:
    """Send every log, ours and the libraries', to standard error as one JSON object a line."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _frames,
    ]
    # Our own lines are written at once: a log record of the standard library would cost more than the line.
    structlog.configure(
        processors=[*shared, _allowed, structlog.processors.JSONRenderer(_json)],
        logger_factory=functools.partial(_Lines, sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(level),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, _headline],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _allowed,
                structlog.processors.JSONRenderer(_json),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for quiet in ("uvicorn.access", "sqlalchemy.engine", "httpx", "httpcore", "procrastinate"):
        logging.getLogger(quiet).setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error"):
        logger = logging.getLogger(name)
        logger.handlers[:] = []
        logger.propagate = True
