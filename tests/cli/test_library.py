"""`physio library …`: a clinic's exercises out to a file and in again, from the command line."""

from pathlib import Path
from uuid import UUID, uuid4

import asyncpg

from core.database import Sessions
from schemas.exercise_files import CSV_EXAMPLE
from services import library
from tests import nursery
from tests.conftest import Database
from tests.factories import make_clinic
from tests.live import environment


async def test_exercises_go_out_and_in_and_a_mistake_is_told_by_its_line(
    database: Database, sessions: Sessions, tmp_path: Path
) -> None:
    def physio(*words: str) -> tuple[int, str, str]:
        done = nursery.run(*words, env=environment(database, tmp_path))
        return done.returncode, done.stdout, done.stderr

    async with sessions.begin() as session:
        clinic = str((await make_clinic(session)).id)
        await library.sync(session, UUID(clinic))
    table, document = tmp_path / "ours.csv", tmp_path / "all.yaml"

    table.write_text(CSV_EXAMPLE + "Toe Walk,,,,,,,\n", encoding="utf-8")
    status, _, said = physio("library", "import", clinic, str(table))
    assert status == 1
    assert f"{table}:4: /exercises/1/code: " in said
    assert "nothing was written" in said
    table.write_text(CSV_EXAMPLE, encoding="utf-8")
    assert "1 would be added" in physio("library", "import", clinic, str(table), "--dry-run")[2]
    assert "1 added, 0 changed, 0 as they were" in physio("library", "import", clinic, str(table))[2]
    status, text, _ = physio("library", "export", clinic)
    assert (status, text.count("\n- code: ")) == (0, 61)
    document.write_text(text, encoding="utf-8")
    assert "0 added, 0 changed, 61 as they were" in physio("library", "import", clinic, str(document))[2]
    assert "There is no clinic" in physio("library", "export", str(uuid4()), "--csv")[2]

    connection = await asyncpg.connect(database.superuser.replace("+asyncpg", ""))
    query = "SELECT account_id, role FROM audit_events WHERE clinic_id = $1::uuid AND action = 'exercise.create'"
    assert [tuple(row) for row in await connection.fetch(query, clinic)] == [(None, "operator")]
    await connection.close()
