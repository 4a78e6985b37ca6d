"""Programs lived through the services on a real database, held against the plain calendar of the pure machine."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession

from clinical.program_life import ProgramNotInState
from clinical.recurrence import local_date
from core.database import fetch, make_sessions
from models.episodes import Episode
from models.patients import Patient
from models.programs import Program, ProgramVersion
from schemas.episodes import EpisodeReason
from schemas.patients import LocationCreate
from schemas.programs import ProgramPauseIn, ProgramReason, ProgramVersionCreate
from schemas.red_flag_screens import RedFlagScreenClose
from services import episodes, patients, programs, red_flag_screens
from services.episode_gate import EpisodeClosed
from services.programs.lifecycle import ProgramNotReady
from services.programs.records import locked
from tests.clinical.plain_programs import DONE, RUNS, PlainEpisode
from tests.factories import NOW
from tests.services.caring import STRENGTH, Care, another, care, settle

ZONES = ("Pacific/Honolulu", "Pacific/Auckland")
"""At noon in Greenwich the second has the next day already: who flies from it to the first lives a day twice."""

NOON = NOW.replace(hour=12, minute=0)
ASKED, SEEN, GONE = ProgramReason(reason="As agreed"), EpisodeReason(reason="For now"), programs.halting.UNTREATED
WORDS = {"": "", "asked": ASKED.reason, "episode": SEEN.reason, "gone": GONE}
HOLIDAY = ProgramPauseIn(reason=ASKED.reason, kind="holiday_agreed")
MOST = 6
FIRST = 5
"""The place of the first day on the plain calendar."""

ACTIONS = (
    *("draft", "activate", "activate", "pause", "pause", "resume", "resume", "complete", "write", "write", "adjust"),
    *("red_flag", "release", "leave", "return", "hold", "discharge", "reopen", "travel"),
)

_LIVES = """
SELECT g.id, g.status, g.status_reason,
  ARRAY(SELECT v.starts_on FROM program_versions v
        WHERE v.clinic_id = g.clinic_id AND v.program_id = g.id ORDER BY v.number) AS origins,
  ARRAY(SELECT coalesce((SELECT string_agg(v.number::text, '+') FROM program_versions v
          WHERE v.clinic_id = g.clinic_id AND v.program_id = g.id AND v.in_force @> asked.day), '0')
        FROM unnest($3::date[]) AS asked(day)) AS holds,
  ARRAY(SELECT coalesce((SELECT string_agg(s.reason, '+') FROM program_pauses s
          WHERE s.clinic_id = g.clinic_id AND s.program_id = g.id AND s.during @> asked.day), '')
        FROM unnest($3::date[]) AS asked(day)) AS rests,
  ARRAY(SELECT upper_inf(s.during) || ' ' || (s.ended_at IS NULL) FROM program_pauses s
        WHERE s.clinic_id = g.clinic_id AND s.program_id = g.id
          AND (upper_inf(s.during) OR s.ended_at IS NULL)) AS open,
  ARRAY(SELECT a.action FROM audit_events a WHERE a.clinic_id = g.clinic_id AND a.resource_id = g.id
          AND a.action LIKE 'program.%' AND a.action NOT IN ('program.create', 'program.read')
        ORDER BY a.at, a.id) AS record,
  (SELECT count(*) FROM audit_events a JOIN program_versions v ON v.clinic_id = a.clinic_id AND v.id = a.resource_id
   WHERE a.clinic_id = g.clinic_id AND v.program_id = g.id
     AND a.action IN ('program_version.create', 'program_version.draft')) AS written
