"""What a report says, as the plain strings that a template sets: no layout, and no decision about anybody's care."""

import re
from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from models.assessments import DocumentStatus
from models.goals import GoalStatus
from models.reports import ReportKind
from schemas.progress import Adherence, ChangeRule, OutcomeSeries, Progress, Series
from schemas.reports import ReportGoal, ReportSnapshot

Row = list[str | None]

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
"""Written here, so that no setting of the machine changes a document."""

TREND_DAYS = 7
"""How many days make the beginning and the end of a pain trend."""

LONGEST_WORD = 36
"""From here on a word may break anywhere, so that nothing runs off the paper."""

FIGURES = 4
"""How many figures stand at the top."""

_HEADINGS = {ReportKind.PROGRESS: "Progress report", ReportKind.DISCHARGE: "Discharge summary"}
_MARKS = {DocumentStatus.DRAFT: "DRAFT", DocumentStatus.AMENDED: "AMENDED"}
_RULES = {
    ChangeRule.POINTS: "Yes, by points; not by percent",
    ChangeRule.PERCENT: "Yes, by percent; not by points",
    ChangeRule.BOTH: "Yes, by points and percent",
    ChangeRule.NEITHER: "Not reached",
}
_BANDS = {
    "high": "high, 80% or more",
    "partial": "partial, 50 to 79.9%",
    "low": "low, below 50%",
    "insufficient_data": "too few sessions to say",
}


def view(snapshot: ReportSnapshot) -> dict[str, Any]:
    """Give the strings of a report."""
    progress = snapshot.progress
    zone = ZoneInfo(progress.zone)
    heading = _HEADINGS[snapshot.kind]
    period = f"{day(progress.period_from)} to {day(progress.period_to)}"
    clinic = snapshot.clinic
    narrative = snapshot.narrative
    return {
        "lang": "en",
        "title": f"{heading}, {snapshot.patient.name}, {period}",
        "author": snapshot.author,
        "description": f"{heading} of {clinic.name} for {snapshot.patient.record_number}",
        "heading": heading,
        "running": heading,
        "period": period,
        "watermark": _MARKS.get(snapshot.status),
        "clinic": {
            "name": text(clinic.name),
            "lines": [
                text(line) for line in [*clinic.address.splitlines(), clinic.phone, clinic.email] if line.strip()
            ],
        },
        "patient": {
            "name": text(snapshot.patient.name),
            "birth": day(snapshot.patient.birth_date),
            "record": text(snapshot.patient.record_number),
        },
        "facts": _facts(snapshot, period),
        "figures": _figures(progress),
        "goals": [_goal(goal) for goal in snapshot.goals],
        "outcomes": [_outcome(series) for series in progress.outcomes],
        "outcomes_note": _outcomes_note(progress.outcomes),
        "pain": [[_trend(progress)]],
        "flares": [
            [
                day(flare.started_on),
                day(flare.ended_on) if flare.ended_on else "still open",
                text(flare.trigger) if flare.trigger else None,
            ]
            for flare in progress.flares
        ],
        "adherence": _adherence(progress),
        "adherence_note": _adherence_note(progress.adherence),
        "screened": _screened(snapshot.counts.red_flag_screens),
        "red_flags": [
            [
                moment(flag.screened_at, zone),
                words(flag.level),
                text("; ".join([*flag.findings, *([] if flag.complete else ["not every question was answered"])])),
                _ended(flag.outcome, flag.closed_at, zone),
            ]
            for flag in snapshot.red_flags
        ],
        "alerts": [
            [
                moment(alert.raised_at, zone),
                words(alert.level),
                text(f"{alert.title} ({alert.rule})"),
                _ended(alert.outcome, alert.resolved_at, zone),
            ]
            for alert in snapshot.alerts
        ],
        "program_changes": [
            [
                day(change.changed_at.astimezone(zone).date()),
                str(change.version),
                text(change.reason),
                text(change.author),
            ]
            for change in snapshot.program_changes
        ],
        "narrative": [
            {"heading": name, "paragraphs": paragraphs(said)}
            for name, said in (
                ("Assessment of progress", narrative.assessment_of_progress),
                ("Need for skilled care", narrative.justification_for_skilled_care),
                ("Plan", narrative.plan),
                ("Updated goals", narrative.updated_goals),
            )
        ],
        "signature": _signature(snapshot, zone),
    }


