"""Accounts as the command line makes and closes them."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import NotFound, Unauthenticated
from models.clinics import Clinic
from models.identity import Role
from schemas.authentication import SignedIn, SignInRequest
from services import accounts, authentication
from services.passwords import PasswordRefused
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
    await accounts.enable(session, email)
    with pytest.raises(Unauthenticated):
        await authentication.caller(session, signed.access_token, tokens=TOKENS, at=NOW)
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


async def test_nobody_is_not_found(session: AsyncSession, email: str) -> None:
    with pytest.raises(NotFound):
        await accounts.disable(session, email, at=NOW)
    with pytest.raises(NotFound):
        await accounts.enable(session, email)
    with pytest.raises(NotFound):
        await accounts.set_password(session, email, PASSWORD, at=NOW)
