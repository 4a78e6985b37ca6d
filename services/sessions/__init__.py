"""Exercise sessions: logged once by the patient's device, measured against what was prescribed, and listed."""

from services.sessions.measuring import ProgramNotInForce, ProgramPaused, ProgramSuspended, SessionRefused
from services.sessions.reading import browse
from services.sessions.recording import Logged, SessionIdRefused, SessionIdTaken, SessionSupersededAlready, log

__all__ = [
    "Logged",
    "ProgramNotInForce",
    "ProgramPaused",
    "ProgramSuspended",
    "SessionIdRefused",
    "SessionIdTaken",
    "SessionRefused",
    "SessionSupersededAlready",
    "browse",
    "log",
]
