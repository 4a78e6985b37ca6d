"""Invitations: one person, one clinic, one role, once.

The code is bound to the person's own record, and goes to the person's own e-mail address alone: whoever invites never
sees it. It is derived from a random seed and the server's key when the letter is written, and only its hash is kept,
so no row is of use to a thief.
Accepting makes the account with the invited address, or ties the one that exists when its password is right.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core import crypto
from core.database import as_identity, bind_clinic
from core.errors import Conflict, Forbidden, NotFound
from models.clinics import Clinic
from models.identity import Account, Membership, Role
from models.invitations import Invitation
from models.patients import Patient
from models.therapists import Profession, Therapist, TherapistStatus
from schemas.authentication import SignedIn
from schemas.invitations import InvitationAcceptance, InvitationIn, InvitationOut
from services import access, audit, authentication, notifications, passwords, therapists, throttling
from services.access import Action, Actor
from services.authentication import Tokens

PREFIX = "physio_in_"
LIFE = timedelta(days=7)

_ID = 16  # bytes of an id in the code: clinic, invitation, then the secret
_MAC = 32
_LENGTH = 2 * _ID + _MAC


class AlreadyMember(Conflict):
    """This person has an account in this clinic already."""


class NoAddress(Conflict):
    """There is no e-mail address on record to invite this person by."""


class TherapistInactive(Conflict):
    """This therapist is not active in this clinic."""


class InvitationUnknown(NotFound):
    """There is no such invitation."""


class InvitationNotOpen(Conflict):
    """This invitation was used, replaced or has expired: ask for a new one."""


@dataclass(frozen=True)
class _Invited:
    """Who is invited. subject_id: the record that the account will stand for."""

    role: Role
    email: str
    subject_id: UUID | None = None
    patient_id: UUID | None = None


async def create(
    session: AsyncSession,
    actor: Actor,
    form: InvitationIn,
    *,
    tokens: Tokens,
    at: datetime,
    show_code: bool = False,
) -> InvitationOut:
    """Invite a person, by an e-mail with the code; an earlier invitation of the same person ends.

    show_code: whether the answer holds the code, too; for development and the demo clinic only.
    Raises Forbidden (a therapist invites patients only), NotFound, AlreadyMember, NoAddress, TherapistInactive.
    """
    access.require(actor, Action.INVITE)
    if form.patient_id is not None:
        invited = await _patient(session, actor, form.patient_id, at)
    elif actor.role is not Role.CLINIC_ADMIN:
        raise Forbidden
    elif form.therapist_id is not None:
        invited = await _therapist(session, actor, form.therapist_id)
    else:
        invited = await _office(session, actor, form, at)
    await session.execute(
        update(Invitation)
        .where(
            Invitation.clinic_id == actor.clinic_id,
            Invitation.accepted_at.is_(None),
            Invitation.revoked_at.is_(None),
            Invitation.subject_id == invited.subject_id
            if invited.subject_id is not None
            else and_(Invitation.email == invited.email, Invitation.role == invited.role),
        )
        .values(revoked_at=at)
    )
    seed, invitation_id = crypto.seed(), crypto.new_id(at)
    row = Invitation(
        id=invitation_id,
        clinic_id=actor.clinic_id,
        email=invited.email,
        role=invited.role,
        subject_id=invited.subject_id,
        code_hash=tokens.key.mac("invitation", _secret(tokens.key, actor.clinic_id, invitation_id, seed)),
        invited_by=actor.account_id,
        created_at=at,
        expires_at=at + LIFE,
    )
    session.add(row)
    await session.flush()
    await notifications.owe(
        session,
        clinic_id=actor.clinic_id,
        template="invitation",
        channel="email",
        dedupe_key=f"invitation:{row.id}",
        due_at=at,
        address=invited.email,
        patient_id=invited.patient_id,
        parameters={"invitation_id": str(row.id), "seed": seed.hex()},
    )
    await audit.record(
        session, actor, "invitation.create", at=at, subject=("invitation", row.id), patient_id=invited.patient_id
    )
    code = code_of(tokens.key, actor.clinic_id, row.id, seed) if show_code else None
    shown = {name: getattr(row, name) for name in InvitationOut.model_fields if name != "code"}
    return InvitationOut(**shown, code=code)


def code_of(key: crypto.Key, clinic_id: UUID, invitation_id: UUID, seed: bytes) -> str:
    """Derive the code of an invitation; whoever reads the database has the seed, but not the key."""
    secret = _secret(key, clinic_id, invitation_id, seed)
    return crypto.write_token(PREFIX, clinic_id.bytes + invitation_id.bytes + secret)


def _secret(key: crypto.Key, clinic_id: UUID, invitation_id: UUID, seed: bytes) -> bytes:
    return key.mac("invitation code", seed, clinic_id.bytes, invitation_id.bytes)


async def _patient(session: AsyncSession, actor: Actor, patient_id: UUID, at: datetime) -> _Invited:
    patient = await access.patient(session, actor, Action.INVITE, patient_id, at=at, lock=True)
    if patient.account_id is not None:
        raise AlreadyMember
    if patient.email is None:
        raise NoAddress
    return _Invited(Role.PATIENT, patient.email.lower(), patient.id, patient.id)


async def _therapist(session: AsyncSession, actor: Actor, therapist_id: UUID) -> _Invited:
    therapist = await therapists.get(session, actor, therapist_id, Action.INVITE, lock=True)
    if therapist.account_id is not None:
        raise AlreadyMember
    if therapist.status is not TherapistStatus.ACTIVE:
        raise TherapistInactive
    return _Invited(role_of(therapist.profession), therapist.email.lower(), therapist.id)


def role_of(profession: Profession) -> Role:
    """Name the role that a profession signs in with."""
    return Role.THERAPIST if profession is Profession.PT else Role.ASSISTANT


async def _office(session: AsyncSession, actor: Actor, form: InvitationIn, at: datetime) -> _Invited:
    assert form.email is not None
    assert form.role is not None
    role = Role(form.role)
    # Two invitations of one address at the same time must see each other; there is no record of the person to lock.
    await session.execute(select(Clinic.id).where(Clinic.id == actor.clinic_id).with_for_update(key_share=True))
    member = (
        select(Membership.id)
        .join(Account, Account.id == Membership.account_id)
        .where(Membership.clinic_id == actor.clinic_id, Membership.role == role, Account.email == form.email)
        .where(func.coalesce(Membership.ended_at > at, True))
    )
    async with as_identity(session):
        known = await session.scalar(member)
    if known is not None:
        raise AlreadyMember
    return _Invited(role, form.email)


# ------------------------------------------------------------------ accepting


async def accept(
    session: AsyncSession, form: InvitationAcceptance, *, tokens: Tokens, address: str, at: datetime
) -> SignedIn:
    """Accept an invitation, and sign in. address: from where, for the throttle.

    Raises InvitationUnknown, InvitationNotOpen, PasswordRefused (new account), WrongCredentials (known account),
    AlreadyMember, TooManyAttempts.
    """
    content = crypto.read_token(PREFIX, form.code.get_secret_value(), _LENGTH)
    if content is None:
        raise InvitationUnknown
    clinic_id, invitation_id = UUID(bytes=content[:_ID]), UUID(bytes=content[_ID : 2 * _ID])
    await bind_clinic(session, clinic_id)
    query = select(Invitation).where(Invitation.clinic_id == clinic_id, Invitation.id == invitation_id)
    invitation = await session.scalar(query)
    if invitation is None or not crypto.same(invitation.code_hash, tokens.key.mac("invitation", content[2 * _ID :])):
        raise InvitationUnknown
    record = await _record(session, invitation)  # locked before the invitation, as those who invite do
    await session.refresh(invitation, with_for_update=True)
    moved = record is not None and (record.email or "").lower() != invitation.email
    left = isinstance(record, Therapist) and record.status is not TherapistStatus.ACTIVE
    if invitation.accepted_at or invitation.revoked_at or invitation.expires_at <= at or moved or left:
        raise InvitationNotOpen
    account = await _account(session, invitation.email, form.password.get_secret_value(), tokens, address, at)
    if record is not None:
        _tie(record, account, form)
    membership = await _join(session, invitation, account, at)
    invitation.accepted_at = at
    await session.flush()
    signed = await authentication.open_sign_in(
        session, account, membership, tokens=tokens, at=at, device=form.device or ""
    )
    actor = Actor(account.id, clinic_id, membership.role, membership_id=membership.id)
    patient_id = invitation.subject_id if invitation.role is Role.PATIENT else None
    await audit.record(
        session, actor, "invitation.accept", at=at, subject=("invitation", invitation.id), patient_id=patient_id
    )
    return signed


async def _account(
    session: AsyncSession, email: str, password: str, tokens: Tokens, address: str, at: datetime
) -> Account:
    """Make the account with this address; or give the one that is there, when the password is its own."""
    async with as_identity(session):
        known = await session.scalar(select(Account.id).where(Account.email == email))
    if known is None:
        passwords.check(password, email)
        password_hash = await crypto.hash_password(password)
        making = insert(Account).values(email=email, password_hash=password_hash).on_conflict_do_nothing()
        async with as_identity(session):
            made: Account | None = await session.scalar(making.returning(Account))
        if made is not None:
            return made
    attempt = await throttling.begin(session, tokens.key, account=email, address=address, at=at)
    account = await authentication.prove(session, email, password)
    await throttling.succeeded(session, attempt)
    return account


async def _join(session: AsyncSession, invitation: Invitation, account: Account, at: datetime) -> Membership:
    """Make the account a member as the invitation says, again if it was one before."""
    query = select(Membership).where(
        Membership.account_id == account.id,
        Membership.clinic_id == invitation.clinic_id,
        Membership.role == invitation.role,
    )
    async with as_identity(session):
        held = await session.scalar(query.with_for_update())
        if held is None:
            held = Membership(
                account_id=account.id,
                clinic_id=invitation.clinic_id,
                role=invitation.role,
                subject_id=invitation.subject_id,
            )
            session.add(held)
            return held
        ended = held.ended_at is not None and held.ended_at <= at
        if ended:
            held.ended_at, held.subject_id = None, invitation.subject_id
    if not ended:
        raise AlreadyMember
    await authentication.end_memberships(session, [held.id], "left", at=at)
    return held


async def _record(session: AsyncSession, invitation: Invitation) -> Patient | Therapist | None:
    """Give the record that the invitation is bound to, locked; None for people of the office."""
    if invitation.subject_id is None:
        return None
    model: type[Patient | Therapist] = Patient if invitation.role is Role.PATIENT else Therapist
    query: Select[Any] = select(model).where(model.clinic_id == invitation.clinic_id, model.id == invitation.subject_id)
    record: Patient | Therapist = (await session.scalars(query.with_for_update(key_share=True))).one()
    return record


def _tie(record: Patient | Therapist, account: Account, form: InvitationAcceptance) -> None:
    """Tie the account to the record. Raises AlreadyMember when another one is tied."""
    if record.account_id not in {None, account.id}:
        raise AlreadyMember
    record.account_id = account.id
    if isinstance(record, Patient):
        record.language = form.language or record.language
        record.zone = form.zone or record.zone
