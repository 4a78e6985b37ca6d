"""People and things for tests: small functions with fixed, human defaults.

Three people recur: alice the patient, bob her therapist, carol a stranger. Every function binds the session to the
clinic of what it makes; commit yourself when another connection is to see it.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import Range
from sqlalchemy.ext.asyncio import AsyncSession

from core.crypto import new_id, seed, write_token
from core.database import Sessions, as_identity, bind_clinic
from core.settings import DEVELOPMENT_KEY
from models.care_team import CareLink, CareRole
from models.clinics import Clinic
from models.identity import Account, Membership, Role, SignIn
from models.notifications import Notification
from models.patients import Patient, PatientLocation
from models.therapists import License, LicenseKind, LicenseStatus, Profession, Therapist
from schemas.authentication import SignedIn
from services import audit, authentication, letters
from services.access import Actor
from services.notifications import Leased

NOW = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
"""A Monday morning at nine, when nothing says otherwise."""

TOKENS = authentication.tokens_of(DEVELOPMENT_KEY)
"""The key of the tests' settings."""

PASSWORD = "physio-demo-2026"
PASSWORD_HASH = "$argon2id$v=19$m=19456,t=2,p=1$PMyiXuihvBHmRIUUA/+XfA$Ry9MlFCNunmqkXYeKPst49ahDUyi62iZfyG4BIBgn3Y"


async def make_clinic(session: AsyncSession, name: str = "Riverside Physiotherapy", **changes: Any) -> Clinic:
    """Make a clinic in Germany and bind the session to it."""
    clinic_id = changes.pop("id", None) or new_id(datetime.now(UTC))
    await bind_clinic(session, clinic_id)
    clinic = Clinic(id=clinic_id, name=name, **{"country": "DE", "zone": "Europe/Berlin"} | changes)
    session.add(clinic)
    await session.flush()
    return clinic


async def make_account(session: AsyncSession, email: str, **changes: Any) -> Account:
    """Make an account whose password is PASSWORD (the address gets a unique tail, as accounts outlive a clinic)."""
    account = _account(email, **changes)
    async with as_identity(session):
        session.add(account)
    return account


def _account(email: str, **changes: Any) -> Account:
    local, _, domain = email.partition("@")
    return Account(email=f"{local}.{uuid4().hex[:8]}@{domain}", **{"password_hash": PASSWORD_HASH} | changes)


async def make_membership(
    session: AsyncSession, account: Account, clinic_id: UUID, role: Role, subject_id: UUID | None = None, **changes: Any
) -> Membership:
    """Make an account a member of a clinic."""
    membership = Membership(account_id=account.id, clinic_id=clinic_id, role=role, subject_id=subject_id, **changes)
    async with as_identity(session):
        session.add(membership)
    return membership


async def make_therapist(
    session: AsyncSession, clinic_id: UUID, name: str = "Bob Keller", *, licensed: str | None = "DE", **changes: Any
) -> Therapist:
    """Make a physical therapist with a verified license for `licensed` (None for none), without an account."""
    await bind_clinic(session, clinic_id)
    given, _, family = name.partition(" ")
    email = f"{given.lower()}@riverside.example"
    values = {"given_name": given, "family_name": family, "email": email, "profession": Profession.PT} | changes
    therapist = Therapist(clinic_id=clinic_id, **values)
    session.add(therapist)
    await session.flush()
    if licensed is not None:
        await make_license(session, therapist, licensed)
    return therapist


async def make_license(
    session: AsyncSession, therapist: Therapist, jurisdiction: str = "DE", **changes: Any
) -> License:
    """Make a verified license, in force from 2020 to 2035."""
    values = {
        "profession": therapist.profession,
        "jurisdiction": jurisdiction,
        "kind": LicenseKind.LICENSE,
        "number": f"PT-{therapist.id.hex[-8:]}",
        "status": LicenseStatus.VERIFIED,
        "issued_on": date(2020, 1, 1),
        "expires_on": date(2035, 12, 31),
        "verified_at": NOW,
    } | changes
    license_ = License(clinic_id=therapist.clinic_id, therapist_id=therapist.id, **values)
    session.add(license_)
    await session.flush()
    return license_


