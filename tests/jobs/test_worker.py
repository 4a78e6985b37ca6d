"""The real worker, as a process of its own, over a database of its own."""

import asyncio
import json
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import asyncpg
from aiosmtpd.controller import Controller
from procrastinate import App, PsycopgConnector
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from core.crypto import derive_key
from core.database import make_engine, make_sessions
from integrations.email import FolderSender
from jobs.worker import conninfo, give_back, make_app
from services import jobs
from services.timetable import TIMETABLE
from tests.conftest import Database
from tests.live import free_port
from tests.services.check_ins.scene import scene

RUN = "from core.settings import Settings; from jobs.worker import main; main(Settings(_env_file=None))"


async def _start(database: Database, folder: Path, **settings: str) -> asyncio.subprocess.Process:
    environment = {
        **os.environ,
        "PHYSIO_WORKER_DATABASE_URL": database.worker,
        "PHYSIO_SWEEPER_DATABASE_URL": database.sweeper,
        "PHYSIO_DATA_DIR": str(folder),
        **settings,
    }
    return await asyncio.create_subprocess_exec(
        sys.executable, "-c", RUN, env=environment, cwd=Path.cwd(), stderr=asyncio.subprocess.PIPE
    )


async def test_the_worker_catches_up_at_once_sends_mail_and_stops_within_ten_seconds(
    fresh_database: Database, tmp_path: Path
) -> None:
    engine = make_engine(fresh_database.api)
    stage = await scene(make_sessions(engine))
    await stage.plan()  # of March 2026: days of mornings to make up for
    worker = await _start(fresh_database, tmp_path)
    owner = await asyncpg.connect(fresh_database.superuser.replace("+asyncpg", ""))
    wanted = {"check-ins.dispatch", "check-ins.close", "alerts.escalate", "notifications.deliver", "flares.review"}
    deadline = time.monotonic() + 40
    done: set[str] = set()
    while not wanted <= done and time.monotonic() < deadline:
        await asyncio.sleep(0.2)
        rows = await owner.fetch("SELECT job FROM job_runs WHERE status = 'succeeded'")
        done = {row["job"] for row in rows}
    assert wanted <= done
    assert await owner.fetchval("SELECT count(*) FROM check_ins") > 20
    stopping = time.monotonic()
    worker.send_signal(signal.SIGTERM)
    _, errors = await asyncio.wait_for(worker.communicate(), 15)
    assert worker.returncode == 0, errors.decode()
    assert time.monotonic() - stopping < 10
    assert b"Alice" not in errors
    assert await owner.fetchval("SELECT count(*) FROM procrastinate.procrastinate_jobs WHERE status = 'doing'") == 0
    await owner.close()
    await engine.dispose()


async def test_a_worker_that_is_told_to_stop_while_it_starts_stops(fresh_database: Database, tmp_path: Path) -> None:
    """Its database takes the call and says nothing, as behind a firewall; it must not be waited for."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        silent.setblocking(False)
        url = f"postgresql+asyncpg://physio_worker:nothing@127.0.0.1:{silent.getsockname()[1]}/physio"
        worker = await _start(fresh_database, tmp_path, PHYSIO_WORKER_DATABASE_URL=url)
        call, _ = await asyncio.wait_for(asyncio.get_running_loop().sock_accept(silent), 40)
        with call:
            worker.send_signal(signal.SIGINT)
            _, errors = await asyncio.wait_for(worker.communicate(), 15)
    assert worker.returncode == 0, errors.decode()


async def test_what_several_dead_workers_left_is_given_back_once(fresh_database: Database) -> None:
    app = App(connector=PsycopgConnector(conninfo=conninfo(fresh_database.worker), min_size=1, max_size=1))
    owner = await asyncpg.connect(fresh_database.superuser.replace("+asyncpg", ""))
    async with app.open_async():
        for job in ("check-ins.close", "check-ins.close", "check-ins.dispatch"):
            await app.configure_task(job, queueing_lock=job).defer_async(timestamp=0)
            await owner.execute("UPDATE procrastinate.procrastinate_jobs SET status = 'doing'")
        await app.configure_task("check-ins.dispatch", queueing_lock="check-ins.dispatch").defer_async(timestamp=0)
        await give_back(app.job_manager)
    rows = await owner.fetch("SELECT task_name, status::text FROM procrastinate.procrastinate_jobs ORDER BY task_name")
    assert [tuple(row) for row in rows] == [("check-ins.close", "todo"), ("check-ins.dispatch", "todo")]
    await owner.close()


def test_the_queue_is_reached_by_socket_or_host() -> None:
    found = conninfo("postgresql+asyncpg://physio_worker:secret@/physio?host=/run/pg&port=5433")
    for part in ("host=/run/pg", "port=5433", "user=physio_worker", "dbname=physio", "search_path=procrastinate"):
        assert part in found
    assert "host=db.example" in conninfo("postgresql+asyncpg://w:s@db.example:5432/physio")


def test_of_each_job_one_waits_and_no_dead_worker_holds_up_the_next() -> None:
    url = "postgresql+asyncpg://physio_worker@/physio"
    sessions = async_sessionmaker[AsyncSession]()
    reach = jobs.Reach(sessions, sessions, FolderSender("a@b.example", Path()), "", key=derive_key("k", "tokens"))
    tasks = make_app(url, reach).tasks
    for entry in TIMETABLE:
        assert (tasks[entry.job].lock, tasks[entry.job].queueing_lock) == (None, entry.job)


class Desk:
    """A mail server that takes every letter at once, and counts."""

    def __init__(self) -> None:
        self.taken = 0
        self.busy = threading.Event()

    async def handle_DATA(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802 - the library's name
        self.taken += 1
        if self.taken == 20:
            self.busy.set()
        return "250 taken"


_OWED = """
INSERT INTO clinics (name, country, zone) VALUES ('Clinic', 'US', 'UTC');
INSERT INTO notifications (clinic_id, address, channel, template, dedupe_key, due_at)
SELECT id, n || '@somebody.example', 'email', 'check_in_reminder', n, now() - interval '1 hour'
FROM clinics, generate_series(1, 5000) n
"""


async def test_a_worker_that_is_told_to_stop_ends_with_the_letter_under_way(
    fresh_database: Database, tmp_path: Path
) -> None:
    owner = await asyncpg.connect(fresh_database.superuser.replace("+asyncpg", ""))
    await owner.execute(_OWED)
    desk, port = Desk(), free_port()
    server = Controller(desk, hostname="127.0.0.1", port=port)
    server.start()
    worker = await _start(fresh_database, tmp_path, PHYSIO_SMTP_URL=f"smtp://127.0.0.1:{port}")
    assert await asyncio.to_thread(desk.busy.wait, 40)
    worker.send_signal(signal.SIGINT)
    taken = desk.taken
    _, errors = await asyncio.wait_for(worker.communicate(), 15)
    server.stop()
    assert worker.returncode == 0, errors.decode()
    assert 20 <= taken <= desk.taken < taken + 20, "a few may go out before the signal is seen"
    runs = await owner.fetch("SELECT status, counts FROM job_runs WHERE job = 'notifications.deliver'")
    assert {run["status"] for run in runs} == {"succeeded"}
    assert sum(json.loads(run["counts"])["sent"] for run in runs) == desk.taken
    assert await owner.fetchval("SELECT count(*) FROM notifications WHERE status = 'sent'") == desk.taken
    await owner.close()
