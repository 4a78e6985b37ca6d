"""Who may do what to whose record: all of it, on one screen.

Three questions, always in this order. May this role ever do this (`require`, else Forbidden)? Which patients does it
reach (`patients`, the base set of every list)? Is this record among them (`patient`, `subject`, else NotFound)? "Not
yours" and "not there" are the same answer. `OPERATIONS` ties every route to its row; one without does not start.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy import Select, exists, literal, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Forbidden, NotFound
from models.care_team import CareLink
from models.clinics import Clinic
from models.identity import Role
from models.patients import Patient
from services.actions import Action

__all__ = [
    "GRANTS",
    "OPERATIONS",
    "OVERSEEN",
    "SUBJECT",
    "Action",
    "Actor",
    "Relation",
    "patient",
    "patients",
    "reaches",
    "require",
    "subject",
    "treated",
]


@dataclass(frozen=True)
class Actor:
    """Who is asking, as what, in which clinic; made anew for every request from rows, never from the token's text.

    operator: whoever sits at the command line, outside the clinic and without an account.
    """

    account_id: UUID
    clinic_id: UUID
    role: Role
    sign_in_id: UUID | None = None
    membership_id: UUID | None = None
    therapist_id: UUID | None = None
    patient_id: UUID | None = None
    scopes: frozenset[str] = field(default_factory=frozenset)
    request_id: str | None = None
    operator: bool = False


class Relation(StrEnum):
    """How far a grant reaches."""

    SELF = "self"
    """The caller's own record."""
    LINKED = "linked"
    """Patients with an active care link to the caller, at this moment."""
    CLINIC = "clinic"
    """Anything of the caller's clinic; for patients: name, contact and care team, never clinical text."""


SELF, LINKED, CLINIC = Relation.SELF, Relation.LINKED, Relation.CLINIC
PATIENT, THERAPIST, ASSISTANT = Role.PATIENT, Role.THERAPIST, Role.ASSISTANT
ADMIN, AUDITOR, SERVICE = Role.CLINIC_ADMIN, Role.AUDITOR, Role.SERVICE