FROM programs g WHERE g.clinic_id = $1 AND g.episode_id = $2 ORDER BY g.created_at
"""


@pytest.fixture(scope="module")
async def clinic(engine: AsyncEngine) -> Care:
    """A clinic with its library; each story brings a patient of its own."""
    return await care(make_sessions(engine))


@dataclass
class Living:
    """One patient's story: the services on one side, the plain calendar on the other."""

    world: Care
    model: PlainEpisode
    at: datetime
    zone: str = ZONES[0]

    @property
    def today(self) -> date:
        return local_date(self.at, self.zone)

    def on(self, number: int) -> date:
        return local_date(NOON, ZONES[0]) + timedelta(days=number - FIRST)

    async def program(self, session: AsyncSession, which: int) -> tuple[int, Program]:
        query = select(Program).where(
            Program.clinic_id == self.world.clinic_id, Program.episode_id == self.world.episode_id
        )
        found = list(await session.scalars(query.order_by(Program.created_at)))
        return which % len(found), found[which % len(found)]

    # -------------------------------------------------------------- one step
    async def step(self, name: str, which: int, number: int) -> None:
        """Do something on both sides; a refusal has the code that the model says."""
        self.at += timedelta(minutes=1)
        if name == "travel":
            self.at += timedelta(days=number % 3)
            self.zone = ZONES[which % 2]
        self.model.today = (self.today - self.on(0)).days
        code = DONE
        try:
            async with self.world.sessions.begin() as session:
                await self.world.open(session)
                expected = await self.act(session, name, which, number)
        except (ProgramNotInState, ProgramNotReady) as refused:
            code, expected = refused.code, self.expected
        assert (name, code) == (name, expected)

    async def act(self, session: AsyncSession, name: str, which: int, number: int) -> str:
        """Do it; give what the model expects."""
        world, bob, at = self.world, self.world.bob, self.at
        self.expected = DONE
        match name:
            case "draft" if len(self.model.programs) < MOST:
                await self.draft(number)
            case "activate" | "pause" | "resume" | "complete" | "write" | "adjust":
                place, program = await self.program(session, which)
                await self.ask(session, name, place, program, number)
            case "red_flag" | "release":
                await self.flag(session, found=name == "red_flag")
            case "leave" | "return":
                away = name == "leave"
                await patients.attest_location(
                    session, bob, world.world.alice.id, LocationCreate(country="FR" if away else "DE"), at=at
                )
                if away:
                    self.model.nobody_may_treat()
                self.model.treated = not away
            case "hold" | "discharge" | "reopen":
                await self.episode(session, name)
            case "travel":
                gone = update(Patient).where(Patient.clinic_id == world.clinic_id, Patient.id == world.world.alice.id)
                await session.execute(gone.values(zone=self.zone))
        return self.expected

    async def draft(self, number: int) -> None:
        starts_on = (self.today + timedelta(days=number)).isoformat()
        try:
            await self.world.draft(at=self.at, starts_on=starts_on, phases=[STRENGTH])
            self.model.draft(number)
        except EpisodeClosed:
            assert self.model.state == "discharged"

    async def ask(self, session: AsyncSession, name: str, place: int, program: Program, number: int) -> None:
        plain, bob, at, version = self.model.programs[place], self.world.bob, self.at, program.version
        match name:
            case "activate":
                self.expected = self.model.activate(plain)
                await programs.activate(session, bob, program.id, version=version, at=at)
            case "pause":
                self.expected = self.model.pause(plain, HOLIDAY.kind)
                await programs.pause(session, bob, program.id, HOLIDAY, version=version, at=at)
            case "resume":
                self.expected = self.model.resume(plain)
                await programs.resume(session, bob, program.id, ASKED, version=version, at=at)
            case "complete":
                self.expected = self.model.complete(plain)
                await programs.complete(session, bob, program.id, ASKED, version=version, at=at)
            case "write":
                ahead = number if number < 4 else None
                self.expected = self.model.write(plain, ahead, restart=number % 2 == 1)
                day = None if ahead is None else (self.today + timedelta(days=ahead)).isoformat()
                form = {
                    "reason": "Pain rose",
                    "phases": [STRENGTH],
                    "effective_on": day,
                    "restart_phases": number % 2 == 1,
                }
                written = ProgramVersionCreate.model_validate(form)
                await programs.create_version(session, bob, program.id, written, version=version, at=at)
            case "adjust":
                newest = select(ProgramVersion).where(
                    ProgramVersion.clinic_id == program.clinic_id, ProgramVersion.program_id == program.id
                )
                current = await session.scalar(newest.order_by(ProgramVersion.number.desc()).limit(1))
                assert current is not None
                if current.in_force is not None and current.in_force.contains(self.today):
                    self.expected = self.model.adjust(plain)
                    program, patient = await locked(session, bob, program.id, version, at=at)
                    await programs.adjust(session, bob, program, patient, current, {}, "Went well", at=at)

    async def flag(self, session: AsyncSession, *, found: bool) -> None:
        """Find a red flag; or close what there is, and screen again to unlock."""
        if found:
            await self.world.screen(at=self.at, by="bob", yes=["saddle"])
            self.model.found_red_flag()
            return
        form = RedFlagScreenClose.model_validate({"outcome": "seen_by_clinician", "note": "Seen"})
        open_ = await fetch(
            session,
            "SELECT id FROM red_flag_screens WHERE clinic_id = $1 AND patient_id = $2 AND status <> 'closed'"
            " AND level <> 'none'",
            self.world.clinic_id,
            self.world.world.alice.id,
        )
        for row in open_:
            await red_flag_screens.close(session, self.world.bob, row["id"], form, version=1, at=self.at)
        await settle(session, self.world, at=self.at)
        await self.world.screen(at=self.at, by="bob", trigger="unlock")
        self.model.flag = False

    async def episode(self, session: AsyncSession, name: str) -> None:
        row = await session.get_one(Episode, (self.world.clinic_id, self.world.episode_id))
        asked: dict[str, Any] = {"version": row.version, "at": self.at}
        if name == "hold" and self.model.state == "active":
            await episodes.hold(session, self.world.bob, row.id, SEEN, **asked)
            self.model.held()
        elif name == "discharge" and self.model.state != "discharged" and not self.model.flag:
            await episodes.discharge(session, self.world.bob, row.id, SEEN, **asked)
            self.model.discharged()
        elif name == "reopen" and self.model.state != "active":
            await episodes.reopen(session, self.world.bob, row.id, SEEN, **asked)
            self.model.state = "active"

    # -------------------------------------------------------------- both sides
    async def compare(self) -> None:
        numbers = range(max(0, self.model.today - 8), self.model.today + 8)
        async with self.world.sessions() as session:
            await self.world.open(session)
            days = [self.on(number) for number in numbers]
            rows = await fetch(session, _LIVES, self.world.clinic_id, self.world.episode_id, days)
        assert len(rows) == len(self.model.programs)
        for row, plain in zip(rows, self.model.programs, strict=True):
            assert (row["status"], row["status_reason"]) == (plain.state, WORDS[plain.why])
            assert row["origins"] == [self.on(day) for day in plain.origins]
            assert row["holds"] == [str(plain.holds[day]) for day in numbers]
            assert row["rests"] == [plain.rests[day] for day in numbers]
            resting = plain.state in {"paused", "suspended_red_flag"}
            assert row["open"] == (["true true"] if resting else ["false true"] if plain.lost else [])
            assert row["record"] == [f"program.{action}" for action in plain.record]
            assert row["written"] == len(plain.origins) - 1
        assert len(self.model.running()) <= 1


