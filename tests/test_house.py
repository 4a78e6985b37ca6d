"""Rules of the house: what is built where, and that the walls between clinics stand in the real catalog."""

import ast
import importlib
import pkgutil
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TypeAlias

import asyncpg
import pytest

import services
from api.errors import STATUS, status_of
from api.routers import ROUTERS
from core.errors import Refusal
from models import Base

Catalog: TypeAlias = "asyncpg.Connection[Any]"

ROOT = Path(__file__).parents[1]
ROOMS = ("api", "services", "schemas", "models", "clinical", "integrations", "jobs", "core", "cli", "dev")
HTTP = {"fastapi", "starlette", "uvicorn"}
LONGEST = 450

SWEEPS_ALL = {"job_runs"}
"""Runs of jobs: the clinic is empty for a sweep over all of them, and no row is about a person."""
TENANT = {
    table.name for table in Base.metadata.sorted_tables if table.schema is None and "clinic_id" in table.columns
} - SWEEPS_ALL
APPEND_ONLY = {
    "adverse_event_changes",
    "alert_events",
    "audit_events",
    "check_in_answers",
    "evaluations_owed",
    "events",
    "exercise_sessions",
    "factor_entries",
    "flare_events",
    "instrument_imports",
    "license_verifications",
    "notification_receipts",
    "outcomes",
    "patient_locations",
    "program_items",
    "program_phases",
    "red_flag_notes",
    "session_items",
}
REMOVABLE = {"check_ins", "evaluations_owed", "idempotency_keys", "phase_readiness", "worklist_views"}
"""Only a check-in that has not opened yet, a kept answer after its time (policies say so), what is mere convenience, and
that something is still to be done."""
DEFINERS = {"identity.caller", "identity.clinic_admins"}
"""Functions that run with their owner's rights: the way from a token to the person, before the clinic is known."""
LOGINS = ("physio_api", "physio_worker")


def sources(*rooms: str) -> Iterator[tuple[Path, ast.Module]]:
    for room in rooms:
        for file in sorted((ROOT / room).rglob("*.py")):
            yield file.relative_to(ROOT), ast.parse(file.read_text(encoding="utf-8"))


def roots(tree: ast.AST) -> set[str]:
    """Give the packages that a module imports."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


def kept() -> list[Path]:
    """Give the files that the repository holds, or would hold with the next commit."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    names = listed.stdout.splitlines() if listed.returncode == 0 else []
    files = [ROOT / name for name in names] or [
        file
        for file in ROOT.rglob("*")
        if not any(part.startswith(".") and part != ".ci" for part in file.relative_to(ROOT).parts)
    ]
    return [file for file in files if file.is_file()]


# ------------------------------------------------------------------ where things stand


def test_no_module_is_longer_than_a_person_reads_at_once() -> None:
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text(encoding="utf-8").splitlines())
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
    }
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST} == {}


def test_the_folder_of_migrations_does_not_shadow_its_library() -> None:
    assert not list((ROOT / "alembic").rglob("__init__.py"))


def test_only_the_front_door_and_the_command_line_speak_http() -> None:
    inner = [room for room in ROOMS if room not in {"api", "cli"}]
    assert {str(file): roots(tree) & HTTP for file, tree in sources(*inner) if roots(tree) & HTTP} == {}
    words = re.compile(r"HTTPException|status_code\b|\bRequest\b.*starlette")
    said = [
        str(file)
        for room in ("services", "schemas", "models", "clinical", "core", "jobs")
        for file in (ROOT / room).rglob("*.py")
        if words.search(file.read_text(encoding="utf-8"))
    ]
    assert said == []


def test_services_neither_commit_nor_read_the_clock() -> None:
    wrong = []
    for file, tree in sources("services", "schemas", "models", "clinical"):
        if "core.clock" in {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}:
            wrong.append(f"{file}: core.clock")
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            owner = node.func.value.id if isinstance(node.func.value, ast.Name) else ""
            called = f"{owner}.{node.func.attr}"
            if node.func.attr in {"commit", "utcnow"} or called in {"datetime.now", "date.today", "time.time"}:
                wrong.append(f"{file}:{node.lineno}: {called}")
    assert wrong == []