GRANTS: Mapping[Action, Mapping[Role, Relation]] = {
    Action.READ_OWN_ACCOUNT: dict.fromkeys(Role, SELF),
    Action.READ_CLINIC: dict.fromkeys(Role, CLINIC),
    Action.CHANGE_CLINIC: {ADMIN: CLINIC},
    Action.READ_STAFF: {THERAPIST: CLINIC, ASSISTANT: CLINIC, ADMIN: CLINIC},
    Action.MANAGE_STAFF: {ADMIN: CLINIC},
    Action.READ_LICENSES: {THERAPIST: CLINIC, ASSISTANT: CLINIC, ADMIN: CLINIC},
    Action.MANAGE_LICENSES: {ADMIN: CLINIC},
    Action.INVITE: {THERAPIST: LINKED, ADMIN: CLINIC},
    Action.READ_PATIENTS: {PATIENT: SELF, THERAPIST: LINKED, ASSISTANT: LINKED, ADMIN: CLINIC},
    Action.REGISTER_PATIENTS: {THERAPIST: CLINIC, ADMIN: CLINIC},
    Action.CHANGE_PATIENTS: {PATIENT: SELF, THERAPIST: LINKED, ADMIN: CLINIC},
    Action.ATTEST_LOCATION: {PATIENT: SELF, THERAPIST: LINKED, ASSISTANT: LINKED},
    Action.READ_CARE_TEAM: {PATIENT: SELF, THERAPIST: LINKED, ASSISTANT: LINKED, ADMIN: CLINIC},
    Action.MANAGE_CARE_TEAM: {THERAPIST: LINKED, ADMIN: CLINIC},
    Action.READ_CONSENTS: {PATIENT: SELF, THERAPIST: LINKED, ASSISTANT: LINKED, ADMIN: CLINIC},
    Action.GIVE_CONSENT: {PATIENT: SELF, THERAPIST: LINKED, ASSISTANT: LINKED},
    Action.READ_RECORD: {PATIENT: SELF, THERAPIST: LINKED, ASSISTANT: LINKED},
    Action.MANAGE_EPISODES: {THERAPIST: LINKED},
    Action.READ_INSTRUMENTS: {PATIENT: CLINIC, THERAPIST: CLINIC, ASSISTANT: CLINIC, ADMIN: CLINIC},
    Action.MANAGE_INSTRUMENTS: {ADMIN: CLINIC},
    Action.ANSWER_INSTRUMENTS: {PATIENT: SELF, THERAPIST: LINKED, ASSISTANT: LINKED},
    Action.PLAN_INSTRUMENTS: {THERAPIST: LINKED},
    Action.SCREEN_RED_FLAGS: {PATIENT: SELF, THERAPIST: LINKED, ASSISTANT: LINKED},
    Action.CLOSE_RED_FLAGS: {THERAPIST: LINKED},
    Action.WRITE_ASSESSMENTS: {THERAPIST: LINKED},
    Action.SET_GOALS: {THERAPIST: LINKED},
    Action.SET_MILESTONES: {PATIENT: SELF, THERAPIST: LINKED},
    Action.LOG_FACTORS: {PATIENT: SELF},
    Action.READ_EXERCISES: {PATIENT: CLINIC, THERAPIST: CLINIC, ASSISTANT: CLINIC, ADMIN: CLINIC},
    Action.MANAGE_EXERCISES: {THERAPIST: CLINIC, ADMIN: CLINIC},
    Action.PROMOTE_EXERCISES: {ADMIN: CLINIC},
    Action.READ_ARTICLES: {PATIENT: CLINIC, THERAPIST: CLINIC, ASSISTANT: CLINIC, ADMIN: CLINIC},
    Action.WRITE_ARTICLES: {THERAPIST: CLINIC, ADMIN: CLINIC},
    Action.APPROVE_ARTICLES: {THERAPIST: CLINIC},
    Action.ASSIGN_ARTICLES: {THERAPIST: LINKED},
    Action.ACKNOWLEDGE_ARTICLES: {PATIENT: SELF},
    Action.READ_TEMPLATES: {THERAPIST: CLINIC, ASSISTANT: CLINIC, ADMIN: CLINIC},
    Action.WRITE_TEMPLATES: {THERAPIST: CLINIC, ADMIN: CLINIC},
    Action.PRESCRIBE: {THERAPIST: LINKED},
    Action.LOG_SESSIONS: {PATIENT: SELF},
    Action.READ_SUGGESTIONS: {THERAPIST: LINKED, ASSISTANT: LINKED},
    Action.PLAN_CHECK_INS: {THERAPIST: LINKED},
    Action.ANSWER_CHECK_INS: {PATIENT: SELF},
    Action.REPORT_FLARES: {PATIENT: SELF, THERAPIST: LINKED},
    Action.STEER_FLARES: {THERAPIST: LINKED},
    Action.REPORT_ADVERSE_EVENTS: {PATIENT: SELF, THERAPIST: LINKED, ASSISTANT: LINKED},
    Action.READ_ADVERSE_EVENTS: {PATIENT: SELF, THERAPIST: LINKED, ASSISTANT: LINKED},
    Action.COMPLETE_ADVERSE_EVENTS: {THERAPIST: LINKED},
    Action.REVIEW_ADVERSE_EVENTS: {THERAPIST: LINKED},
    Action.READ_ALERTS: {THERAPIST: LINKED, ASSISTANT: LINKED},
    Action.HANDLE_ALERTS: {THERAPIST: LINKED},
    Action.READ_TODAY: {PATIENT: SELF},
    Action.READ_WORKLIST: {THERAPIST: LINKED, ASSISTANT: LINKED},
    Action.FOLLOW_EVENTS: {PATIENT: SELF, THERAPIST: LINKED, ASSISTANT: LINKED, ADMIN: CLINIC},
    Action.RECEIVE_NOTIFICATIONS: {PATIENT: SELF, THERAPIST: SELF, ASSISTANT: SELF, ADMIN: SELF},
    Action.KEEP_VIEWS: {THERAPIST: SELF, ASSISTANT: SELF},
    Action.WRITE_REPORTS: {THERAPIST: LINKED},
    Action.READ_JOBS: {SERVICE: CLINIC, ADMIN: CLINIC},
    Action.RUN_JOBS: {SERVICE: CLINIC},
    Action.REPLAY_JOBS: {SERVICE: CLINIC, ADMIN: CLINIC},
    Action.MOVE_CLOCK: {SERVICE: CLINIC, ADMIN: CLINIC},
}

OVERSEEN = frozenset({Action.READ_ADVERSE_EVENTS, Action.REVIEW_ADVERSE_EVENTS})
"""What the clinical lead, whom the clinic's settings name, may do for every patient of the clinic, linked or not."""

