"""The demo clinic: fictional people with weeks of history, lived through the services day by day, on a clock of its own.

Nothing is inserted behind the services' backs: what a rule would refuse does not happen here either. The same seed
tells the same stories, ending today.
"""

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime, time, timedelta
from random import Random
from uuid import UUID

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core import crypto
from core.database import Sessions, bind_clinic, fetch, make_engine, make_sessions
from core.settings import LOOPBACK, Settings
from dev import happenings, prescriptions, stories
from dev.opening import ZONE, Opening, Patient
from dev.stories import Story
from models.alerts import Alert, AlertOutcome, AlertStatus
from schemas.articles import ArticleAssignmentCreate, ArticleReading
from schemas.check_ins import AnswersIn
from schemas.programs import ProgramItemRead, ProgramReason, ProgramVersionCreate
from schemas.red_flag_screens import RedFlagScreenClose
from schemas.reports import NarrativeUpdate, ReportCreate
from schemas.sessions import SessionItemIn, SessionLog, SetIn
from services import (
    accounts,
    alerts,
    article_assignments,
    check_ins,
    education,
    flares,
    program_phases,
    programs,
    red_flag_screens,
    reports,
    sessions,
    suggestions,
)

SEED = 2026
TOGETHER = 15
"""So many patients live their day in one transaction: fewer would be slower, more could take longer than it may."""
DESKS = 6
"""So many patients write down what they do for relief, and where and how they work."""
FULL_DAYS, SORE_DAYS = 14, 5
"""Lately who recovers does all that is prescribed, and somebody has an exercise that hurts."""
SPARED_DAYS = 9
"""So many days ago somebody else's began to hurt; it was taken out since."""
SEVERE = 8
"""Pain at which the rules stop an exercise."""
console = Console(stderr=True)


async def fill(settings: Settings, *, weeks: int = 12, patients: int = 60, seed: int = SEED) -> bool:
    """Make the demo clinic; false when it was there already. Raises SystemExit when it would listen off loopback."""
    if settings.host not in LOOPBACK:
        raise SystemExit("physio: the demo clinic has well-known passwords and is for loopback only.")
    assert settings.api_database_url is not None
    engine = make_engine(settings.api_database_url.get_secret_value(), pool_size=2)
    try:
        return await Simulation(make_sessions(engine), settings, weeks * 7, seed).run(patients)
    finally:
        await engine.dispose()