def test_an_endpoint_is_one_sentence_and_awaits_at_most_one_service() -> None:
    wrong = []
    for file, tree in sources("api"):
        imported = {
            (name.asname or name.name)
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom) and node.module == "services"
            for name in node.names
        }
        for node in ast.walk(tree):
            if not isinstance(node, ast.AsyncFunctionDef) or not any(map(is_route, node.decorator_list)):
                continue
            sentence = ast.get_docstring(node) or ""
            if asked(node.body, imported) > 1 or "\n" in sentence or not sentence.endswith("."):
                wrong.append(f"{file}:{node.lineno}: {node.name}")
    assert wrong == []


def asked(block: list[ast.stmt], services: set[str]) -> int:
    """Give how many service calls a way through the block awaits, at most; a branch that returns is a way of its own."""
    for place, statement in enumerate(block):
        if isinstance(statement, ast.If) and isinstance(statement.body[-1], ast.Return):
            before = asked(block[:place], services)
            rest = [*statement.orelse, *block[place + 1 :]]
            return before + max(asked(statement.body, services), asked(rest, services))
    return sum(
        isinstance(each, ast.Await)
        and isinstance(each.value, ast.Call)
        and isinstance(each.value.func, ast.Attribute)
        and isinstance(each.value.func.value, ast.Name)
        and each.value.func.value.id in services
        for statement in block
        for each in ast.walk(statement)
    )


def is_route(decorator: ast.expr) -> bool:
    call = decorator.func if isinstance(decorator, ast.Call) else decorator
    return isinstance(call, ast.Attribute) and call.attr in {"get", "put", "post", "patch", "delete"}


def test_every_refusal_says_what_it_is_and_has_a_status() -> None:
    for module in pkgutil.walk_packages(services.__path__, "services."):
        importlib.import_module(module.name)

    def family(kind: type[Refusal]) -> Iterator[type[Refusal]]:
        for leaf in kind.__subclasses__():
            yield leaf
            yield from family(leaf)

    ours = {kind for kind in family(Refusal) if kind.__module__.partition(".")[0] in ROOMS}
    assert len(ours) > 20
    for kind in ours:
        assert status_of(kind) in STATUS.values(), kind
        assert vars(kind).get("__doc__"), f"{kind.__name__} has no title of its own"
        assert kind.title.endswith((".", "?")) or ": " in kind.title, kind.title
    titles: dict[str, set[str]] = {}
    for kind in ours:
        titles.setdefault(kind.code, set()).add(kind.title)
    assert {code: said for code, said in titles.items() if len(said) > 1} == {}, "one code, one meaning"


def test_every_router_stands_in_the_house() -> None:
    defined = {file.stem for file, tree in sources("api") if any(names_router(node) for node in tree.body)}
    included = {route.endpoint.__module__.rpartition(".")[2] for router in ROUTERS for route in router.routes}  # type: ignore[attr-defined]
    assert defined == included


def names_router(node: ast.stmt) -> bool:
    return isinstance(node, ast.Assign) and any(
        isinstance(target, ast.Name) and target.id == "router" for target in node.targets
    )


# ------------------------------------------------------------------ what the repository holds


def test_the_readme_names_the_two_commands() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make run" in text
    assert "make test" in text


def test_nothing_in_the_repository_leans_on_one_machine_or_leaves_an_end_open() -> None:
    # written in parts, or this file would be found
    forbidden = {
        "a folder outside": "../" + "shared",
        "a machine's folder": "/wo" + "rk/",
        "another machine's folder": "/tmp" + "/w/",
        "an open end": r"\b" + "TO" + r"DO\b",
        "a known defect": r"\b" + "FIX" + r"ME\b",
        "a package registry": "index" + "-url",
    }
    found = []
    for file in kept():
        if file.suffix in {".png", ".jpg", ".pdf", ".woff2", ".otf", ".ttf"}:
            continue
        text = file.read_text(encoding="utf-8")
        for what, pattern in forbidden.items():
            literal = pattern if pattern.startswith(r"\b") else re.escape(pattern)
            for match in re.finditer(literal, text):
                line = text[: match.start()].count("\n") + 1
                found.append(f"{file.relative_to(ROOT)}:{line}: {what}")
    assert [each for each in found if not (each.startswith("Makefile") and "registry" in each)] == []