OPERATIONS: Mapping[str, Action] = {
    # sign in
    "log_out": Action.READ_OWN_ACCOUNT,
    "get_me": Action.READ_OWN_ACCOUNT,
    "create_invitation": Action.INVITE,
    # clinic and staff
    "get_clinic": Action.READ_CLINIC,
    "update_clinic": Action.CHANGE_CLINIC,
    "list_therapists": Action.READ_STAFF,
    "create_therapist": Action.MANAGE_STAFF,
    "get_therapist": Action.READ_STAFF,
    "update_therapist": Action.MANAGE_STAFF,
    "list_licenses": Action.READ_LICENSES,
    "create_license": Action.MANAGE_LICENSES,
    "verify_license": Action.MANAGE_LICENSES,
    # patients
    "list_patients": Action.READ_PATIENTS,
    "create_patient": Action.REGISTER_PATIENTS,
    "get_patient": Action.READ_PATIENTS,
    "update_patient": Action.CHANGE_PATIENTS,
    "attest_location": Action.ATTEST_LOCATION,
    "list_care_team": Action.READ_CARE_TEAM,
    "create_care_link": Action.MANAGE_CARE_TEAM,
    "end_care_link": Action.MANAGE_CARE_TEAM,
    "list_consents": Action.READ_CONSENTS,
    "create_consent": Action.GIVE_CONSENT,
    "withdraw_consent": Action.GIVE_CONSENT,
    # episodes and what they hold
    "list_episodes": Action.READ_RECORD,
    "create_episode": Action.MANAGE_EPISODES,
    "get_episode": Action.READ_RECORD,
    "update_episode": Action.MANAGE_EPISODES,
    "discharge_episode": Action.MANAGE_EPISODES,
    "hold_episode": Action.MANAGE_EPISODES,
    "reopen_episode": Action.MANAGE_EPISODES,
    "list_instruments": Action.READ_INSTRUMENTS,
    "get_instrument": Action.READ_INSTRUMENTS,
    "list_instrument_imports": Action.MANAGE_INSTRUMENTS,
    "fill_instrument": Action.MANAGE_INSTRUMENTS,
    "give_up_instrument": Action.MANAGE_INSTRUMENTS,
    "list_instrument_plans": Action.READ_RECORD,
    "create_instrument_plan": Action.PLAN_INSTRUMENTS,
    "update_instrument_plan": Action.PLAN_INSTRUMENTS,
    "list_outcomes": Action.READ_RECORD,
    "create_outcome": Action.ANSWER_INSTRUMENTS,
    "get_red_flag_questions": Action.READ_INSTRUMENTS,
    "list_red_flag_screens": Action.READ_RECORD,
    "create_red_flag_screen": Action.SCREEN_RED_FLAGS,
    "close_red_flag_screen": Action.CLOSE_RED_FLAGS,
    "create_assessment": Action.WRITE_ASSESSMENTS,
    "get_assessment": Action.READ_RECORD,
    "update_assessment": Action.WRITE_ASSESSMENTS,
    "sign_assessment": Action.WRITE_ASSESSMENTS,
    "list_goals": Action.READ_RECORD,
    "create_goal": Action.SET_GOALS,
    "update_goal": Action.SET_GOALS,
    "list_milestones": Action.READ_RECORD,
    "create_milestone": Action.SET_MILESTONES,
    "update_milestone": Action.SET_MILESTONES,
    "get_achievements": Action.READ_RECORD,
    "list_lifestyle_targets": Action.READ_RECORD,
    "create_lifestyle_target": Action.SET_GOALS,
    "update_lifestyle_target": Action.SET_GOALS,
    # what else matters
    "get_workstation_checklist": Action.READ_INSTRUMENTS,
    "put_self_care": Action.LOG_FACTORS,
    "put_workstation_check": Action.LOG_FACTORS,
    "put_work_exposure": Action.LOG_FACTORS,
    "list_factor_entries": Action.READ_RECORD,
    "get_factors": Action.READ_RECORD,
    # exercises, programs, sessions
    "list_exercises": Action.READ_EXERCISES,
    "create_exercise": Action.MANAGE_EXERCISES,
    "get_exercise": Action.READ_EXERCISES,
    "update_exercise": Action.MANAGE_EXERCISES,
    "promote_exercise": Action.PROMOTE_EXERCISES,
    "merge_exercise": Action.MANAGE_EXERCISES,
    "export_exercises": Action.MANAGE_EXERCISES,
    "import_exercises": Action.MANAGE_EXERCISES,
    "list_program_templates": Action.READ_TEMPLATES,
    "create_program_template": Action.WRITE_TEMPLATES,
    "get_program_template": Action.READ_TEMPLATES,
    "update_program_template": Action.WRITE_TEMPLATES,
    "create_program_from_template": Action.PRESCRIBE,
    "create_program": Action.PRESCRIBE,
    "list_programs": Action.READ_RECORD,
    "get_program": Action.READ_RECORD,
    "compare_program": Action.READ_RECORD,
    "get_program_phases": Action.READ_SUGGESTIONS,
    "create_program_version": Action.PRESCRIBE,
    "activate_program": Action.PRESCRIBE,
    "pause_program": Action.PRESCRIBE,
    "resume_program": Action.PRESCRIBE,
    "complete_program": Action.PRESCRIBE,
    "log_session": Action.LOG_SESSIONS,
    "list_sessions": Action.READ_RECORD,
    # what patients read
    "list_articles": Action.READ_ARTICLES,
    "create_article": Action.WRITE_ARTICLES,
    "get_article": Action.READ_ARTICLES,
    "update_article": Action.WRITE_ARTICLES,
    "approve_article": Action.APPROVE_ARTICLES,
    "approve_articles": Action.APPROVE_ARTICLES,
    "retire_article": Action.APPROVE_ARTICLES,
    "list_article_assignments": Action.READ_RECORD,
    "create_article_assignment": Action.ASSIGN_ARTICLES,
    "get_article_assignment": Action.READ_RECORD,
    "read_article": Action.ACKNOWLEDGE_ARTICLES,
    "withdraw_article_assignment": Action.ASSIGN_ARTICLES,
    "list_suggestions": Action.READ_SUGGESTIONS,
    "get_suggestion": Action.READ_SUGGESTIONS,
    "accept_suggestions": Action.PRESCRIBE,
    "accept_suggestion": Action.PRESCRIBE,
    "reject_suggestion": Action.PRESCRIBE,
    "simulate_program": Action.READ_SUGGESTIONS,
    # check-ins and alerts
    "list_check_in_plans": Action.READ_RECORD,
    "create_check_in_plan": Action.PLAN_CHECK_INS,
    "update_check_in_plan": Action.PLAN_CHECK_INS,
    "pause_check_in_plan": Action.PLAN_CHECK_INS,
    "resume_check_in_plan": Action.PLAN_CHECK_INS,
    "list_check_ins": Action.READ_RECORD,
    "get_check_in": Action.READ_RECORD,
    "answer_check_in": Action.ANSWER_CHECK_INS,
    "put_check_in": Action.ANSWER_CHECK_INS,
    "create_flare": Action.REPORT_FLARES,
    "list_flares": Action.READ_RECORD,
    "get_flare": Action.READ_RECORD,
    "update_flare": Action.STEER_FLARES,
    "close_flare": Action.REPORT_FLARES,
    "create_adverse_event": Action.REPORT_ADVERSE_EVENTS,
    "list_patient_adverse_events": Action.READ_ADVERSE_EVENTS,
    "list_adverse_events": Action.REVIEW_ADVERSE_EVENTS,
    "export_adverse_events": Action.REVIEW_ADVERSE_EVENTS,
    "get_adverse_event": Action.READ_ADVERSE_EVENTS,
    "update_adverse_event": Action.COMPLETE_ADVERSE_EVENTS,
    "review_adverse_event": Action.REVIEW_ADVERSE_EVENTS,
    "list_alerts": Action.READ_ALERTS,
    "get_alert": Action.READ_ALERTS,
    "acknowledge_alert": Action.HANDLE_ALERTS,
    "assign_alert": Action.HANDLE_ALERTS,
    "resolve_alert": Action.HANDLE_ALERTS,
    "reopen_alert": Action.HANDLE_ALERTS,
    # one call for the app, one for the dashboard
    "get_today": Action.READ_TODAY,
    "list_worklist": Action.READ_WORKLIST,
    "follow_events": Action.FOLLOW_EVENTS,
    # what the caller is told
    "list_notifications": Action.RECEIVE_NOTIFICATIONS,
    "read_notification": Action.RECEIVE_NOTIFICATIONS,
    "get_notification_preferences": Action.RECEIVE_NOTIFICATIONS,
    "update_notification_preferences": Action.RECEIVE_NOTIFICATIONS,
    "put_device": Action.RECEIVE_NOTIFICATIONS,
    "list_worklist_views": Action.KEEP_VIEWS,
    "create_worklist_view": Action.KEEP_VIEWS,
    "update_worklist_view": Action.KEEP_VIEWS,
    "delete_worklist_view": Action.KEEP_VIEWS,
    # progress and reports
    "get_progress": Action.READ_RECORD,
    "get_progress_chart": Action.READ_RECORD,
    "create_report": Action.WRITE_REPORTS,
    "get_report": Action.READ_RECORD,
    "update_report": Action.WRITE_REPORTS,
    "sign_report": Action.WRITE_REPORTS,
    # the clock
    "list_jobs": Action.READ_JOBS,
    "run_job": Action.RUN_JOBS,
    "list_dead_letters": Action.READ_JOBS,
    "replay_dead_letter": Action.REPLAY_JOBS,
    "get_sandbox_clock": Action.MOVE_CLOCK,
    "move_sandbox_clock": Action.MOVE_CLOCK,
}

