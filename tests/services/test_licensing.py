"""The gate before every act of care."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.program_life import ProgramStatus
from core.errors import Refusal
from models.care_team import CareRole
from models.clinics import Clinic
from models.episodes import Episode
from models.patients import Patient
from models.programs import Program
from models.therapists import LicenseKind, LicenseStatus, Profession, Therapist, TherapistStatus
from services import licensing
from services.licensing import MayNotTreat
from tests import factories
from tests.factories import NOW


@pytest.fixture
async def clinic(session: AsyncSession) -> Clinic:
    return await factories.make_clinic(session)


@pytest.fixture
async def alice(session: AsyncSession, clinic: Clinic) -> Patient:
    return await factories.make_patient(session, clinic.id)


@pytest.fixture
async def bob(session: AsyncSession, clinic: Clinic, alice: Patient) -> Therapist:
    """Linked to Alice, without any license yet."""
    bob = await factories.make_therapist(session, clinic.id, licensed=None)
    await factories.link(session, alice, bob)
    return bob


async def missing(session: AsyncSession, bob: Therapist, alice: Patient, at: datetime = NOW) -> list[str]:
    """Give the codes of what keeps Bob from treating Alice."""
    return await _codes(licensing.may_treat(session, alice.clinic_id, bob.id, alice.id, at=at))


async def missing_for_link(session: AsyncSession, bob: Therapist, alice: Patient) -> list[str]:
    return await _codes(licensing.may_link(session, alice.clinic_id, bob.id, alice.id, at=NOW))


async def _codes(question: Any) -> list[str]:
    try:
        await question
    except MayNotTreat as refusal:
        return [each.code for each in refusal.problems]
    return []


async def test_linked_licensed_and_located_is_enough(session: AsyncSession, bob: Therapist, alice: Patient) -> None:
    await factories.make_license(session, bob)
    await factories.locate(session, alice)
    assert await missing(session, bob, alice) == []


async def test_everything_that_is_missing_is_said_at_once_and_nothing_about_the_patient(
    session: AsyncSession, clinic: Clinic, alice: Patient
) -> None:
    frank = await factories.make_therapist(
        session, clinic.id, "Frank Voss", licensed=None, profession=Profession.PTA, status=TherapistStatus.INACTIVE
    )
    codes = ["therapist_inactive", "care_link_missing", "profession_not_allowed"]
    assert await missing(session, frank, alice) == [*codes, "location_missing"]
    await factories.locate(session, alice, "US", "CA")
    with pytest.raises(MayNotTreat) as caught:
        await licensing.may_treat(session, clinic.id, frank.id, alice.id, at=NOW)
    assert [each.code for each in caught.value.problems] == [*codes, "license_missing"]
    said = str(caught.value.problems) + caught.value.title
    assert "US" not in said
    assert "CA" not in said
    assert "Moreau" not in said


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"jurisdiction": "FR"}, "license_missing"),
        ({"status": LicenseStatus.UNVERIFIED}, "license_unverified"),
        ({"status": LicenseStatus.EXPIRED}, "license_expired"),
        ({"status": LicenseStatus.RESTRICTED}, "license_restricted"),
        ({"status": LicenseStatus.REVOKED}, "license_restricted"),
        ({"issued_on": date(2026, 3, 3)}, "license_not_yet_valid"),
        ({"expires_on": date(2026, 3, 1)}, "license_expired"),
        ({"profession": Profession.PTA}, "license_profession"),
        ({"kind": LicenseKind.COMPACT_PRIVILEGE}, "home_license_missing"),
    ],
)
async def test_a_license_that_does_not_count_says_why(
    session: AsyncSession, bob: Therapist, alice: Patient, changes: dict[str, Any], code: str
) -> None:
    await factories.locate(session, alice)
    await factories.make_license(session, bob, **changes)
    assert await missing(session, bob, alice) == [code]


@pytest.mark.parametrize("status", [LicenseStatus.VERIFIED, LicenseStatus.EXPIRING])
async def test_an_expiring_license_counts_to_its_last_day_in_the_clinic(
    session: AsyncSession, bob: Therapist, alice: Patient, status: LicenseStatus
) -> None:
    await factories.locate(session, alice)
    await factories.make_license(session, bob, status=status, expires_on=date(2026, 3, 2))
    assert await missing(session, bob, alice, datetime(2026, 3, 2, 22, 59, tzinfo=UTC)) == []
    after_midnight_in_berlin = datetime(2026, 3, 2, 23, 1, tzinfo=UTC)
    assert await missing(session, bob, alice, after_midnight_in_berlin) == ["license_expired"]


async def test_the_newest_place_counts_and_a_state_is_a_place_of_its_own(
    session: AsyncSession, bob: Therapist, alice: Patient
) -> None:
    await factories.make_license(session, bob, "DE")
    await factories.make_license(session, bob, "US-CA", number="PT12345")
    await factories.locate(session, alice, "DE", "BY", at=NOW)
    assert await missing(session, bob, alice) == [], "Germany licenses as one country"
    later = NOW + timedelta(days=1)
    await factories.locate(session, alice, "US", "NY", at=later)
    assert await missing(session, bob, alice, later) == ["license_missing"]
    assert await missing(session, bob, alice, NOW) == [], "on the day before she was in Germany"
    later = NOW + timedelta(days=2)
    await factories.locate(session, alice, "US", "CA", at=later)
    assert await missing(session, bob, alice, later) == []
    later = NOW + timedelta(days=3)
    await factories.locate(session, alice, "US", None, at=later)
    assert await missing(session, bob, alice, later) == ["location_missing"], "the state decides, and she did not say"


async def test_a_compact_privilege_stands_on_the_home_states_license(
    session: AsyncSession, bob: Therapist, alice: Patient
) -> None:
    await factories.locate(session, alice, "US", "TX")
    await factories.make_license(session, bob, "US-TX", kind=LicenseKind.COMPACT_PRIVILEGE)
    assert await missing(session, bob, alice) == ["home_license_missing"]
    await factories.make_license(session, bob, "US-CO", number="CO1234")
    assert await missing(session, bob, alice) == []


async def test_one_good_license_is_enough_beside_bad_ones(
    session: AsyncSession, bob: Therapist, alice: Patient
) -> None:
    await factories.locate(session, alice)
    await factories.make_license(session, bob, number="OLD", status=LicenseStatus.REVOKED)
    await factories.make_license(session, bob, number="NEW")
    assert await missing(session, bob, alice) == []


async def test_a_link_that_ended_or_has_not_begun_does_not_count(
    session: AsyncSession, clinic: Clinic, alice: Patient
) -> None:
    await factories.locate(session, alice)
    carol = await factories.make_therapist(session, clinic.id, "Carol Brandt")
    since, until = NOW - timedelta(days=9), NOW + timedelta(days=9)
    await factories.link(session, alice, carol, since=since, until=until)
    assert await missing(session, carol, alice) == []
    assert await missing(session, carol, alice, until) == ["care_link_missing"]


async def test_who_is_not_in_this_clinic_may_not(session: AsyncSession, alice: Patient) -> None:
    other = await factories.make_clinic(session, "Hillside Clinic")
    stranger = await factories.make_therapist(session, other.id)
    await factories.locate(session, await factories.make_patient(session, alice.clinic_id))
    assert await missing(session, stranger, alice) == ["therapist_inactive"]
    with pytest.raises(Refusal):
        await licensing.may_treat(session, alice.clinic_id, None, alice.id, at=NOW)


# ------------------------------------------------------------------ all running programs at once


CASES: dict[str, dict[str, Any]] = {
    "in order": {},
    "no license": {"licenses": []},
    "of another place": {"licenses": [{"jurisdiction": "FR"}]},
    "unverified": {"licenses": [{"status": LicenseStatus.UNVERIFIED}]},
    "expiring": {"licenses": [{"status": LicenseStatus.EXPIRING}]},
    "expired by status": {"licenses": [{"status": LicenseStatus.EXPIRED}]},
    "restricted": {"licenses": [{"status": LicenseStatus.RESTRICTED}]},
    "revoked": {"licenses": [{"status": LicenseStatus.REVOKED}]},
    "revoked beside a good one": {"licenses": [{"status": LicenseStatus.REVOKED}, {}]},
    "not yet": {"licenses": [{"issued_on": date(2026, 3, 3)}]},
    "last day": {"licenses": [{"expires_on": date(2026, 3, 2)}]},
    "day after": {"licenses": [{"expires_on": date(2026, 3, 1)}]},
    "another profession's": {"licenses": [{"profession": Profession.PTA}]},
    "assistant": {"therapist": {"profession": Profession.PTA}},
    "inactive": {"therapist": {"status": TherapistStatus.INACTIVE}},
    "nowhere": {"place": None},
    "country without its state": {"place": ("US", None)},
    "state": {"place": ("US", "CA"), "licenses": [{"jurisdiction": "US-CA"}]},
    "another state": {"place": ("US", "NY"), "licenses": [{"jurisdiction": "US-CA"}]},
    "compact alone": {
        "place": ("US", "TX"),
        "licenses": [{"jurisdiction": "US-TX", "kind": LicenseKind.COMPACT_PRIVILEGE}],
    },
    "compact and home": {
        "place": ("US", "TX"),
        "licenses": [
            {"jurisdiction": "US-TX", "kind": LicenseKind.COMPACT_PRIVILEGE},
            {"jurisdiction": "US-CO"},
        ],
    },
    "compact and home expired": {
        "place": ("US", "TX"),
        "licenses": [
            {"jurisdiction": "US-TX", "kind": LicenseKind.COMPACT_PRIVILEGE},
            {"jurisdiction": "US-CO", "status": LicenseStatus.EXPIRED},
        ],
    },
    "link over": {"until": NOW},
    "link to come": {"since": NOW + timedelta(hours=1)},
}


async def test_the_sweep_and_the_gate_agree_in_every_case(session: AsyncSession, clinic: Clinic) -> None:
    expected = {}
    for number, (name, case) in enumerate(CASES.items()):
        patient = await factories.make_patient(session, clinic.id)
        place = case.get("place", ("DE", None))
        if place is not None:
            await factories.locate(session, patient, *place)
        await _running(session, patient)
        therapist = await factories.make_therapist(
            session, clinic.id, email=f"{number}@riverside.example", licensed=None, **case.get("therapist", {})
        )
        for place_, each in enumerate(case.get("licenses", [{}])):
            await factories.make_license(session, therapist, number=f"N{number}-{place_}", **each)
        since, until = case.get("since", NOW - timedelta(days=9)), case.get("until")
        await factories.link(session, patient, therapist, since=since, until=until)
        codes = await missing(session, therapist, patient)
        if codes:
            linked = "care_link_missing" not in codes
            expected[patient.id] = (name, codes[0] if linked else "care_link_missing")
    found = await licensing.untreated(session, clinic.id, at=NOW)
    assert found == {patient: code for patient, (_, code) in expected.items()}
    assert {name for name, _ in expected.values()} == set(CASES) - {
        "in order",
        "expiring",
        "revoked beside a good one",
        "last day",
        "state",
        "compact and home",
    }


async def test_one_who_may_treat_is_enough_and_the_nearest_says_what_is_missing(
    session: AsyncSession, clinic: Clinic, alice: Patient, bob: Therapist
) -> None:
    await factories.locate(session, alice)
    await _running(session, alice)
    assert await licensing.untreated(session, clinic.id, at=NOW) == {alice.id: "license_missing"}
    carol = await factories.make_therapist(session, clinic.id, "Carol Brandt")
    await factories.link(session, alice, carol, CareRole.MEMBER)
    assert await licensing.untreated(session, clinic.id, at=NOW) == {}
    carol.status, carol.profession = TherapistStatus.INACTIVE, Profession.PTA
    await session.flush()
    assert await licensing.untreated(session, clinic.id, therapist_id=carol.id, at=NOW) == {alice.id: "license_missing"}
    dora = await factories.make_therapist(session, clinic.id, "Dora Lenz")
    assert await licensing.untreated(session, clinic.id, therapist_id=dora.id, at=NOW) == {}
    assert await licensing.untreated(session, clinic.id, patients=[bob.id], at=NOW) == {}


async def _running(session: AsyncSession, patient: Patient) -> None:
    """Give the patient a program in use, without all that it takes to put one there."""
    episode = Episode(clinic_id=patient.clinic_id, patient_id=patient.id, title="Low back", body_region="low_back")
    session.add(episode)
    await session.flush()
    values = {"clinic_id": patient.clinic_id, "patient_id": patient.id, "episode_id": episode.id}
    session.add(Program(**values, title="At home", status=ProgramStatus.ACTIVE))
    await session.flush()


# ------------------------------------------------------------------ linking


async def test_until_she_says_where_she_is_any_license_in_force_is_enough_for_a_link(
    session: AsyncSession, clinic: Clinic, alice: Patient
) -> None:
    carol = await factories.make_therapist(session, clinic.id, "Carol Brandt", licensed=None)
    assert await missing_for_link(session, carol, alice) == ["license_missing"]
    await factories.make_license(session, carol, "FR", status=LicenseStatus.UNVERIFIED)
    assert await missing_for_link(session, carol, alice) == ["license_unverified"]
    await factories.make_license(session, carol, "FR", number="OTHER")
    assert await missing_for_link(session, carol, alice) == []
    await factories.locate(session, alice)
    assert await missing_for_link(session, carol, alice) == ["license_missing"]


async def test_an_assistant_may_be_linked_but_not_treat_as_a_therapist(
    session: AsyncSession, clinic: Clinic, alice: Patient
) -> None:
    await factories.locate(session, alice)
    frank = await factories.make_therapist(session, clinic.id, "Frank Voss", profession=Profession.PTA)
    assert await missing_for_link(session, frank, alice) == []
    assert await missing(session, frank, alice) == ["care_link_missing", "profession_not_allowed"]
    frank.status = TherapistStatus.INACTIVE
    await session.flush()
    assert await missing_for_link(session, frank, alice) == ["therapist_inactive"]


async def test_the_gate_asks_one_statement(session: AsyncSession, bob: Therapist, alice: Patient) -> None:
    seen: list[str] = []
    connection = await session.connection()
    raw: Any = (await connection.get_raw_connection()).driver_connection

    def note(query: Any) -> None:
        seen.append(query.query)

    raw.add_query_logger(note)
    await missing(session, bob, alice)
    await session.connection()
    await asyncio.sleep(0)  # the driver tells its loggers in the next turn of the loop
    raw.remove_query_logger(note)
    assert len(seen) == 1
