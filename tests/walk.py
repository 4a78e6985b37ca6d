"""A walk through the whole API: every operation once, in an order that makes sense, with the example of its document.

What an operation makes is remembered under the name that later paths know it by (`episode_id`), so the walk is both the
test of the examples and the quickest way to one of everything: for the access test, the contract test and the walls.
"""

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from httpx import AsyncClient, Response
from sqlalchemy import text

from api import openapi
from core.crypto import new_id
from core.database import Sessions, as_identity, bind_clinic
from models.care_team import CareRole
from models.check_ins import CheckIn, CheckInStatus
from models.identity import Account, Role
from models.notifications import Notification, NotificationChannel, NotificationReceipt, NotificationStatus
from models.patients import Patient
from models.programs import PhaseReadiness
from models.suggestions import Suggestion, SuggestionOutcome
from models.therapists import Profession, Therapist
from services import library
from tests import factories

Document = Mapping[str, Any]
DOCUMENT: Document = json.loads(openapi.FILE.read_bytes())
"""The committed one: to make it anew takes a second, and `tests/api/test_contract.py` keeps it current."""


@dataclass(frozen=True)
class Operation:
    """One operation of the document."""

    name: str
    method: str
    path: str
    description: Document
    document: Document

    @property
    def parameters(self) -> Sequence[Document]:
        found: Sequence[Document] = self.description.get("parameters", [])
        return found

    @property
    def placeholders(self) -> tuple[str, ...]:
        return tuple(each["name"] for each in self.parameters if each["in"] == "path")

    @property
    def needs_version(self) -> bool:
        return any(each["name"] == "If-Match" for each in self.parameters)

    @property
    def media_type(self) -> str:
        """The first form that a body may have."""
        return next(iter(self.description.get("requestBody", {}).get("content", {})), "application/json")

    def carry(self, body: Any) -> dict[str, Any]:
        """Say how httpx is to send a body."""
        if body is None or self.media_type == "application/json":
            return {"json": body}
        return {"content": body}

    @property
    def examples(self) -> list[Any]:
        """The examples of the body; empty when there is no body."""
        contents = self.description.get("requestBody", {}).get("content", {})
        content = contents.get(self.media_type, {})
        if "example" in content:
            return [content["example"]]
        if "examples" in content:
            return [each["value"] for each in content["examples"].values()]
        schema = content.get("schema", {})
        if "$ref" in schema:
            schema = self.document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
        return list(schema.get("examples", []))


def operations(document: Document) -> dict[str, Operation]:
    """Give the document's operations by their ids."""
    return {
        each["operationId"]: Operation(each["operationId"], method.upper(), path, each, document)
        for path, item in document["paths"].items()
        for method, each in item.items()
    }


# ------------------------------------------------------------------ the people


@dataclass(frozen=True)
class Cast:
    """One patient and the people around: `headers` by what somebody is to the patient."""

    clinic_id: UUID
    patient: Patient
    therapist: Therapist
    colleague: Therapist
    headers: Mapping[str, Mapping[str, str]]
    email: str
    """The address with which the therapist signs in; the password is `factories.PASSWORD`."""


async def make_clinic(sessions: Sessions, *names: str) -> list[Cast]:
    """Make a clinic with its library, and one cast for each patient's name: each has a therapist of his own."""
    at = datetime.now(UTC)
    casts = []
    async with sessions.begin() as session:
        clinic = await factories.make_clinic(session)
        await library.sync(session, clinic.id)
        shared = {
            "admin": await factories.make_actor(session, clinic.id, Role.CLINIC_ADMIN),
            "auditor": await factories.make_actor(session, clinic.id, Role.AUDITOR),
            "service": await factories.make_actor(session, clinic.id, Role.SERVICE, scopes=["*"]),
        }
        for name in names:
            given = name.partition(" ")[0].lower()
            patient = await factories.make_patient(session, clinic.id, name)
            await factories.locate(session, patient, at=at - timedelta(days=30))
            people = {}
            for person, profession in (
                ("therapist", Profession.PT),
                ("colleague", Profession.PT),
                ("stranger", Profession.PT),
                ("assistant", Profession.PTA),
            ):
                people[person] = await factories.make_therapist(
                    session,
                    clinic.id,
                    f"{person.title()} Keller",
                    email=f"{person}.{given}@riverside.example",
                    profession=profession,
                )
            for person in ("therapist", "assistant"):
                role = CareRole.LEAD if person == "therapist" else CareRole.MEMBER
                await factories.link(session, patient, people[person], role, since=at - timedelta(days=365))
            actors = shared | {
                person: await factories.make_actor(
                    session, clinic.id, Role.ASSISTANT if person == "assistant" else Role.THERAPIST, record
                )
                for person, record in people.items()
            }
            actors["patient"] = await factories.make_actor(session, clinic.id, Role.PATIENT, patient)
            headers = {
                person: factories.bearer(await factories.sign_in(session, actor, at=at))
                for person, actor in actors.items()
            }
            async with as_identity(session):
                account = await session.get_one(Account, actors["therapist"].account_id)
            casts.append(Cast(clinic.id, patient, people["therapist"], people["colleague"], headers, account.email))
    return casts


