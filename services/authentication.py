"""Signing in and staying signed in: opaque tokens, looked up for every request, so that every change counts at once.

A sign-in is one device. Its tokens are derived from the row's seed, its generation and the server's key; the row alone
is no use to a thief, and a lost answer can be given again. Each refresh counts the generation up. Whoever shows the
token before the present one within a minute gets the same answer again (the network lost it); whoever shows an older
one has a copy that somebody else has used: then the whole sign-in ends.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypedDict
from uuid import UUID

import asyncpg
from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core import crypto
from core.database import as_identity, bind_clinic, idle
from core.errors import Conflict, Forbidden, Unauthenticated
from models.clinics import Clinic
from models.identity import Account, AccountStatus, Membership, Role, SignIn
from schemas.authentication import AccountOut, ClinicName, Me, MembershipOut, SignedIn, SignInRequest
from services import access, audit, throttling

ACCESS, REFRESH = "physio_at_", "physio_rt_"
"""By these prefixes a leaked token is known as one of ours."""

PATIENT_LIFE = timedelta(days=30)
STAFF_LIFE = timedelta(hours=12)
STAFF_IDLE = timedelta(minutes=30)
SERVICE_LIFE = timedelta(days=90)
GRACE = timedelta(seconds=60)
"""For so long the token before the present one is answered once more."""
ENDED_KEPT = timedelta(days=90)
"""For so long a sign-in that has ended is kept, for those who look into what happened."""
PURGED_AT_ONCE = 10_000

_ID, _GENERATION, _MAC = 16, 4, 28  # bytes of a token
_LENGTH = _ID + _GENERATION + _MAC

_CALLER = """
SELECT account_id, sign_in_id, membership_id, clinic_id, role, subject_id, scopes FROM identity.caller($1, $2)
"""


_CALLERS = """
SELECT shown.access_hash, c.* FROM unnest($1::bytea[]) AS shown (access_hash)
CROSS JOIN LATERAL identity.caller(shown.access_hash, $2) c
"""


class WrongCredentials(Unauthenticated):
    """E-mail address and password do not belong together."""

    keeps_effects = True  # the attempt counts


class SignInEnded(Unauthenticated):
    """This sign-in has ended: sign in again."""


class RefreshTokenReused(Unauthenticated):
    """This refresh token was used before; the sign-in was ended for safety."""

    keeps_effects = True  # the sign-in stays ended


class NoMembership(Forbidden):
    """This account does not belong to a clinic in this way."""


class ChooseMembership(Conflict):
    """This account has several roles: say clinic_id and role."""


@dataclass(frozen=True)
class Tokens:
    """How tokens are made on this server. access_seconds: how long an access token is good."""

    key: crypto.Key
    access_seconds: int = 900


def tokens_of(secret_key: str, access_seconds: int = 900) -> Tokens:
    """Make the tokens' key from the server's one secret."""
    return Tokens(crypto.derive_key(secret_key, "tokens"), access_seconds)


# ------------------------------------------------------------------ every request


async def caller(
    session: AsyncSession, token: str, *, tokens: Tokens, at: datetime, request_id: str | None = None
) -> access.Actor:
    """Tell who shows this access token, in one statement. Raises Unauthenticated."""
    content = crypto.read_token(ACCESS, token, _LENGTH)
    if content is None:
        raise Unauthenticated
    row = await (await idle(session)).fetchrow(_CALLER, tokens.key.mac("lookup", content), at)
    if row is None:
        raise Unauthenticated
    return _actor(row, request_id)


def fingerprint(token: str, *, tokens: Tokens) -> bytes:
    """Give what a good access token is looked up by; with it `callers` asks again later, without the token."""
    content = crypto.read_token(ACCESS, token, _LENGTH)
    assert content is not None, "the token was good a moment ago"
    return tokens.key.mac("lookup", content)


async def callers(
    session: AsyncSession, fingerprints: Collection[bytes], *, at: datetime
) -> Mapping[bytes, access.Actor]:
    """Tell, in one statement, who stands behind these fingerprints; one that is no longer good is missing."""
    rows = await (await idle(session)).fetch(_CALLERS, list(fingerprints), at)
    return {row["access_hash"]: _actor(row) for row in rows}


def _actor(row: asyncpg.Record, request_id: str | None = None) -> access.Actor:
    role = Role(row["role"])
    return access.Actor(
        account_id=row["account_id"],
        clinic_id=row["clinic_id"],
        role=role,
        sign_in_id=row["sign_in_id"],
        membership_id=row["membership_id"],
        scopes=frozenset(row["scopes"]),
        request_id=request_id,
        **subject_of(role, row["subject_id"]),
    )


class Subject(TypedDict):
    """The record that a membership stands for."""

    patient_id: UUID | None
    therapist_id: UUID | None


def subject_of(role: Role, subject_id: UUID | None) -> Subject:
    """Name the record that a membership stands for: a patient's or a therapist's; staff of the office have none."""
    return {
        "patient_id": subject_id if role is Role.PATIENT else None,
        "therapist_id": subject_id if role in {Role.THERAPIST, Role.ASSISTANT} else None,
    }


# ------------------------------------------------------------------ in


async def log_in(session: AsyncSession, form: SignInRequest, *, tokens: Tokens, address: str, at: datetime) -> SignedIn:
    """Sign a person in on a device. address: from where, for the throttle.

    Raises WrongCredentials, TooManyAttempts, NoMembership, and ChooseMembership, which lists the choices.
    """
    attempt = await throttling.begin(session, tokens.key, account=form.email, address=address, at=at)
    account = await prove(session, form.email, form.password.get_secret_value())
    memberships = await _memberships(session, account.id, form, at)
    if not memberships:
        raise NoMembership
    if len(memberships) > 1:
        raise ChooseMembership(extras={"choices": [await _choice(session, each) for each in memberships]})
    await throttling.succeeded(session, attempt)
    return await open_sign_in(session, account, memberships[0], tokens=tokens, at=at, device=form.device or "")


async def prove(session: AsyncSession, email: str, password: str) -> Account:
    """Give the active account with this address and password; an unknown one takes as long to refuse.

    Raises WrongCredentials.
    """
    async with as_identity(session):
        account = await session.scalar(select(Account).where(Account.email == email))
    password_hash = (account and account.password_hash) or crypto.NOBODY
    right = await crypto.check_password(password_hash, password)
    if account is None or not right or account.status is not AccountStatus.ACTIVE:
        raise WrongCredentials
    if crypto.is_outdated(password_hash):
        async with as_identity(session):
            account.password_hash = await crypto.hash_password(password)
    return account


async def _memberships(session: AsyncSession, account_id: UUID, form: SignInRequest, at: datetime) -> list[Membership]:
    query = select(Membership).where(
        Membership.account_id == account_id,
        Membership.role != Role.SERVICE,
        or_(Membership.ended_at.is_(None), Membership.ended_at > at),
    )
    if form.clinic_id is not None:
        query = query.where(Membership.clinic_id == form.clinic_id)
    if form.role is not None:
        query = query.where(Membership.role == form.role)
    async with as_identity(session):
        return list(await session.scalars(query.order_by(Membership.id)))


async def _choice(session: AsyncSession, membership: Membership) -> dict[str, Any]:
    await bind_clinic(session, membership.clinic_id)
    name = await session.scalar(select(Clinic.name).where(Clinic.id == membership.clinic_id))
    return {"clinic_id": membership.clinic_id, "clinic_name": name, "role": membership.role.value}


async def open_sign_in(
    session: AsyncSession, account: Account, membership: Membership, *, tokens: Tokens, at: datetime, device: str = ""
) -> SignedIn:
    """Open a sign-in for somebody who has proved to be the account's owner, and bind the session to the clinic."""
    life = PATIENT_LIFE if membership.role is Role.PATIENT else STAFF_LIFE
    row = await _open(session, membership, tokens, at, life, device)
    actor = access.Actor(
        account_id=account.id,
        clinic_id=membership.clinic_id,
        role=membership.role,
        sign_in_id=row.id,
        membership_id=membership.id,
        **subject_of(membership.role, membership.subject_id),
    )
    await audit.record(session, actor, "sign_in.create", at=at, subject=("sign_in", row.id))
    return _answer(row, account, membership, tokens, at)


