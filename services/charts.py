"""Progress as charts: Vega-Lite specifications, from which `documents` draws SVG and PNG.

A specification carries its data inline, so any dashboard can draw it; nothing is loaded from anywhere. Days are UTC
midnights on a UTC scale, so that no reader's time zone moves a day. A missing day breaks the line. Series differ by
dash and shape as well as by color (Okabe and Ito's palette), and `description` says in words what the picture shows.
"""

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Any

from core.errors import NotFound
from schemas.progress import ChartName, OutcomeSeries, Point, Progress, Series

Spec = dict[str, Any]

WIDTH, HEIGHT = 640, 300
"""Size of the plot in pixels where nothing is said."""

SMALLEST, LARGEST = 120, 1_600
"""Bounds of a plot's width and height in pixels."""

FONT = "Liberation Sans, Arial, Helvetica, sans-serif"
BLUE, VERMILLION, GREEN, ORANGE = "#0072B2", "#D55E00", "#00805F", "#E69F00"
INK, MUTED, HAIRLINE = "#222222", "#5F6368", "#E3E6E8"

ADHERENCE_GOAL_PERCENT = 80
"""Where adherence counts as high."""


def spec(
    name: ChartName,
    progress: Progress,
    *,
    instrument: str | None = None,
    width: int = WIDTH,
    height: int = HEIGHT,
    titled: bool = True,
) -> Spec:
    """Give the Vega-Lite specification of a chart.

    `instrument` chooses the outcome series (the first one if not said). Raises NotFound where there is no such series,
    ValueError for a size out of bounds.
    """
    if not (SMALLEST <= width <= LARGEST and SMALLEST <= height <= LARGEST):
        raise ValueError(f"A chart is {SMALLEST} to {LARGEST} pixels wide and high")
    match name:
        case ChartName.PAIN:
            title, words, layers = _pain(progress)
        case ChartName.FUNCTION:
            title, words, layers = _function(progress)
        case ChartName.ADHERENCE:
            title, words, layers = _adherence(progress)
        case ChartName.OUTCOMES:
            title, words, layers = _outcomes(_outcome(progress, instrument), progress)
    made: Spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "description": words,
        "width": width,
        "height": height,
        "layer": layers,
        "config": _CONFIG,
    }
    if titled:
        made["title"] = title
    return made


# ------------------------------------------------------------------ the four charts
def _pain(progress: Progress) -> tuple[str, str, list[Spec]]:
    pain = progress.pain
    words = f"{_told('Pain now', pain.now)} {_told('Worst pain in 24 hours', pain.worst_24h)}{_flares_told(progress)}"
    layers = [*_flares(progress), *_lines(progress, {"Now": pain.now, "Worst in 24 h": pain.worst_24h}, "Pain")]
    nprs = next((one for one in progress.outcomes if one.instrument == "nprs"), None)
    return "Pain", words, [*layers, *(_anchors(nprs, progress) if nprs else [])]


def _function(progress: Progress) -> tuple[str, str, list[Spec]]:
    words = _told("How much the day was limited", progress.function) + _flares_told(progress)
    title = "Limitation"
    return title, words, [*_flares(progress), *_lines(progress, {title: progress.function}, title)]


def _outcomes(series: OutcomeSeries, progress: Progress) -> tuple[str, str, list[Spec]]:
    words = _told(series.name, series)
    if series.change and (mic := _mic(series, series.change.baseline)) is not None:
        words += f" An important change from the baseline of {_number(series.change.baseline)} is {_number(mic)}."
    return series.name, words, [*_anchors(series, progress), *_lines(progress, {series.name: series}, "Score")]


