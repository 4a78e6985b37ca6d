"""Signing in over HTTP."""

from typing import Any

import pytest
from httpx import AsyncClient

from core.database import Sessions, as_identity
from models.identity import Account
from tests import factories
from tests.factories import PASSWORD, World


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