# ------------------------------------------------------------------ the walls, in the real catalog


@pytest.fixture(scope="module")
async def catalog(database: Any) -> Any:
    connection = await asyncpg.connect(database.superuser.replace("+asyncpg", ""))
    yield connection
    await connection.close()


async def test_every_table_of_a_clinic_forces_row_level_security(catalog: Catalog) -> None:
    rows = await catalog.fetch(
        "SELECT relname, relrowsecurity AND relforcerowsecurity AS forced, pg_get_userbyid(relowner) AS owner"
        " FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
    )
    assert {row["relname"] for row in rows if row["forced"]} == TENANT | {"clinics"}
    of_all = {"clinics", "alembic_version", "time_zones", "sandbox_clock"}
    assert {row["relname"] for row in rows} - TENANT == of_all | SWEEPS_ALL
    assert {row["owner"] for row in rows} == {"physio_owner"}


async def test_every_policy_of_a_clinic_checks_what_is_read_and_what_is_written(
    catalog: Catalog,
) -> None:
    rows = await catalog.fetch(
        "SELECT tablename, policyname, permissive, roles::text[] AS roles, cmd, qual, with_check FROM pg_policies"
        " WHERE schemaname = 'public'"
    )
    for table in TENANT | {"clinics"}:
        (wall,) = [row for row in rows if row["tablename"] == table and row["policyname"] == "clinic"]
        column = "id" if table == "clinics" else "clinic_id"
        bound = f"({column} = (NULLIF(current_setting('app.clinic_id'::text, true), ''::text))::uuid)"
        assert (wall["cmd"], wall["qual"], wall["with_check"]) == ("ALL", bound, bound), table
        assert sorted(wall["roles"]) == sorted(LOGINS), table
    others = [row for row in rows if row["policyname"] != "clinic"]
    for row in others:  # a second permissive policy would open the first
        assert row["permissive"] == "RESTRICTIVE" or row["roles"] == ["physio_sweeper"], dict(row)


async def test_no_role_of_the_running_system_can_pass_the_walls(catalog: Catalog) -> None:
    rows = await catalog.fetch(
        "SELECT rolname, rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolcanlogin FROM pg_roles"
        " WHERE rolname LIKE 'physio%'"
    )
    for row in rows:
        assert not any(row[right] for right in ("rolsuper", "rolbypassrls", "rolcreaterole", "rolcreatedb")), row
    assert not {row["rolname"]: row for row in rows}["physio_identity"]["rolcanlogin"]
    members = await catalog.fetch(
        "SELECT m.rolname AS member, g.rolname AS role, a.inherit_option AS inherits FROM pg_auth_members a"
        " JOIN pg_roles m ON m.oid = a.member JOIN pg_roles g ON g.oid = a.roleid WHERE m.rolname LIKE 'physio%'"
    )
    running = {(row["member"], row["role"], row["inherits"]) for row in members if row["member"] != "physio_owner"}
    assert running == {(login, "physio_identity", False) for login in LOGINS}


async def test_every_link_between_rows_of_a_clinic_holds_the_clinic(catalog: Catalog) -> None:
    rows = await catalog.fetch(
        "SELECT c.conname, f.relname AS target, f.relnamespace::regnamespace::text AS target_schema,"
        " (SELECT attname FROM pg_attribute WHERE attrelid = c.conrelid AND attnum = c.conkey[1]) AS own,"
        " (SELECT attname FROM pg_attribute WHERE attrelid = c.confrelid AND attnum = c.confkey[1]) AS other"
        " FROM pg_constraint c JOIN pg_class r ON r.oid = c.conrelid JOIN pg_class f ON f.oid = c.confrelid"
        " WHERE c.contype = 'f' AND r.relnamespace = 'public'::regnamespace"
    )
    assert len(rows) > 50
    for row in rows:
        if row["target"] in TENANT:
            assert (row["own"], row["other"]) == ("clinic_id", "clinic_id"), row["conname"]
        else:
            known = {("public", "clinics"), ("public", "time_zones"), ("identity", "accounts")}
            assert (row["target_schema"], row["target"]) in known, row