# ------------------------------------------------------------------ the parts
def _facts(snapshot: ReportSnapshot, period: str) -> list[list[list[str]]]:
    patient, episode, counts = snapshot.patient, snapshot.episode, snapshot.counts
    return [
        [
            ["Patient", text(patient.name)],
            ["Born", day(patient.birth_date)],
            ["Record number", text(patient.record_number)],
            ["Period", period],
        ],
        [
            ["Episode", text(episode.title)],
            ["Region, ICD-10", f"{words(episode.body_region)}, {', '.join(episode.icd10) or 'no code'}"],
            ["In care since", day(episode.started_on)],
            [
                "In this period",
                f"{_many(counts.visits, 'visit')}, {_many(counts.sessions_completed, 'exercise session')}",
            ],
        ],
    ]


def _figures(progress: Progress) -> list[dict[str, str]]:
    figures = [
        {
            "label": short(series.name),
            "value": f"{number(series.change.baseline)} → {number(series.change.current)}",
            "note": f"{series.unit}, {_better(series)}",
        }
        for series in progress.outcomes
        if series.change
    ]
    share = progress.adherence.session_percent
    sessions = {
        "label": "Sessions completed",
        "value": percent(share) or "none yet",
        "note": f"{progress.adherence.completed} of {progress.adherence.scheduled - progress.adherence.excused}",
    }
    return [*figures[: FIGURES - 1], sessions]


def _goal(goal: ReportGoal) -> Row:
    statement = text(goal.statement)
    if goal.status is not GoalStatus.ACTIVE:
        statement += f" ({words(goal.status).lower()})"
    elif goal.due_on:
        statement += f" (by {day(goal.due_on)})"
    reached = None if goal.mic_reached is None else "Not reached"
    if goal.mic_reached:
        reached = _RULES[goal.mic_rule] if goal.mic_rule else "Yes"
    if goal.target_reached:
        reached = f"{reached}; target reached" if reached else "Target reached"
    measure = f"{goal.measure} ({goal.unit})" if goal.measure and goal.unit else goal.measure
    return [
        statement,
        text(measure) if measure else None,
        *(_figure(value) for value in (goal.baseline, goal.current, goal.target)),
        reached,
    ]


def _outcome(series: OutcomeSeries) -> Row:
    name = f"{text(series.name)} ({series.unit}, {_better(series)})"
    thresholds = [
        *([f"{number(series.mic_points)} points"] if series.mic_points is not None else []),
        *([f"{number(series.mic_percent)}%"] if series.mic_percent is not None else []),
    ]
    threshold = " or ".join(thresholds) or "none known"
    change = series.change
    if change is None:
        return [name, *[None] * 3, threshold, None]
    moved = signed(change.points) + (f" ({signed(change.percent)}%)" if change.percent is not None else "")
    reached = "Worse by an important change" if change.worsened else _reached(series)
    return [name, number(change.baseline), number(change.current), moved, threshold, reached]


def _reached(series: OutcomeSeries) -> str | None:
    """Say whether the change was important; by which rule only where two could have been."""
    change = series.change
    if change is None or change.rule is None:
        return None
    both = change.improved_points is not None and change.improved_percent is not None
    if both or change.rule is ChangeRule.NEITHER:
        return _RULES[change.rule]
    return f"Yes, by {change.rule}"


def _outcomes_note(outcomes: Sequence[OutcomeSeries]) -> str:
    days = sorted({change.baseline_on for series in outcomes if (change := series.change)})
    sources = sorted({series.source for series in outcomes if series.source})
    first = f"Baseline of {' and '.join(day(one) for one in days)}. " if days else ""
    source = f" Thresholds: {', '.join(sources)}." if sources else ""
    return text(f"{first}An important change is a guide to one person's change over time, not to severity.{source}")


def _trend(progress: Progress) -> str:
    """Say how pain moved from the first days to the last, and how much of it is known."""
    points = progress.pain.now.points
    answers = [point.value for point in points if point.value is not None]
    if not answers:
        return "No pain ratings were given in this period."
    first, last = _mean(points[:TREND_DAYS]), _mean(points[-TREND_DAYS:])
    worst = max((point.value for point in progress.pain.worst_24h.points if point.value is not None), default=None)
    said = [
        f"Pain now, 0 to 10: {_or_unknown(first)} on average in the first {TREND_DAYS} days of the period, "
        f"{_or_unknown(last)} in the last {TREND_DAYS}.",
        f"Worst in any 24 hours: {number(worst)}." if worst is not None else "",
        f"Rated on {len(answers)} of {_many(len(points), 'day')}; days without a rating are left blank.",
    ]
    return " ".join(part for part in said if part)