def _adherence(progress: Progress) -> tuple[str, str, list[Spec]]:
    rows = [
        {
            "week": f"{week.week_from.isoformat()} {week.completed} of {week.scheduled - week.excused}",
            "percent": week.session_percent,
        }
        for week in progress.sessions
    ]
    known = [week for week in progress.sessions if week.session_percent is not None]
    told = ", ".join(f"{_day(week.week_from)} {_number(week.session_percent or 0)}%" for week in known)
    words = f"Exercise sessions completed of those scheduled, by week: {told or 'nothing was scheduled'}."
    x: Spec = {
        "field": "week",
        "type": "ordinal",
        "title": None,
        "axis": {
            "labelExpr": "[utcFormat(toDate(slice(datum.value, 0, 10)), '%-d %b'), slice(datum.value, 11)]",
            "labelAngle": 0,
            "labelOverlap": True,
            "labelLineHeight": 15,
        },
    }
    y: Spec = {
        "field": "percent",
        "type": "quantitative",
        "title": "Sessions completed (%), by week",
        "scale": {"domain": [0, 100]},
        "axis": {"values": [0, 20, 40, 60, 80, 100]},
    }
    bars: Spec = {
        "data": {"values": rows},
        "mark": {"type": "bar", "color": BLUE, "width": {"band": 0.55}},
        "encoding": {"x": x, "y": y},
    }
    goal: Spec = {
        "data": {"values": [{"percent": ADHERENCE_GOAL_PERCENT}]},
        "encoding": {"y": {"field": "percent", "type": "quantitative"}},
        "layer": [
            {"mark": {"type": "rule", "color": VERMILLION, "strokeDash": [6, 3], "strokeWidth": 1.5}},
            {
                "mark": {"type": "text", "align": "left", "dx": 6, "color": VERMILLION},
                "encoding": {"x": {"value": "width"}, "text": {"value": f"High {ADHERENCE_GOAL_PERCENT}%"}},
            },
        ],
    }
    return "Exercise sessions", words, [bars, goal] if known else [bars, goal, _nothing("Nothing was scheduled")]


# ------------------------------------------------------------------ their parts
def _lines(progress: Progress, series: dict[str, Series | OutcomeSeries], what: str) -> list[Spec]:
    """Draw series over the period's days on one scale; a day without a value breaks the line."""
    first = next(iter(series.values()))
    names = list(series)
    rows = [
        {"on": point.on.isoformat(), "series": name, "value": point.value}
        for name, one in series.items()
        for point in one.points
    ]
    look = {"domain": names}
    legend = {"orient": "top", "title": None, "symbolSize": 60} if len(names) > 1 else None
    by = {"field": "series", "type": "nominal", "legend": legend}
    y: Spec = {
        "field": "value",
        "type": "quantitative",
        "title": f"{what} ({_scale_told(first)})",
        "scale": {"zero": first.minimum == 0},
    }
    if first.minimum is not None and first.maximum is not None:
        y["scale"] = {"domain": [first.minimum, first.maximum], "nice": False}
    encoding: Spec = {
        "x": _days(progress),
        "y": y,
        "color": {**by, "scale": {**look, "range": [BLUE, VERMILLION][: len(names)]}},
        "strokeDash": {**by, "scale": {**look, "range": [[1, 0], [5, 3]][: len(names)]}},
        "shape": {**by, "scale": {**look, "range": ["circle", "triangle-up"][: len(names)]}},
    }
    points = {"filled": True, "size": 26, "strokeWidth": 0}
    line: Spec = {
        "data": {"values": rows},
        "encoding": encoding,
        "layer": [
            {"mark": {"type": "line", "strokeWidth": 2, "invalid": "break-paths-filter-domains"}},
            {"mark": {"type": "point", **points}},
        ],
    }
    return [line] if any(row["value"] is not None for row in rows) else [line, _nothing()]


def _anchors(series: OutcomeSeries, progress: Progress) -> list[Spec]:
    """Draw the baseline, and where an important change from it would lie, named in the margin."""
    if series.change is None:
        return []
    baseline = series.change.baseline
    lines = [(baseline, "Baseline", MUTED)]
    if (mic := _mic(series, baseline)) is not None:
        lines.append((mic, "Important change", GREEN))
    return [
        {
            "data": {"values": [{"on": progress.period_from.isoformat(), "value": value}]},
            "encoding": {"y": {"field": "value", "type": "quantitative"}},
            "layer": [
                {"mark": {"type": "rule", "strokeDash": [6, 3], "strokeWidth": 1.2, "color": color}},
                {
                    "mark": {"type": "text", "align": "left", "dx": 6, "color": color},
                    "encoding": {"x": {"value": "width"}, "text": {"value": f"{label} {_number(value)}"}},
                },
            ],
        }
        for value, label, color in lines
    ]


