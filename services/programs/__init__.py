"""Exercise programs: written as immutable versions, put into use, paused, suspended, ended, and read as a calendar."""

from services.programs.authoring import create, create_version
from services.programs.calendar import Planned, planned
from services.programs.halting import halt, rest, rest_unattended
from services.programs.lifecycle import activate, complete, pause, resume
from services.programs.reading import browse, get
from services.programs.suspension import suspend

__all__ = [
    "Planned",
    "activate",
    "browse",
    "complete",
    "create",
    "create_version",
    "get",
    "halt",
    "pause",
    "planned",
    "rest",
    "rest_unattended",
    "resume",
    "suspend",
]
