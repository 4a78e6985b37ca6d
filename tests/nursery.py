"""The command line in processes of its own that need not load Python's libraries anew: that costs over a second each.

One parent has loaded them and forks a child for every command. The child has a session, an environment, standard streams
and an exit status of its own, as one started from a shell has. That a cold start works too is shown by
`tests/cli/test_up.py`, the operator's way in `tests/cli/test_commands.py` and the journeys.

Coverage is measured in a child, too, unless its environment lacks what SlipCover puts there.
"""

import atexit
import gc
import json
import os
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import slipcover

from cli.running import _end_with_parent
from tests.marks import FOLDER, SEEN

ROOT = Path(__file__).parents[1]
LIBRARIES = ("cli.__main__", "cli.serving", "cli.people", "cli.migrations", "jobs.worker")
ORDER_BYTES = 200_000
NUMBER = struct.Struct("q")
PLAIN = {"NO_COLOR": "1", "COLUMNS": "200"}
"""What Rich wants to know when it is loaded."""


class Child:
    """A running command; used as a `subprocess.Popen` is."""

    def __init__(self, words: Sequence[str], env: Mapping[str, str], typed: int, out: int, err: int) -> None:
        """typed, out, err: the file descriptors that it reads from and writes to."""
        self.words = tuple(words)
        self.returncode: int | None = None
        self._report, told = os.pipe()
        order = json.dumps({"words": self.words, "env": dict(env)}).encode()
        socket.send_fds(_parent(), [order], [typed, out, err, told])
        os.close(told)
        self.pid = _told(self._report)

    def wait(self, timeout: float | None = None) -> int:
        """Give the exit status, as Popen does. Raises subprocess.TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._report], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.words, timeout or 0)
            self.returncode = os.waitstatus_to_exitcode(_told(self._report))
            os.close(self._report)
        return self.returncode

    def poll(self) -> int | None:
        """Give the exit status if it has ended."""
        try:
            return self.wait(0)
        except subprocess.TimeoutExpired:
            return None

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _told(report: int) -> int:
    """Read the next number of a midwife's report."""
    (number,) = NUMBER.unpack(os.read(report, NUMBER.size))
    return int(number)


def run(
    *words: str, env: Mapping[str, str], typed: str = "", timeout: float = 120
) -> "subprocess.CompletedProcess[str]":
    """Run a command to its end, and give its exit status and what it wrote. typed: what it is told."""
    with (
        TemporaryFile("w+", encoding="utf-8") as keys,
        TemporaryFile("w+", encoding="utf-8") as out,
        TemporaryFile("w+", encoding="utf-8") as err,
    ):
        keys.write(typed)
        keys.seek(0)
        child = Child(words, env, keys.fileno(), out.fileno(), err.fileno())
        try:
            status = child.wait(timeout)
        except subprocess.TimeoutExpired:
            child.kill()
            raise
        out.seek(0)
        err.seek(0)
        return subprocess.CompletedProcess(words, status, out.read(), err.read())


@dataclass(frozen=True)
class Nursery:
    """A parent: where it takes orders. It goes when `lifeline` is closed, or whoever holds it ends."""

    address: str
    process: "subprocess.Popen[bytes]"
    lifeline: int

    def close(self) -> None:
        """Let it go."""
        os.close(self.lifeline)
        self.process.wait()
        shutil.rmtree(Path(self.address).parent, ignore_errors=True)


_SHARED: list[str] = []


def share(address: str) -> None:
    """Use the parent that somebody else has started, instead of one of our own: to load the libraries takes seconds."""
    _SHARED.append(address)


def start() -> Nursery:
    """Start a parent. It listens at once, and answers when it has loaded the libraries."""
    address = f"{tempfile.mkdtemp(prefix='physio-nursery-')}/orders"  # a folder that is ours alone: orders are obeyed
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(address)
    listener.listen()
    held, lifeline = os.pipe()
    env = {name: value for name, value in os.environ.items() if not name.startswith("PHYSIO_")}
    with listener:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.nursery", str(listener.fileno()), str(held)],
            cwd=ROOT,
            env=env | PLAIN,
            pass_fds=[listener.fileno(), held],
            stdin=subprocess.DEVNULL,
        )
    os.close(held)
    return Nursery(address, process, lifeline)


