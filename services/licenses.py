"""Licenses, and every look at their registers: unverified → verified → expiring → expired | restricted | revoked.

A status is never typed. A look at the register (`verify`) and the calendar (`expire`) move it; only a later look brings
a license back that had lapsed or was encumbered.
"""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical import licensing
from core.database import fetch
from core.errors import Conflict, Invalid, NotFound, Problem
from models.clinics import Clinic
from models.therapists import License, LicenseStatus, LicenseVerification, VerificationResult
from schemas import pages
from schemas.licenses import LicenseIn, LicenseOut, VerificationIn, VerificationOut
from services import access, audit, programs, therapists
from services.access import Action, Actor

EXPIRING_DAYS = 90
"""So long before its last day a license is `expiring`."""

CHECK_DAYS = 30
"""A license's register is looked at monthly (NCQA 2025: monthly check of expirations and sanctions)."""


class LicenseRefused(Invalid):
    """This license cannot be right."""


class LicenseExists(Conflict):
    """The clinic has a license with this jurisdiction, kind and number already."""


class VerificationRefused(Invalid):
    """This cannot be what the register said."""


@dataclass(frozen=True)
class Verified:
    """A look at the register, and the license after it."""

    verification: LicenseVerification
    license: License

    def out(self) -> VerificationOut:
        """Give both as they are answered."""
        shown = {name: getattr(self.verification, name) for name in VerificationOut.model_fields if name != "license"}
        return VerificationOut(**shown, license=LicenseOut.model_validate(self.license))


async def browse(session: AsyncSession, actor: Actor, therapist_id: UUID, page: pages.Page) -> pages.Paged[License]:
    """List a therapist's licenses, in the order in which they were entered. Raises NotFound."""
    await therapists.get(session, actor, therapist_id, Action.READ_LICENSES)
    query = select(License).where(License.clinic_id == actor.clinic_id, License.therapist_id == therapist_id)
    return await pages.fetch(session, query, page, keys=(License.created_at, License.id))


async def create(session: AsyncSession, actor: Actor, therapist_id: UUID, form: LicenseIn, *, at: datetime) -> License:
    """Enter a license as its document says; it counts for nothing until it is verified.

    Raises NotFound, LicenseRefused (place, number or dates), LicenseExists.
    """
    therapist = await therapists.get(session, actor, therapist_id, Action.MANAGE_LICENSES, lock=True)
    today = await _today(session, actor.clinic_id, at)
    problems = [*_wrong_number(form), *_wrong_dates(form, today)]
    if problems:
        raise LicenseRefused(*problems)
    twin = select(License.id).where(
        License.clinic_id == actor.clinic_id,
        License.jurisdiction == form.jurisdiction,
        License.kind == form.kind,
        License.number == form.number,
    )
    if await session.scalar(twin) is not None:
        raise LicenseExists
    values = form.model_dump() | {"conditions": form.conditions or ""}
    row = License(clinic_id=actor.clinic_id, therapist_id=therapist.id, profession=therapist.profession, **values)
    session.add(row)
    await session.flush()
    await audit.record(session, actor, "license.create", at=at, subject=("license", row.id))
    return row


def _wrong_number(form: LicenseIn) -> list[Problem]:
    try:
        licensing.check_number(form.jurisdiction, form.kind.value, form.number)
    except licensing.UnknownPlace:
        message = "This is not a country, or not one of its states or provinces; the US and Canada need one"
        return [Problem("/jurisdiction", "jurisdiction_unknown", message)]
    except licensing.InvalidIdentifier as error:
        return list(error.problems)
    return []


def _wrong_dates(form: LicenseIn, today: date) -> list[Problem]:
    problems = []
    if form.expires_on <= form.issued_on:
        problems.append(Problem("/expires_on", "dates_order", "A license ends after it begins"))
    if form.issued_on > today:
        problems.append(Problem("/issued_on", "date_future", "A license is entered once it has been issued"))
    return problems


