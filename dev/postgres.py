"""PostgreSQL on one machine without installing it: a private server that lives and dies with its starter.

<data folder>/           0700 (0711 for root, whose server runs as another account)
secrets.json         0600, the roles' passwords, made at the first start
postgres/            0700, the data
run/                 0700, the Unix socket; there is no network port
postgres.log         what the server says; no parameter, no statement, no detail of a row
postgres.lock        held while a process runs the server
"""

import ctypes
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from dev.cluster import DATABASE, SUPERUSER, Cluster
from dev.ground import (
    AlreadyRunningError,
    EmbeddedPostgresError,
    Lock,
    Runner,
    explained,
    find_binaries,
    full,
    make_home,
    private_folder,
    socket_folder,
)
from dev.roles import LOGINS

__all__ = ["AlreadyRunningError", "EmbeddedPostgres", "EmbeddedPostgresError"]

START_SECONDS = 60
"""How long a start may take: crash recovery of a small clinic needs a few of them."""
STOP_SECONDS = 30
LOG_BYTES = 5_000_000
"""Past this size the log of the run before is put aside (one generation)."""
PDEATHSIG = 1  # linux/prctl.h: PR_SET_PDEATHSIG

SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    "shared_buffers": "128MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_error_verbosity": "terse",
}
CARELESS: Mapping[str, str] = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "max_connections": "200",
}
"""For throw-away servers only: quick, and lost with the machine."""


