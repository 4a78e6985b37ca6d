"""Flare-ups: the patient says that it flares, and until it is over the dose, the questions and the rules go by that."""

from services.flares.beginning import begin, follow_answer, standing, take_screen
from services.flares.ending import end_with_episode
from services.flares.handling import FlareStands, browse, change, close, create, get
from services.flares.reviewing import clinics_to_review, review

__all__ = [
    "FlareStands",
    "begin",
    "browse",
    "change",
    "clinics_to_review",
    "close",
    "create",
    "end_with_episode",
    "follow_answer",
    "get",
    "review",
    "standing",
    "take_screen",
]