async def make_patient(session: AsyncSession, clinic_id: UUID, name: str = "Alice Moreau", **changes: Any) -> Patient:
    """Make a patient, without an account."""
    await bind_clinic(session, clinic_id)
    given, _, family = name.partition(" ")
    values = {
        "given_name": given,
        "family_name": family,
        "email": f"{given.lower()}@patients.example",
        "birth_date": date(1984, 5, 17),
        "zone": "Europe/Berlin",
        "record_number": f"R-{uuid4().hex[:8]}",
    } | changes
    patient = Patient(clinic_id=clinic_id, **values)
    session.add(patient)
    await session.flush()
    return patient


async def locate(
    session: AsyncSession, patient: Patient, country: str = "DE", region: str | None = None, *, at: datetime = NOW
) -> PatientLocation:
    """Let the patient say where he is."""
    place = PatientLocation(
        clinic_id=patient.clinic_id,
        patient_id=patient.id,
        country=country,
        region=region,
        attested_at=at,
        attested_by=uuid4(),
    )
    session.add(place)
    await session.flush()
    return place


async def link(
    session: AsyncSession,
    patient: Patient,
    therapist: Therapist,
    role: CareRole = CareRole.LEAD,
    *,
    since: datetime = NOW - timedelta(days=365),
    until: datetime | None = None,
) -> CareLink:
    """Link a therapist to a patient, since a year before NOW."""
    row = CareLink(
        clinic_id=patient.clinic_id,
        patient_id=patient.id,
        therapist_id=therapist.id,
        role=role,
        during=Range(since, until, bounds="[)"),
    )
    session.add(row)
    await session.flush()
    return row


async def make_actor(
    session: AsyncSession, clinic_id: UUID, role: Role, subject: Patient | Therapist | None = None, **changes: Any
) -> Actor:
    """Give somebody an account and a membership, and the actor that a request of theirs would have.

    The subject's account and membership are made once; asking again gives the same ones.
    """
    await bind_clinic(session, clinic_id)
    membership = None
    if subject is not None:
        async with as_identity(session):
            query = select(Membership).where(Membership.clinic_id == clinic_id, Membership.subject_id == subject.id)
            membership = await session.scalar(query)
    if membership is None:
        email = (subject.email if subject is not None else None) or f"{role.value}@riverside.example"
        account = await make_account(session, email)
        subject_id = subject.id if subject is not None else None
        membership = await make_membership(session, account, clinic_id, role, subject_id, **changes)
        if subject is not None:
            subject.account_id = account.id
            await session.flush()
    return _actor(membership)


def _actor(membership: Membership) -> Actor:
    return Actor(
        account_id=membership.account_id,
        clinic_id=membership.clinic_id,
        role=membership.role,
        membership_id=membership.id,
        scopes=frozenset(membership.scopes),
        **authentication.subject_of(membership.role, membership.subject_id),
    )


async def _make_members(
    session: AsyncSession, clinic_id: UUID, people: Mapping[str, tuple[Role, Patient | Therapist | None]]
) -> dict[str, Membership]:
    """Do what `make_actor` does, for new people and all at once: most tests begin with it."""
    accounts = {
        name: _account((subject.email if subject is not None else None) or f"{role.value}@riverside.example")
        for name, (role, subject) in people.items()
    }
    async with as_identity(session):
        session.add_all(accounts.values())
        await session.flush()
        made = {
            name: Membership(
                account_id=accounts[name].id,
                clinic_id=clinic_id,
                role=role,
                subject_id=subject.id if subject is not None else None,
            )
            for name, (role, subject) in people.items()
        }
        session.add_all(made.values())
    for name, (_, subject) in people.items():
        if subject is not None:
            subject.account_id = accounts[name].id
    await session.flush()
    return made


