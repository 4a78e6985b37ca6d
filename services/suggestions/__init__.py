"""Suggestions: what the progression rules make of sessions, and what therapists make of that."""

from services.suggestions.deciding import (
    FlareOpen,
    SuggestionDecided,
    SuggestionSuperseded,
    VersionPlanned,
    accept,
    accept_many,
    apply,
    reject,
)
from services.suggestions.evaluating import Evaluated, clinics_owed, evaluate, follow_up, running
from services.suggestions.reading import browse, get
from services.suggestions.simulating import HistoryRefused, simulate

__all__ = [
    "Evaluated",
    "FlareOpen",
    "HistoryRefused",
    "SuggestionDecided",
    "SuggestionSuperseded",
    "VersionPlanned",
    "accept",
    "accept_many",
    "apply",
    "browse",
    "clinics_owed",
    "evaluate",
    "follow_up",
    "get",
    "reject",
    "running",
    "simulate",
]
