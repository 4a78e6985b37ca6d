"""Outcomes against their baseline: what changed, and whether by enough to matter."""

import re
from collections.abc import Sequence
from datetime import date

from sqlalchemy import func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from clinical.change import Change, Value, change
from clinical.forms import Instrument
from clinical.library import load
from models.episodes import Episode
from models.outcomes import Outcome
from schemas.progress import ChangeRule, OutcomeChange, OutcomeSeries, Point
from services import outcomes
from services.progress.measuring import plain

FIRST = ("psfs", "nprs")
"""After what is made for the body region, these lead; the rest follows by code."""

RULES = {
    (True, True): ChangeRule.BOTH,
    (True, False): ChangeRule.POINTS,
    (False, True): ChangeRule.PERCENT,
    (False, False): ChangeRule.NEITHER,
}

_SOURCE = re.compile(r"(?:VERIFIED|FROM MEMORY)\s+")
_SOURCE_END = re.compile(r"\s*(?:https?://|[;(]).*")


async def standing_of_episode(session: AsyncSession, episode: Episode, first: date, last: date) -> list[Outcome]:
    """Give scored responses that no correction replaced, oldest first.

    Of each instrument: those from `first` to `last`, and the first and the newest one of the episode up to `last`.
    """
    upto = (
        outcomes.standing(episode.clinic_id)
        .where(Outcome.episode_id == episode.id, Outcome.administered_on <= last, Outcome.score.is_not(None))
        .subquery()
    )
    order = (upto.c.administered_at, upto.c.id)
    placed = select(
        upto,
        func.row_number().over(partition_by=upto.c.instrument_code, order_by=order).label("place"),
        func.count().over(partition_by=upto.c.instrument_code).label("places"),
    ).subquery()
    row = aliased(Outcome, placed)
    found = await session.scalars(
        select(row)
        .where(or_(placed.c.administered_on >= first, placed.c.place == 1, placed.c.place == placed.c.places))
        .order_by(placed.c.administered_at, placed.c.id)
    )
    return list(found)


def by_instrument(rows: Sequence[Outcome]) -> dict[str, list[Outcome]]:
    """Sort responses by instrument, oldest first."""
    sorted_: dict[str, list[Outcome]] = {}
    for row in rows:
        sorted_.setdefault(row.instrument_code, []).append(row)
    return sorted_


def of_instruments(rows: Sequence[Outcome], body_region: str, first: date, last: date) -> list[OutcomeSeries]:
    """Give one series for each instrument, the one made for the body region first."""
    known = load().measures

    def rank(code: str) -> tuple[bool, int, str]:
        place = FIRST.index(code) if code in FIRST else len(FIRST)
        return body_region not in known[code].body_regions, place, code

    found = by_instrument(rows)
    return [_series(known[code], found[code], first, last) for code in sorted(found, key=rank)]


def compare(instrument: Instrument, baseline: Outcome, current: Outcome) -> Change:
    """Compare two responses."""
    return change(instrument, value_of(baseline), value_of(current))


def value_of(row: Outcome) -> Value:
    """Give a stored response as what a change is made of."""
    return Value(row.score, outcomes.ratings(row.answers))


def thresholds(instrument: Instrument, *, single_activity: bool = False) -> tuple[float | None, float | None]:
    """Give the smallest change that matters, in points and in percent of the baseline."""
    if instrument.change is None:
        return None, None
    if instrument.repeated is not None:
        rated = instrument.change
        return plain(rated.mdc90_single_activity if single_activity else rated.mdc90_average), None
    return plain(instrument.change.mic_points), plain(instrument.change.mic_percent_of_baseline)


def rule_of(instrument: Instrument, compared: Change) -> ChangeRule | None:
    """Say which rule calls it an improvement; None where there is no rule, or nothing to compare."""
    if compared.points is None or thresholds(instrument) == (None, None):
        return None
    return RULES[compared.improved_points, compared.improved_percent]


def _series(instrument: Instrument, rows: Sequence[Outcome], first: date, last: date) -> OutcomeSeries:
    baseline, current = rows[0], rows[-1]
    compared = compare(instrument, baseline, current) if baseline is not current else None
    points, percent = thresholds(instrument, single_activity=compared is not None and compared.activities_compared == 1)
    low, high = instrument.primary.range
    return OutcomeSeries(
        instrument=instrument.code,
        instrument_version=current.instrument_version,
        score=instrument.primary.id,
        name=instrument.title,
        unit=f"{low}-{high}" if low >= 0 else f"{low} to {high}",
        higher_is_better=not instrument.primary.lower_is_better,
        minimum=low,
        maximum=high,
        points=[
            Point(on=row.administered_on, value=plain(row.score))
            for row in rows
            if first <= row.administered_on <= last
        ],
        band=current.band,
        change=None if compared is None else _change(instrument, baseline, current, compared),
        mic_points=points,
        mic_percent=percent,
        source=_source(instrument),
    )


def _change(instrument: Instrument, baseline: Outcome, current: Outcome, compared: Change) -> OutcomeChange | None:
    """Say what became of the score; None where the two have nothing in common (no activity rated both times)."""
    before, after, points = plain(baseline.score), plain(current.score), plain(compared.points)
    if before is None or after is None or points is None:
        return None
    by_points, by_percent = thresholds(instrument)
    return OutcomeChange(
        baseline_on=baseline.administered_on,
        baseline=before,
        current_on=current.administered_on,
        current=after,
        points=points,
        percent=plain(compared.percent),
        improved_points=None if by_points is None else compared.improved_points,
        improved_percent=None if by_percent is None or compared.percent is None else compared.improved_percent,
        worsened=None if (by_points, by_percent) == (None, None) else compared.worsened,
        rule=rule_of(instrument, compared),
    )


def _source(instrument: Instrument) -> str | None:
    """Name where the thresholds come from, without its address."""
    if instrument.change is None:
        return None
    return _SOURCE_END.sub("", _SOURCE.sub("", instrument.change.source, count=1)) or None