def _flares(progress: Progress) -> list[Spec]:
    """Shade the days of flare-ups."""
    rows = [
        {
            "from": max(flare.started_on, progress.period_from).isoformat(),
            "to": min(flare.ended_on or progress.period_to, progress.period_to).isoformat(),
            "label": "Flare-up",
        }
        for flare in progress.flares
    ]
    if not rows:
        return []
    x = _days(progress)
    return [
        {
            "data": {"values": rows},
            "encoding": {"x": {**x, "field": "from"}, "x2": {"field": "to"}},
            "layer": [
                {"mark": {"type": "rect", "color": ORANGE, "opacity": 0.22}},
                {
                    "mark": {"type": "text", "align": "left", "baseline": "top", "dx": 3, "dy": 3, "color": MUTED},
                    "encoding": {"x2": None, "y": {"value": 0}, "text": {"field": "label", "type": "nominal"}},
                },
            ],
        }
    ]


def _days(progress: Progress) -> Spec:
    """Give the axis of the period's days."""
    ends = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (progress.period_from, progress.period_to)]
    return {
        "field": "on",
        "type": "temporal",
        "title": None,
        "scale": {"type": "utc", "domain": [int(end.timestamp() * 1000) for end in ends], "nice": False},
        "axis": {
            "format": "%-d %b",
            "tickCount": {"expr": "max(2, floor(width / 65))"},
            "labelOverlap": True,
            "grid": False,
        },
    }


def _nothing(words: str = "No answers in this period") -> Spec:
    """Say that there is nothing to show, so that an empty chart is not taken for a broken one."""
    return {
        "data": {"values": [{}]},
        "mark": {"type": "text", "color": MUTED, "fontSize": 13},
        "encoding": {
            "x": {"value": {"expr": "width / 2"}},
            "y": {"value": {"expr": "height / 2"}},
            "text": {"value": words},
        },
    }


def _outcome(progress: Progress, instrument: str | None) -> OutcomeSeries:
    for series in progress.outcomes:
        if instrument is None or series.instrument == instrument:
            return series
    raise NotFound


def _mic(series: OutcomeSeries, baseline: float) -> float | None:
    """Give the score at which the improvement from the baseline is important: by points, else by percent.

    None where no threshold is known, or where the scale ends before it.
    """
    step = series.mic_points
    if step is None and series.mic_percent is not None:
        step = baseline * series.mic_percent / 100
    if step is None:
        return None
    score = baseline + (step if series.higher_is_better else -step)
    below = series.minimum is not None and score < series.minimum
    above = series.maximum is not None and score > series.maximum
    return None if below or above else score


# ------------------------------------------------------------------ in words
def _scale_told(series: Series | OutcomeSeries) -> str:
    better = "higher is better" if series.higher_is_better else "lower is better"
    return f"{series.unit}, {better}" if series.unit else better


def _told(what: str, series: Series | OutcomeSeries) -> str:
    """Say what a line shows: from where to where, how high and low, and how much of it is missing."""
    answered = [(point.on, point.value) for point in series.points if point.value is not None]
    if not answered:
        return f"{what}: no answers in this period."
    (first_on, first), (last_on, last) = answered[0], answered[-1]
    values = [value for _, value in answered]
    return (
        f"{what} ({_scale_told(series)}): {_number(first)} on {_day(first_on)}, {_number(last)} on {_day(last_on)}, "
        f"lowest {_number(min(values))}, highest {_number(max(values))}; "
        f"answered {len(answered)} of {_count(series.points)}."
    )


def _flares_told(progress: Progress) -> str:
    return f" Flare-ups: {len(progress.flares)}." if progress.flares else ""


def _count(points: Sequence[Point]) -> str:
    return "1 time" if len(points) == 1 else f"{len(points)} times"


def _number(value: float) -> str:
    """Write a number with at most one decimal, and none where it is whole."""
    return f"{value:.1f}".removesuffix(".0")


def _day(day: date) -> str:
    return day.isoformat()


_TEXT = {"labelFont": FONT, "titleFont": FONT, "labelColor": INK, "titleColor": INK}
_CONFIG: Spec = {
    "background": "#FFFFFF",
    "font": FONT,
    "padding": 6,
    "view": {"stroke": None},
    "title": {"anchor": "start", "fontSize": 15, "fontWeight": 600, "color": INK, "offset": 10},
    "axis": {
        **_TEXT,
        "labelFontSize": 12,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
        "gridColor": HAIRLINE,
        "domainColor": MUTED,
        "tickColor": MUTED,
        "tickSize": 4,
    },
    "axisY": {"domain": False, "ticks": False, "tickCount": 6},
    "legend": {**_TEXT, "labelFontSize": 12, "padding": 0, "offset": 6, "columnPadding": 18},
    "text": {"font": FONT, "fontSize": 11},
}
