"""The people who treat: physical therapists and their assistants."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import false, or_, select
from sqlalchemy import update as change_rows
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import licensing
from core.database import as_identity
from core.errors import Conflict, Invalid, NotFound, Problem, Stale
from models.identity import Membership
from models.therapists import Profession, Therapist, TherapistStatus
from schemas import pages
from schemas.therapists import TherapistChange, TherapistIn
from services import access, audit, authentication, programs
from services.access import Action, Actor


class NpiRefused(Invalid):
    """This is not a National Provider Identifier."""


class TherapistExists(Conflict):
    """The clinic has a therapist with this e-mail address or NPI already."""


async def browse(
    session: AsyncSession,
    actor: Actor,
    page: pages.Page,
    *,
    status: TherapistStatus | None = None,
    profession: Profession | None = None,
) -> pages.Paged[Therapist]:
    """List the clinic's therapists, in the order in which they joined."""
    access.require(actor, Action.READ_STAFF)
    query = select(Therapist).where(Therapist.clinic_id == actor.clinic_id)
    if status is not None:
        query = query.where(Therapist.status == status)
    if profession is not None:
        query = query.where(Therapist.profession == profession)
    return await pages.fetch(session, query, page, keys=(Therapist.created_at, Therapist.id))


async def get(
    session: AsyncSession, actor: Actor, therapist_id: UUID, action: Action = Action.READ_STAFF, *, lock: bool = False
) -> Therapist:
    """Give a therapist of the clinic. Raises NotFound."""
    access.require(actor, action)
    query = select(Therapist).where(Therapist.clinic_id == actor.clinic_id, Therapist.id == therapist_id)
    found = await session.scalar(query.with_for_update(key_share=True) if lock else query)
    if found is None:
        raise NotFound
    return found


async def create(session: AsyncSession, actor: Actor, form: TherapistIn, *, at: datetime) -> Therapist:
    """Register a therapist. Raises InvalidIdentifier for the NPI, TherapistExists."""
    access.require(actor, Action.MANAGE_STAFF)
    values = {name: value for name, value in form.model_dump().items() if value is not None}
    await _check(session, actor, values)
    row = Therapist(clinic_id=actor.clinic_id, **values)
    session.add(row)
    await session.flush()
    await audit.record(session, actor, "therapist.create", at=at, subject=("therapist", row.id))
    return row


async def update(
    session: AsyncSession, actor: Actor, therapist_id: UUID, change: TherapistChange, *, expected: int, at: datetime
) -> Therapist:
    """Change a therapist; one who becomes inactive can do nothing from that moment on.

    Programs of patients whom nobody else may treat are paused then. Raises NotFound, Stale.
    """
    row = await get(session, actor, therapist_id, Action.MANAGE_STAFF, lock=True)
    if row.version != expected:
        raise Stale(row.version)
    changes = change.model_dump(exclude_unset=True)
    for name in ("phone", "credentials"):
        if name in changes:
            changes[name] = changes[name] or ""
    await _check(session, actor, changes, row.id)
    if changes.get("status", row.status) is not row.status:
        await _let_in(session, row, changes["status"] is TherapistStatus.ACTIVE, at)
    for name, value in changes.items():
        setattr(row, name, value)
    await session.flush()
    await audit.record(session, actor, "therapist.update", at=at, subject=("therapist", row.id))
    if row.status is TherapistStatus.INACTIVE:
        await programs.review(session, actor.clinic_id, therapist_id=row.id, actor=actor, at=at)
    return row


async def _let_in(session: AsyncSession, therapist: Therapist, active: bool, at: datetime) -> None:  # noqa: FBT001
    """Open or end the membership, and with it every right that the account has in this clinic.

    Sign-ins end either way: one that somebody opened in the very moment of the end must not come back, either.
    """
    mine = (Membership.clinic_id == therapist.clinic_id, Membership.subject_id == therapist.id)
    change = change_rows(Membership).where(*mine).values(ended_at=None if active else at)
    async with as_identity(session):
        memberships = (await session.scalars(change.returning(Membership.id))).all()
    await authentication.end_memberships(session, memberships, "therapist_inactive", at=at)


async def _check(session: AsyncSession, actor: Actor, values: dict[str, Any], therapist_id: UUID | None = None) -> None:
    npi, email = values.get("npi"), values.get("email")
    if npi is not None:
        try:
            licensing.check_npi(npi)
        except licensing.InvalidIdentifier as error:
            raise NpiRefused(Problem("/npi", error.reason, "This is not a National Provider Identifier")) from error
    wanted = {Therapist.email: email, Therapist.npi: npi}
    taken = [column == value for column, value in wanted.items() if value is not None]
    others = select(Therapist.email, Therapist.npi).where(
        Therapist.clinic_id == actor.clinic_id,
        Therapist.id.is_distinct_from(therapist_id),
        or_(false(), *taken),
    )
    problems = []
    for other in (await session.execute(others)).all():
        if other.email == email:
            problems.append(Problem("/email", "email_taken", "Another therapist has this address"))
        if npi is not None and other.npi == npi:
            problems.append(Problem("/npi", "npi_taken", "Another therapist has this number"))
    if problems:
        raise TherapistExists(*problems)