class Simulation(Opening):
    """One clinic, lived through from `days` ago until now."""

    def __init__(self, sessions_: Sessions, settings: Settings, days: int, seed: int) -> None:
        """days: length of the history. seed: the same one tells the same stories."""
        super().__init__(sessions_, settings, days, seed)
        self.patients: list[Patient] = []

    async def run(self, count: int) -> bool:
        """Live the whole history; false when the clinic was there already."""
        cast = stories.cast(self.seed, count, self.days)
        with Progress(
            TextColumn("demo clinic: {task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
        ) as progress:
            try:
                staff = await self.found()
            except accounts.AccountExists:
                return False
            task = progress.add_task("people", total=len(cast))
            for person in cast:
                therapist = staff[0] if person.number % 2 == 0 else staff[1 + person.number // 2 % 2]
                self.patients.append(await self.welcome(therapist, person))
                progress.advance(task)
            task = progress.add_task("days", total=self.days + 1)
            for day in range(self.days + 1):
                await self._live(day)
                progress.advance(task)
            await self._hand_out()
        await self._suggest()
        await self._complain()
        console.print(f"physio: the demo clinic is there: {len(self.patients)} patients, {self.days} days")
        return True

    async def _suggest(self) -> None:
        """Let the progression rules look at what was done, as the worker would have."""
        more = True
        while more:
            async with self.sessions.begin() as session:
                await bind_clinic(session, self.clinic_id)
                more = (await suggestions.follow_up(session, self.clinic_id, at=self.now)).last is not None

    async def _complain(self) -> None:
        """Let whoever an exercise has hurt lately say so."""
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            for patient in self.patients:
                if patient.person.story is Story.PLATEAU and self._hurts(patient, self.days):
                    await happenings.report_pain(session, patient, self.now)

    def _hurts(self, patient: Patient, day: int) -> bool:
        """Whether an exercise hurts badly: one person's lately, so that it is stopped and waits for his therapist.

        Another one's a week before; that exercise was taken out since.
        """
        story = stories.SHOWN.get(patient.person.number)
        if story is not patient.person.story:
            return False
        if story is Story.RECOVERY:
            return not patient.spared and day >= self.days - SPARED_DAYS
        return story is Story.PLATEAU and day >= self.days - SORE_DAYS

    def _sore(self, patient: Patient, day: int, items: int) -> int | None:
        """Give the place of the exercise that hurts among those of a session; whoever lost one keeps the first."""
        place = items - 1 if patient.person.story is Story.RECOVERY else 0
        return place if items > 1 and self._hurts(patient, day) else None

    # ------------------------------------------------------------------ a day
    async def _live(self, day: int) -> None:
        """Live one local day: check-ins open, people answer and train, staff react, windows close."""
        morning = self.at(day, time(8, 5))
        if morning > self.now:
            return
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            await check_ins.dispatch(session, at=morning)
            await check_ins.close_due(session, at=morning)
            await education.review(session, self.clinic_id, at=morning)
            opened = await fetch(
                session,
                "SELECT patient_id, id FROM check_ins WHERE clinic_id = $1 AND status = 'open' ORDER BY due_at",
                self.clinic_id,
            )
        waiting = {row["patient_id"]: row["id"] for row in opened}
        halves = (self.patients[::2], self.patients[1::2])  # one thinks while the database works for the other
        await asyncio.gather(*(self._live_together(half, day, waiting) for half in halves))
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            await self._read(session, day)
            await self._work(session, day)
            evening = self.at(day, time(21, 30))
            if evening <= self.now:
                await flares.review(session, self.clinic_id, at=evening)

    async def _live_together(self, patients: Sequence[Patient], day: int, waiting: Mapping[UUID, UUID]) -> None:
        """Live a day of several patients in few transactions."""
        for place in range(0, len(patients), TOGETHER):
            async with self.sessions.begin() as session:
                await bind_clinic(session, self.clinic_id)
                for patient in patients[place : place + TOGETHER]:
                    assert patient.actor.patient_id is not None
                    await self._live_through(session, patient, day, waiting.get(patient.actor.patient_id))

    async def _live_through(self, session: AsyncSession, patient: Patient, day: int, check_in: UUID | None) -> None:
        person = patient.person
        random = Random(f"{self.seed} {person.number} {day}")  # noqa: S311 - stories, no secrets
        answered_at = self.at(day, time(8, 10)) + timedelta(minutes=random.randint(0, 300))
        if answered_at > self.now:
            return
        answers = stories.answers_on(person, day, self.days, random)
        if answers is not None and check_in is not None:
            form = AnswersIn.model_validate({"answers": answers, "device_zone": ZONE})
            await check_ins.answer(session, patient.actor, check_in, form, at=answered_at)
            if answers["flare"] and not patient.flare_screened:  # the warning signs come first
                assert patient.actor.patient_id is not None
                asked = (patient.actor, patient.actor.patient_id, patient.episode_id, "flare")
                await self.screen(session, *asked, answered_at + timedelta(minutes=2))
                patient.flare_screened = True
        trained_at = self.at(day, time(17)) + timedelta(minutes=random.randint(0, 180))
        if trained_at <= self.now and not patient.suspended and stories.trains_on(person, day, random):
            await self._train(session, patient, day, trained_at, random)
        if person.story is Story.RED_FLAG and day == person.turning_day:
            await self._warn(session, patient, self.at(day, time(20)))
        if patient.person.number < DESKS:
            await self._look_after(session, patient, day, random)
        noon = self.at(day, time(12))
        if day and day % 14 == 0 and person.story is not Story.DROPOUT and noon <= self.now:
            await self.measure(session, patient.actor, person, patient.episode_id, day, noon)

    async def _look_after(self, session: AsyncSession, patient: Patient, day: int, random: Random) -> None:
        """Let somebody tell of work on the second day, change the desk half way, and do something for relief in between."""
        evening = self.at(day, time(20, 30))
        if evening > self.now:
            return
        if day == 1:
            await happenings.tell_of_work(session, patient.actor, evening)
        elif day == max(2, self.days // 2):
            await happenings.change_desk(session, patient.actor, evening)
        elif random.random() < 0.3:  # noqa: PLR2004 - how often somebody writes it down
            await happenings.care_for_self(session, patient.actor, evening, random)

    async def _train(self, session: AsyncSession, patient: Patient, day: int, at: datetime, random: Random) -> None:
        assert patient.actor.patient_id is not None
        today = self.first_day + timedelta(days=day)
        planned = await programs.planned(session, self.clinic_id, patient.actor.patient_id, today, today)
        for slot in planned[:1]:
            if slot.version_id not in patient.items:
                program = await programs.get(session, patient.therapist, patient.program_id, at=at)
                assert program.shown is not None
                prescribed = [item for phase in program.shown.phases for item in phase.items]
                patient.items[slot.version_id] = {item.id: item for item in prescribed}
            items = patient.items[slot.version_id]
            pain = stories.pain_on(patient.person, day, self.days, random)
            full = patient.person.story is Story.RECOVERY and day >= self.days - FULL_DAYS
            sore = self._sore(patient, day, len(slot.items))
            done = [
                SessionItemIn(
                    item_id=item,
                    sets=[_set(items[item], random, full=full) for _ in range(items[item].sets)],
                    pain_during=SEVERE if place == sore else min(10, max(0, pain - 1 + random.randint(0, 1))),
                    effort=random.randint(3, 6),
                )
                if random.random() < 0.93  # noqa: PLR2004 - how often an exercise is not left out
                else SessionItemIn(item_id=item, skip_reason="no_time")
                for place, item in enumerate(slot.items)
            ]
            form = SessionLog(
                performed_at=at, device_zone=ZONE, slot=slot.slot, pain_before=pain, pain_after=pain, items=done
            )
            await sessions.log(session, patient.actor, crypto.new_id(at), form, at=at + timedelta(minutes=1))

    async def _read(self, session: AsyncSession, day: int) -> None:
        """Let patients read what they were given; some sooner than others, some of it never."""
        at = self.at(day, time(14))
        if at > self.now:
            return
        waiting = await fetch(
            session,
            "SELECT id, patient_id FROM article_assignments WHERE clinic_id = $1 AND read_at IS NULL"
            " AND withdrawn_at IS NULL ORDER BY id",
            self.clinic_id,
        )
        by_patient = {each.actor.patient_id: each for each in self.patients}
        for place, row in enumerate(waiting):
            reader = by_patient[row["patient_id"]]
            random = Random(f"{self.seed} {reader.person.number} {day} {place} reads")  # noqa: S311 - stories, no secrets
            if random.random() < 0.3:  # noqa: PLR2004 - how often somebody gets round to it
                form = ArticleReading(answer=random.randint(0, 2))
                await article_assignments.acknowledge(session, reader.actor, row["id"], form, at=at)

    async def _hand_out(self) -> None:
        """Let a few patients have something to read today, by their therapist's hand."""
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            for patient in self.patients[:6]:
                assert patient.actor.patient_id is not None
                form = ArticleAssignmentCreate(code="ed_habits", note="For the weeks to come.")
                await article_assignments.create(
                    session, patient.therapist, patient.actor.patient_id, form, at=self.now
                )

    async def _warn(self, session: AsyncSession, patient: Patient, at: datetime) -> None:
        """Report a new symptom: the screen suspends the program and tells the patient what to do."""
        assert patient.actor.patient_id is not None
        yes = "both_legs" if patient.person.number % 2 else "leg_weak"
        await self.screen(session, patient.actor, patient.actor.patient_id, patient.episode_id, "new_symptom", at, yes)
        patient.suspended = True

    async def _work(self, session: AsyncSession, day: int) -> None:
        """Do what therapists do on a working day: older alerts are dealt with, programs change, reports are signed."""
        at = self.at(day, time(15))
        if at > self.now or at.weekday() >= 5:  # noqa: PLR2004 - Saturday and Sunday
            return
        recent = self.today - timedelta(days=3)
        if at.date() < recent:
            await self._deal_with_alerts(session, at)
        for patient in self.patients:
            if day - 14 <= patient.person.turning_day < day and patient.suspended and patient.person.number % 2:
                await self._release(session, patient, at)
            elif self._hurts(patient, day) and patient.person.story is Story.RECOVERY:
                patient.spared = await happenings.take_out(session, patient, at)
            elif patient.person.story is Story.FLARE and 0 < day - patient.person.turning_day <= stories.FLARE_DAYS:
                await self._ease(session, patient, at)
        if day % 28 == 27 or (self.days < 28 and day == self.days - 1):  # noqa: PLR2004 - four weeks
            for patient in self.patients[:6]:
                await self._report(session, patient, day, at)

    async def _deal_with_alerts(self, session: AsyncSession, at: datetime) -> None:
        by_patient = {each.actor.patient_id: each for each in self.patients}
        found = await session.scalars(
            select(Alert).where(
                Alert.clinic_id == self.clinic_id,
                Alert.status == AlertStatus.OPEN,
                Alert.raised_at < at - timedelta(hours=6),
                Alert.rule_id != "ES01",
            )
        )
        for alert in list(found):
            therapist = by_patient[alert.patient_id].therapist
            seen = await alerts.acknowledge(session, therapist, alert.id, version=alert.version, at=at)
            outcome = AlertOutcome.PATIENT_CONTACTED
            await alerts.resolve(
                session, therapist, alert.id, outcome, "Talked it through.", version=seen.version, at=at
            )

    async def _ease(self, session: AsyncSession, patient: Patient, at: datetime) -> None:
        """Write, after a flare, a new version, easier, with the reason."""
        program = await programs.get(session, patient.therapist, patient.program_id, at=at)
        if program.shown is not None and program.shown.number == 1 and program.status == "active":
            form = ProgramVersionCreate.model_validate(prescriptions.EASIER)
            version = program.version
            await program_phases.create_version(
                session, patient.therapist, patient.program_id, form, version=version, at=at
            )

    async def _release(self, session: AsyncSession, patient: Patient, at: datetime) -> None:
        """End a flag that was looked into: closed by a human, screened again, resumed."""
        assert patient.actor.patient_id is not None
        open_ = await fetch(
            session,
            "SELECT id, version FROM red_flag_screens WHERE clinic_id = $1 AND patient_id = $2 AND status <> 'closed'"
            " AND level IN ('urgent_same_day', 'emergency_now')",
            self.clinic_id,
            patient.actor.patient_id,
        )
        for row in open_:
            form = RedFlagScreenClose.model_validate({"outcome": "seen_by_clinician", "note": "Examined in person."})
            await red_flag_screens.close(session, patient.therapist, row["id"], form, version=row["version"], at=at)
        later = at + timedelta(minutes=5)
        await self.screen(session, patient.actor, patient.actor.patient_id, patient.episode_id, "unlock", later)
        program = await programs.get(session, patient.therapist, patient.program_id, at=later)
        if program.status == "suspended_red_flag":
            reason = ProgramReason(reason="Seen in person; nothing urgent found.")
            version = program.version
            await programs.resume(session, patient.therapist, patient.program_id, reason, version=version, at=later)
        patient.suspended = False

    async def _report(self, session: AsyncSession, patient: Patient, day: int, at: datetime) -> None:
        to = self.first_day + timedelta(days=day)
        form = ReportCreate.model_validate(
            {"kind": "progress", "period_from": (to - timedelta(days=27)).isoformat(), "period_to": to.isoformat()}
        )
        report = await reports.create(session, patient.therapist, patient.episode_id, form, at=at)
        told = NarrativeUpdate.model_validate(prescriptions.NARRATIVE)
        report = await reports.update(session, patient.therapist, report.id, told, version=report.version, at=at)
        await reports.sign(session, patient.therapist, report.id, version=report.version, at=at)


def _set(item: ProgramItemRead, random: Random, *, full: bool) -> SetIn:
    missing = random.randint(0, 2)
    reps = None if item.reps is None else max(1, item.reps - (0 if full else missing))
    return SetIn(reps=reps, hold_seconds=item.hold_seconds, duration_seconds=item.duration_seconds)
