"""Joining a clinic over HTTP."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from httpx import AsyncClient
from sqlalchemy import Text, func, select, text, update

from api.app import create_app
from core import crypto
from core.database import Sessions, as_identity, bind_clinic
from core.settings import Settings
from models.audit import AuditEvent
from models.identity import Account, AccountStatus, Membership, Role
from models.invitations import Invitation
from models.notifications import Notification
from models.patients import Patient
from models.therapists import Profession, Therapist, TherapistStatus
from services import invitations, throttling
from tests import factories
from tests.api.conftest import client_of
from tests.factories import PASSWORD, World

NEW = "a short sentence is good"


@pytest.fixture(autouse=True)
async def _nobody_has_failed_yet(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await throttling.forget(session, at=datetime.now(UTC) + throttling.WINDOW)


@pytest.fixture
async def world(sessions: Sessions) -> World:
    return await factories.make_world(sessions)


@pytest.fixture
async def erin(sessions: Sessions, world: World) -> Patient:
    """A patient of Bob's who has no account yet."""
    async with sessions.begin() as session:
        erin = await factories.make_patient(session, world.clinic.id, "Erin Wolf", email=_address("erin"))
        await factories.link(session, erin, world.bob)
    return erin


@pytest.fixture
async def frank(sessions: Sessions, world: World) -> Therapist:
    """An assistant who has no account yet."""
    async with sessions.begin() as session:
        return await factories.make_therapist(
            session, world.clinic.id, "Frank Voss", profession=Profession.PTA, email=_address("frank")
        )


def _address(name: str) -> str:
    return f"{name}.{uuid4().hex[:8]}@people.example"


async def invite(client: AsyncClient, world: World, who: str = "bob", **person: Any) -> Any:
    body = {key: str(value) for key, value in person.items()}
    return await client.post("/v1/invitations", json=body, headers=world.headers[who])


async def code_of(sessions: Sessions, world: World, answer: Any) -> str:
    """Read the invited person's mail."""
    assert answer.json()["code"] is None
    return await factories.read_code(sessions, world.clinic.id, UUID(answer.json()["id"]))


async def accept(client: AsyncClient, code: str, password: str = NEW, **more: Any) -> Any:
    return await client.post("/v1/invitations/accept", json={"code": code, "password": password, **more})


async def test_a_patient_is_invited_accepts_and_is_signed_in(
    client: AsyncClient, sessions: Sessions, world: World, erin: Patient
) -> None:
    invited = await invite(client, world, patient_id=erin.id)
    assert invited.status_code == 201
    assert invited.headers["cache-control"] == "no-store"
    told = invited.json()
    assert (told["role"], told["email"], told["subject_id"]) == ("patient", erin.email, str(erin.id))
    code = await code_of(sessions, world, invited)
    answer = await accept(client, code, language="de", zone="Europe/Vienna", device="Erin's phone")
    assert answer.status_code == 201
    signed = answer.json()
    assert signed["membership"]["patient_id"] == str(erin.id)
    assert signed["account"]["email"] == erin.email
    me = await client.get("/v1/me", headers=factories.bearer(signed["access_token"]))
    assert me.json()["membership"] == signed["membership"]
    again = await client.post("/v1/auth/login", json={"email": erin.email, "password": NEW})
    assert again.status_code == 200
    async with sessions() as session:
        await bind_clinic(session, world.clinic.id)
        patient = await session.get_one(Patient, (world.clinic.id, erin.id))
        assert (str(patient.account_id), patient.language, patient.zone) == (
            signed["account"]["id"],
            "de",
            "Europe/Vienna",
        )
        actions = await session.scalars(select(AuditEvent.action).where(AuditEvent.patient_id == erin.id))
        assert set(actions) == {"invitation.create", "invitation.accept"}


