"""The calendar moves licenses on."""

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Sessions, bind_clinic, make_engine, make_sessions
from models.audit import AuditEvent
from models.therapists import License, LicenseStatus
from services import licenses
from tests import factories
from tests.conftest import Database

AT = datetime(2026, 3, 2, 23, 30, tzinfo=UTC)
"""2 March in London, 3 March in Berlin already."""


@pytest.fixture
async def sweeper(database: Database) -> AsyncIterator[Sessions]:
    """Open sessions as the sweeps over all clinics do."""
    engine = make_engine(database.sweeper)
    yield make_sessions(engine)
    await engine.dispose()


ENDS = {
    "over in Berlin only": date(2026, 3, 2),
    "over everywhere": date(2026, 3, 1),
    "last day to warn in Berlin": date(2026, 6, 1),
    "not yet": date(2026, 6, 2),
}


async def test_in_every_clinic_its_own_date_counts_and_a_second_run_moves_nothing(
    sessions: Sessions, sweeper: Sessions, session: AsyncSession
) -> None:
    made = {}
    for zone in ("Europe/Berlin", "Europe/London"):
        async with sessions.begin() as writing:
            clinic = await factories.make_clinic(writing, zone=zone)
            bob = await factories.make_therapist(writing, clinic.id, licensed=None)
            for name, ends in ENDS.items():
                await factories.make_license(writing, bob, number=name, expires_on=ends)
            await factories.make_license(
                writing, bob, number="revoked", expires_on=date(2026, 1, 1), status=LicenseStatus.REVOKED
            )
            made[zone] = clinic.id
    async with sweeper.begin() as sweeping:
        counted = await licenses.expire(sweeping, at=AT)
        assert counted["expired"] >= 3
        assert counted["expiring"] >= 2
        assert await licenses.expire(sweeping, at=AT) == {"expiring": 0, "expired": 0}
    found = {}
    for zone, clinic_id in made.items():
        await bind_clinic(session, clinic_id)
        rows = (await session.execute(select(License.number, License.status, License.version))).all()
        found[zone] = {row.number: row.status.value for row in rows}
        assert all(row.version == (2 if row.status in {"expired", "expiring"} else 1) for row in rows)
    assert found["Europe/Berlin"] == {
        "over in Berlin only": "expired",
        "over everywhere": "expired",
        "last day to warn in Berlin": "expiring",
        "not yet": "verified",
        "revoked": "revoked",
    }
    assert found["Europe/London"] == {
        "over in Berlin only": "expiring",
        "over everywhere": "expired",
        "last day to warn in Berlin": "verified",
        "not yet": "verified",
        "revoked": "revoked",
    }


async def test_bound_to_one_clinic_it_moves_that_ones_licenses(session: AsyncSession) -> None:
    other = await factories.make_clinic(session, "Hillside Clinic")
    theirs = await factories.make_license(
        session, await factories.make_therapist(session, other.id, licensed=None), expires_on=date(2026, 1, 1)
    )
    clinic = await factories.make_clinic(session)
    bob = await factories.make_therapist(session, clinic.id, licensed=None)
    await factories.make_license(session, bob, expires_on=date(2026, 1, 1))
    assert await licenses.expire(session, at=AT) == {"expiring": 0, "expired": 1}
    trace = (await session.scalars(select(AuditEvent).where(AuditEvent.clinic_id == clinic.id))).one()
    assert (trace.action, trace.role, trace.account_id) == ("license.expire", "system", None)
    await bind_clinic(session, other.id)
    await session.refresh(theirs)
    assert theirs.status is LicenseStatus.VERIFIED