async def open_service(session: AsyncSession, membership: Membership, *, tokens: Tokens, at: datetime) -> str:
    """Open the sign-in of a service and give its access token, good for SERVICE_LIFE; it cannot be refreshed."""
    lasting = Tokens(tokens.key, int(SERVICE_LIFE.total_seconds()))
    row = await _open(session, membership, lasting, at, SERVICE_LIFE, "service")
    return crypto.write_token(ACCESS, _content("access", row, tokens, row.generation))


async def _open(
    session: AsyncSession, membership: Membership, tokens: Tokens, at: datetime, life: timedelta, device: str
) -> SignIn:
    row = SignIn(
        id=crypto.new_id(at),
        account_id=membership.account_id,
        membership_id=membership.id,
        seed=crypto.seed(),
        generation=1,
        refresh_expires_at=at + life,
        device=device,
    )
    _renew(row, membership, tokens, at)
    async with as_identity(session):
        session.add(row)
    await bind_clinic(session, membership.clinic_id)
    return row


def _renew(row: SignIn, membership: Membership, tokens: Tokens, at: datetime) -> None:
    """Make the tokens of the row's generation the ones that are good."""
    row.access_hash = tokens.key.mac("lookup", _content("access", row, tokens, row.generation))
    row.access_expires_at = min(at + timedelta(seconds=tokens.access_seconds), row.refresh_expires_at)
    idle = row.refresh_expires_at if membership.role is Role.PATIENT else at + STAFF_IDLE
    row.idle_expires_at = min(idle, row.refresh_expires_at)