# ------------------------------------------------------------------ the walk


@dataclass
class Walk:
    """Where a walk stands: what was made so far, by the names of paths and bodies."""

    cast: Cast
    client: AsyncClient
    sessions: Sessions
    known: dict[str, Any] = field(default_factory=dict)
    answers: dict[str, Response] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.known |= {
            "patient_id": str(self.cast.patient.id),
            "therapist_id": str(self.cast.therapist.id),
            "code": "rmdq24",
            "slot_code": "odi",
            "name": "pain",
            "job": "check-ins.dispatch",
        }

    def path(self, operation: Operation) -> str:
        return operation.path.format_map(self.known) + QUERY.get(operation.name, "")

    def body(self, operation: Operation, which: int = 0) -> Any:
        """Give the document's example, with ids of things that are there and moments of today."""
        examples = operation.examples
        return fresh(copy.deepcopy(examples[which]), self.known, datetime.now(UTC)) if examples else None

    async def send(self, operation: Operation, by: str | None, body: Any) -> Response:
        """Send a request as somebody, with the present version where one is asked for."""
        headers: dict[str, str] = {}
        if by is not None:
            headers |= self.cast.headers.get(by) or factories.bearer(self.known["access_token"])
        if operation.needs_version:
            headers["If-Match"] = f'"{await self.version(operation)}"'
        if isinstance(body, str):
            headers["Content-Type"] = operation.media_type
        return await self.client.request(
            operation.method, self.path(operation), headers=headers, **operation.carry(body)
        )

    async def version(self, operation: Operation) -> int:
        """Give the present version of what the path names."""
        name = operation.placeholders[-1] if operation.placeholders else "clinic_id"
        wanted = self.cast.clinic_id if name == "clinic_id" else UUID(self.known[name])
        async with self.sessions() as session:
            await bind_clinic(session, self.cast.clinic_id)
            return await version_of(session, name, wanted)


QUERY = {"follow_events": "?wait=0"}
"""What a request needs in its address so that its answer ends."""

TABLES = {
    "instrument_plan_id": "instrument_plans",
    "adverse_event_id": "adverse_events",
    "alert_id": "alerts",
    "article_id": "articles",
    "assessment_id": "assessments",
    "assignment_id": "article_assignments",
    "check_in_id": "check_ins",
    "clinic_id": "clinics",
    "consent_id": "consents",
    "device_id": "devices",
    "episode_id": "episodes",
    "exercise_id": "exercises",
    "flare_id": "flares",
    "entry_id": "factor_entries",
    "goal_id": "goals",
    "license_id": "licenses",
    "milestone_id": "milestones",
    "notification_id": "notifications",
    "link_id": "care_links",
    "patient_id": "patients",
    "plan_id": "check_in_plans",
    "program_id": "programs",
    "report_id": "reports",
    "screen_id": "red_flag_screens",
    "session_id": "exercise_sessions",
    "template_id": "program_templates",
    "suggestion_id": "suggestions",
    "target_id": "lifestyle_targets",
    "therapist_id": "therapists",
    "view_id": "worklist_views",
}
"""Which table a path parameter names a row of."""


async def version_of(session: Any, name: str, row_id: UUID) -> int:
    """Give the version of a row; 1 when it has none, or is not there."""
    found = await session.scalar(
        text(f"SELECT to_jsonb(t) -> 'version' FROM {TABLES[name]} t WHERE id = :id"), {"id": row_id}
    )
    return int(found or 1)