async def verify(
    session: AsyncSession, actor: Actor, license_id: UUID, form: VerificationIn, *, at: datetime
) -> Verified:
    """Write down what the register said; the license's status follows, and programs that rested on it are paused.

    Raises NotFound, VerificationRefused.
    """
    access.require(actor, Action.MANAGE_LICENSES)
    query = select(License).where(License.clinic_id == actor.clinic_id, License.id == license_id)
    row = await session.scalar(query.with_for_update(key_share=True))
    if row is None:
        raise NotFound
    today = await _today(session, actor.clinic_id, at)
    expires_on = form.expires_on or row.expires_on
    _check_verification(form, row, expires_on, today, at)
    looked_at = form.verified_at or at
    verification = LicenseVerification(
        clinic_id=actor.clinic_id,
        license_id=row.id,
        verified_by=actor.account_id,
        verified_at=looked_at,
        **form.model_dump(include={"result", "method", "source", "evidence"}),
    )
    session.add(verification)
    if row.verified_at is None or looked_at >= row.verified_at:  # an older look is kept, but changes nothing any more
        row.status = _status_after(form.result, expires_on, today)
        row.expires_on = expires_on
        row.verified_at = looked_at
        row.next_check_on = form.next_check_on or today + timedelta(days=CHECK_DAYS)
        if form.conditions is not None:
            row.conditions = form.conditions
    await session.flush()
    await audit.record(session, actor, "license.verify", at=at, subject=("license", row.id))
    await programs.review(session, actor.clinic_id, therapist_id=row.therapist_id, actor=actor, at=at)
    return Verified(verification, row)


def _check_verification(form: VerificationIn, row: License, expires_on: date, today: date, at: datetime) -> None:
    problems = []
    if form.verified_at is not None and form.verified_at > at:
        problems.append(Problem("/verified_at", "instant_future", "A look at the register lies in the past"))
    if expires_on <= row.issued_on:
        problems.append(Problem("/expires_on", "dates_order", "A license ends after it begins"))
    elif form.result is VerificationResult.VERIFIED and expires_on < today:
        problems.append(Problem("/expires_on", "license_over", "Its last day is over: say until when it was renewed"))
    if problems:
        raise VerificationRefused(*problems)


def _status_after(result: VerificationResult, expires_on: date, today: date) -> LicenseStatus:
    match result:
        case VerificationResult.VERIFIED:
            soon = expires_on <= today + timedelta(days=EXPIRING_DAYS)
            return LicenseStatus.EXPIRING if soon else LicenseStatus.VERIFIED
        case VerificationResult.NOT_FOUND:
            return LicenseStatus.UNVERIFIED
        case VerificationResult.EXPIRED:
            return LicenseStatus.EXPIRED
        case VerificationResult.RESTRICTED:
            return LicenseStatus.RESTRICTED
        case VerificationResult.REVOKED:
            return LicenseStatus.REVOKED


async def expire(session: AsyncSession, *, at: datetime) -> dict[str, int]:
    """Let the calendar move licenses on: to `expiring` 90 days before their last day, to `expired` after it.

    One statement over all clinics (as `physio_sweeper`) or the bound one, by each clinic's own date; safe to repeat.
    Returns how many became what.
    """
    rows = await fetch(
        session,
        """
        WITH moved AS (
          UPDATE licenses AS l
          SET status = CASE WHEN l.expires_on < local_day($1, c.zone) THEN 'expired'
                            ELSE 'expiring' END,
              updated_at = $1, version = l.version + 1
          FROM clinics AS c
          WHERE c.id = l.clinic_id
            AND (l.status IN ('verified', 'expiring') AND l.expires_on < local_day($1, c.zone)
                 OR l.status = 'verified'
                    AND l.expires_on <= local_day($1, c.zone) + $2::integer)
          RETURNING l.clinic_id, l.id, l.status
        ), traced AS (
          INSERT INTO audit_events (clinic_id, at, action, resource_type, resource_id, role)
          SELECT clinic_id, $1, CASE status WHEN 'expired' THEN 'license.expire' ELSE 'license.update' END, 'license',
                 id, $3 FROM moved
        )
        SELECT status, count(*) AS licenses FROM moved GROUP BY status
        """,
        at,
        EXPIRING_DAYS,
        audit.SYSTEM,
    )
    counted = {row["status"]: row["licenses"] for row in rows}
    return {name: counted.get(name, 0) for name in ("expiring", "expired")}


async def _today(session: AsyncSession, clinic_id: UUID, at: datetime) -> date:
    zone = await session.scalar(select(Clinic.zone).where(Clinic.id == clinic_id))
    assert zone is not None
    return at.astimezone(ZoneInfo(zone)).date()
