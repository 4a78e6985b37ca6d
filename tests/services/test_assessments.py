"""Two people at one draft."""

import pytest

from core.database import Sessions
from core.errors import Stale
from models.assessments import AssessmentKind
from schemas.assessments import EXAMPLE, AssessmentChange, AssessmentContent, AssessmentCreate
from services import assessments
from tests.factories import NOW
from tests.services.caring import Care, care

FORM = AssessmentCreate(kind=AssessmentKind.INITIAL, content=AssessmentContent.model_validate(EXAMPLE))
CHANGE = AssessmentChange.model_validate({"content": {"reason": "Other"}})


@pytest.fixture
async def cared(sessions: Sessions) -> Care:
    return await care(sessions)


async def test_whoever_comes_second_is_told_the_draft_has_changed(cared: Care, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await cared.open(session)
        made = await assessments.create(session, cared.bob, cared.episode_id, FORM, at=NOW)
    async with sessions() as late:
        await cared.open(late)
        held = await assessments.get(late, cared.bob, made.id, at=NOW)
        assert held.version == 1
        async with sessions.begin() as session:
            await cared.open(session)
            await assessments.sign(session, cared.bob, made.id, version=1, at=NOW)
        with pytest.raises(Stale) as refusal:
            await assessments.update(late, cared.bob, made.id, CHANGE, version=1, at=NOW)
        assert refusal.value.current_version == 2
    async with sessions() as session:
        await cared.open(session)
        assert (await assessments.get(session, cared.bob, made.id, at=NOW)).content["reason"] == EXAMPLE["reason"]


async def test_the_seal_is_the_same_when_the_row_is_read_again(cared: Care, sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await cared.open(session)
        made = await assessments.create(session, cared.bob, cared.episode_id, FORM, at=NOW)
        await assessments.sign(session, cared.bob, made.id, version=1, at=NOW)
    async with sessions() as session:
        await cared.open(session)
        read = await assessments.get(session, cared.alice, made.id, at=NOW)
        assert assessments.seal(read) == read.content_sha256