SUBJECT = "subject_patient_id"
"""Key of `session.info` under which the patient that a request is about stands (a replayed answer is checked by it)."""

Row = TypeVar("Row")


def require(actor: Actor, action: Action) -> Relation:
    """Tell how far `actor` may do `action`. Raises Forbidden when its role never may."""
    relation = GRANTS[action].get(actor.role)
    if relation is None:
        raise Forbidden
    return relation


def patients(actor: Actor, action: Action, at: datetime) -> Select[UUID]:
    """Ids of the patients to whom `actor` may do `action` at `at`; compose it with `in_`. Raises Forbidden."""
    relation = require(actor, action)
    if relation is Relation.CLINIC:
        return select(Patient.id).where(Patient.clinic_id == actor.clinic_id)
    if relation is Relation.SELF:
        own = select(Patient.id).where(Patient.clinic_id == actor.clinic_id)
        return own.where(Patient.id == actor.patient_id)
    linked = select(CareLink.patient_id).where(
        CareLink.clinic_id == actor.clinic_id,
        CareLink.therapist_id == actor.therapist_id,
        CareLink.during.op("@>")(literal(at)),
    )
    if action not in OVERSEEN:
        return linked
    leads = exists().where(
        Clinic.id == actor.clinic_id, Clinic.settings["clinical_lead_id"].astext == str(actor.therapist_id)
    )
    return select(Patient.id).where(Patient.clinic_id == actor.clinic_id, Patient.id.in_(linked) | leads)