async def _begin(clinic: Care) -> Living:
    """Bring a new patient into bob's care, with a draft and a clear screen."""
    world = await another(clinic, zone=ZONES[0])
    living = Living(world, PlainEpisode(today=FIRST), NOON + timedelta(minutes=1))
    await world.screen(at=NOON, by="bob")
    await living.draft(0)
    return living


def _next(model: PlainEpisode, random: Random) -> tuple[str, int, int]:
    """Choose what comes next: anything, but mostly what the program in use can do, and soon what lets it go on."""
    states = [program.state for program in model.programs]
    runs = [place for place, state in enumerate(states) if state in RUNS]
    missing = {
        "release": model.flag,
        "return": not model.treated,
        "reopen": model.state != "active",
        "activate": not runs and "draft" in states,
        "draft": "draft" not in states,
    }
    wanted = [name for name, holds in missing.items() if holds]
    name = random.choice(wanted) if wanted and random.random() < 0.4 else random.choice(ACTIONS)
    which = random.randrange(MOST)
    if name == "activate" and "draft" in states:
        which = states.index("draft")
    elif runs and random.random() < 0.6:
        which = runs[0]
    return name, which, random.randrange(5)


@pytest.mark.parametrize("seed", range(12))
async def test_programs_live_as_the_plain_calendar_says(clinic: Care, seed: int) -> None:
    random = Random(seed)
    living = await _begin(clinic)
    await living.step("activate", 0, 0)
    for _ in range(25):
        await living.step(*_next(living.model, random))
        await living.compare()
