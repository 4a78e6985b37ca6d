from datetime import timedelta

import pytest
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import as_identity
from models.identity import Throttle
from services import throttling
from services.throttling import TooManyAttempts
from tests.factories import NOW, TOKENS

SECOND = timedelta(seconds=1)


async def attempt(
    session: AsyncSession, seconds: float = 0, account: str = "a", address: str = "1"
) -> throttling.Attempt:
    return await throttling.begin(session, TOKENS.key, account=account, address=address, at=NOW + seconds * SECOND)


async def test_ten_at_once_then_one_every_thirty_seconds(session: AsyncSession) -> None:
    for _ in range(10):
        await attempt(session)
    with pytest.raises(TooManyAttempts) as caught:
        await attempt(session)
    assert caught.value.retry_after == 30
    assert caught.value.keeps_effects
    await attempt(session, 30)
    with pytest.raises(TooManyAttempts):
        await attempt(session, 31)
    for _ in range(10):
        await attempt(session, 400)


async def test_an_address_that_must_wait_does_not_use_up_the_account(session: AsyncSession) -> None:
    for _ in range(10):
        await attempt(session, account="b")
    for _ in range(20):
        with pytest.raises(TooManyAttempts):
            await attempt(session, account="c")
    await attempt(session, account="c", address="2")


async def test_a_success_is_given_back(session: AsyncSession) -> None:
    for _ in range(30):
        await throttling.succeeded(session, await attempt(session))


async def test_rows_that_hold_nobody_back_are_forgotten(session: AsyncSession) -> None:
    await attempt(session)
    await throttling.forget(session, at=NOW + 31 * SECOND)
    async with as_identity(session):
        assert (
            await session.scalar(
                select(func.count())
                .select_from(Throttle)
                .where(Throttle.arrives_at > NOW - SECOND, Throttle.arrives_at < NOW + 60 * SECOND)
            )
            == 0
        )