def fresh(value: Any, known: Mapping[str, Any], now: datetime) -> Any:
    """Replace, in an example, ids by those of things that are there, and days and moments by ones of today."""
    if isinstance(value, list):
        return [fresh(each, known, now) for each in value]
    if not isinstance(value, dict):
        return value
    made = {}
    for key, each in value.items():
        if isinstance(each, str) and key in known and key.endswith("_id"):
            made[key] = known[key]
        elif isinstance(each, str) and key in MOMENTS:
            made[key] = MOMENTS[key](now)
        else:
            made[key] = fresh(each, known, now)
    return made


PARIS = ZoneInfo("Europe/Paris")
"""Where the patient is by then, by an example: at night it is the next day there."""


def _instant(now: datetime) -> str:
    return now.isoformat()  # a minute ago it may have been another day


MOMENTS: Mapping[str, Callable[[datetime], str]] = {
    "performed_at": _instant,
    "noted_at": _instant,
    "device_at": _instant,
    "administered_at": _instant,
    "ends_at": lambda now: (now + timedelta(days=14)).isoformat(),
    "discharge_on": lambda now: str((now + timedelta(days=90)).date()),
    "due_on": lambda now: str((now + timedelta(days=60)).date()),
    "occurred_on": lambda now: str((now - timedelta(days=2)).date()),
    "onset_on": lambda now: str((now - timedelta(days=40)).date()),
    "assessed_on": lambda now: str(now.date()),
    "issued_on": lambda now: str((now - timedelta(days=700)).date()),
    "expires_on": lambda now: str((now + timedelta(days=700)).date()),
    "period_from": lambda now: str((now - timedelta(days=27)).date()),
    "period_to": lambda now: str(now.astimezone(PARIS).date()),
    "device_zone": lambda _now: PARIS.key,
}
"""Days and moments of the examples that must lie close to today."""


@dataclass(frozen=True)
class Step:
    """One request of the walk.

    by: who sends it, None for nobody. keep: where the id of what was made stands in the answer, by its later name.
    which: which example. before: what must be set up first. change: what the example cannot know.
    """

    operation: str
    by: str | None = "therapist"
    keep: Mapping[str, str] = field(default_factory=dict)
    which: int = 0
    before: Callable[[Walk], Any] | None = None
    change: Callable[[Walk, Any], Any] | None = None


async def _due_check_in(walk: Walk) -> None:
    """Let a check-in be due: only the clock makes them, and it is not eight o'clock."""
    now = datetime.now(UTC)
    async with walk.sessions.begin() as session:
        await bind_clinic(session, walk.cast.clinic_id)
        due = CheckIn(
            clinic_id=walk.cast.clinic_id,
            patient_id=walk.cast.patient.id,
            episode_id=UUID(walk.known["episode_id"]),
            local_date=now.date(),
            question_set="daily",
            zone="UTC",
            status=CheckInStatus.OPEN,
            opens_at=now - timedelta(hours=1),
            due_at=now - timedelta(hours=1),
            closes_at=now + timedelta(hours=20),
            late_until=now + timedelta(hours=40),
        )
        session.add(due)
        await session.flush()
        walk.known["check_in_id"] = str(due.id)


async def _owed(walk: Walk) -> None:
    """Let the patient be told something, which went wrong once."""
    now = datetime.now(UTC)
    async with walk.sessions.begin() as session:
        await bind_clinic(session, walk.cast.clinic_id)
        made = Notification(
            clinic_id=walk.cast.clinic_id,
            account_id=walk.cast.patient.account_id,
            patient_id=walk.cast.patient.id,
            channel="email",
            category="check_in",
            template="check_in_reminder",
            dedupe_key=f"walk:{walk.cast.patient.id}",
            due_at=now,
        )
        session.add(made)
        await session.flush()
        session.add(
            NotificationReceipt(
                clinic_id=walk.cast.clinic_id, notification_id=made.id, channel="email", status="failed", at=now
            )
        )


async def _dead_letter(walk: Walk) -> None:
    """Let a letter be given up: no mail server refuses it here."""
    async with walk.sessions.begin() as session:
        await bind_clinic(session, walk.cast.clinic_id)
        letter = Notification(
            clinic_id=walk.cast.clinic_id,
            channel=NotificationChannel.EMAIL,
            template="check_in_reminder",
            dedupe_key=f"dead:{walk.cast.patient.id}",
            status=NotificationStatus.REFUSED,
            last_error="550",
            due_at=datetime.now(UTC),
            attempts=1,
        )
        session.add(letter)
        await session.flush()
        walk.known["dead_letter_id"] = str(letter.id)


