"""Alice in bob's care, ready for a program: the start of most tests about programs and sessions."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Sessions, bind_clinic
from models.alerts import Alert, AlertOutcome, AlertStatus
from models.audit import AuditEvent
from models.consents import Consent, ConsentMethod, ConsentPurpose, ConsentStatus
from models.episodes import Episode, EpisodeStatus
from models.identity import Role
from models.red_flag_screens import RedFlagScreen
from schemas.programs import ProgramCreate, ProgramRead
from schemas.red_flag_screens import QUESTIONS, RedFlagScreenCreate
from services import alerts, library, programs, red_flag_screens
from services.access import Actor
from tests.factories import NOW, World, link, locate, make_actor, make_patient, make_world

DAY = timedelta(days=1)

MOBILITY: dict[str, Any] = {
    "name": "Get it moving",
    "kind": "mobility",
    "weeks": 2,
    "items": [
        {"exercise_code": "lb_pelvic_tilt", "sets": 2, "reps": 10, "sessions_per_day": 2, "weekdays": [1, 2, 3, 4, 5]},
        {"exercise_code": "br_belly_supine", "sets": 1, "reps": 8, "sessions_per_day": 1, "weekdays": [1, 3, 5]},
    ],
}
STRENGTH: dict[str, Any] = {
    "name": "Build strength",
    "kind": "strength",
    "items": [{"exercise_code": "hp_bridge", "sets": 3, "reps": 12, "sessions_per_day": 1, "weekdays": [2, 4, 6]}],
}


@dataclass(frozen=True)
class Care:
    """The clinic of `make_world`, alice's episode, and actors by name."""

    world: World
    episode_id: UUID
    sessions: Sessions

    @property
    def bob(self) -> Actor:
        return self.world.actors["bob"]

    @property
    def alice(self) -> Actor:
        return self.world.actors["alice"]

    @property
    def clinic_id(self) -> UUID:
        return self.world.clinic.id

    async def open(self, session: AsyncSession) -> None:
        await bind_clinic(session, self.clinic_id)

    async def screen(self, *, at: datetime = NOW, by: str = "alice", **changes: Any) -> RedFlagScreen:
        """Answer a screen, everything no unless `yes` names questions."""
        yes = changes.pop("yes", ())
        answers = dict.fromkeys(QUESTIONS, "no") | dict.fromkeys(yes, "yes")
        form = RedFlagScreenCreate.model_validate({"trigger": "intake", "answers": answers} | changes)
        async with self.sessions.begin() as session:
            await self.open(session)
            return await red_flag_screens.create(session, self.world.actors[by], self.world.alice.id, form, at=at)

    async def draft(self, *, at: datetime = NOW, **changes: Any) -> ProgramRead:
        """Write a draft of two weeks of mobility, then strength."""
        content = {"title": "Low back, at home", "phases": [MOBILITY, STRENGTH]} | changes
        async with self.sessions.begin() as session:
            await self.open(session)
            form = ProgramCreate.model_validate(content)
            return await programs.create(session, self.bob, self.episode_id, form, at=at)

    async def activate(self, program: ProgramRead, *, at: datetime = NOW) -> ProgramRead:
        async with self.sessions.begin() as session:
            await self.open(session)
            return await programs.activate(session, self.bob, program.id, version=program.version, at=at)

    async def running(self, *, at: datetime = NOW, **changes: Any) -> ProgramRead:
        """Put a program into use."""
        await self.screen(at=at - timedelta(minutes=5))
        return await self.activate(await self.draft(at=at, **changes), at=at)

    async def actions(self) -> list[str]:
        """Give the actions on record, the first first."""
        async with self.sessions() as session:
            await self.open(session)
            query = select(AuditEvent.action).where(AuditEvent.clinic_id == self.clinic_id).order_by(AuditEvent.id)
            return list(await session.scalars(query))


async def care(sessions: Sessions, *, now: datetime = NOW, consent: bool = True, **clinic: Any) -> Care:
    """Make a clinic with its library, alice in bob's care, her episode and, unless not, her consent to telehealth."""
    world = await make_world(sessions, now=now, **clinic)
    async with sessions.begin() as session:
        await bind_clinic(session, world.clinic.id)
        await library.sync(session, world.clinic.id)
        episode_id = await _take_in(session, world, now, consent=consent)
    return Care(world, episode_id, sessions)


async def another(clinic: Care, *, now: datetime = NOW, **changes: Any) -> Care:
    """Bring somebody else into bob's care in the same clinic; `alice` is that patient from here on."""
    async with clinic.sessions.begin() as session:
        await clinic.open(session)
        patient = await make_patient(session, clinic.clinic_id, **changes)
        await link(session, patient, clinic.world.bob)
        await locate(session, patient)
        actors = {**clinic.world.actors, "alice": await make_actor(session, clinic.clinic_id, Role.PATIENT, patient)}
        world = replace(clinic.world, alice=patient, actors=actors)
        episode_id = await _take_in(session, world, now, consent=True)
    return Care(world, episode_id, clinic.sessions)


async def _take_in(session: AsyncSession, world: World, now: datetime, *, consent: bool) -> UUID:
    """Open an episode for alice and, unless not, keep her consent; give the episode's id."""
    episode = Episode(
        clinic_id=world.clinic.id,
        patient_id=world.alice.id,
        title="Low back pain",
        body_region="low_back",
        status=EpisodeStatus.ACTIVE,
        started_on=(now - DAY).date(),
    )
    session.add(episode)
    if consent:
        session.add(
            Consent(
                clinic_id=world.clinic.id,
                patient_id=world.alice.id,
                purpose=ConsentPurpose.TELEHEALTH,
                status=ConsentStatus.GIVEN,
                text_version="1",
                method=ConsentMethod.ELECTRONIC,
                given_at=now - DAY,
                given_by=world.actors["alice"].account_id,
            )
        )
    await session.flush()
    return episode.id


async def waiting_for_a_lock(session: AsyncSession) -> None:
    """Return once another connection waits for what this session's transaction holds."""
    mine = "SELECT count(*) FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))"
    async with asyncio.timeout(10):
        while not await session.scalar(text(mine)):
            pass


async def settle(session: AsyncSession, world: Care, *, at: datetime = NOW) -> None:
    """Let bob resolve every alert about alice; red flags must be closed before."""
    hers = (Alert.clinic_id == world.clinic_id, Alert.patient_id == world.world.alice.id)
    for alert in (await session.scalars(select(Alert).where(*hers, Alert.status != AlertStatus.RESOLVED))).all():
        seen = await alerts.acknowledge(session, world.bob, alert.id, version=alert.version, at=at)
        outcome = AlertOutcome.NO_ACTION_NEEDED
        await alerts.resolve(session, world.bob, alert.id, outcome, None, version=seen.version, at=at)


def codes(problems: Any) -> set[str]:
    """Give the codes of a refusal's problems."""
    return {problem.code for problem in problems}


def pointers(problems: Any) -> Mapping[str, str]:
    """Give the codes by the place that they point to."""
    return {problem.pointer: problem.code for problem in problems}
