"""Progress: how a patient is doing over a period, read from what was answered, done and planned."""

from services.progress.changes import standing_of_episode
from services.progress.reading import (
    LONGEST_DAYS,
    Period,
    PeriodRefused,
    episode_of,
    get,
    of_episode,
    period_of,
    sessions_of,
)

__all__ = [
    "LONGEST_DAYS",
    "Period",
    "PeriodRefused",
    "episode_of",
    "get",
    "of_episode",
    "period_of",
    "sessions_of",
    "standing_of_episode",
]
