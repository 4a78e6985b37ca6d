"""Accounts from the command line: a clinic with its first admin, tokens for services, closing and mending accounts."""

import re
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core import crypto
from core.database import as_identity, bind_clinic
from core.errors import Conflict, Invalid, NotFound, Problem
from models.clinics import Clinic
from models.identity import Account, AccountStatus, Membership, Role
from services import audit, authentication, passwords
from services.access import Actor
from services.authentication import Tokens

NOBODY = UUID(int=0)
"""Stands where an account would: the operator has none."""

_NAME = re.compile(r"[a-z0-9-]{1,40}")


class AccountExists(Conflict):
    """There is an account with this e-mail address already."""


class ServiceNameRefused(Invalid):
    """A service is named by lower-case letters, digits and hyphens."""


class ClinicUnknown(NotFound):
    """There is no clinic with this id."""


class AccountUnknown(NotFound):
    """There is no account with this e-mail address."""


@dataclass(frozen=True)
class Entry:
    """One line of the list of accounts: what somebody is in one clinic. No clinic, no role: nowhere a member."""

    email: str
    status: AccountStatus
    role: Role | None
    clinic_id: UUID | None
    ended_at: datetime | None


async def create_clinic(
    session: AsyncSession,
    *,
    name: str,
    country: str,
    zone: str,
    email: str,
    password: str,
    at: datetime,
    clinic_id: UUID | None = None,
) -> Clinic:
    """Make a clinic and the account of its first admin; binds the session to the clinic.

    Raises PasswordRefused, AccountExists.
    """
    account = await create_account(session, email=email, password=password)
    clinic = Clinic(id=clinic_id or crypto.new_id(at), name=name, country=country, zone=zone, email=account.email)
    await bind_clinic(session, clinic.id)
    session.add(clinic)
    async with as_identity(session):
        session.add(Membership(account_id=account.id, clinic_id=clinic.id, role=Role.CLINIC_ADMIN))
    return clinic


async def create_account(session: AsyncSession, *, email: str, password: str) -> Account:
    """Make an account that belongs to no clinic yet. Raises PasswordRefused, AccountExists."""
    email = email.strip().lower()
    password_hash = await crypto.hash_password(passwords.check(password, email))
    making = insert(Account).values(email=email, password_hash=password_hash).on_conflict_do_nothing()
    async with as_identity(session):
        account: Account | None = await session.scalar(making.returning(Account))
    if account is None:
        raise AccountExists
    return account


async def create_service_token(
    session: AsyncSession,
    clinic_id: UUID,
    name: str,
    scopes: list[str],
    *,
    tokens: Tokens,
    at: datetime,
) -> str:
    """Give a new token to the service `name` of a clinic, good for 90 days; its earlier ones end.

    name: lower-case letters, digits and hyphens. scopes: names of the jobs it may run, or `*`. Raises ServiceNameRefused,
    ClinicUnknown.
    """
    if not _NAME.fullmatch(name):
        raise ServiceNameRefused(Problem("/name", "service_name_form", "Use 1 to 40 of a-z, 0-9 and -"))
    await bind_clinic(session, clinic_id)
    if await session.scalar(select(Clinic.id).where(Clinic.id == clinic_id)) is None:
        raise ClinicUnknown
    email = f"{name}.{clinic_id}@service.invalid"
    making = insert(Account).values(email=email)
    async with as_identity(session):
        account = await session.scalar(
            making.on_conflict_do_update(index_elements=["email"], set_={"email": email}).returning(Account)
        )
        assert account is not None
        joining = insert(Membership).values(
            account_id=account.id, clinic_id=clinic_id, role=Role.SERVICE, scopes=scopes
        )
        membership = await session.scalar(
            joining.on_conflict_do_update(
                index_elements=["account_id", "clinic_id", "role"], set_={"scopes": scopes, "ended_at": None}
            ).returning(Membership),
            execution_options={"populate_existing": True},
        )
        assert membership is not None
    await authentication.end_all(session, account.id, "replaced", at=at)
    return await authentication.open_service(session, membership, tokens=tokens, at=at)


async def operator(session: AsyncSession, clinic_id: UUID) -> Actor:
    """Let whoever sits at the command line act as an admin of a clinic; binds the session to it. Raises ClinicUnknown."""
    await bind_clinic(session, clinic_id)
    if await session.scalar(select(Clinic.id).where(Clinic.id == clinic_id)) is None:
        raise ClinicUnknown
    return Actor(account_id=NOBODY, clinic_id=clinic_id, role=Role.CLINIC_ADMIN, operator=True)


async def browse(session: AsyncSession, *, clinic_id: UUID | None = None) -> list[Entry]:
    """List all accounts, or those of one clinic, by e-mail address; one entry for each membership."""
    query = (
        select(Account.email, Account.status, Membership.role, Membership.clinic_id, Membership.ended_at)
        .join(Membership, Membership.account_id == Account.id, isouter=True)
        .order_by(Account.email, Membership.id)
    )
    if clinic_id is not None:
        query = query.where(Membership.clinic_id == clinic_id)
    async with as_identity(session):
        return [Entry(*row) for row in (await session.execute(query)).all()]


async def disable(session: AsyncSession, email: str, *, at: datetime) -> None:
    """Close an account: it can sign in nowhere, and its sign-ins end now. Raises AccountUnknown."""
    account_id = await _change(session, email, status=AccountStatus.DISABLED)
    await authentication.end_all(session, account_id, "account_disabled", at=at)
    await _record(session, account_id, "account.disable", at)


async def enable(session: AsyncSession, email: str, *, at: datetime) -> None:
    """Open a closed account again; what was signed in before stays ended. Raises AccountUnknown."""
    account_id = await _change(session, email, status=AccountStatus.ACTIVE)
    # One that was opened in the very moment of closing must not come back, either.
    await authentication.end_all(session, account_id, "account_disabled", at=at)
    await _record(session, account_id, "account.enable", at)


async def set_password(session: AsyncSession, email: str, password: str, *, at: datetime) -> None:
    """Give an account another password and end its sign-ins. Raises AccountUnknown, PasswordRefused."""
    password_hash = await crypto.hash_password(passwords.check(password, email.strip().lower()))
    account_id = await _change(session, email, password_hash=password_hash)
    await authentication.end_all(session, account_id, "password_changed", at=at)
    await _record(session, account_id, "account.set_password", at)


async def _change(session: AsyncSession, email: str, **values: object) -> UUID:
    change = update(Account).where(Account.email == email.strip().lower()).values(**values)
    async with as_identity(session):
        account_id: UUID | None = await session.scalar(change.returning(Account.id))
    if account_id is None:
        raise AccountUnknown
    return account_id


async def _record(session: AsyncSession, account_id: UUID, action: str, at: datetime) -> None:
    """Put it on record in every clinic that the account belongs to; binds the session to the last of them."""
    query = select(Membership.clinic_id).where(Membership.account_id == account_id).distinct()
    async with as_identity(session):
        clinics = (await session.scalars(query)).all()
    for clinic_id in clinics:
        await bind_clinic(session, clinic_id)
        await audit.record_operator(session, clinic_id, action, subject=("account", account_id), at=at)