async def test_who_invites_sees_no_code_and_nothing_stored_opens_the_door(
    client: AsyncClient, sessions: Sessions, world: World, erin: Patient
) -> None:
    headers = world.headers["bob"] | {"Idempotency-Key": uuid4().hex}
    invited = await client.post("/v1/invitations", json={"patient_id": str(erin.id)}, headers=headers)
    assert invited.json()["code"] is None
    assert "physio_in_" not in invited.text
    code = await code_of(sessions, world, invited)
    content = crypto.read_token("physio_in_", code, 64)
    assert content is not None
    async with sessions() as session:
        await bind_clinic(session, world.clinic.id)
        rows = [
            *await session.scalars(select(func.to_jsonb(text("i")).cast(Text)).select_from(text("invitations i"))),
            *await session.scalars(select(func.to_jsonb(text("n")).cast(Text)).select_from(text("notifications n"))),
            *await session.scalars(select(func.to_jsonb(text("k")).cast(Text)).select_from(text("idempotency_keys k"))),
        ]
        owed = (await session.scalars(select(Notification).where(Notification.address == erin.email))).one()
    stored = " ".join(rows)
    assert owed.parameters["seed"] in stored
    assert "physio_in_" not in stored
    assert content[32:].hex() not in stored
    thief = crypto.derive_key("another server's secret", "tokens")
    seed = bytes.fromhex(owed.parameters["seed"])
    forged = invitations.code_of(thief, world.clinic.id, UUID(invited.json()["id"]), seed)
    assert (await accept(client, forged)).status_code == 404
    assert (await accept(client, code)).status_code == 201


@pytest.mark.parametrize(
    ("changes", "shown"),
    [
        ({"environment": "development"}, True),
        ({"environment": "test", "demo": True}, True),
        ({"environment": "development", "host": "0.0.0.0"}, False),
        ({"environment": "test"}, False),
        ({"environment": "production"}, False),
    ],
)
async def test_only_a_developers_own_server_and_a_demo_show_the_code_in_the_answer(
    settings: Settings, sessions: Sessions, world: World, erin: Patient, changes: Any, shown: bool
) -> None:
    async with client_of(create_app(settings.model_copy(update=changes), sessions=sessions)) as client:
        told = (await invite(client, world, patient_id=erin.id)).json()
    mailed = await factories.read_code(sessions, world.clinic.id, UUID(told["id"]))
    assert told["code"] == (mailed if shown else None)


async def test_an_admin_invites_an_assistant_and_an_auditor(
    client: AsyncClient, sessions: Sessions, world: World, frank: Therapist
) -> None:
    code = await code_of(sessions, world, await invite(client, world, "dana", therapist_id=frank.id))
    signed = (await accept(client, code)).json()
    assert signed["membership"]["role"] == "assistant"
    assert signed["membership"]["therapist_id"] == str(frank.id)
    code = await code_of(sessions, world, await invite(client, world, "dana", email=_address("gina"), role="auditor"))
    signed = (await accept(client, code, PASSWORD)).json()
    assert signed["membership"] | {"id": ""} == {
        "id": "",
        "clinic_id": str(world.clinic.id),
        "role": "auditor",
        "therapist_id": None,
        "patient_id": None,
    }


async def test_a_therapist_invites_her_own_patients_and_nobody_else(
    client: AsyncClient, world: World, erin: Patient, frank: Therapist
) -> None:
    assert (await invite(client, world, "carol", patient_id=erin.id)).status_code == 404
    assert (await invite(client, world, "bob", patient_id=uuid4())).status_code == 404
    assert (await invite(client, world, "dana", therapist_id=uuid4())).status_code == 404
    assert (await invite(client, world, "bob", therapist_id=frank.id)).status_code == 403
    assert (await invite(client, world, "bob", email="x@y.example", role="auditor")).status_code == 403
    assert (await invite(client, world, "alice", patient_id=world.alice.id)).status_code == 403


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"email": "x@y.example"},
        {"role": "auditor"},
        {"email": "x@y.example", "role": "therapist"},
        {"email": "x", "role": "auditor"},
        {"patient_id": "7"},
        {"patient_id": str(uuid4()), "therapist_id": str(uuid4())},
        {"patient_id": str(uuid4()), "email": "x@y.example"},
        {"patient_id": str(uuid4()), "code": "mine"},
    ],
)
async def test_an_invitation_names_exactly_one_person(client: AsyncClient, world: World, body: Any) -> None:
    answer = await client.post("/v1/invitations", json=body, headers=world.headers["dana"])
    assert answer.status_code == 422
    assert "y.example" not in answer.text