async def _read_the_mail(walk: Walk) -> None:
    """Read the code where only the invited person finds it."""
    invitation_id = UUID(walk.known["invitation_id"])
    walk.known["invitation_code"] = await factories.read_code(walk.sessions, walk.cast.clinic_id, invitation_id)


def _own_id(name: str) -> Callable[[Walk], None]:
    def make(walk: Walk) -> None:
        walk.known[name] = str(new_id(datetime.now(UTC)))

    return make


def _present_item(walk: Walk) -> None:
    phase = walk.answers["activate_program"].json()["shown"]["phases"][0]
    walk.known["item_id"] = phase["items"][0]["id"]
    _own_id("session_id")(walk)


async def _suggested(walk: Walk) -> None:
    """Let the rules have suggested something: it takes them two sessions and a week."""
    shown = walk.answers["activate_program"].json()["shown"]
    item = shown["phases"][0]["items"][0]
    amounts = {name: item[name] for name in ("sets", "reps", "hold_seconds", "duration_seconds", "load_kg")}
    dose = {"code": item["exercise_code"], **amounts, "per_week": 7}
    async with walk.sessions.begin() as session:
        await bind_clinic(session, walk.cast.clinic_id)
        made = Suggestion(
            clinic_id=walk.cast.clinic_id,
            patient_id=walk.cast.patient.id,
            episode_id=UUID(walk.known["episode_id"]),
            program_id=UUID(walk.known["program_id"]),
            version_id=UUID(shown["id"]),
            item_id=UUID(item["id"]),
            exercise_code=item["exercise_code"],
            outcome=SuggestionOutcome.PROGRESS,
            change="sets",
            from_dose=dose,
            to_dose={**dose, "sets": item["sets"] + 1},
            reasons=["green_sessions"],
            rule_version="walk",
            inputs={},
            explanation="One set more",
        )
        session.add(made)
        await session.flush()
        walk.known["suggestion_id"] = str(made.id)


async def _phase_ready(walk: Walk) -> None:
    """Leave what is found at night, when a phase has had all that it asks for."""
    async with walk.sessions.begin() as session:
        await bind_clinic(session, walk.cast.clinic_id)
        mine = {"clinic_id": walk.cast.clinic_id, "patient_id": walk.cast.patient.id}
        now = datetime.now(UTC)
        program_id = UUID(walk.known["program_id"])
        session.add(PhaseReadiness(**mine, program_id=program_id, position=1, began_on=now.date(), since=now))


def _sudden(walk: Walk, body: Any) -> Any:
    return {**body, "answers": {**body["answers"], "saddle": "yes", "bladder": "yes"}}


def _own_article(walk: Walk, body: Any) -> Any:
    return {**body, "code": f"breaks_{walk.cast.patient.id.hex[-8:]}"}


def _as_read(walk: Walk, body: Any) -> Any:
    version = walk.answers["approve_article"].json()["version"]
    return {"approvals": [{**each, "version": version} for each in body["approvals"]]}


