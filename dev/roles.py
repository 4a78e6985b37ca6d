"""The roles and rights every database of ours starts with, as SQL that may run again and again.

    physio_owner     owns the tables, runs the migrations
    physio_api       answers requests; owns nothing, cannot pass row-level security by
    physio_worker    runs the jobs of one clinic at a time
    physio_sweeper   runs set-based sweeps over all clinics, by policies of its own
    physio_identity  cannot sign in; reaches accounts, for those who SET LOCAL ROLE

An administrator runs `role_statements` once per server and `database_statements` once inside each database.
"""

import base64
import hashlib
import hmac
import secrets
from collections.abc import Mapping

OWNER = "physio_owner"
API = "physio_api"
WORKER = "physio_worker"
SWEEPER = "physio_sweeper"
IDENTITY = "physio_identity"
LOGINS = (OWNER, API, WORKER, SWEEPER)
EXTENSIONS = ("btree_gist", "citext", "pg_trgm")

LIMITS: Mapping[str, Mapping[str, str]] = {
    API: {
        "statement_timeout": "5s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "10s",
        "transaction_timeout": "15s",
    },
    WORKER: {
        "statement_timeout": "60s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "60s",
        "transaction_timeout": "60s",
    },
    SWEEPER: {
        "statement_timeout": "60s",
        "lock_timeout": "2s",
        "idle_in_transaction_session_timeout": "60s",
        "transaction_timeout": "60s",
    },
}
"""How long each role may work, wait and dawdle."""

_ITERATIONS = 4096  # PostgreSQL's own default (scram_iterations)


def scram(password: str) -> str:
    """Give the verifier PostgreSQL stores for a password (RFC 5803): no statement carries the password itself."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client = hmac.digest(salted, b"Client Key", "sha256")
    server = hmac.digest(salted, b"Server Key", "sha256")
    stored = hashlib.sha256(client).digest()
    salt_text, stored_text, server_text = (base64.b64encode(part).decode() for part in (salt, stored, server))
    return f"SCRAM-SHA-256${_ITERATIONS}:{salt_text}${stored_text}:{server_text}"


def role_statements(passwords: Mapping[str, str]) -> list[str]:
    """Give the statements that make all roles, with these passwords (role name to ASCII password), on one server.

    Roles whose password is not given keep the one they have.
    """
    statements = [_create(role, "LOGIN") for role in LOGINS] + [_create(IDENTITY, "NOLOGIN")]
    statements += [f"ALTER ROLE {role} PASSWORD '{scram(passwords[role])}'" for role in LOGINS if role in passwords]
    for role, limits in LIMITS.items():
        statements += [f"ALTER ROLE {role} SET {name} = '{value}'" for name, value in limits.items()]
    statements += [
        f"GRANT {IDENTITY} TO {API}, {WORKER} WITH INHERIT FALSE, SET TRUE",
        f"GRANT {IDENTITY} TO {OWNER}",
    ]
    return statements


def _create(role: str, login: str) -> str:
    return f"""
        DO $$ BEGIN
            IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') THEN
                CREATE ROLE {role} {login} NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION;
            END IF;
        END $$"""


def database_statements(database: str) -> list[str]:
    """Give the statements that make a database ours; they run inside it, as an administrator.

    database: its name, a plain identifier.
    """
    users = f"{API}, {WORKER}, {SWEEPER}"
    return [
        *(f"CREATE EXTENSION IF NOT EXISTS {extension}" for extension in EXTENSIONS),
        f"REVOKE ALL ON DATABASE {database} FROM PUBLIC",
        f"GRANT CONNECT, CREATE, TEMPORARY ON DATABASE {database} TO {OWNER}",
        f"GRANT CONNECT ON DATABASE {database} TO {users}",
        "REVOKE ALL ON SCHEMA public FROM PUBLIC",
        f"ALTER SCHEMA public OWNER TO {OWNER}",
        f"GRANT USAGE ON SCHEMA public TO {users}, {IDENTITY}",
    ]