class EmbeddedPostgres:
    """The private server of one data folder.

    Use it as a context manager, or call `start` and `stop`. One process at a time may hold a data folder; what a killed
    one left behind (a server without a master, a stale pid file, a crashed database) is put right at the next start.
    """

    def __init__(self, folder: Path, *, durable: bool = True, binaries: Path | None = None) -> None:
        """folder: the data folder. durable: false if its data may be lost. binaries: other programs than ours."""
        self.folder = folder.absolute()
        self.durable = durable
        self.data = self.folder / "postgres"
        self.log = self.folder / "postgres.log"
        self.sockets = socket_folder(self.folder)
        self._binaries = binaries
        self._lock = Lock(self.folder / "postgres.lock")
        self._process: subprocess.Popen[bytes] | None = None
        self._cluster: Cluster | None = None

    @property
    def cluster(self) -> Cluster:
        """How to reach the running server. Raises EmbeddedPostgresError before `start`."""
        if self._cluster is None:
            raise EmbeddedPostgresError("The server has not been started.")
        return self._cluster

    @property
    def pid(self) -> int:
        """The server's process id. Raises EmbeddedPostgresError before `start`."""
        if self._process is None:
            raise EmbeddedPostgresError("The server has not been started.")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether the server we started is still there."""
        return self._process is not None and self._process.poll() is None

    def url(self, role: str, database: str = DATABASE) -> str:
        """Give the address of a database for one role, for asyncpg."""
        return self.cluster.url(role, database)

    def create_database(self, name: str, template: str | None = None) -> None:
        """Make a database, empty or a copy of another."""
        self.cluster.create_database(name, template)

    def drop_database(self, name: str) -> None:
        """Drop a database, if it is there."""
        self.cluster.drop_database(name)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start the server and wait until it answers; make data, roles and database at the first time.

        Raises AlreadyRunningError when another process holds the folder, EmbeddedPostgresError for everything else.
        """
        runner = Runner.choose(self.data)
        make_home(self.folder, runner)
        self._lock.take()
        try:
            binaries = self._binaries or find_binaries(self.folder, runner)
            passwords = self._passwords()
            private_folder(self.sockets, runner)
            if not (self.data / "PG_VERSION").exists():
                self._initialize(binaries, runner, passwords[SUPERUSER])
            self._end_orphan(runner)
            self._launch(binaries, runner)
            cluster = Cluster(str(self.sockets), passwords)
            try:
                cluster.prepare()
            except psycopg.Error as error:
                raise EmbeddedPostgresError(
                    f"The database in {self.folder} refused its own set-up: {str(error).strip()}\n{self._last_words()}"
                ) from error
            self._cluster = cluster
        except BaseException:
            self.stop()
            raise

    @property
    def holder(self) -> str | None:
        """The process that runs the server of this folder at this moment, if one does."""
        return self._lock.holder()

    def join(self) -> None:
        """Use the server that another process runs in this folder, as long as that one lets it run."""
        self._cluster = Cluster(str(self.sockets), self._passwords())

    def stop(self) -> None:
        """Stop the server: running statements are cut off, everything committed is kept. Does nothing if stopped."""
        process, self._process, self._cluster = self._process, None, None
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGINT)  # "fast": no waiting for clients
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGQUIT)  # "immediate": the next start recovers
                process.wait(STOP_SECONDS)
        self._lock.release()

    # ------------------------------------------------------------------ first start

    def _passwords(self) -> dict[str, str]:
        path = self.folder / "secrets.json"
        with explained(path):
            if path.exists():
                return dict(json.loads(path.read_text()))
            if (self.data / "PG_VERSION").exists():
                raise EmbeddedPostgresError(
                    f"{path} is missing, and without it nobody can sign in to the data beside it. Put it back from a "
                    "backup, or remove the data folder to begin anew."
                )
            made = {role: secrets.token_urlsafe(24) for role in (SUPERUSER, *LOGINS)}
            fresh = path.with_suffix(".new")
            fresh.unlink(missing_ok=True)
            file = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w") as out:
                json.dump(made, out, indent=2)
            fresh.rename(path)
        return made

    def _initialize(self, binaries: Path, runner: Runner, password: str) -> None:
        """Make the data in a folder of another name first: a start cut short leaves nothing that looks like data."""
        fresh, note = self.data.with_suffix(".new"), self.sockets / "password"
        with explained(self.folder):
            shutil.rmtree(fresh, ignore_errors=True)
            private_folder(fresh, runner)
            note.unlink(missing_ok=True)
            file = os.open(note, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(file, "w") as out:
                out.write(password)
            runner.own(note)
        command = [
            str(binaries / "initdb"), f"--pgdata={fresh}", f"--username={SUPERUSER}", f"--pwfile={note}",
            "--auth-local=scram-sha-256", "--auth-host=scram-sha-256", "--data-checksums", "--encoding=UTF8",
            "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions",
            *([] if self.durable else ["--no-sync"]),
        ]  # fmt: skip
        with explained(self.folder), programs(binaries):
            done = subprocess.run(  # noqa: S603 - our own program, no shell
                command, check=False, capture_output=True, text=True, cwd="/", env=_ENVIRONMENT, **runner.credentials
            )
        note.unlink(missing_ok=True)
        if done.returncode != 0:
            shutil.rmtree(fresh, ignore_errors=True)
            raise EmbeddedPostgresError(self._diagnosis("initdb could not make the database", done.stderr))
        with explained(self.folder):
            fresh.rename(self.data)

    # ------------------------------------------------------------------ every start

    def _end_orphan(self, runner: Runner) -> None:
        """Stop a server whose starter was killed, and clear away a pid file that names some other process."""
        path = self.data / "postmaster.pid"
        first = _read(path).partition("\n")[0]
        if not first.isdecimal():
            path.unlink(missing_ok=True)  # cut short by a crash or a full disk
            return
        pid = int(first)
        if not _alive(pid) or not self._is_ours(pid):
            # Dead, or its number was given to another process since. We hold the lock, and should a child of the dead
            # one still be at work, PostgreSQL sees that by the shared memory.
            path.unlink(missing_ok=True)
            return
        for how in (signal.SIGINT, signal.SIGQUIT):
            os.kill(pid, how)
            if _wait(lambda: not _alive(pid), STOP_SECONDS):
                return
        raise EmbeddedPostgresError(
            f"A database server of an earlier run (process {pid}, account {runner.name}) does not stop. End it by hand."
        )

    def _is_ours(self, pid: int) -> bool:
        words = Path(f"/proc/{pid}/cmdline")
        if words.exists():
            return str(self.data) in _read(words)
        command = ["/bin/ps", "-o", "args=", "-p", str(pid)]
        listed = subprocess.run(command, check=False, capture_output=True, text=True)  # noqa: S603 - a fixed program
        return str(self.data) in listed.stdout

    def _launch(self, binaries: Path, runner: Runner) -> None:
        settings = {**SETTINGS, **({} if self.durable else CARELESS), "unix_socket_directories": f'"{self.sockets}"'}
        command = [str(binaries / "postgres"), "-D", str(self.data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        deadline = time.monotonic() + START_SECONDS
        while not self._try_launch(command, binaries, runner, deadline):
            if time.monotonic() > deadline or "is still in use" not in self._last_words():
                raise EmbeddedPostgresError(self._diagnosis("The database did not start", self._last_words()))
            time.sleep(0.2)  # the last children of a killed server are still leaving

    def _try_launch(self, command: list[str], binaries: Path, runner: Runner, deadline: float) -> bool:
        with explained(self.log):
            if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
                self.log.replace(self.log.with_suffix(".log.1"))
            out = os.open(self.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            with explained(self.folder), programs(binaries):
                # A session of its own: Ctrl-C reaches us, and we stop the server when everybody else is done.
                process = subprocess.Popen(  # noqa: S603 - our own program, no shell
                    command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, cwd="/", env=_ENVIRONMENT,
                    start_new_session=True, **runner.credentials,
                    preexec_fn=_die_with(os.getpid()),  # noqa: PLW1509 - two libc calls, nothing of Python's is touched
                )  # fmt: skip
        finally:
            os.close(out)
        self._process = process
        note = self.data / "postmaster.pid"

        def ready() -> bool:
            lines = _read(note).splitlines()
            return lines[0:1] == [str(process.pid)] and "".join(lines[7:8]).strip() == "ready"

        _wait(lambda: process.poll() is not None or ready(), deadline - time.monotonic())
        if process.poll() is None and ready():
            return True
        if process.poll() is None:
            process.kill()
        process.wait()
        self._process = None
        return False

    def _last_words(self) -> str:
        return "\n".join(_read(self.log).splitlines()[-8:])

    def _diagnosis(self, what: str, words: str) -> str:
        if "No space left on device" in words:
            return full(self.folder)
        if "incompatible with server" in words:
            return (
                f"The data in {self.data} was made by another version of PostgreSQL. Export it with that version, or "
                f"name another folder in PHYSIO_DATA_DIR.\n{words}"
            )
        return f"{what} in {self.folder}. Its last words:\n{words}"


class programs:  # noqa: N801 - reads as a phrase: with programs(folder)
    """Explain why PostgreSQL's programs do not run. Raises EmbeddedPostgresError."""

    def __init__(self, binaries: Path) -> None:
        """binaries: their folder."""
        self.binaries = binaries

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        if kind is not None and isinstance(error, OSError):
            raise EmbeddedPostgresError(
                f"PostgreSQL's programs in {self.binaries} cannot be run ({error.strerror}). Does the disk forbid "
                "programs (noexec), or is the package made for another system? 'make clean run' installs it anew."
            ) from error


_ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}


def _die_with(parent: int) -> Callable[[], None] | None:
    """Ask the system to stop the server (fast) when its starter dies, however it dies; Linux only.

    Elsewhere the next start ends the orphan.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def ask() -> None:
        prctl(PDEATHSIG, signal.SIGINT)
        if os.getppid() != parent:
            os._exit(1)

    return ask


def _read(path: Path) -> str:
    """Give a file's text, nothing if it is not there (any more)."""
    try:
        return path.read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    # The dead whom nobody buried count as dead: in a container the first process may not bury orphans.
    return _read(Path(f"/proc/{pid}/stat")).rpartition(")")[2].strip()[:1] != "Z"


def _wait(condition: Callable[[], bool], seconds: float) -> bool:
    """Wait until the condition holds, at most so long; tell whether it does."""
    deadline = time.monotonic() + seconds
    pause = 0.005
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(pause)
        pause = min(pause * 1.5, 0.1)
    return True