async def test_who_has_an_account_here_is_not_invited_again(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    async with sessions() as session, as_identity(session):
        dana = await session.get_one(Account, world.actors["dana"].account_id)
    for person in (
        {"patient_id": world.alice.id},
        {"therapist_id": world.bob.id},
        {"email": dana.email, "role": "clinic_admin"},
    ):
        answer = await invite(client, world, "dana", **person)
        assert (answer.status_code, answer.json()["code"]) == (409, "already_member")


async def test_without_an_address_or_out_of_service_nobody_is_invited(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    async with sessions.begin() as session:
        silent = await factories.make_patient(session, world.clinic.id, "Hugo Lang", email=None)
        gone = await factories.make_therapist(session, world.clinic.id, "Ida Roth", status=TherapistStatus.INACTIVE)
    answer = await invite(client, world, "dana", patient_id=silent.id)
    assert (answer.status_code, answer.json()["code"]) == (409, "no_address")
    answer = await invite(client, world, "dana", therapist_id=gone.id)
    assert (answer.status_code, answer.json()["code"]) == (409, "therapist_inactive")


async def test_a_code_works_once(client: AsyncClient, sessions: Sessions, world: World, erin: Patient) -> None:
    code = await code_of(sessions, world, await invite(client, world, patient_id=erin.id))
    assert (await accept(client, code)).status_code == 201
    again = await accept(client, code)
    assert (again.status_code, again.json()["code"]) == (409, "invitation_not_open")


async def test_of_two_who_accept_at_the_same_time_one_wins(
    client: AsyncClient, sessions: Sessions, world: World, erin: Patient
) -> None:
    code = await code_of(sessions, world, await invite(client, world, patient_id=erin.id))
    answers = await asyncio.gather(*(accept(client, code) for _ in range(6)))
    assert sorted(each.status_code for each in answers) == [201] + [409] * 5


async def test_a_new_invitation_ends_the_earlier_one(
    client: AsyncClient, sessions: Sessions, world: World, erin: Patient, frank: Therapist
) -> None:
    gina = _address("gina")
    for person in ({"patient_id": erin.id}, {"therapist_id": frank.id}, {"email": gina, "role": "auditor"}):
        first = await code_of(sessions, world, await invite(client, world, "dana", **person))
        second = await code_of(sessions, world, await invite(client, world, "dana", **person))
        assert (await accept(client, first)).json()["code"] == "invitation_not_open"
        assert (await accept(client, second)).status_code == 201


async def test_an_invitation_ends_after_seven_days(
    client: AsyncClient, sessions: Sessions, world: World, erin: Patient
) -> None:
    told = (await invite(client, world, patient_id=erin.id)).json()
    lasting = datetime.fromisoformat(told["expires_at"]) - datetime.fromisoformat(told["created_at"])
    assert lasting == timedelta(days=7)
    code = await _aged(sessions, world, erin, timedelta(days=7, seconds=1))
    answer = await accept(client, code)
    assert (answer.status_code, answer.json()["code"]) == (409, "invitation_not_open")


async def _aged(sessions: Sessions, world: World, erin: Patient, age: timedelta) -> str:
    """Write an invitation as if it had been made so long ago, since nobody may change its dates later."""
    secret, at = crypto.seed(), datetime.now(UTC) - age
    async with sessions.begin() as session:
        await bind_clinic(session, world.clinic.id)
        row = Invitation(
            clinic_id=world.clinic.id,
            email=erin.email,
            role=Role.PATIENT,
            subject_id=erin.id,
            code_hash=factories.TOKENS.key.mac("invitation", secret),
            invited_by=world.actors["bob"].account_id,
            created_at=at,
            expires_at=at + timedelta(days=7),
        )
        session.add(row)
        await session.flush()
        return crypto.write_token("physio_in_", world.clinic.id.bytes + row.id.bytes + secret)


async def test_what_is_no_code_of_ours_is_unknown(
    client: AsyncClient, sessions: Sessions, world: World, erin: Patient
) -> None:
    code = await code_of(sessions, world, await invite(client, world, patient_id=erin.id))
    content = crypto.read_token("physio_in_", code, 64)
    assert content is not None
    for place in (0, 31, 63):  # another clinic, another invitation, another secret
        forged = bytearray(content)
        forged[place] ^= 1
        answer = await accept(client, crypto.write_token("physio_in_", bytes(forged)))
        assert (answer.status_code, answer.json()["code"]) == (404, "invitation_unknown")
    assert (await accept(client, "physio_in_guess")).status_code == 404
    assert (await accept(client, code)).status_code == 201


async def test_a_weak_password_makes_no_account_and_leaves_the_invitation_open(
    client: AsyncClient, sessions: Sessions, world: World, erin: Patient
) -> None:
    code = await code_of(sessions, world, await invite(client, world, patient_id=erin.id))
    answer = await accept(client, code, "too short")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["code"] == "password_short"
    async with sessions() as session, as_identity(session):
        assert not await session.scalar(select(func.count()).select_from(Account).where(Account.email == erin.email))
    assert (await accept(client, code)).status_code == 201


@pytest.mark.parametrize("more", [{"zone": "Mars/Olympus"}, {"language": "German"}, {"role": "clinic_admin"}])
async def test_what_a_person_says_about_herself_is_checked(client: AsyncClient, more: dict[str, str]) -> None:
    assert (await accept(client, "physio_in_x", **more)).status_code == 422


# ------------------------------------------------------------------ people who have an account already


@pytest.fixture
async def known(sessions: Sessions, world: World) -> Account:
    """Somebody with an account elsewhere, whom Bob has as a patient."""
    async with sessions.begin() as session:
        account = await factories.make_account(session, "jo@people.example")
        patient = await factories.make_patient(session, world.clinic.id, "Jo Ray", email=account.email)
        await factories.link(session, patient, world.bob)
    return account


async def _patient_of(sessions: Sessions, world: World, email: str) -> Patient:
    async with sessions() as session:
        await bind_clinic(session, world.clinic.id)
        return (await session.scalars(select(Patient).where(Patient.email == email))).one()


async def test_a_known_account_is_tied_with_its_own_password(
    client: AsyncClient, sessions: Sessions, world: World, known: Account
) -> None:
    patient = await _patient_of(sessions, world, known.email)
    code = await code_of(sessions, world, await invite(client, world, patient_id=patient.id))
    wrong = await accept(client, code, NEW)
    assert (wrong.status_code, wrong.json()["code"]) == (401, "wrong_credentials")
    right = await accept(client, code, PASSWORD)
    assert right.status_code == 201
    assert right.json()["account"]["id"] == str(known.id)


async def test_guessing_a_known_accounts_password_by_its_invitation_is_throttled(
    client: AsyncClient, sessions: Sessions, world: World, known: Account
) -> None:
    patient = await _patient_of(sessions, world, known.email)
    code = await code_of(sessions, world, await invite(client, world, patient_id=patient.id))
    tries = [await accept(client, code, f"{NEW} {n}") for n in range(11)]
    assert [each.status_code for each in tries] == [401] * 10 + [429]


async def test_a_closed_account_accepts_nothing(
    client: AsyncClient, sessions: Sessions, world: World, known: Account
) -> None:
    async with sessions.begin() as session, as_identity(session):
        await session.execute(update(Account).where(Account.id == known.id).values(status=AccountStatus.DISABLED))
    patient = await _patient_of(sessions, world, known.email)
    code = await code_of(sessions, world, await invite(client, world, patient_id=patient.id))
    assert (await accept(client, code, PASSWORD)).status_code == 401


async def test_who_left_the_clinic_can_join_again(client: AsyncClient, sessions: Sessions, world: World) -> None:
    gina = _address("gina")
    code = await code_of(sessions, world, await invite(client, world, "dana", email=gina, role="auditor"))
    first = (await accept(client, code)).json()
    async with sessions.begin() as session, as_identity(session):
        await session.execute(
            update(Membership)
            .where(Membership.clinic_id == world.clinic.id, Membership.role == Role.AUDITOR)
            .values(ended_at=datetime.now(UTC))
        )
    code = await code_of(sessions, world, await invite(client, world, "dana", email=gina, role="auditor"))
    second = await accept(client, code)
    assert second.status_code == 201
    assert second.json()["membership"] == first["membership"]
    before, now = (factories.bearer(each["access_token"]) for each in (first, second.json()))
    assert (await client.get("/v1/me", headers=before)).status_code == 401, "what was signed in before has ended"
    refreshed = await client.post("/v1/auth/refresh", json={"refresh_token": first["refresh_token"]})
    assert refreshed.json()["code"] == "sign_in_ended"
    assert (await client.get("/v1/me", headers=now)).status_code == 200


async def test_one_account_cannot_stand_for_two_records_of_one_role(
    client: AsyncClient, sessions: Sessions, world: World, known: Account
) -> None:
    first = await _patient_of(sessions, world, known.email)
    code = await code_of(sessions, world, await invite(client, world, patient_id=first.id))
    assert (await accept(client, code, PASSWORD)).status_code == 201
    async with sessions.begin() as session:
        second = await factories.make_patient(session, world.clinic.id, "Jo Ray", email=known.email)
        await factories.link(session, second, world.bob)
    code = await code_of(sessions, world, await invite(client, world, patient_id=second.id))
    answer = await accept(client, code, PASSWORD)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_member")


async def test_a_record_that_was_tied_in_the_meantime_is_not_tied_twice(
    client: AsyncClient, sessions: Sessions, world: World, erin: Patient
) -> None:
    code = await code_of(sessions, world, await invite(client, world, patient_id=erin.id))
    async with sessions.begin() as session:
        await bind_clinic(session, world.clinic.id)
        await session.execute(
            update(Patient).where(Patient.id == erin.id).values(account_id=world.actors["alice"].account_id)
        )
    answer = await accept(client, code)
    assert (answer.status_code, answer.json()["code"]) == (409, "already_member")


async def test_the_same_request_again_invites_once(
    client: AsyncClient, sessions: Sessions, world: World, erin: Patient
) -> None:
    headers = world.headers["bob"] | {"Idempotency-Key": uuid4().hex}
    body = {"patient_id": str(erin.id)}
    first = await client.post("/v1/invitations", json=body, headers=headers)
    again = await client.post("/v1/invitations", json=body, headers=headers)
    assert (again.status_code, again.json()) == (201, first.json())
    assert (await accept(client, await code_of(sessions, world, first))).status_code == 201


async def test_an_invitation_goes_with_the_address_and_the_job_it_was_made_for(
    client: AsyncClient, sessions: Sessions, world: World, erin: Patient, frank: Therapist
) -> None:
    codes = [
        await code_of(sessions, world, await invite(client, world, "dana", patient_id=erin.id)),
        await code_of(sessions, world, await invite(client, world, "dana", therapist_id=frank.id)),
    ]
    async with sessions.begin() as session:
        await bind_clinic(session, world.clinic.id)
        await session.execute(update(Patient).where(Patient.id == erin.id).values(email=_address("erin")))
        await session.execute(update(Therapist).where(Therapist.id == frank.id).values(status=TherapistStatus.INACTIVE))
    for code in codes:
        answer = await accept(client, code)
        assert (answer.status_code, answer.json()["code"]) == (409, "invitation_not_open")


async def test_inviting_and_accepting_at_the_same_time_do_not_block_each_other(
    client: AsyncClient, sessions: Sessions, world: World, erin: Patient
) -> None:
    gina = {"email": _address("gina"), "role": "auditor"}
    for person in ({"patient_id": erin.id}, gina):
        code = await code_of(sessions, world, await invite(client, world, "dana", **person))
        answers = await asyncio.gather(
            accept(client, code), *(invite(client, world, "dana", **person) for _ in range(3))
        )
        assert {each.status_code for each in answers} <= {201, 409}
