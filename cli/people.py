"""What the command line does to accounts and clinics: opens the transaction, reads the clock, calls a service."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
from sqlalchemy.ext.asyncio import AsyncSession

from core import clock
from core.database import bind_clinic, libpq_url, make_engine, make_sessions
from core.settings import Settings
from schemas.exercise_files import ExerciseImport, FileFormat
from services import accounts, authentication, exercises, library, sandbox


@asynccontextmanager
async def _transaction(settings: Settings) -> AsyncIterator[AsyncSession]:
    """Open one transaction as the API's role, on a connection of its own."""
    assert settings.api_database_url is not None
    engine = make_engine(settings.api_database_url.get_secret_value(), pool_size=1)
    try:
        async with make_sessions(engine).begin() as session:
            clock.move(await sandbox.ahead(session))
            yield session
    finally:
        await engine.dispose()


async def create_clinic(settings: Settings, name: str, email: str, password: str, country: str, zone: str) -> UUID:
    """Make a clinic with its first admin and the shipped library; return its id."""
    async with _transaction(settings) as session:
        clinic = await accounts.create_clinic(
            session, name=name, country=country, zone=zone, email=email, password=password, at=clock.now()
        )
        await library.sync(session, clinic.id)
    return clinic.id


async def create_service(settings: Settings, clinic_id: UUID, name: str, scopes: Sequence[str]) -> str:
    """Give a service of a clinic a new access token, good for 90 days; nobody can read it again."""
    tokens = authentication.tokens_of(settings.secret_key.get_secret_value())
    async with _transaction(settings) as session:
        return await accounts.create_service_token(
            session, clinic_id, name, list(scopes), tokens=tokens, at=clock.now()
        )


async def browse(settings: Settings, clinic_id: UUID | None) -> list[accounts.Entry]:
    """List accounts, one entry for each membership."""
    async with _transaction(settings) as session:
        return await accounts.browse(session, clinic_id=clinic_id)


async def disable(settings: Settings, email: str) -> None:
    """Close an account."""
    async with _transaction(settings) as session:
        await accounts.disable(session, email, at=clock.now())


async def enable(settings: Settings, email: str) -> None:
    """Open a closed account again."""
    async with _transaction(settings) as session:
        await accounts.enable(session, email, at=clock.now())


async def set_password(settings: Settings, email: str, password: str) -> None:
    """Give an account another password."""
    async with _transaction(settings) as session:
        await accounts.set_password(session, email, password, at=clock.now())


async def export_exercises(settings: Settings, clinic_id: UUID, kind: FileFormat) -> str:
    """Write a clinic's exercises, and the shipped ones, to a text. Raises ClinicUnknown, TooManyExercises."""
    async with _transaction(settings) as session:
        actor = await accounts.operator(session, clinic_id)
        return await exercises.export(session, actor, kind, scope=None, at=clock.now())


async def import_exercises(
    settings: Settings, clinic_id: UUID, kind: FileFormat, text: str, *, dry_run: bool
) -> ExerciseImport:
    """Add and change a clinic's exercises; with a problem nothing is written, and the problems are given.

    Raises ClinicUnknown.
    """
    async with _transaction(settings) as session:
        actor = await accounts.operator(session, clinic_id)
        done = await exercises.load(session, actor, kind, text, dry_run=True, at=clock.now())
        if dry_run or done.problems:
            return done
        return await exercises.load(session, actor, kind, text, dry_run=False, at=clock.now())


async def sync_library(settings: Settings) -> int:
    """Bring the shipped library into every clinic; return how many exercises and articles were new or changed."""
    assert settings.api_database_url is not None
    assert settings.sweeper_database_url is not None
    sweeper = libpq_url(settings.sweeper_database_url.get_secret_value())
    with psycopg.connect(sweeper, autocommit=True) as connection:
        clinics = [row[0] for row in connection.execute("SELECT id FROM clinics")]
    engine = make_engine(settings.api_database_url.get_secret_value(), pool_size=1)
    changed = 0
    for clinic_id in clinics:
        async with make_sessions(engine).begin() as session:
            await bind_clinic(session, clinic_id)
            changed += await library.sync(session, clinic_id)
    await engine.dispose()
    return changed
