"""How the demo clinic begins: it is founded, therapists are hired and licensed, patients are welcomed."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from random import Random
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from clinical.recurrence import instant
from core import clock
from core.database import Sessions, bind_clinic
from core.settings import Settings
from dev import DEMO_CLINIC, prescriptions, stories
from dev.stories import Person
from models.lifestyle import LifestyleKind
from schemas.articles import ArticleApprovals, ArticleFilter
from schemas.assessments import AssessmentCreate
from schemas.authentication import SignInRequest
from schemas.check_ins import PlanIn
from schemas.clinics import ClinicChange
from schemas.consents import ConsentCreate
from schemas.episodes import EpisodeChange, EpisodeCreate
from schemas.goals import GoalCreate, MilestoneCreate
from schemas.instrument_plans import InstrumentPlanCreate
from schemas.invitations import InvitationAcceptance, InvitationIn
from schemas.licenses import LicenseIn, VerificationIn
from schemas.lifestyle import LifestyleTargetCreate
from schemas.outcomes import OutcomeCreate
from schemas.pages import Page
from schemas.patients import LocationCreate, PatientCreate
from schemas.programs import ProgramCreate, ProgramItemRead
from schemas.red_flag_screens import QUESTIONS, RedFlagFacts, RedFlagScreenCreate
from schemas.therapists import TherapistIn
from services import (
    accounts,
    articles,
    assessments,
    authentication,
    clinics,
    consents,
    episodes,
    goals,
    instrument_plans,
    invitations,
    library,
    licenses,
    lifestyle,
    milestones,
    outcomes,
    patients,
    programs,
    red_flag_screens,
    therapists,
)
from services.access import Actor
from services.check_ins import plans

NAME = DEMO_CLINIC
ZONE = "America/New_York"
PASSWORD = "physio-demo-2026"  # noqa: S105 - fictional people, loopback only
STAFF = (
    ("Marguerite", "Foxglove", "therapist@demo.example", "PT, DPT", "1234567893", "040001"),
    ("Barnaby", "Larkspur", "therapist2@demo.example", "PT, DPT, OCS", "1993999998", "040002"),
    ("Clementine", "Hawthorn", "therapist3@demo.example", "PT", "1679576722", "040003"),
)


@dataclass
class Patient:
    """Somebody of the cast, and what the services know of them; `spared`: what hurt was taken out of the program."""

    person: Person
    actor: Actor
    therapist: Actor
    episode_id: UUID
    program_id: UUID
    suspended: bool = False
    flare_screened: bool = False
    spared: bool = False
    items: dict[UUID, dict[UUID, ProgramItemRead]] = field(default_factory=dict)


class Opening:
    """A clinic on its first day, `days` ago."""

    def __init__(self, sessions_: Sessions, settings: Settings, days: int, seed: int) -> None:
        """days: length of the history. seed: the same one tells the same stories."""
        self.sessions = sessions_
        self.tokens = authentication.tokens_of(settings.secret_key.get_secret_value())
        self.now = clock.now()
        self.today = self.now.astimezone(UTC).date()
        self.first_day = self.today - timedelta(days=days)
        self.days = days
        self.seed = seed
        self.clinic_id = UUID(int=0)

    async def found(self) -> list[Actor]:
        """Found the clinic and hire its therapists. Raises AccountExists when it was there already."""
        at = self.at(0, time(9)) - timedelta(days=14)
        async with self.sessions.begin() as session:
            clinic = await accounts.create_clinic(
                session,
                name=NAME,
                country="US",
                zone=ZONE,
                email="admin@demo.example",
                password=PASSWORD,
                at=at,
            )
            self.clinic_id = clinic.id
            await library.sync(session, clinic.id)
        admin = await self._sign_in("admin@demo.example", at)
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            hours = {str(day): [("08:00", "18:00")] for day in range(1, 6)}
            change = ClinicChange.model_validate(
                {
                    "address": "1 Fictional Wharf, Albany, NY",
                    "phone": "+1 518 555 0100",
                    "email": "clinic@demo.example",
                    "paper": "us-letter",
                    "staffed_hours": hours,
                }
            )
            await clinics.update(session, admin, change, expected=clinic.version, at=at)
        staff = [await self._hire(admin, at, *each) for each in STAFF]
        await self._approve_articles(staff[0], at)
        return staff

    async def _approve_articles(self, therapist: Actor, at: datetime) -> None:
        """Let the patients have every shipped article: somebody at the clinic has read them all."""
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            shelf = await articles.browse(session, therapist, ArticleFilter(), Page(limit=200))
            approvals = [{"article_id": row.id, "version": row.version} for row in shelf.items]
            form = ArticleApprovals.model_validate({"approvals": approvals})
            await articles.approve_many(session, therapist, form, at=at)

    async def _hire(
        self, admin: Actor, at: datetime, given: str, family: str, email: str, credentials: str, npi: str, number: str
    ) -> Actor:
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            person = TherapistIn.model_validate(
                {
                    "given_name": given,
                    "family_name": family,
                    "email": email,
                    "profession": "PT",
                    "credentials": credentials,
                    "npi": npi,
                }
            )
            therapist = await therapists.create(session, admin, person, at=at)
            license_ = await licenses.create(
                session,
                admin,
                therapist.id,
                LicenseIn.model_validate(
                    {
                        "jurisdiction": "US-NY",
                        "kind": "license",
                        "number": number,
                        "issued_on": (at.date() - timedelta(days=900)).isoformat(),
                        "expires_on": (self.today + timedelta(days=300)).isoformat(),
                    }
                ),
                at=at,
            )
            seen = {"result": "verified", "method": "primary_source_site", "source": "State register (demo)"}
            await licenses.verify(session, admin, license_.id, VerificationIn.model_validate(seen), at=at)
            invited = await invitations.create(
                session, admin, InvitationIn(therapist_id=therapist.id), tokens=self.tokens, at=at, show_code=True
            )
        return await self._accept(invited.code, email, at)

    async def welcome(self, therapist: Actor, person: Person) -> Patient:
        """Go from referral to a program in use, all on the first day."""
        email = "patient@demo.example" if person.number == 0 else person.email
        at = self.at(0, time(9)) + timedelta(minutes=person.number)
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            made = await patients.create(
                session,
                therapist,
                PatientCreate(
                    given_name=person.given_name,
                    family_name=person.family_name,
                    birth_date=person.birth_date,
                    zone=ZONE,
                    email=email,
                ),
                at=at,
            )
            invited = await invitations.create(
                session, therapist, InvitationIn(patient_id=made.id), tokens=self.tokens, at=at, show_code=True
            )
        actor = await self._accept(invited.code, email, at)
        async with self.sessions.begin() as session:
            await bind_clinic(session, self.clinic_id)
            await self._consent(session, actor, made.id, at)
            episode = await episodes.create(
                session,
                therapist,
                made.id,
                EpisodeCreate(title="Low back pain", body_region="low_back", icd10_codes=["M54.50"]),
                at=at,
            )
            await self.screen(session, actor, made.id, episode.id, "intake", at)
            await self.measure(session, actor, person, episode.id, 0, at)
            await self._write_assessment(session, therapist, episode.id, at)
            wish = {"statement": "Lift my grandchild without thinking about it", "measure": "rmdq24", "target": 3}
            due_on = (self.today + timedelta(days=28)).isoformat()
            goal = GoalCreate.model_validate({**wish, "due_on": due_on})
            wished = await goals.create(session, therapist, episode.id, goal, at=at)
            step = MilestoneCreate(statement="Put on socks while standing", target=8)
            await milestones.create(session, therapist, wished.id, step, at=at)
            sleep = LifestyleTargetCreate(kind=LifestyleKind.SLEEP_HOURS, target=7)
            await lifestyle.create(session, therapist, episode.id, sleep, at=at)
            walk = LifestyleTargetCreate(kind=LifestyleKind.ACTIVITY_MINUTES, target=30)
            await lifestyle.create(session, therapist, episode.id, walk, at=at)
            for plan in prescriptions.INSTRUMENTS:
                form = InstrumentPlanCreate.model_validate(plan)
                await instrument_plans.create(session, therapist, episode.id, form, at=at)
            program = await programs.create(
                session, therapist, episode.id, ProgramCreate.model_validate(prescriptions.TWO_PHASES), at=at
            )
            program = await programs.activate(session, therapist, program.id, version=program.version, at=at)
            change = EpisodeChange(status="active")
            await episodes.update(session, therapist, episode.id, change, version=episode.version, at=at)
            daily = {"question_set": "daily", "frequency": "daily", "local_time": "08:00"}
            await plans.create(session, therapist, episode.id, PlanIn.model_validate(daily), at=at)
        return Patient(person, actor, therapist, episode.id, program.id)

    async def _consent(self, session: AsyncSession, actor: Actor, patient_id: UUID, at: datetime) -> None:
        given = {"purpose": "telehealth", "text_version": "1", "method": "electronic"}
        await consents.create(session, actor, patient_id, ConsentCreate.model_validate(given), at=at)
        await patients.attest_location(session, actor, patient_id, LocationCreate(country="US", region="NY"), at=at)

    async def _accept(self, code: str | None, email: str, at: datetime) -> Actor:
        async with self.sessions.begin() as session:
            form = InvitationAcceptance.model_validate({"code": code, "password": PASSWORD})
            signed_in = await invitations.accept(session, form, tokens=self.tokens, address=email, at=at)
        return await self._caller(signed_in.access_token, at)

    async def _sign_in(self, email: str, at: datetime) -> Actor:
        async with self.sessions.begin() as session:
            form = SignInRequest.model_validate({"email": email, "password": PASSWORD})
            signed_in = await authentication.log_in(session, form, tokens=self.tokens, address=email, at=at)
        return await self._caller(signed_in.access_token, at)

    async def _caller(self, token: str, at: datetime) -> Actor:
        async with self.sessions() as session:
            return await authentication.caller(session, token, tokens=self.tokens, at=at)

    # ------------------------------------------------------------------ what recurs
    async def screen(
        self,
        session: AsyncSession,
        actor: Actor,
        patient_id: UUID,
        episode_id: UUID,
        trigger: str,
        at: datetime,
        *yes: str,
    ) -> None:
        """Let somebody answer a red-flag screen: no to everything but `yes`."""
        form = RedFlagScreenCreate.model_validate(
            {
                "trigger": trigger,
                "episode_id": episode_id,
                "answers": {**dict.fromkeys(QUESTIONS, "no"), **dict.fromkeys(yes, "yes")},
                "facts": RedFlagFacts(pain_0_10=5, weeks_without_improvement=3),
            }
        )
        await red_flag_screens.create(session, actor, patient_id, form, at=at)

    async def measure(
        self, session: AsyncSession, actor: Actor, person: Person, episode_id: UUID, day: int, at: datetime
    ) -> None:
        """Let a patient answer RMDQ-24, NPRS and PSFS."""
        random = Random(f"{self.seed} {person.number} {day} measures")  # noqa: S311 - stories, no secrets
        pain = stories.pain_on(person, day, self.days, random)
        rated = {"id": "stairs", "name": "Climb two flights of stairs", "rating": max(0, 9 - pain)}
        for instrument, answers in (
            ("rmdq24", stories.rmdq_on(person, day, self.days, random)),
            ("nprs", {"now": pain, "worst_24h": min(10, pain + 2), "least_24h": max(0, pain - 2)}),
            ("psfs", {"activities": [rated]}),
        ):
            form = OutcomeCreate.model_validate({"instrument": instrument, "answers": answers})
            await outcomes.create(session, actor, episode_id, form, at=at)

    async def _write_assessment(self, session: AsyncSession, therapist: Actor, episode_id: UUID, at: datetime) -> None:
        form = AssessmentCreate.model_validate(prescriptions.ASSESSMENT)
        row = await assessments.create(session, therapist, episode_id, form, at=at)
        await assessments.sign(session, therapist, row.id, version=row.version, at=at)

    def at(self, day: int, wall: time) -> datetime:
        """Give the instant of a wall time on a day of the history."""
        return instant(self.first_day + timedelta(days=day), wall, ZONE)