async def test_every_unique_or_exclusive_key_begins_with_the_clinic(catalog: Catalog) -> None:
    rows = await catalog.fetch(
        "SELECT i.indexrelid::regclass::text AS name, r.relname AS source, a.attname AS first FROM pg_index i"
        " JOIN pg_class r ON r.oid = i.indrelid"
        " JOIN pg_attribute a ON a.attrelid = i.indexrelid AND a.attnum = 1"
        " WHERE (i.indisunique OR i.indisexclusion) AND r.relname = ANY($1)"
        " AND r.relnamespace = 'public'::regnamespace",
        sorted(TENANT),
    )
    assert {row["source"] for row in rows} == TENANT
    assert [row["name"] for row in rows if row["first"] != "clinic_id"] == []


async def test_what_is_append_only_cannot_be_changed_and_almost_nothing_removed(
    catalog: Catalog,
) -> None:
    for role in LOGINS:
        for table in sorted(TENANT | {"clinics"}):
            allowed = await catalog.fetchrow(
                "SELECT has_any_column_privilege($1, $2, 'UPDATE') AS changes, has_table_privilege($1, $2, 'DELETE')"
                " AS removes, has_table_privilege($1, $2, 'TRUNCATE') AS empties,"
                " has_any_column_privilege($1, $2, 'REFERENCES') AS refers,"
                " has_table_privilege($1, $2, 'TRIGGER') AS fires",
                role,
                table,
            )
            assert allowed is not None
            assert allowed["changes"] == (table not in APPEND_ONLY), (role, table)
            assert allowed["removes"] == (table in REMOVABLE), (role, table)
            assert not any(allowed[right] for right in ("empties", "refers", "fires")), (role, table)


async def test_accounts_are_out_of_reach_without_stepping_into_their_role(catalog: Catalog) -> None:
    for role in (*LOGINS, "physio_sweeper"):
        for table in ("accounts", "memberships", "sign_ins", "throttles"):
            for right in ("SELECT", "INSERT", "UPDATE"):
                assert not await catalog.fetchval(
                    "SELECT has_any_column_privilege($1, $2, $3)", role, f"identity.{table}", right
                ), (role, table, right)


async def test_functions_with_their_owners_rights_are_few_and_look_only_where_told(
    catalog: Catalog,
) -> None:
    rows = await catalog.fetch(
        "SELECT p.pronamespace::regnamespace || '.' || p.proname AS name, p.proconfig AS config,"
        " has_function_privilege('public', p.oid, 'EXECUTE') AS anybody FROM pg_proc p WHERE p.prosecdef"
        " AND p.pronamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)"
    )
    assert {row["name"] for row in rows} == DEFINERS
    for row in rows:
        assert any(setting.startswith("search_path=") for setting in row["config"]), row["name"]
        assert not row["anybody"]


async def test_the_sweeper_never_reads_what_somebody_wrote_or_answered(catalog: Catalog) -> None:
    clinical = {
        "answers",
        "note",
        "content",
        "narrative",
        "snapshot",
        "scores",
        "statement",
        "given_name",
        "birth_date",
    }
    rows = await catalog.fetch(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT a.attisdropped"
        " AND has_column_privilege('physio_sweeper', c.oid, a.attnum, 'SELECT')"
    )
    assert [f"{row['relname']}.{row['attname']}" for row in rows if row["attname"] in clinical] == []


async def test_there_are_no_views_that_would_read_as_their_owner(catalog: Catalog) -> None:
    views = "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('v', 'm')"
    assert await catalog.fetch(views) == []