async def _sign_in_all(
    session: AsyncSession, memberships: Mapping[str, Membership], at: datetime
) -> dict[str, dict[str, str]]:
    """Do what `sign_in` does, for all at once."""
    rows = {}
    for name, membership in memberships.items():
        life = authentication.PATIENT_LIFE if membership.role is Role.PATIENT else authentication.STAFF_LIFE
        rows[name] = SignIn(
            id=new_id(at),
            account_id=membership.account_id,
            membership_id=membership.id,
            seed=seed(),
            generation=1,
            refresh_expires_at=at + life,
            device="",
        )
        authentication._renew(rows[name], membership, TOKENS, at)
    async with as_identity(session):
        session.add_all(rows.values())
    for name, row in rows.items():
        actor = replace(_actor(memberships[name]), sign_in_id=row.id)
        await audit.record(session, actor, "sign_in.create", at=at, subject=("sign_in", row.id))
    contents = {name: authentication._content("access", row, TOKENS, row.generation) for name, row in rows.items()}
    return {name: bearer(write_token(authentication.ACCESS, content)) for name, content in contents.items()}


async def read_code(sessions: Sessions, clinic_id: UUID, invitation_id: UUID) -> str:
    """Give the code that stands in the letter owed to somebody who is invited."""
    async with sessions() as session:
        await bind_clinic(session, clinic_id)
        query = select(Notification).where(Notification.dedupe_key == f"invitation:{invitation_id}")
        owed = (await session.scalars(query)).one()
    assert owed.address is not None
    leased = Leased(owed.id, clinic_id, owed.template, owed.parameters, owed.address, "Riverside", attempts=1)
    letter = letters.write(leased, owed.address, url="https://app.example", key=TOKENS.key)
    (code,) = re.findall(r"physio_in_\S+", letter.text)
    return str(code)


async def sign_in(session: AsyncSession, actor: Actor, *, at: datetime | None = None) -> str:
    """Open a sign-in for an actor of `make_actor` and give its bearer token; costs no password hash."""
    return (await open_sign_in(session, actor, at=at)).access_token


async def open_sign_in(session: AsyncSession, actor: Actor, *, at: datetime | None = None) -> SignedIn:
    """Open a sign-in, and give all that signing in answers."""
    async with as_identity(session):
        account = await session.get_one(Account, actor.account_id)
        membership = await session.get_one(Membership, actor.membership_id)
    return await authentication.open_sign_in(session, account, membership, tokens=TOKENS, at=at or datetime.now(UTC))


def bearer(token: str) -> dict[str, str]:
    """Give the header that shows a token."""
    return {"Authorization": f"Bearer {token}"}


@dataclass(frozen=True)
class World:
    """One clinic with the people that recur; `headers[name]` signs a request of theirs."""

    clinic: Clinic
    alice: Patient
    bob: Therapist
    carol: Therapist
    actors: dict[str, Actor]
    headers: dict[str, dict[str, str]]


async def make_world(sessions: Sessions, *, now: datetime | None = None, **clinic: Any) -> World:
    """Make and commit a clinic: alice (linked to bob, in Germany), bob, carol, dana the admin, all signed in."""
    at = now or datetime.now(UTC)
    async with sessions.begin() as session:
        made = await make_clinic(session, **clinic)
        alice = await make_patient(session, made.id)
        bob = await make_therapist(session, made.id)
        carol = await make_therapist(session, made.id, "Carol Brandt")
        await link(session, alice, bob, since=at - timedelta(days=365))
        await locate(session, alice, at=at - timedelta(days=30))
        people: dict[str, tuple[Role, Patient | Therapist | None]] = {
            "alice": (Role.PATIENT, alice),
            "bob": (Role.THERAPIST, bob),
            "carol": (Role.THERAPIST, carol),
            "dana": (Role.CLINIC_ADMIN, None),
        }
        memberships = await _make_members(session, made.id, people)
        actors = {name: _actor(membership) for name, membership in memberships.items()}
        headers = await _sign_in_all(session, memberships, at)
    return World(made, alice, bob, carol, actors, headers)