def _adherence(progress: Progress) -> list[Row]:
    done, data = progress.adherence, progress.completeness
    check_ins = done.check_ins
    return [
        ["Sessions completed", percent(done.session_percent)],
        ["Exercises done", percent(done.exercise_percent)],
        ["Dose done", percent(done.dose_percent)],
        ["Check-ins on time", percent(check_ins.submitted_percent)],
        ["Check-ins late, missed, excused", f"{check_ins.late}, {check_ins.missed}, {check_ins.excused}"],
        ["Days with a check-in", f"{data.days_with_check_in} of {data.days}"],
        ["Days with any data", f"{data.days_with_any_data} of {data.days}"],
    ]


def _adherence_note(done: Adherence) -> str:
    excused = f", {done.excused} excused" if done.excused else ""
    return (
        f"{_many(done.scheduled, 'session')} scheduled{excused}. Overall: {_BANDS[done.band]}. Sessions, exercises and "
        "dose are shares of what was prescribed; there is no gold standard, so the three are read together."
    )


def _screened(screens: int) -> str:
    """Say what no finding means: little without a complete screen."""
    if not screens:
        return "No red-flag screen was completed in this period."
    return f"No warning sign was reported in {_many(screens, 'complete red-flag screen')}."


def _ended(outcome: str | None, at: datetime | None, zone: ZoneInfo) -> str:
    if outcome is None:
        return "Open"
    return text(words(outcome)) + (f", {day(at.astimezone(zone).date())}" if at else "")


def _signature(snapshot: ReportSnapshot, zone: ZoneInfo) -> dict[str, str] | None:
    signature = snapshot.signature
    if signature is None:
        return None
    return {
        "name": text(signature.name),
        "name_and_credentials": text(", ".join(part for part in (signature.name, signature.credentials) if part)),
        "license": text(f"License {signature.license_jurisdiction} {signature.license_number}"),
        "on": day(signature.signed_at.astimezone(zone).date()),
        "at": f"{moment(signature.signed_at, zone)} ({zone.key})",
        "sha256": signature.content_sha256,
    }


# ------------------------------------------------------------------ how things are written
def day(on: date) -> str:
    """Write a day so that nobody on either side of an ocean misreads it: 1 Nov 2026."""
    return f"{on.day} {MONTHS[on.month - 1]} {on.year}"


def moment(at: datetime, zone: ZoneInfo) -> str:
    """Write an instant as the patient's clock showed it."""
    local = at.astimezone(zone)
    return f"{day(local.date())}, {local:%H:%M}"


def number(value: float) -> str:
    """Write a number with at most one decimal, none where it is whole, and a true minus."""
    return f"{value:.1f}".removesuffix(".0").replace("-", "\N{MINUS SIGN}")


def signed(value: float) -> str:
    """Write a change with its sign."""
    return f"+{number(value)}" if value > 0 else number(value)


def percent(value: float | None) -> str | None:
    """Write a percentage, or nothing where there is none."""
    return None if value is None else f"{number(value)}%"


def words(code: str) -> str:
    """Write a code as words: low_back becomes Low back."""
    return code.replace("_", " ").capitalize()


def short(name: str) -> str:
    """Write a long name so that it fits above a figure."""
    longest = 30
    return name if len(name) <= longest else f"{name[:longest].rsplit(' ', 1)[0]} …"


def text(said: str) -> str:
    """Write somebody's words on one line; overlong words may break."""
    return _breakable(" ".join(said.split()))


def paragraphs(said: str | None) -> list[list[str]]:
    """Give somebody's words as paragraphs of lines."""
    blocks = re.split(r"\n\s*\n", (said or "").strip())
    return [[_breakable(line.strip()) for line in block.split("\n")] for block in blocks if block.strip()]


def _breakable(said: str) -> str:
    return re.sub(rf"\S{{{LONGEST_WORD}}}(?=\S)", lambda found: f"{found[0]}\N{ZERO WIDTH SPACE}", said)


def _figure(value: float | None) -> str | None:
    return None if value is None else number(value)


def _or_unknown(value: float | None) -> str:
    return "not known" if value is None else number(value)


def _mean(points: Sequence[Any]) -> float | None:
    values = [point.value for point in points if point.value is not None]
    return sum(values) / len(values) if values else None


def _better(series: Series | OutcomeSeries) -> str:
    return "higher is better" if series.higher_is_better else "lower is better"


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
