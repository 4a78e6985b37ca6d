"""`physio up`, which is `make run`: everything starts, everything stops, nothing is left."""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cli import running
from tests.cli.test_commands import ROOT, physio


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    folder = Path(tempfile.gettempdir()) / f"physio-up-{os.getpid()}"
    yield folder
    shutil.rmtree(folder)


def start(home: Path, port: int) -> subprocess.Popen[bytes]:
    """Start everything but the demo clinic, and wait for the first ready answer."""
    keep = {key: value for key, value in os.environ.items() if not key.startswith("PHYSIO_")}
    settings = {"PHYSIO_DATA_DIR": str(home), "PHYSIO_PORT": str(port)}
    process = subprocess.Popen(
        [sys.executable, "-m", "cli", "up", "--no-demo"],
        cwd=ROOT, env=keep | settings, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 90
    while time.monotonic() < deadline:
        assert process.poll() is None, "it ended before it answered"
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1):
                return process
        except (urllib.error.URLError, TimeoutError, ConnectionError):
            time.sleep(0.05)
    process.kill()
    process.wait()
    raise AssertionError("it did not answer")


def household(home: Path) -> list[str]:
    """Every process that knows this data folder, by its arguments or its environment."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            known = (process / "cmdline").read_bytes() + (process / "environ").read_bytes()
        except OSError:  # gone meanwhile, or not ours to look at
            continue
        if os.fsencode(home) in known and process.name != str(os.getpid()):
            found.append(process.name)
    return found


def emptied(home: Path, seconds: float = 20) -> bool:
    deadline = time.monotonic() + seconds
    while household(home):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def stopped(process: "subprocess.Popen[bytes]", home: Path, how: signal.Signals) -> bool:
    """Whether one signal stops all of it."""
    process.send_signal(how)
    status = process.wait(30)
    return status == 0 and emptied(home, 0) and not (home / "postgres" / "postmaster.pid").exists()


def test_a_killed_parent_leaves_nothing_running(home: Path) -> None:
    process = start(home, free_port())
    process.kill()
    process.wait()
    assert emptied(home, 40)


def test_when_the_database_dies_the_rest_does_not_pretend(home: Path) -> None:
    process = start(home, free_port())
    os.kill(int((home / "postgres" / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)
    assert process.wait(30) == 1
    assert emptied(home)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_stops_all_of_it(how: signal.Signals) -> None:
    with running._signals() as asked:
        assert asked.made is False
        signal.raise_signal(how)
        assert asked.made is True


def test_a_second_one_is_told_what_is_taken_and_ctrl_c_stops_the_first(home: Path) -> None:
    port = free_port()
    process = start(home, port)
    try:
        same_port = physio("up", "--no-demo", home=home, port=str(port))
        other = physio("up", "--no-demo", home=home.with_name(f"{home.name}-other"), port=str(port))
        same_data = physio("up", "--no-demo", home=home, port=str(free_port()))
        guest = physio("users", "create-clinic", "Sunrise", "--email", "dana@example.org",
                       "--password", "correct-horse-9 of mine", home=home)  # fmt: skip
    finally:
        in_order = stopped(process, home, signal.SIGINT)
    assert in_order
    assert (same_port.returncode, same_data.returncode) == (1, 1)
    assert guest.returncode == 0, guest.stderr  # a clinic can be opened while everything runs
    said = same_port.stderr
    assert f"Physio runs here already: process {process.pid} has the database in {home}" in said
    assert f"http://127.0.0.1:{port}/docs" in said
    assert "PHYSIO_DATA_DIR=.physio-2 PHYSIO_PORT=8001 make run" in said
    assert f"cannot listen on 127.0.0.1:{port} (another Physio, with a data folder of its own" in other.stderr
    assert f"Process {process.pid} already runs the database in {home}" in same_data.stderr


@pytest.mark.parametrize("greeting", [b"", b"220 mail.example ESMTP\r\n"])
def test_a_port_that_something_else_has_is_named(tmp_path: Path, greeting: bytes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]

        def greet() -> None:
            with contextlib.suppress(OSError):
                connection, _ = listening.accept()
                connection.sendall(greeting)
                connection.close()

        answering = threading.Thread(target=greet)
        answering.start()
        refused = physio("up", "--no-demo", home=tmp_path / "home", port=str(port))
        answering.join()
    assert refused.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port} (Address already in use)" in refused.stderr
    assert "PHYSIO_PORT=8001 make run" in refused.stderr
    assert not (tmp_path / "home").exists()


def test_make_says_whose_folder_it_is() -> None:
    """As somebody who may not write there; root becomes `nobody` for that."""
    clone = Path(tempfile.gettempdir()) / f"physio-clone-{os.getpid()}"
    clone.mkdir(mode=0o755)
    for name in ("Makefile", "requirements.txt"):
        shutil.copy(ROOT / name, clone)
    clone.chmod(0o555)
    nobody: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}
    made = subprocess.run(["make", "run"], cwd=clone, check=False, capture_output=True, text=True, **nobody)
    clone.chmod(0o755)
    shutil.rmtree(clone)
    assert made.returncode == 2
    assert re.search(rf"Physio: \w+ may not use {clone} as it is: it belongs to \w+\. Work as that user", made.stderr)
    assert "Error:" not in made.stderr.replace("Error 1", "")
