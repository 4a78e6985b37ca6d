"""Flare-ups: the patient says that it flares, and until it is over the dose, the questions and the rules go by that.

They begin in `services.check_ins`, which an answer can do, too.
"""

from services.flares.ending import end_with_episode
from services.flares.handling import FlareStands, browse, change, close, create, get
from services.flares.reviewing import clinics_to_review, review
from services.flares.screening import follow_region, take_screen

__all__ = [
    "FlareStands",
    "browse",
    "change",
    "clinics_to_review",
    "close",
    "create",
    "end_with_episode",
    "follow_region",
    "get",
    "review",
    "take_screen",
]
