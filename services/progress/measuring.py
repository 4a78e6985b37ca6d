"""Series, flare-ups, adherence and completeness, from rows. Pure: nothing here asks the database or the clock."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Protocol

from clinical import adherence as rules
from clinical.check_ins import question_set
from clinical.rounding import percent
from models.check_ins import CheckInStatus
from schemas.progress import Adherence, CheckInCompletion, Completeness, Flare, Point, Series, SessionWeek
from services.programs import Planned

Answers = Mapping[date, Mapping[str, Any]]
"""What was answered, by the local day that it tells of."""

WEEK = timedelta(days=7)
DAY = timedelta(days=1)

SETTLED_AFTER = timedelta(days=14)
"""So long after the last day of a flare-up without another answer, it is no longer taken to last."""

VALUES = ("pain_now", "pain_worst_24h", "function_limit", "sleep_hours", "sleep_quality", "flare")
CLOSED = (CheckInStatus.SUBMITTED, CheckInStatus.LATE, CheckInStatus.MISSED, CheckInStatus.EXCUSED)


class Row(Protocol):
    """A row as the driver gives it."""

    def __getitem__(self, name: str, /) -> Any:
        """Give a column."""


@dataclass(frozen=True)
class Slot:
    """A planned session whose time has come: its day, what came of it, and whether it was excused."""

    on: date
    session: rules.PlannedSession


def answers_by_day(rows: Sequence[Row], last: date) -> Answers:
    """Sort answers (the earlier first) into days up to `last`; of several on one day the last one counts.

    An answer in time tells of the day of its check-in, a late one of the day on which it was given. Check-ins right
    after a session are left out: they tell of the session.
    """
    days: dict[date, dict[str, Any]] = {}
    for row in rows:
        if row["answered_on"] is None or row["question_set"] == "after_session":
            continue
        day = row["answered_on"] if row["late"] else row["local_date"]
        if day <= last:
            days.setdefault(day, {}).update({name: row[name] for name in VALUES if row[name] is not None})
    return dict(sorted(days.items()))


def series(name: str, days: Sequence[date], answers: Answers, *, higher_is_better: bool) -> Series:
    """Give one answer over all days, null where there is none, on the scale of the daily question."""
    question = next(each for each in question_set("daily").questions if each.id == name)
    return Series(
        name=name,
        unit=question.unit or "",
        higher_is_better=higher_is_better,
        minimum=question.min,
        maximum=question.max,
        points=[Point(on=day, value=answers.get(day, {}).get(name)) for day in days],
    )


def flares(answers: Answers, first: date, last: date) -> list[Flare]:
    """Give the flare-ups that touch the days from `first` to `last`, as the patient reported them.

    One ends on its last reported day; days without an answer neither begin nor end it.
    """
    found: list[list[date]] = []
    lasting = False
    for day, given in answers.items():
        if given.get("flare") is True:
            if lasting:
                found[-1][1] = day
            else:
                found.append([day, day])
        if "flare" in given:
            lasting = given["flare"]
    ended = [Flare(started_on=begin, ended_on=end, trigger=None) for begin, end in found]
    if lasting and found and found[-1][1] + SETTLED_AFTER >= last:
        ended[-1] = Flare(started_on=found[-1][0], ended_on=None, trigger=None)
    return [
        flare for flare in ended if flare.started_on <= last and (flare.ended_on is None or flare.ended_on >= first)
    ]


def flares_of(kept: Sequence[Row], reported: Sequence[Flare], first: date, last: date) -> list[Flare]:
    """Give the flare-ups that touch the days from `first` to `last`: those on record, and what was only answered.

    An answer that tells of a flare-up opens one; those without are of older check-ins.
    """
    known = [
        Flare(
            started_on=row["opened_on"],
            ended_on=row["closed_on"] if row["closed_on"] is None or row["closed_on"] <= last else None,
            trigger=", ".join(word.replace("_", " ") for word in row["triggers"]) or None,
        )
        for row in kept
        if row["opened_on"] <= last and (row["closed_on"] is None or row["closed_on"] >= first)
    ]
    others = [
        one
        for one in reported
        if not any(
            (two.ended_on is None or one.started_on <= two.ended_on)
            and (one.ended_on is None or two.started_on <= one.ended_on)
            for two in known
        )
    ]
    return sorted([*known, *others], key=lambda one: one.started_on)


def slots(planned: Sequence[Planned], sessions: Sequence[Row], today: date) -> list[Slot]:
    """Join what was planned with what was done, by program, day and slot; what today still holds is left out."""
    done = {(row["program_id"], row["local_date"], row["slot"]): row for row in sessions}
    joined = []
    for each in planned:
        row = done.get((each.program_id, each.on, each.slot))
        if row is None and each.on >= today and each.excused is None:
            continue
        joined.append(
            Slot(
                each.on,
                rules.PlannedSession(
                    prescribed_items=len(each.items),
                    done_items=row["items_done"] if row else 0,
                    prescribed_dose=each.dose,
                    done_dose=row["dose_done"] if row else 0,
                    excused=each.excused is not None,
                    flare=each.flare is not None,
                ),
            )
        )
    return joined


def weeks(slots: Sequence[Slot], first: date, last: date) -> list[SessionWeek]:
    """Count sessions by seven days from the first day on; the last ones may be fewer."""
    made = []
    begin = first
    while begin <= last:
        end = min(begin + WEEK - DAY, last)
        within = [slot.session for slot in slots if begin <= slot.on <= end]
        measured = rules.adherence(within)
        excused = sum(not session.counts for session in within)
        made.append(
            SessionWeek(
                week_from=begin,
                week_to=end,
                scheduled=measured.scheduled + excused,
                completed=measured.completed,
                excused=excused,
                session_percent=plain(measured.session_percent),
            )
        )
        begin += WEEK
    return made


def adherence_of(slots: Sequence[Slot], check_ins: CheckInCompletion, flares: Sequence[Flare]) -> Adherence:
    """Measure how much of what was planned was done.

    On days of a flare-up's plan a session neither adds to the streak nor breaks it; where a flare-up was only told of, one
    that was missed does not break it.
    """
    measured = rules.adherence([slot.session for slot in slots])
    excused = sum(not slot.session.counts for slot in slots)
    kept: list[bool | None] = []
    for slot in slots:
        flaring = any(
            flare.started_on <= slot.on and (flare.ended_on is None or slot.on <= flare.ended_on) for flare in flares
        )
        completed = slot.session.completed
        aside = slot.session.excused or slot.session.flare or (flaring and not completed)
        kept.append(None if aside else completed)
    return Adherence(
        session_percent=plain(measured.session_percent),
        exercise_percent=plain(measured.exercise_percent),
        dose_percent=plain(measured.dose_percent),
        band=measured.band.value,
        scheduled=measured.scheduled + excused,
        completed=measured.completed,
        excused=excused,
        streak_sessions=rules.streak(kept),
        check_ins=check_ins,
    )


def check_ins_of(rows: Sequence[Row], first: date, last: date) -> CheckInCompletion:
    """Count the planned check-ins of the days that are over one way or another."""
    closed = [row["status"] for row in rows if row["planned"] and first <= row["local_date"] <= last]
    count = {status: closed.count(status) for status in CLOSED}
    due = sum(count.values())
    submitted = count[CheckInStatus.SUBMITTED]
    return CheckInCompletion(
        due=due,
        submitted=submitted,
        late=count[CheckInStatus.LATE],
        missed=count[CheckInStatus.MISSED],
        excused=count[CheckInStatus.EXCUSED],
        submitted_percent=plain(rules.check_in_completion(submitted, due - count[CheckInStatus.EXCUSED])),
    )


def completeness(answers: Answers, session_days: AbstractSet[date], first: date, last: date) -> Completeness:
    """Count the days from `first` to `last` of which something is known."""
    answered = {day for day in answers if first <= day <= last}
    days = max((last - first).days + 1, 0)
    return Completeness(
        days=days,
        days_with_check_in=len(answered),
        days_with_session=len(session_days),
        days_with_any_data=len(answered | session_days),
        pain_answers=sum(answers[day].get("pain_now") is not None for day in answered),
        check_in_days_percent=plain(percent(len(answered), days)),
    )


def plain(value: Decimal | int | None) -> float | None:
    """Give a number as JSON has it."""
    return None if value is None else float(value)