def _content(purpose: str, row: SignIn, tokens: Tokens, generation: int) -> bytes:
    head = row.id.bytes + generation.to_bytes(_GENERATION, "big")
    return head + tokens.key.mac(purpose, row.seed, head)[:_MAC]


def _answer(row: SignIn, account: Account, membership: Membership, tokens: Tokens, at: datetime) -> SignedIn:
    return SignedIn(
        access_token=crypto.write_token(ACCESS, _content("access", row, tokens, row.generation)),
        refresh_token=crypto.write_token(REFRESH, _content("refresh", row, tokens, row.generation)),
        token_type="Bearer",  # noqa: S106 - the name of the scheme
        expires_in=max(0, int((row.access_expires_at - at).total_seconds())),
        refresh_expires_at=row.refresh_expires_at,
        account=AccountOut.model_validate(account),
        membership=_membership(membership.id, membership.clinic_id, membership.role, membership.subject_id),
    )


def _membership(membership_id: UUID, clinic_id: UUID, role: Role, subject_id: UUID | None) -> MembershipOut:
    return MembershipOut(id=membership_id, clinic_id=clinic_id, role=role, **subject_of(role, subject_id))


# ------------------------------------------------------------------ on


async def refresh(session: AsyncSession, token: str, *, tokens: Tokens, at: datetime) -> SignedIn:
    """Give the next pair of tokens; the one that was shown stops being good, its access token at once.

    Raises SignInEnded, and RefreshTokenReused, which has ended the sign-in.
    """
    content = crypto.read_token(REFRESH, token, _LENGTH)
    if content is None:
        raise SignInEnded
    found = (
        select(SignIn, Account, Membership)
        .join(Account, Account.id == SignIn.account_id)
        .join(Membership, Membership.id == SignIn.membership_id)
        .where(SignIn.id == UUID(bytes=content[:_ID]))
        .with_for_update(of=SignIn)
        .execution_options(populate_existing=True)
    )
    reused = False
    answer: SignedIn | None = None
    async with as_identity(session):
        held = (await session.execute(found)).one_or_none()
        if held is not None and _is_alive(*held, at):
            row, account, membership = held
            shown = int.from_bytes(content[_ID : _ID + _GENERATION], "big")
            if crypto.same(content, _content("refresh", row, tokens, shown)):
                reused = not _step(row, membership, shown, tokens, at)
                answer = _answer(row, account, membership, tokens, at)
    if reused:
        raise RefreshTokenReused
    if answer is None:
        raise SignInEnded
    return answer