@cache
def _parent() -> socket.socket:
    """Give the way to the parent; one of our own is started at the first use, and goes when we go."""
    if _SHARED:
        address = _SHARED[0]
    else:
        own = start()
        atexit.register(own.close)
        address = own.address
    orders = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    orders.connect(address)
    atexit.register(orders.close)
    return orders


# ------------------------------------------------------------------ in the parent


def _serve(listener: socket.socket, lifeline: int) -> None:
    signal.signal(signal.SIGCHLD, _bury)
    measured = _measured()
    for name in LIBRARIES:
        import_module(name)
    if measured is not None:  # SlipCover's own account of it takes longer than most commands, so it is given once
        Path(os.environ[FOLDER], "coverage-gw-nursery.json").write_text(json.dumps(measured.get_coverage()))
    gc.freeze()  # or the first collection in a child would copy all of it
    customers: list[socket.socket] = []
    while True:
        waiting: list[Any] = [listener, lifeline, *customers]
        ready, _, _ = select.select(waiting, [], [])
        if lifeline in ready:
            return
        if listener in ready:
            customers.append(listener.accept()[0])
        for customer in [each for each in customers if each in ready]:
            order, streams, _, _ = socket.recv_fds(customer, ORDER_BYTES, 4)
            if not order:
                customers.remove(customer)
                customer.close()
            elif os.fork() == 0:
                for each in (listener, *customers):
                    each.close()
                os.close(lifeline)
                _be_midwife(json.loads(order), streams, measured)
                return
            for stream in streams:
                os.close(stream)


def _bury(*_: object) -> None:
    """Take leave of the midwives that are done."""
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


def _measured() -> slipcover.Slipcover | None:
    """Have coverage measured in whatever is loaded from now on, if it is measured in this run."""
    if FOLDER not in os.environ:
        return None
    patterns = os.environ["SLIPCOVER_EXCLUDE_LINES"].split("\n")
    measured = slipcover.Slipcover(immediate=True, branch=True, exclude_lines=patterns)
    matcher = slipcover.FileMatcher(sources=os.environ["SLIPCOVER_SOURCE"].split(","))
    slipcover.ImportManager(measured, matcher).__enter__()  # for good: the process is ours
    return measured


def _be_midwife(
    order: Mapping[str, Mapping[str, str]], streams: Sequence[int], measured: slipcover.Slipcover | None
) -> None:
    """Have the child, wait for it, and tell how it ended; only the child returns from here."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    _end_with_parent()  # a test run that is killed leaves nobody behind
    *standard, report = streams
    pid = os.fork()
    if pid:
        os.write(report, NUMBER.pack(pid))
        _, status = os.waitpid(pid, 0)
        os.write(report, NUMBER.pack(status))
        os._exit(0)
    _end_with_parent()
    os.close(report)
    os.setsid()
    for target, stream in enumerate(standard):
        os.dup2(stream, target)
        os.close(stream)
    os.environ.clear()
    os.environ.update(order["env"])
    sys.argv = ["physio", *order["words"]]
    folder = order["env"].get(FOLDER)
    if measured is not None and folder is not None:
        atexit.register(_tell, measured, Path(folder))
    _leave_with(import_module("cli.__main__").main)


def _tell(measured: slipcover.Slipcover, folder: Path) -> None:
    """Leave what was run in a child, beyond what its parent had run, where `tests.marks` looks for it."""
    seen = {file: list(marks) for file, marks in measured._get_newly_seen().items() if marks}
    with (folder / SEEN).open("ab", buffering=0) as told:
        told.write(json.dumps(seen).encode() + b"\n")


def _leave_with(work: Callable[[], None]) -> None:
    """Do the work and end as Python does, but leave its libraries where they lie: taking them down costs half a second."""
    status = 0
    try:
        work()
    except SystemExit as end:
        if isinstance(end.code, str):
            sys.stderr.write(f"{end.code}\n")
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:  # noqa: BLE001 - as Python's own last word
        traceback.print_exc()
        status = 1
    finally:
        threading._shutdown()  # type: ignore[attr-defined]  # what Python does first, too
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
