"""A plainly fictional progress report, for the pictures in `docs/pictures` and for the tests of documents.

`python -m dev.pictures` draws `docs/pictures/progress-report.png` anew.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID

from models.alerts import AlertLevel
from models.assessments import DocumentStatus
from models.goals import GoalStatus
from models.reports import ReportKind
from schemas.progress import (
    Adherence,
    ChangeRule,
    CheckInCompletion,
    Completeness,
    Flare,
    OutcomeChange,
    OutcomeSeries,
    PainSeries,
    Point,
    Progress,
    Series,
    SessionWeek,
    SleepSeries,
)
from schemas.reports import (
    EpisodeBlock,
    Letterhead,
    Narrative,
    PatientBlock,
    ReportAlert,
    ReportCounts,
    ReportGoal,
    ReportProgramChange,
    ReportRedFlag,
    ReportSnapshot,
    Signature,
)
from services.documents import typesetting

PICTURE = Path(__file__).parent.parent / "docs" / "pictures" / "progress-report.png"

FROM, TO = date(2026, 10, 5), date(2026, 11, 1)
_NOW = [6, 6, 7, 6, None, 6, 5, 6, 7, 8, 7, 7, 6, 5, None, None, 5, 4, 4, 5, 4, 4, 3, 4, 3, 3, 2, 3]
_WORST = [8, 7, 8, 8, None, 7, 7, 7, 9, 9, 8, 8, 7, 7, None, None, 6, 6, 5, 6, 6, 5, 5, 5, 5, 4, 4, 4]
_LIMIT = [7, 7, 7, 6, None, 6, 6, 6, 7, 8, 7, 7, 6, 6, None, None, 5, 5, 4, 5, 4, 4, 4, 4, 3, 3, 3, 3]
_SLEEP = [6, 6.5, 5.5, 6, None, 6, 6.5, 6, 5.5, 5, 5.5, 6, 6, 6.5, None, None, 7, 7, 6.5, 7, 7, 7, 7.5, 7, 7, 7.5, 7, 7]


def _series(
    name: str, unit: str, values: Sequence[float | None], *, up: bool = False, top: float | None = 10
) -> Series:
    points = [Point(on=FROM + timedelta(days=day), value=value) for day, value in enumerate(values)]
    return Series(name=name, unit=unit, higher_is_better=up, minimum=0, maximum=top, points=points)


def _outcome(
    code: str,
    name: str,
    unit: str,
    scores: list[float],
    *,
    up: bool,
    top: float,
    mic: tuple[float | None, float | None],
    band: str | None,
    rule: ChangeRule,
    improved: tuple[bool | None, bool | None],
) -> OutcomeSeries:
    days = [FROM, date(2026, 10, 19), TO][-len(scores) :]
    points = scores[-1] - scores[0]
    change = OutcomeChange(
        baseline_on=days[0],
        baseline=scores[0],
        current_on=days[-1],
        current=scores[-1],
        points=round(points, 1),
        percent=round(points / scores[0] * 100, 1),
        improved_points=improved[0],
        improved_percent=improved[1],
        worsened=False,
        rule=rule,
    )
    return OutcomeSeries(
        instrument=code,
        instrument_version="1.0",
        score="total",
        name=name,
        unit=unit,
        higher_is_better=up,
        minimum=0,
        maximum=top,
        points=[Point(on=day, value=score) for day, score in zip(days, scores, strict=True)],
        band=band,
        change=change,
        mic_points=mic[0],
        mic_percent=mic[1],
        source="Ostelo 2008",
    )


def sample_progress() -> Progress:
    """Give four weeks of a recovery with one flare-up and a few days without an answer."""
    weeks = [(5, 4, 0), (5, 3, 0), (5, 3, 1), (5, 5, 0)]
    return Progress(
        patient_id=UUID("01890000-0000-7000-8000-000000000001"),
        episode_id=UUID("01890000-0000-7000-8000-000000000002"),
        period_from=FROM,
        period_to=TO,
        zone="America/New_York",
        computed_at=datetime(2026, 11, 2, 14, 5, tzinfo=UTC),
        pain=PainSeries(now=_series("pain_now", "0-10", _NOW), worst_24h=_series("pain_worst_24h", "0-10", _WORST)),
        function=_series("function_limit", "0-10", _LIMIT),
        sleep=SleepSeries(
            hours=_series("sleep_hours", "h", _SLEEP, up=True, top=None),
            quality=_series("sleep_quality", "0-10", [None] * 28, up=True),
        ),
        sessions=[
            SessionWeek(
                week_from=FROM + timedelta(weeks=number),
                week_to=FROM + timedelta(weeks=number, days=6),
                scheduled=scheduled,
                completed=completed,
                excused=excused,
                session_percent=round(completed / (scheduled - excused) * 100, 1),
            )
            for number, (scheduled, completed, excused) in enumerate(weeks)
        ],
        outcomes=[
            _outcome(
                "rmdq24",
                "Roland-Morris Disability Questionnaire",
                "0-24",
                [14, 11, 7],
                up=False,
                top=24,
                mic=(5, 30),
                band="mild",
                rule=ChangeRule.BOTH,
                improved=(True, True),
            ),
            _outcome(
                "nprs",
                "Pain, numeric rating",
                "0-10",
                [6, 5, 3],
                up=False,
                top=10,
                mic=(2, 30),
                band="mild",
                rule=ChangeRule.BOTH,
                improved=(True, True),
            ),
            _outcome(
                "psfs",
                "Patient-Specific Functional Scale",
                "0-10",
                [3.3, 4.7, 5.0],
                up=True,
                top=10,
                mic=(2, None),
                band=None,
                rule=ChangeRule.NEITHER,
                improved=(False, None),
            ),
        ],
        adherence=Adherence(
            session_percent=78.9,
            exercise_percent=74.2,
            dose_percent=68.5,
            band="partial",
            scheduled=20,
            completed=15,
            excused=1,
            streak_sessions=5,
            check_ins=CheckInCompletion(due=28, submitted=23, late=2, missed=3, excused=0, submitted_percent=82.1),
        ),
        flares=[Flare(started_on=date(2026, 10, 13), ended_on=date(2026, 10, 17), trigger="long drive")],
        completeness=Completeness(
            days=28,
            days_with_check_in=25,
            days_with_session=15,
            days_with_any_data=26,
            pain_answers=25,
            check_in_days_percent=89.3,
        ),
    )


def sample_report() -> ReportSnapshot:
    """Give a signed progress report of nobody."""
    return ReportSnapshot(
        report_id=UUID("01890000-0000-7000-8000-000000000003"),
        kind=ReportKind.PROGRESS,
        status=DocumentStatus.SIGNED,
        created_at=datetime(2026, 11, 2, 14, 5, tzinfo=UTC),
        author="Bob Example",
        clinic=Letterhead(
            name="Example Street Physiotherapy",
            address="1 Example Street\nSpringfield, NY 00000",
            phone="+1 555 0100",
            email="desk@clinic.example",
        ),
        patient=PatientBlock(name="Alice Sample", birth_date=date(1984, 2, 29), record_number="DEMO-0001"),
        episode=EpisodeBlock(
            title="Low back pain, without leg symptoms",
            body_region="low_back",
            icd10=["M54.50"],
            started_on=date(2026, 10, 5),
        ),
        counts=ReportCounts(
            visits=3, red_flag_screens=4, check_ins_due=28, check_ins_answered=25, sessions_completed=15
        ),
        goals=[
            ReportGoal(
                statement="Lift my daughter out of her cot without planning it",
                measure="PSFS, lifting",
                unit="0-10",
                baseline=3,
                current=6,
                current_on=TO,
                target=8,
                due_on=date(2026, 11, 30),
                status=GoalStatus.ACTIVE,
                target_reached=False,
                mic_reached=True,
                mic_rule=ChangeRule.POINTS,
            ),
            ReportGoal(
                statement="Sit through a working day with pain no worse than 3",
                measure="NPRS",
                unit="0-10",
                baseline=6,
                current=3,
                current_on=TO,
                target=3,
                due_on=date(2026, 11, 15),
                status=GoalStatus.ACHIEVED,
                target_reached=True,
                mic_reached=True,
                mic_rule=ChangeRule.BOTH,
            ),
            ReportGoal(
                statement="Walk to work again",
                measure=None,
                unit=None,
                baseline=None,
                current=None,
                current_on=None,
                target=None,
                due_on=None,
                status=GoalStatus.ACTIVE,
                target_reached=None,
                mic_reached=None,
                mic_rule=None,
            ),
        ],
        progress=sample_progress(),
        red_flags=[
            ReportRedFlag(
                screened_at=datetime(2026, 10, 13, 12, 40, tzinfo=UTC),
                level="watch",
                findings=["Tingling down one leg"],
                complete=True,
                outcome="seen_by_clinician",
                closed_at=datetime(2026, 10, 14, 15, 10, tzinfo=UTC),
            )
        ],
        alerts=[
            ReportAlert(
                raised_at=datetime(2026, 10, 14, 12, 5, tzinfo=UTC),
                rule="ES03",
                title="Pain 7 or more, lower at baseline",
                level=AlertLevel.HIGH,
                outcome="program_changed",
                resolved_at=datetime(2026, 10, 14, 16, 30, tzinfo=UTC),
            )
        ],
        program_changes=[
            ReportProgramChange(
                version=2,
                changed_at=datetime(2026, 10, 14, 16, 25, tzinfo=UTC),
                author="Bob Example, PT, DPT",
                reason="Flare-up: strength items one step down at half volume, walking kept.",
            ),
            ReportProgramChange(
                version=3,
                changed_at=datetime(2026, 10, 20, 15, 0, tzinfo=UTC),
                author="Bob Example, PT, DPT",
                reason="Settled for two sessions: back to full volume, bridge progressed to single leg.",
            ),
        ],
        narrative=Narrative(
            assessment_of_progress=(
                "Disability fell by half and pain by three points in four weeks, both beyond an important change. The "
                "flare-up in the second week followed a long drive; it settled in five days on the reduced plan "
                "without lasting loss.\n\n"
                "Lifting improved more slowly than sitting. Confidence, not pain, now limits it."
            ),
            justification_for_skilled_care=(
                "Loads must still be graded against symptoms after each session, and lifting technique needs "
                "correction by observation. The patient cannot yet judge progressions alone."
            ),
            plan="Two further video visits, then one every two weeks. Progress hip hinge and carries; keep walking.",
            updated_goals=None,
        ),
        signature=Signature(
            name="Bob Example",
            credentials="PT, DPT",
            license_jurisdiction="US-NY",
            license_number="000000",
            signed_at=datetime(2026, 11, 2, 15, 30, tzinfo=UTC),
            content_sha256="5f" * 32,
        ),
    )


def main() -> None:
    """Draw the first page of the sample report into the documentation."""
    report = sample_report()
    drawings = typesetting.progress_report_charts(report)
    first, *_ = typesetting.progress_report_pages(report, paper="a4", drawings=drawings, ppi=100)
    PICTURE.parent.mkdir(exist_ok=True)
    PICTURE.write_bytes(first)
    sys.stdout.write(f"{PICTURE.name}: {len(first):,} bytes\n")


if __name__ == "__main__":
    main()