def _is_alive(row: SignIn, account: Account, membership: Membership, at: datetime) -> bool:
    return (
        row.revoked_at is None
        and at < min(row.refresh_expires_at, row.idle_expires_at)
        and account.status is AccountStatus.ACTIVE
        and (membership.ended_at is None or membership.ended_at > at)
    )


def _step(row: SignIn, membership: Membership, shown: int, tokens: Tokens, at: datetime) -> bool:
    """Go on to the next generation, or stay with this one for a retry; False when a copy was shown, which ends it."""
    if shown == row.generation:
        row.generation += 1
        row.rotated_at = at
        _renew(row, membership, tokens, at)
        return True
    if shown == row.generation - 1 and row.rotated_at is not None and at <= row.rotated_at + GRACE:
        return True
    row.revoked_at, row.revoked_reason = at, "refresh_token_reused"
    return False


# ------------------------------------------------------------------ out


async def log_out(session: AsyncSession, actor: access.Actor, *, at: datetime) -> None:
    """End the caller's sign-in on this device, its tokens with it."""
    ending = update(SignIn).where(SignIn.id == actor.sign_in_id, SignIn.revoked_at.is_(None))
    async with as_identity(session):
        await session.execute(ending.values(revoked_at=at, revoked_reason="signed_out"))
    await audit.record(session, actor, "sign_in.end", at=at, subject=("sign_in", actor.sign_in_id))


async def end_all(session: AsyncSession, account_id: UUID, reason: str, *, at: datetime) -> None:
    """End every sign-in of an account, on all its devices."""
    ending = update(SignIn).where(SignIn.account_id == account_id, SignIn.revoked_at.is_(None))
    async with as_identity(session):
        await session.execute(ending.values(revoked_at=at, revoked_reason=reason))


async def end_memberships(session: AsyncSession, membership_ids: Sequence[UUID], reason: str, *, at: datetime) -> None:
    """End every sign-in under these memberships, for good: none comes back when the membership does."""
    accounts = select(Membership.account_id).where(Membership.id.in_(membership_ids))  # by which sign-ins are found
    mine = (SignIn.account_id.in_(accounts), SignIn.membership_id.in_(membership_ids))
    ending = update(SignIn).where(*mine, SignIn.revoked_at.is_(None))
    async with as_identity(session):
        await session.execute(ending.values(revoked_at=at, revoked_reason=reason))


async def purge(session: AsyncSession, *, at: datetime) -> int:
    """Remove sign-ins that ended more than ENDED_KEPT ago, at most PURGED_AT_ONCE of them; give how many."""
    ended = func.least(SignIn.revoked_at, SignIn.refresh_expires_at, SignIn.idle_expires_at)  # least() skips nulls
    old = select(SignIn.id).where(ended < at - ENDED_KEPT).limit(PURGED_AT_ONCE)
    gone = delete(SignIn).where(SignIn.id.in_(old)).returning(SignIn.id)
    async with as_identity(session):
        rows = await session.scalars(gone.execution_options(synchronize_session=False))
        return len(rows.all())


async def describe(session: AsyncSession, actor: access.Actor) -> Me:
    """Tell the caller who it is, and as what."""
    access.require(actor, access.Action.READ_OWN_ACCOUNT)
    async with as_identity(session):
        account = await session.get_one(Account, actor.account_id)
    clinic = await session.get_one(Clinic, actor.clinic_id)
    subject = actor.patient_id or actor.therapist_id
    membership_id = actor.membership_id
    assert membership_id is not None
    return Me(
        account=AccountOut.model_validate(account),
        membership=_membership(membership_id, actor.clinic_id, actor.role, subject),
        clinic=ClinicName.model_validate(clinic),
        scopes=sorted(actor.scopes),
    )
