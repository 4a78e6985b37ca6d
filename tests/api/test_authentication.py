"""Signing in over HTTP."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from argon2 import PasswordHasher
from httpx import ASGITransport, AsyncClient
from sqlalchemy import func, select, update

from core import crypto
from core.database import Sessions, as_identity, make_engine, make_sessions
from core.errors import Unauthenticated
from models.identity import Account, AccountStatus, Membership, Role, SignIn
from schemas.authentication import SignedIn
from services import accounts, authentication, throttling
from tests import factories
from tests.conftest import Database
from tests.factories import PASSWORD, World


@pytest.fixture(autouse=True)
async def _nobody_has_failed_yet(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await throttling.forget(session, at=datetime.now(UTC) + throttling.WINDOW)


@pytest.fixture
async def world(sessions: Sessions) -> World:
    return await factories.make_world(sessions)


async def email_of(sessions: Sessions, world: World, name: str) -> str:
    async with sessions() as session, as_identity(session):
        return (await session.get_one(Account, world.actors[name].account_id)).email


async def log_in(client: AsyncClient, email: str, password: str = PASSWORD, **more: Any) -> Any:
    return await client.post("/v1/auth/login", json={"email": email, "password": password, **more})


async def refresh(client: AsyncClient, token: str) -> Any:
    return await client.post("/v1/auth/refresh", json={"refresh_token": token})


async def test_who_signs_in_learns_who_she_is(client: AsyncClient, sessions: Sessions, world: World) -> None:
    answer = await log_in(client, (await email_of(sessions, world, "bob")).upper(), device="Bob's tablet")
    assert answer.status_code == 200
    signed = answer.json()
    assert signed["token_type"] == "Bearer"
    assert signed["expires_in"] == 900
    assert signed["access_token"].startswith("physio_at_")
    assert signed["refresh_token"].startswith("physio_rt_")
    me = (await client.get("/v1/me", headers=factories.bearer(signed["access_token"]))).json()
    assert me["account"] == signed["account"]
    assert me["membership"] == signed["membership"]
    assert me["membership"]["therapist_id"] == str(world.bob.id)
    assert me["clinic"]["name"] == "Riverside Physiotherapy"


async def test_a_wrong_password_and_an_unknown_address_get_the_same_answer(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    email = await email_of(sessions, world, "bob")
    wrong = await log_in(client, email, "not the right password")
    unknown = await log_in(client, f"nobody.{email}")
    assert wrong.status_code == unknown.status_code == 401
    same = [{k: v for k, v in each.json().items() if k != "request_id"} for each in (wrong, unknown)]
    assert same[0] == same[1]
    assert same[0]["code"] == "wrong_credentials"
    assert wrong.headers["www-authenticate"].startswith("Bearer")
    assert email not in wrong.text


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"email": "not an address", "password": "x"}, "/email"),
        ({"email": "a@b.example"}, "/password"),
        ({"email": "a@b.example", "password": ""}, "/password"),
        ({"email": "a@b.example", "password": "x" * 300}, "/password"),
        ({"email": "a@b.example", "password": "x", "role": "owner"}, "/role"),
        ({"email": "a@b.example", "password": "x", "clinic_id": "7"}, "/clinic_id"),
        ({"email": "a@b.example", "password": "x", "remember": True}, "/remember"),
    ],
)
async def test_a_form_that_cannot_be_right_is_refused_without_an_echo(
    client: AsyncClient, body: dict[str, Any], pointer: str
) -> None:
    answer = await client.post("/v1/auth/login", json=body)
    assert answer.status_code == 422
    assert [each["pointer"] for each in answer.json()["errors"]] == [pointer]
    assert "xxxx" not in answer.text


async def test_after_ten_failures_even_the_right_password_has_to_wait(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    email = await email_of(sessions, world, "bob")
    # From ten places at once: only the account's own count holds them back.
    failures = await asyncio.gather(
        *(_from(client, f"192.0.2.{place}", email, "wrong password") for place in range(12))
    )
    assert sorted(each.status_code for each in failures) == [401] * 10 + [429] * 2
    answer = await _from(client, "192.0.2.99", email, PASSWORD)
    assert answer.status_code == 429
    assert answer.json()["code"] == "too_many_attempts"
    assert answer.json()["retryable"] is True
    assert 1 <= int(answer.headers["retry-after"]) <= 30


async def test_one_address_may_not_try_many_accounts(client: AsyncClient, world: World) -> None:
    tries = [await _from(client, "198.51.100.7", f"someone{n}@patients.example", "x") for n in range(11)]
    assert [each.status_code for each in tries] == [401] * 10 + [429]


async def test_signing_in_rightly_does_not_count(client: AsyncClient, sessions: Sessions, world: World) -> None:
    email = await email_of(sessions, world, "bob")
    tries = [await _from(client, "198.51.100.8", email, PASSWORD) for _ in range(12)]
    assert {each.status_code for each in tries} == {200}


async def _from(client: AsyncClient, address: str, email: str, password: str) -> Any:
    transport: Any = client._transport
    other = ASGITransport(transport.app, client=(address, 40000))
    async with AsyncClient(transport=other, base_url="http://physio.test") as elsewhere:
        return await log_in(elsewhere, email, password)


async def test_somebody_with_several_roles_is_asked_which_one_and_only_after_the_right_password(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    async with sessions.begin() as session:
        other = await factories.make_clinic(session, "Hillside Clinic")
        account = await session_account(session, world, "bob")
        await factories.make_membership(session, account, other.id, Role.CLINIC_ADMIN)
    assert "choices" not in (await log_in(client, account.email, "not the right password")).json()
    answer = await log_in(client, account.email)
    assert answer.status_code == 409
    assert answer.json()["code"] == "choose_membership"
    assert answer.json()["choices"] == [
        {"clinic_id": str(world.clinic.id), "clinic_name": "Riverside Physiotherapy", "role": "therapist"},
        {"clinic_id": str(other.id), "clinic_name": "Hillside Clinic", "role": "clinic_admin"},
    ]
    for choice in ({"clinic_id": str(other.id)}, {"role": "clinic_admin"}):
        chosen = await log_in(client, account.email, **choice)
        assert chosen.json()["membership"]["role"] == "clinic_admin"
    nowhere = await log_in(client, account.email, role="auditor")
    assert (nowhere.status_code, nowhere.json()["code"]) == (403, "no_membership")


async def session_account(session: Any, world: World, name: str) -> Account:
    async with as_identity(session):
        account: Account = await session.get_one(Account, world.actors[name].account_id)
        return account


async def test_a_hash_of_older_parameters_is_renewed_at_the_next_sign_in(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=8 * 1024, parallelism=1).hash(PASSWORD)
    async with sessions.begin() as session, as_identity(session):
        await session.execute(
            update(Account).where(Account.id == world.actors["bob"].account_id).values(password_hash=old)
        )
    assert (await log_in(client, await email_of(sessions, world, "bob"))).status_code == 200
    async with sessions() as session:
        assert "m=19456,t=2,p=1" in str((await session_account(session, world, "bob")).password_hash)


async def test_signing_out_ends_both_tokens(client: AsyncClient, sessions: Sessions, world: World) -> None:
    signed = (await log_in(client, await email_of(sessions, world, "bob"))).json()
    headers = factories.bearer(signed["access_token"])
    assert (await client.post("/v1/auth/logout", headers=headers)).status_code == 204
    assert (await client.get("/v1/me", headers=headers)).status_code == 401
    answer = await refresh(client, signed["refresh_token"])
    assert (answer.status_code, answer.json()["code"]) == (401, "sign_in_ended")
    assert (await client.get("/v1/me", headers=world.headers["bob"])).status_code == 200, "other devices go on"


@pytest.mark.parametrize("how", ["disabled", "ended"])
async def test_a_closed_account_and_an_ended_membership_count_at_once(
    client: AsyncClient, sessions: Sessions, world: World, how: str
) -> None:
    email = await email_of(sessions, world, "bob")
    signed = (await log_in(client, email)).json()
    headers = factories.bearer(signed["access_token"])
    actor = world.actors["bob"]
    async with sessions.begin() as session, as_identity(session):
        if how == "disabled":
            await session.execute(
                update(Account).where(Account.id == actor.account_id).values(status=AccountStatus.DISABLED)
            )
        else:
            await session.execute(
                update(Membership).where(Membership.id == actor.membership_id).values(ended_at=func.now())
            )
    assert (await client.get("/v1/me", headers=headers)).status_code == 401
    assert (await refresh(client, signed["refresh_token"])).status_code == 401
    assert (await log_in(client, email)).status_code == (401 if how == "disabled" else 403)


# ------------------------------------------------------------------ refreshing


async def test_a_refresh_gives_new_tokens_and_the_old_access_token_is_dead(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    first = (await log_in(client, await email_of(sessions, world, "bob"))).json()
    second = (await refresh(client, first["refresh_token"])).json()
    assert second["refresh_token"] != first["refresh_token"]
    assert second["refresh_expires_at"] == first["refresh_expires_at"], "the absolute life does not grow"
    assert (await client.get("/v1/me", headers=factories.bearer(first["access_token"]))).status_code == 401
    assert (await client.get("/v1/me", headers=factories.bearer(second["access_token"]))).status_code == 200


@pytest.fixture
async def many(database: Database) -> AsyncIterator[Sessions]:
    """Sessions on twenty connections of their own, for races."""
    engine = make_engine(database.api, pool_size=20, pool_timeout=30)
    yield make_sessions(engine)
    await engine.dispose()


async def _race(many: Sessions, *tokens: str) -> list[Any]:
    """Refresh with all these tokens at the same moment, each on a connection of its own, as the API does."""
    at = datetime.now(UTC)
    ready = asyncio.Barrier(len(tokens))

    async def one(token: str) -> Any:
        async with many() as session:
            await session.connection()
            await ready.wait()
            try:
                return await authentication.refresh(session, token, tokens=factories.TOKENS, at=at)
            except Unauthenticated as refusal:
                return refusal.code
            finally:
                await session.commit()

    return await asyncio.gather(*(one(token) for token in tokens))


async def test_twenty_refreshes_at_once_give_one_successor(
    client: AsyncClient, sessions: Sessions, many: Sessions, world: World
) -> None:
    first = (await log_in(client, await email_of(sessions, world, "alice"))).json()
    served = await _race(many, *[first["refresh_token"]] * 20)
    assert len({(each.refresh_token, each.access_token) for each in served}) == 1
    async with sessions() as session, as_identity(session):
        query = select(SignIn.generation).where(SignIn.id == UUID(bytes=_content(first["refresh_token"])[:16]))
        assert (await session.scalars(query)).one() == 2
    assert (await refresh(client, served[0].refresh_token)).status_code == 200


async def test_when_a_thief_and_the_owner_refresh_at_once_nothing_survives(
    client: AsyncClient, sessions: Sessions, many: Sessions, world: World
) -> None:
    first = (await log_in(client, await email_of(sessions, world, "alice"))).json()
    second = (await refresh(client, first["refresh_token"])).json()
    third = (await refresh(client, second["refresh_token"])).json()
    answers = await _race(many, *[first["refresh_token"], third["refresh_token"]] * 5)
    alive = [each for each in answers if isinstance(each, SignedIn)]
    assert "refresh_token_reused" in answers
    for token in (third["access_token"], *(each.access_token for each in alive)):
        assert (await client.get("/v1/me", headers=factories.bearer(token))).status_code == 401
    for token in (third["refresh_token"], *(each.refresh_token for each in alive)):
        assert (await refresh(client, token)).status_code == 401


def _content(token: str) -> bytes:
    content = crypto.read_token("physio_rt_", token, 48)
    assert content is not None
    return content


async def test_an_older_token_ends_the_whole_sign_in_for_good(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    first = (await log_in(client, await email_of(sessions, world, "bob"))).json()
    second = (await refresh(client, first["refresh_token"])).json()
    third = (await refresh(client, second["refresh_token"])).json()
    stolen = await refresh(client, first["refresh_token"])
    assert (stolen.status_code, stolen.json()["code"]) == (401, "refresh_token_reused")
    for token in (first, second, third):
        assert (await refresh(client, token["refresh_token"])).json()["code"] == "sign_in_ended"
    assert (await client.get("/v1/me", headers=factories.bearer(third["access_token"]))).status_code == 401
    async with sessions() as session, as_identity(session):
        query = select(SignIn.revoked_reason).where(SignIn.account_id == world.actors["bob"].account_id)
        assert "refresh_token_reused" in list(await session.scalars(query))


async def test_the_token_before_is_only_good_for_a_minute(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    first = (await log_in(client, await email_of(sessions, world, "bob"))).json()
    second = (await refresh(client, first["refresh_token"])).json()
    assert (await refresh(client, first["refresh_token"])).json()["refresh_token"] == second["refresh_token"]
    async with sessions.begin() as session, as_identity(session):
        await session.execute(
            update(SignIn)
            .where(SignIn.account_id == world.actors["bob"].account_id)
            .values(rotated_at=datetime.now(UTC) - timedelta(seconds=61))
        )
    assert (await refresh(client, first["refresh_token"])).json()["code"] == "refresh_token_reused"


@pytest.mark.parametrize("change", ["", "x", "physio_rt_", "physio_at_AAAA", "physio_rt_" + "A" * 70])
async def test_what_is_no_refresh_token_is_refused(client: AsyncClient, change: str) -> None:
    assert (await refresh(client, change)).status_code == (422 if change == "" else 401)


async def test_a_forged_token_does_not_end_anything(client: AsyncClient, sessions: Sessions, world: World) -> None:
    signed = (await log_in(client, await email_of(sessions, world, "bob"))).json()
    content = _content(signed["refresh_token"])
    for place in (17, 47):  # another generation, another seal
        forged = bytearray(content)
        forged[place] ^= 1
        answer = await refresh(client, crypto.write_token("physio_rt_", bytes(forged)))
        assert answer.json()["code"] == "sign_in_ended"
    assert (await refresh(client, signed["refresh_token"])).status_code == 200


@pytest.mark.parametrize("header", ["", "Bearer", "Bearer x", "Bearer physio_at_x", "Basic dTpw"])
async def test_what_is_no_access_token_is_refused(client: AsyncClient, header: str) -> None:
    assert (await client.get("/v1/me", headers={"Authorization": header})).status_code == 401


async def test_a_well_formed_token_that_nobody_holds_is_refused(client: AsyncClient) -> None:
    token = crypto.write_token("physio_at_", bytes(48))
    assert (await client.get("/v1/me", headers=factories.bearer(token))).status_code == 401
    refused = await refresh(client, crypto.write_token("physio_rt_", bytes(48)))
    assert refused.json()["code"] == "sign_in_ended"


# ------------------------------------------------------------------ how long


async def _signed(sessions: Sessions, world: World, name: str) -> Any:
    async with sessions.begin() as session:
        return await factories.open_sign_in(session, world.actors[name], at=factories.NOW)


async def _refreshes(sessions: Sessions, token: str, after: timedelta) -> Any:
    async with sessions.begin() as session:
        return await authentication.refresh(session, token, tokens=factories.TOKENS, at=factories.NOW + after)


async def test_staff_who_do_nothing_for_half_an_hour_sign_in_again(sessions: Sessions, world: World) -> None:
    signed = await _signed(sessions, world, "bob")
    signed = await _refreshes(sessions, signed.refresh_token, timedelta(minutes=29))
    with pytest.raises(authentication.SignInEnded):
        await _refreshes(sessions, signed.refresh_token, timedelta(minutes=59, seconds=1))


async def test_staff_sign_in_again_after_twelve_hours_whatever_they_do(sessions: Sessions, world: World) -> None:
    signed = await _signed(sessions, world, "bob")
    for step in range(1, 36):
        signed = await _refreshes(sessions, signed.refresh_token, timedelta(minutes=20 * step))
    last = await _refreshes(sessions, signed.refresh_token, timedelta(hours=11, minutes=55))
    assert last.expires_in == 5 * 60, "no access token outlives its sign-in"
    with pytest.raises(authentication.SignInEnded):
        await _refreshes(sessions, last.refresh_token, timedelta(hours=12))


async def test_a_patient_stays_signed_in_for_thirty_days(sessions: Sessions, world: World) -> None:
    signed = await _signed(sessions, world, "alice")
    signed = await _refreshes(sessions, signed.refresh_token, timedelta(days=29, hours=23))
    with pytest.raises(authentication.SignInEnded):
        await _refreshes(sessions, signed.refresh_token, timedelta(days=30))


async def test_an_access_token_is_good_for_fifteen_minutes(sessions: Sessions, world: World) -> None:
    signed = await _signed(sessions, world, "bob")

    async def called(minutes: float) -> Any:
        async with sessions() as session:
            at = factories.NOW + timedelta(minutes=minutes)
            return await authentication.caller(session, signed.access_token, tokens=factories.TOKENS, at=at)

    assert (await called(14.9)).therapist_id == world.bob.id
    with pytest.raises(Unauthenticated):
        await called(15)


async def test_a_caller_is_known_in_one_statement(
    client: AsyncClient, world: World, sessions: Sessions, count_statements: Any
) -> None:
    async with sessions() as session:
        await session.connection()
        with count_statements() as statements:
            token = world.headers["bob"]["Authorization"].removeprefix("Bearer ")
            await authentication.caller(session, token, tokens=factories.TOKENS, at=datetime.now(UTC))
            await asyncio.sleep(0)  # the driver tells its loggers in the next turn of the loop
    assert len(statements) == 1


async def test_nothing_that_is_stored_can_be_used_as_a_token(
    client: AsyncClient, sessions: Sessions, world: World
) -> None:
    signed = await _signed(sessions, world, "bob")
    async with sessions() as session, as_identity(session):
        rows = await session.scalars(select(SignIn).where(SignIn.account_id == world.actors["bob"].account_id))
        stored = b"".join(row.seed + row.access_hash for row in rows)
    for token, prefix in ((signed.access_token, "physio_at_"), (signed.refresh_token, "physio_rt_")):
        content = crypto.read_token(prefix, token, 48)
        assert content is not None
        assert content[20:] not in stored


async def test_a_service_knows_its_scopes(client: AsyncClient, sessions: Sessions, world: World) -> None:
    async with sessions.begin() as session:
        token = await accounts.create_service_token(
            session, world.clinic.id, "scheduler", ["check-ins.dispatch"], tokens=factories.TOKENS, at=datetime.now(UTC)
        )
    me = (await client.get("/v1/me", headers=factories.bearer(token))).json()
    assert me["membership"]["role"] == "service"
    assert me["scopes"] == ["check-ins.dispatch"]
