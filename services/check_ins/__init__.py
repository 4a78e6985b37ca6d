"""Check-ins: plans make them, patients answer them, time opens and closes them."""

from services.check_ins.answering import answer, put
from services.check_ins.plans import follow_episode, follow_zone
from services.check_ins.reading import after_session, browse, get, open_for
from services.check_ins.sweeps import AT_ONCE, Closed, Dispatched, backlog, close_due, dispatch, materialize

__all__ = [
    "AT_ONCE",
    "Closed",
    "Dispatched",
    "after_session",
    "answer",
    "backlog",
    "browse",
    "close_due",
    "dispatch",
    "follow_episode",
    "follow_zone",
    "get",
    "materialize",
    "open_for",
    "put",
]
