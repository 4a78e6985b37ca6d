"""Where an episode stands: whether anything may still begin in it, and whether it may end."""

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Conflict, Problem
from models.alerts import Alert, AlertLevel, AlertStatus
from models.episodes import Episode, EpisodeStatus
from models.red_flag_screens import RedFlagScreen


class EpisodeClosed(Conflict):
    """This episode is discharged."""


class EpisodeOnHold(Conflict):
    """This episode is on hold: reopen it first."""


class EpisodeUnsettled(Conflict):
    """A warning sign of this patient still waits for a clinician: settle it before the discharge."""


def problems(status: EpisodeStatus) -> list[Problem]:
    """Tell what keeps something from running in an episode, by the codes of the refusals."""
    match status:
        case EpisodeStatus.DISCHARGED:
            return [Problem("", EpisodeClosed.code, "The episode is discharged.")]
        case EpisodeStatus.ON_HOLD:
            return [Problem("", EpisodeOnHold.code, "The episode is on hold.")]
        case _:
            return []


def require_open(episode: Episode) -> None:
    """Demand that the episode is not over. Raises EpisodeClosed."""
    if episode.status is EpisodeStatus.DISCHARGED:
        raise EpisodeClosed


def require_going(status: EpisodeStatus) -> None:
    """Demand that the episode is neither over nor on hold. Raises EpisodeClosed, EpisodeOnHold."""
    if status is EpisodeStatus.DISCHARGED:
        raise EpisodeClosed
    if status is EpisodeStatus.ON_HOLD:
        raise EpisodeOnHold


async def require_settled(session: AsyncSession, episode: Episode) -> None:
    """Demand that no urgent red flag and no urgent alert of the patient waits. Raises EpisodeUnsettled.

    All of the patient's count, whichever episode they came from: a red flag stops every program of his, and one alert
    collects what a rule finds anywhere.
    """
    screens = select(RedFlagScreen.id).where(
        RedFlagScreen.clinic_id == episode.clinic_id,
        RedFlagScreen.patient_id == episode.patient_id,
        RedFlagScreen.unresolved(),
    )
    waiting = select(Alert.id).where(
        Alert.clinic_id == episode.clinic_id,
        Alert.patient_id == episode.patient_id,
        Alert.status != AlertStatus.RESOLVED,
        Alert.level.in_([AlertLevel.URGENT_SAME_DAY, AlertLevel.EMERGENCY_NOW]),
    )
    found = []
    if await session.scalar(screens.limit(1)) is not None:
        found.append(Problem("", "red_flag_open", "A red flag waits for a clinician to close it."))
    if await session.scalar(waiting.limit(1)) is not None:
        found.append(Problem("", "urgent_alert_open", "An urgent alert waits for a clinician to resolve it."))
    if found:
        raise EpisodeUnsettled(*found)
