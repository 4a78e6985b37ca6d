"""Accounts as the command line makes and closes them."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import as_identity, make_engine, make_sessions
from core.errors import NotFound, Unauthenticated
from models.audit import AuditEvent
from models.clinics import Clinic
from models.identity import AccountStatus, Role, SignIn
from schemas.authentication import SignedIn, SignInRequest
from services import accounts, authentication
from services.passwords import PasswordRefused
from tests.conftest import Database
from tests.factories import NOW, TOKENS

PASSWORD = "a short sentence is good"


async def create(session: AsyncSession, email: str, **changes: Any) -> Clinic:
    values = {"name": "Riverside", "country": "DE", "zone": "Europe/Berlin", "email": email, "password": PASSWORD}
    return await accounts.create_clinic(session, **values | changes, at=NOW)


async def log_in(session: AsyncSession, email: str, password: str = PASSWORD) -> SignedIn:
    form = SignInRequest.model_validate({"email": email, "password": password})
    return await authentication.log_in(session, form, tokens=TOKENS, address="192.0.2.1", at=NOW)


@pytest.fixture
def email() -> str:
    return f"dana.{uuid4().hex[:8]}@riverside.example"


async def test_a_clinic_is_made_with_an_admin_who_can_sign_in(session: AsyncSession, email: str) -> None:
    clinic = await create(session, email.upper())
    signed = await log_in(session, email)
    assert signed.membership.role is Role.CLINIC_ADMIN
    assert signed.membership.clinic_id == clinic.id


async def test_an_address_has_one_account_and_a_password_worth_the_name(session: AsyncSession, email: str) -> None:
    with pytest.raises(PasswordRefused):
        await create(session, email, password="admin")
    await create(session, email)
    with pytest.raises(accounts.AccountExists):
        await create(session, email)


async def test_a_service_token_works_until_the_next_one_is_made(session: AsyncSession, email: str) -> None:
    clinic = await create(session, email)

    async def token(*scopes: str) -> str:
        return await accounts.create_service_token(session, clinic.id, "scheduler", [*scopes], tokens=TOKENS, at=NOW)

    first = await token("check-ins.dispatch")
    actor = await authentication.caller(session, first, tokens=TOKENS, at=NOW + authentication.SERVICE_LIFE / 2)
    assert (actor.role, actor.scopes) == (Role.SERVICE, frozenset({"check-ins.dispatch"}))
    second = await token("*")
    with pytest.raises(Unauthenticated):
        await authentication.caller(session, first, tokens=TOKENS, at=NOW)
    assert (await authentication.caller(session, second, tokens=TOKENS, at=NOW)).scopes == {"*"}
    with pytest.raises(Unauthenticated):
        await authentication.caller(session, second, tokens=TOKENS, at=NOW + authentication.SERVICE_LIFE)


async def test_a_service_belongs_to_a_clinic_that_exists(session: AsyncSession) -> None:
    with pytest.raises(accounts.ClinicUnknown):
        await accounts.create_service_token(session, uuid4(), "scheduler", [], tokens=TOKENS, at=NOW)
    with pytest.raises(accounts.ServiceNameRefused):
        await accounts.create_service_token(session, uuid4(), "The Scheduler", [], tokens=TOKENS, at=NOW)


async def test_a_closed_account_is_out_at_once_until_it_is_opened_again(session: AsyncSession, email: str) -> None:
    await create(session, email)
    signed = await log_in(session, email)
    await accounts.disable(session, email, at=NOW)
    with pytest.raises(Unauthenticated):
        await authentication.caller(session, signed.access_token, tokens=TOKENS, at=NOW)
    with pytest.raises(authentication.WrongCredentials):
        await log_in(session, email)
    await accounts.enable(session, email, at=NOW)
    with pytest.raises(Unauthenticated):
        await authentication.caller(session, signed.access_token, tokens=TOKENS, at=NOW)
    with pytest.raises(authentication.SignInEnded):
        await authentication.refresh(session, signed.refresh_token, tokens=TOKENS, at=NOW)
    assert (await log_in(session, email)).account.email == email


async def test_a_new_password_ends_what_was_signed_in_with_the_old_one(session: AsyncSession, email: str) -> None:
    await create(session, email)
    signed = await log_in(session, email)
    await accounts.set_password(session, email, "another short sentence", at=NOW)
    with pytest.raises(Unauthenticated):
        await authentication.caller(session, signed.access_token, tokens=TOKENS, at=NOW)
    with pytest.raises(authentication.WrongCredentials):
        await log_in(session, email)
    assert (await log_in(session, email, "another short sentence")).account.email == email


async def test_what_is_done_to_an_account_is_on_record_in_its_clinics(session: AsyncSession, email: str) -> None:
    clinic = await create(session, email)
    await accounts.disable(session, email, at=NOW)
    await accounts.enable(session, email, at=NOW)
    await accounts.set_password(session, email, "another short sentence", at=NOW)
    events = (await session.scalars(select(AuditEvent).where(AuditEvent.clinic_id == clinic.id))).all()
    assert [(each.action, each.role, each.account_id) for each in events] == [
        ("account.disable", "operator", None),
        ("account.enable", "operator", None),
        ("account.set_password", "operator", None),
    ]


async def test_accounts_are_listed_with_what_they_are_where(session: AsyncSession, email: str) -> None:
    clinic = await create(session, email)
    await accounts.disable(session, email, at=NOW)
    alone = await accounts.create_account(session, email=f"zoe.{email}", password=PASSWORD)
    (entry,) = await accounts.browse(session, clinic_id=clinic.id)
    expected = accounts.Entry(email, AccountStatus.DISABLED, Role.CLINIC_ADMIN, clinic.id, None)
    assert entry == expected
    everybody = await accounts.browse(session)
    assert entry in everybody
    assert accounts.Entry(alone.email, AccountStatus.ACTIVE, None, None, None) in everybody


async def test_sign_ins_that_ended_long_ago_are_removed_and_no_others(session: AsyncSession, email: str) -> None:
    await create(session, email)
    ended = await log_in(session, email)
    await accounts.set_password(session, email, PASSWORD, at=NOW)
    idle = await log_in(session, email)
    async with as_identity(session):
        await session.execute(delete(SignIn).where(SignIn.account_id != ended.account.id))
    kept = authentication.ENDED_KEPT
    assert await authentication.purge(session, at=NOW + kept) == 0
    assert await authentication.purge(session, at=NOW + kept + timedelta(seconds=1)) == 1, "revoked at NOW"
    async with as_identity(session):
        (left,) = await session.scalars(select(SignIn).where(SignIn.account_id == idle.account.id))
    assert await authentication.purge(session, at=left.idle_expires_at + kept) == 0
    assert await authentication.purge(session, at=left.idle_expires_at + kept + timedelta(seconds=1)) == 1


async def test_the_worker_may_remove_old_sign_ins(database: Database) -> None:
    engine = make_engine(database.worker)
    async with make_sessions(engine)() as session:
        assert await authentication.purge(session, at=NOW - timedelta(days=3650)) == 0
        await session.rollback()
    await engine.dispose()


async def test_nobody_is_not_found(session: AsyncSession, email: str) -> None:
    with pytest.raises(NotFound):
        await accounts.disable(session, email, at=NOW)
    with pytest.raises(NotFound):
        await accounts.enable(session, email, at=NOW)
    with pytest.raises(NotFound):
        await accounts.set_password(session, email, PASSWORD, at=NOW)