async def patient(
    session: AsyncSession, actor: Actor, action: Action, patient_id: UUID, *, at: datetime, lock: bool = False
) -> Patient:
    """Give the patient's row, locked for change if asked. Raises Forbidden; NotFound when it is out of reach."""
    query = select(Patient).where(
        Patient.clinic_id == actor.clinic_id, Patient.id == patient_id, Patient.id.in_(patients(actor, action, at))
    )
    found = await session.scalar(query.with_for_update() if lock else query)
    if found is None:
        raise NotFound
    session.info[SUBJECT] = found.id
    return found


async def subject(
    session: AsyncSession,
    actor: Actor,
    action: Action,
    model: type[Row],
    row_id: UUID,
    *,
    at: datetime,
    lock: bool = False,
) -> Row:
    """Give the row of a table that hangs on a patient. Raises Forbidden; NotFound when it is out of reach.

    lock: for change; rows that refer to it may still be written.
    """
    table: Any = model
    query = select(model).where(
        table.clinic_id == actor.clinic_id, table.id == row_id, table.patient_id.in_(patients(actor, action, at))
    )
    found: Any = await session.scalar(query.with_for_update(key_share=True) if lock else query)
    if found is None:
        raise NotFound
    session.info[SUBJECT] = found.patient_id
    return found  # type: ignore[no-any-return]


# ------------------------------------------------------------------ for many callers at once: the live updates


async def treated(
    session: AsyncSession, clinic_id: UUID, therapists: Collection[UUID], patient_ids: Collection[UUID], *, at: datetime
) -> Mapping[UUID | None, Collection[UUID]]:
    """Give which of these patients each of these therapists has an active care link to at `at`."""
    links = select(CareLink.therapist_id, CareLink.patient_id).where(
        CareLink.clinic_id == clinic_id,
        CareLink.therapist_id.in_(therapists),
        CareLink.patient_id.in_(patient_ids),
        CareLink.during.op("@>")(literal(at)),
    )
    found: dict[UUID | None, set[UUID]] = {}
    for therapist_id, patient_id in await session.execute(links):
        found.setdefault(therapist_id, set()).add(patient_id)
    return found


def reaches(actor: Actor, action: Action, patient_id: UUID | None, linked: Collection[UUID]) -> bool:
    """Tell whether `actor` may do `action` to a patient's record, or (None) to the clinic's own.

    linked: the patients to whom the actor has an active care link at this moment.
    """
    relation = GRANTS[action].get(actor.role)
    if relation is None or relation is Relation.CLINIC:
        return relation is not None
    if patient_id is None:
        return False
    return patient_id == actor.patient_id if relation is Relation.SELF else patient_id in linked