STEPS: tuple[Step, ...] = (
    Step("livez", None),
    Step("readyz", None),
    Step(
        "log_in",
        None,
        {"refresh_token": "refresh_token"},
        change=lambda walk, body: {**body, "email": walk.cast.email},
    ),
    Step(
        "refresh_sign_in",
        None,
        {"access_token": "access_token"},
        change=lambda walk, _body: {"refresh_token": walk.known["refresh_token"]},
    ),
    Step("get_me", "patient"),
    # the clinic and its staff
    Step("get_clinic", "admin"),
    Step("update_clinic", "admin"),
    Step(
        "create_therapist",
        "admin",
        {"therapist_id": "id"},
        change=lambda walk, body: {
            **body,
            "email": f"new.{walk.cast.patient.record_number.lower()}@example.org",
            "npi": None,
        },
    ),
    Step("list_therapists", "admin"),
    Step("get_therapist", "admin"),
    Step("update_therapist", "admin"),
    Step(
        "create_license",
        "admin",
        {"license_id": "id"},
        change=lambda walk, body: {**body, "number": f"PH{walk.cast.patient.id.int % 10**6:06d}"},
    ),
    Step("list_licenses", "admin"),
    Step("verify_license", "admin"),
    Step(
        "create_invitation",
        "admin",
        {"invitation_id": "id"},
        change=lambda walk, body: {**body, "email": f"erin.{walk.cast.patient.id.hex[-8:]}@example.org"},
    ),
    Step(
        "accept_invitation",
        None,
        before=_read_the_mail,
        change=lambda walk, body: {**body, "code": walk.known["invitation_code"]},
    ),
    # the patient and the people around
    Step(
        "create_patient",
        "therapist",
        change=lambda walk, body: {**body, "email": f"new.{walk.cast.patient.id.hex[-8:]}@example.org"},
    ),
    Step("list_patients"),
    Step("get_patient"),
    Step("update_patient"),
    Step("attest_location", "patient"),
    Step(
        "create_care_link",
        "therapist",
        {"link_id": "id"},
        change=lambda walk, body: {**body, "therapist_id": str(walk.cast.colleague.id)},
    ),
    Step("list_care_team", "patient"),
    Step("end_care_link"),
    Step("create_consent", "patient", which=0),
    Step("create_consent", "therapist", {"consent_id": "id"}, which=1),
    Step("list_consents", "patient"),
    Step("withdraw_consent", "patient"),
    # the episode and what is found
    Step("create_episode", keep={"episode_id": "id"}),
    Step("list_episodes"),
    Step("get_episode"),
    Step("update_episode"),
    Step("list_instruments", "patient"),
    Step("get_instrument", "patient"),
    Step("fill_instrument", "admin"),
    Step("list_instrument_imports", "admin"),
    Step("give_up_instrument", "admin"),
    Step("create_instrument_plan", keep={"instrument_plan_id": "id"}),
    Step("list_instrument_plans", "patient"),
    Step("update_instrument_plan"),
    Step("create_outcome", "patient"),
    Step("list_outcomes"),
    Step("get_red_flag_questions", "patient"),
    Step("create_red_flag_screen", "patient"),
    Step("list_red_flag_screens"),
    Step("create_assessment", keep={"assessment_id": "id"}),
    Step("update_assessment"),
    Step("get_assessment"),
    Step("sign_assessment"),
    Step("create_goal", keep={"goal_id": "id"}),
    Step("list_goals", "patient"),
    Step("create_milestone", "patient", which=1),
    Step("create_milestone", keep={"milestone_id": "id"}),
    Step("list_milestones", "patient"),
    Step("update_milestone"),
    Step("update_goal"),
    Step("create_lifestyle_target", keep={"target_id": "id"}, which=1),
    Step("create_lifestyle_target", keep={"target_id": "id"}),
    Step("list_lifestyle_targets", "patient"),
    Step("update_lifestyle_target"),
    Step("get_workstation_checklist", "patient"),
    Step("put_self_care", "patient", before=_own_id("entry_id")),
    Step("put_workstation_check", "patient", before=_own_id("entry_id")),
    Step("put_work_exposure", "patient", before=_own_id("entry_id")),
    Step("list_factor_entries"),
    Step("get_factors"),
    Step("get_achievements", "patient"),
    # exercises and the program
    Step("list_exercises", "patient"),
    Step(
        "create_exercise",
        keep={"exercise_id": "id"},
        change=lambda walk, body: {**body, "code": f"slide_{walk.cast.patient.id.hex[-8:]}"},
    ),
    Step("get_exercise"),
    Step("update_exercise"),
    Step("promote_exercise", "admin"),
    Step("merge_exercise", "admin"),
    Step("export_exercises"),
    Step("import_exercises", change=lambda walk, body: body.replace("clinic_", f"c{walk.cast.patient.id.hex[-8:]}_")),
    Step("create_program_template", keep={"template_id": "id"}),
    Step("list_program_templates"),
    Step("get_program_template"),
    Step("update_program_template"),
    Step("create_program_from_template"),
    Step("create_program", keep={"program_id": "id"}),
    Step("list_programs"),
    Step("get_program", "patient"),
    Step("activate_program"),
    Step("get_program_phases"),
    Step("log_session", "patient", before=_present_item),
    Step("list_sessions"),
    Step("list_suggestions", keep={"suggestion_id": "items.0.id"}, before=_suggested),
    Step("get_suggestion"),
    Step("simulate_program", which=0),
    Step("simulate_program", which=1),
    Step("reject_suggestion"),
    Step("accept_suggestion", before=_suggested),
    Step("accept_suggestions", change=lambda walk, _body: {"ids": [walk.known["suggestion_id"]]}),
    Step("create_program_version"),
    Step("compare_program", "patient"),
    Step("pause_program"),
    Step("resume_program"),
    # what the patient reads
    Step("create_article", keep={"article_id": "id"}, change=_own_article),
    Step("list_articles", "patient"),
    Step("update_article"),
    Step("retire_article"),
    Step("approve_article"),
    Step("approve_articles", change=_as_read),
    Step("get_article", "patient"),
    Step("create_article_assignment", keep={"assignment_id": "id"}, change=_own_article),
    Step("withdraw_article_assignment"),
    Step("create_article_assignment", keep={"assignment_id": "id"}, change=_own_article),
    Step("list_article_assignments", "patient"),
    Step("get_article_assignment", "patient"),
    Step("read_article", "patient"),
    # questions and answers
    Step("create_check_in_plan", keep={"plan_id": "id"}),
    Step("list_check_in_plans", "patient"),
    Step("update_check_in_plan"),
    Step("pause_check_in_plan"),
    Step("resume_check_in_plan"),
    Step("run_job", "service"),
    Step("list_jobs", "admin"),
    Step("list_dead_letters", "admin"),
    Step("replay_dead_letter", "admin", before=_dead_letter),
    Step("list_check_ins"),
    Step("answer_check_in", "patient", before=_due_check_in),
    Step("put_check_in", "patient", before=_own_id("check_in_id")),
    Step("get_check_in"),
    Step("get_today", "patient"),
    Step("create_adverse_event", "patient", {"adverse_event_id": "id"}),
    Step("list_patient_adverse_events", "patient"),
    Step("get_adverse_event", "patient"),
    Step("update_adverse_event"),
    Step("list_adverse_events"),
    Step("export_adverse_events"),
    Step("review_adverse_event"),
    Step("create_flare", "patient", {"flare_id": "id"}),
    Step("list_flares"),
    Step("get_flare", "patient"),
    Step("update_flare"),
    Step("close_flare", "patient"),
    Step("put_device", "patient", before=_own_id("device_id")),
    Step("get_notification_preferences", "patient"),
    Step("update_notification_preferences", "patient"),
    Step("list_notifications", "patient", {"notification_id": "items.0.id"}, before=_owed),
    Step("read_notification", "patient"),
    Step("complete_program"),
    # something is wrong, and somebody looks
    Step("create_red_flag_screen", "patient", {"screen_id": "id"}, change=_sudden),
    Step("list_alerts", keep={"alert_id": "items.0.id"}),
    Step("list_worklist", before=_phase_ready),
    Step("follow_events"),
    Step("create_worklist_view", keep={"view_id": "id"}, which=1),
    Step("delete_worklist_view"),
    Step("create_worklist_view", keep={"view_id": "id"}),
    Step("list_worklist_views"),
    Step("update_worklist_view"),
    Step("get_alert"),
    Step("acknowledge_alert"),
    Step("assign_alert", change=lambda walk, _body: {"therapist_id": str(walk.cast.therapist.id)}),
    Step("close_red_flag_screen"),
    Step("resolve_alert"),
    # what came of it
    Step("get_progress", "patient"),
    Step("get_progress_chart", "patient"),
    Step("create_report", keep={"report_id": "id"}),
    Step("get_report"),
    Step("update_report"),
    Step("sign_report"),
    Step("hold_episode"),
    Step("reopen_episode"),
    Step("discharge_episode"),
    Step("reopen_alert"),
    Step("log_out", "the one who just signed in"),
)


SANDBOX = {"get_sandbox_clock", "move_sandbox_clock"}
"""Operations that are there in a sandbox only, and have tests of their own: see tests/api/test_sandbox.py."""


async def run(walk: Walk, steps: Sequence[Step] = STEPS) -> dict[str, str]:
    """Walk; give what was not answered 2xx, by operation. An operation that is not in the document is left out."""
    known = operations(DOCUMENT)
    wrong: dict[str, str] = {}
    for step in steps:
        if step.operation not in known:
            continue
        operation = known[step.operation]
        if missing := [name for name in operation.placeholders if name not in walk.known and step.before is None]:
            wrong[step.operation] = f"nothing made {missing}"
            continue
        if step.before is not None:
            made = step.before(walk)
            if made is not None:
                await made
        body = walk.body(operation, step.which)
        if step.change is not None:
            body = step.change(walk, body)
        answer = await walk.send(operation, step.by, body)
        walk.answers[step.operation] = answer
        if not answer.is_success:
            wrong[step.operation] = f"{answer.status_code} {answer.text[:600]}"
            continue
        for name, place in step.keep.items():
            found = answer.json()
            for part in place.split("."):
                found = found[int(part)] if part.isdigit() else found[part]
            walk.known[name] = found
    return wrong
