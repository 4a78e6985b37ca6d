"""The red-flag screen that a flare-up waits for."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.red_flags import required_questions
from models.episodes import Episode
from models.flares import Flare
from models.red_flag_screens import RedFlagScreen
from services import audit
from services import flare_records as records
from services.access import Actor


async def take_screen(session: AsyncSession, actor: Actor, screen: RedFlagScreen, *, at: datetime) -> None:
    """Let a complete screen be the one that an open flare-up still waits for.

    It must have asked what the flare-up's region must answer: nothing about a knee says that a back is safe.
    """
    if not screen.complete:
        return
    waiting = select(Flare).where(
        Flare.clinic_id == screen.clinic_id,
        Flare.patient_id == screen.patient_id,
        Flare.closed_at.is_(None),
        Flare.screen_id.is_(None),
    )
    flare = await session.scalar(waiting.with_for_update().execution_options(populate_existing=True))
    if flare is None:
        return
    region = select(Episode.body_region).where(Episode.clinic_id == flare.clinic_id, Episode.id == flare.episode_id)
    if not screen.answers.keys() >= set(required_questions((await session.scalars(region)).one())):
        return
    flare.screen_id = screen.id
    today, looked = await records.day_of(session, flare, at), records.screened(screen)
    records.note(session, flare, records.SCREENED, today, at=at, by=actor.account_id, inputs=looked)
    await session.flush()
    await audit.record(session, actor, "flare.update", subject=("flare", flare.id), patient_id=flare.patient_id, at=at)


async def follow_region(session: AsyncSession, actor: Actor, episode: Episode, *, at: datetime) -> None:
    """Let an open flare-up wait for a screen again where its own did not ask about the present region of its episode."""
    query = select(Flare, RedFlagScreen.answers).join(
        RedFlagScreen, (RedFlagScreen.clinic_id == Flare.clinic_id) & (RedFlagScreen.id == Flare.screen_id)
    )
    query = query.where(Flare.clinic_id == episode.clinic_id, Flare.episode_id == episode.id, Flare.closed_at.is_(None))
    locked = query.with_for_update(of=Flare).execution_options(populate_existing=True)
    found = (await session.execute(locked)).first()
    if found is None or found.answers.keys() >= set(required_questions(episode.body_region)):
        return
    flare = found.Flare
    flare.screen_id = None
    await session.flush()
    await audit.record(session, actor, "flare.update", subject=("flare", flare.id), patient_id=flare.patient_id, at=at)
