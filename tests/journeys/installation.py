"""One installation of real processes whose clock can be moved ahead."""

import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import psycopg

from tests.conftest import Database
from tests.live import working

WORKER_SECONDS = 30
RUNS = """
SELECT count(DISTINCT job) FROM job_runs
WHERE started_at >= %s AND status = 'succeeded' AND job IN ('check-ins.dispatch', 'check-ins.close')
"""


@dataclass(frozen=True)
class Installation:
    """A database, and a folder for the clock, the mail and the logs of the processes over it."""

    database: Database
    folder: Path

    @property
    def clock(self) -> Path:
        return self.folder / "ahead"

    @property
    def now(self) -> datetime:
        """What the processes think the time is."""
        return datetime.now(UTC) + timedelta(seconds=float(self.clock.read_text()))

    def move_to(self, at: datetime) -> None:
        """Let the clock of all processes show `at`."""
        fresh = self.folder / "ahead.new"
        fresh.write_text(str((at - datetime.now(UTC)).total_seconds()))
        fresh.rename(self.clock)

    def let_the_worker_work(self) -> None:
        """Start the real worker, let it do what is due, stop it as an operator would."""
        began = self.now - timedelta(seconds=2)
        with (
            working(self.database, self.folder, clock_file=self.clock) as worker,
            psycopg.connect(self.database.superuser.replace("+asyncpg", ""), autocommit=True) as connection,
        ):
            deadline = time.monotonic() + WORKER_SECONDS
            while connection.execute(RUNS, [began]).fetchone() != (2,):
                assert time.monotonic() < deadline, worker.said
                time.sleep(0.05)

    def code_for(self, address: str) -> str:
        """Let the real worker send what is owed, and read the code of an invitation in the mail to this address."""
        with working(self.database, self.folder, clock_file=self.clock) as worker:
            deadline = time.monotonic() + WORKER_SECONDS
            while not (codes := self._codes_for(address)):
                assert time.monotonic() < deadline, worker.said
                time.sleep(0.05)
        (code,) = codes
        return code

    def _codes_for(self, address: str) -> list[str]:
        letters = [
            message_from_bytes(file.read_bytes(), policy=policy.default)
            for file in (self.folder / "mail").glob("*.eml")
        ]
        texts = [str(each.get_content()) for each in letters if each["To"] == address]
        return [code for text in texts for code in re.findall(r"physio_in_\S+", text)]
