"""Exercise programs: written as immutable versions, put into use, paused, suspended, ended, and read as a calendar."""

from services.programs.adjusting import Adjusted, LastExercise, adjust
from services.programs.authoring import check, create, create_version
from services.programs.calendar import Planned, planned, planned_by_patient
from services.programs.comparing import compare
from services.programs.halting import CONSENT_EXPIRED, CONSENT_WITHDRAWN, halt, rest, review
from services.programs.lifecycle import activate, complete, pause, require_ready, resume
from services.programs.reading import browse, criterion, get
from services.programs.records import hold_still, lock_patient
from services.programs.suspension import suspend

__all__ = [
    "CONSENT_EXPIRED",
    "CONSENT_WITHDRAWN",
    "Adjusted",
    "LastExercise",
    "Planned",
    "activate",
    "adjust",
    "browse",
    "check",
    "compare",
    "complete",
    "create",
    "create_version",
    "criterion",
    "get",
    "halt",
    "hold_still",
    "lock_patient",
    "pause",
    "planned",
    "planned_by_patient",
    "require_ready",
    "rest",
    "resume",
    "review",
    "suspend",
]
