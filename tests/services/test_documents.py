import asyncio
import io
import random
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typst
from pypdf import PdfReader

from dev import pictures
from dev.pictures import sample_report
from models.assessments import DocumentStatus
from models.goals import GoalStatus
from models.reports import ReportKind
from schemas.progress import ChangeRule, ChartName
from schemas.reports import Narrative, ReportSnapshot
from services import documents
from services.documents import Paper, typesetting
from services.documents.view import view

MINUS = "\N{MINUS SIGN}"
A4, LETTER = (595, 842), (612, 792)
UNSIGNED: dict[str, Any] = {"signature": None, "status": DocumentStatus.DRAFT}


@cache
def drawings() -> dict[ChartName, str]:
    return typesetting.progress_report_charts(sample_report())


def report(**changes: Any) -> ReportSnapshot:
    return sample_report().model_copy(update=changes)


def of_patient(name: str) -> ReportSnapshot:
    return report(patient=sample_report().patient.model_copy(update={"name": name}))


def with_words(words: str) -> ReportSnapshot:
    parts = dict.fromkeys(Narrative.model_fields, words)
    return report(narrative=Narrative(**parts))


def pdf(snapshot: ReportSnapshot, paper: Paper = "a4", *, drawn: bool = True) -> PdfReader:
    """Set it and open it. drawn: with its charts, whose words take most of the time that reading takes."""
    made = typesetting.progress_report_pdf(snapshot, paper=paper, drawings=drawings() if drawn else {})
    return PdfReader(io.BytesIO(made))


def words_of(reader: PdfReader) -> str:
    return " ".join(" ".join(page.extract_text() for page in reader.pages).replace("\u200b", "").split())


@pytest.fixture
def bundled_fonts_only(monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = typst.Fonts(include_system_fonts=False, include_embedded_fonts=True)
    monkeypatch.setattr(typesetting, "_fonts", lambda: bundled)


@pytest.mark.parametrize(("paper", "size"), [("a4", A4), ("us-letter", LETTER)])
def test_a_report_is_set_on_the_paper_that_is_asked_for(paper: Paper, size: tuple[int, int]) -> None:
    reader = pdf(report(), paper)

    assert len(reader.pages) == 3
    for page in reader.pages:
        assert (round(page.mediabox.width), round(page.mediabox.height)) == size


def test_a_report_says_what_its_snapshot_holds() -> None:
    words = words_of(pdf(report()))

    for said in (
        "Example Street Physiotherapy",
        "Springfield, NY 00000",
        "Alice Sample",
        "29 Feb 1984",
        "DEMO-0001",
        "Low back, M54.50",
        "5 Oct 2026 to 1 Nov 2026",
        "3 visits, 15 exercise sessions",
        "Lift my daughter out of her cot without planning it (by 30 Nov 2026)",
        "14 → 7",
        f"{MINUS}7 ({MINUS}50%)",
        "5 points or 30%",
        "Yes, by points and percent",
        "78.9%",
        "25 of 28",
        "long drive",
        "Tingling down one leg",
        "Seen by clinician, 14 Oct 2026",
        "Pain 7 or more, lower at baseline (ES03)",
        "Flare-up: strength items one step down at half volume, walking kept.",
        "Confidence, not pain, now limits it.",
        "Bob Example, PT, DPT",
        "License US-NY 000000",
        "2 Nov 2026, 10:30 (America/New_York)",
        "5f" * 32,
        "Page 3 of 3",
    ):
        assert said in words, said


def test_every_page_says_whose_report_it_is() -> None:
    for page in pdf(report()).pages:
        text = page.extract_text()
        assert "Alice Sample" in text
        assert "29 Feb 1984" in text
        assert "DEMO-0001" in text


def test_the_file_has_a_title_a_language_tags_and_the_time_of_the_signature() -> None:
    reader = pdf(report())
    metadata = reader.metadata
    root: Any = reader.trailer["/Root"]

    assert metadata is not None
    assert metadata.title == "Progress report, Alice Sample, 5 Oct 2026 to 1 Nov 2026"
    assert metadata.author == "Bob Example"
    assert metadata.creation_date == datetime(2026, 11, 2, 15, 30, tzinfo=UTC)
    assert root["/Lang"] == "en"
    assert root["/MarkInfo"]["/Marked"]
    assert b"pdfuaid:part" in root["/Metadata"].get_data()
    assert b"pdfaid:part" in root["/Metadata"].get_data()


def test_a_draft_is_marked_on_every_page_dated_when_it_was_made_and_has_a_line_to_sign() -> None:
    reader = pdf(report(**UNSIGNED))

    assert all("DRAFT" in page.extract_text() for page in reader.pages)
    assert "Draft by Bob Example: not reviewed and not signed. Do not send." in words_of(reader)
    assert "SHA-256" not in words_of(reader)
    assert reader.metadata is not None
    assert reader.metadata.creation_date == datetime(2026, 11, 2, 14, 5, tzinfo=UTC)


def test_a_signed_report_bears_no_mark_and_an_amended_one_says_so() -> None:
    assert "DRAFT" not in words_of(pdf(report()))
    assert "AMENDED" in words_of(pdf(report(status=DocumentStatus.AMENDED)))


def test_the_same_snapshot_gives_the_same_bytes() -> None:
    first = typesetting.progress_report_pdf(report(), paper="a4", drawings=drawings())

    assert typesetting.progress_report_pdf(report(), paper="a4", drawings=drawings()) == first
    assert typesetting.progress_report_charts(report()) == drawings()


async def test_reports_are_set_beside_the_event_loop_and_many_at_once_come_out_the_same() -> None:
    made = await asyncio.gather(*(documents.progress_report(report(), paper="a4") for _ in range(4)))
    await documents.close()

    assert set(made) == {typesetting.progress_report_pdf(report(), paper="a4", drawings=drawings())}


@pytest.mark.parametrize(
    "attack",
    [
        "#panic()",
        '#read("/etc/passwd")',
        '#import "@preview/evil:1.0.0"',
        "#{while true {}}",
        "$ x^2 $",
        "]",
        "[[[",
        "#]",
        '"}',
        "\\",
        "\\u{23}panic()",
        "*bold* _thin_ `code` = Heading",
        "<label> @reference",
        "// comment /* and another",
        "https://clinic.example/a?b=c&d=<e>",
        "-- --- ... ~ 1/2 'quotes'",
        "{{ 7 * 7 }} ${7*7} %s",
    ],
)
def test_what_people_write_is_printed_letter_by_letter_and_never_obeyed(attack: str) -> None:
    snapshot = with_words(attack).model_copy(update={"patient": of_patient(attack).patient})

    words = words_of(pdf(snapshot, drawn=False))

    assert words.count(attack) >= 5  # name on three pages, four parts of the narrative
    assert "Page 1 of" in words


def test_any_text_can_be_printed() -> None:
    chance = random.Random(20261101)
    for _ in range(15):
        letters = [chance.choice("#$[]{}()\\\"'`*_=<>@~/&%\n\t aé中م🙂\u0301\u200d") for _ in range(60)]
        words = "".join(letters)
        snapshot = with_words(words)
        assert len(pdf(snapshot, drawn=False).pages) >= 2


@pytest.mark.parametrize(
    "name",
    [
        "Łucja Żółć",
        "Ελένη Παππά",
        "Наталія Шевченко",
        "Nguyễn Thị Ánh",
        "שרה לוי",
        "محمد علي",
        "Þóra O\N{RIGHT SINGLE QUOTATION MARK}Neill",
    ],
)
@pytest.mark.usefixtures("bundled_fonts_only")
def test_names_in_the_scripts_of_the_bundled_fonts_are_printed(name: str) -> None:
    reader = pdf(of_patient(name), drawn=False)

    assert reader.metadata is not None
    assert name in str(reader.metadata.title)
    assert "no font on this server" not in words_of(reader)


@pytest.mark.usefixtures("bundled_fonts_only")
def test_what_no_font_has_is_replaced_and_the_document_says_so() -> None:
    snapshot = with_words("Fine 🙂 and 👩🏽‍🦯.").model_copy(update={"patient": of_patient("王小明").patient})

    words = words_of(pdf(snapshot))

    assert "▯▯▯ · born 29 Feb 1984 · DEMO-0001" in words
    assert "Fine ▯ and" in words
    assert "Characters that no font on this server has are shown as ▯" in words


def template(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_a_document_that_cannot_be_set_is_refused_without_naming_its_contents(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(typesetting, "TEMPLATE", template(tmp_path / "broken.typ", "#panic(sys.inputs.data)"))

    with pytest.raises(documents.UnprintableDocumentError) as refusal:
        pdf(report())

    assert "Alice" not in f"{refusal.value!r} {refusal.value.__cause__!r}"
    assert refusal.value.__suppress_context__


def test_characters_that_stay_without_a_glyph_end_in_a_refusal(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    text = '#set document(title: "x")\n#set text(font: "Libertinus Serif", fallback: false)\n= \u738b'
    monkeypatch.setattr(typesetting, "TEMPLATE", template(tmp_path / "stubborn.typ", text))

    with pytest.raises(documents.UnprintableDocumentError):
        pdf(report())


def test_a_drawing_that_is_none_is_refused() -> None:
    with pytest.raises(documents.UnprintableDocumentError):
        typesetting.progress_report_pdf(report(), paper="a4", drawings={ChartName.PAIN: "<p>no drawing</p>"})


def test_long_narratives_run_over_as_many_pages_as_they_need() -> None:
    sentence = "The patient walked to the shop and back without resting. "
    reader = pdf(with_words((sentence * 100)[:5_000].strip()))

    assert 5 <= len(reader.pages) <= 9
    assert f"Page {len(reader.pages)} of {len(reader.pages)}" in words_of(reader)


def test_a_word_without_end_stays_on_the_paper() -> None:
    reader = pdf(with_words("W" * 5_000), drawn=False)

    lines = [line for page in reader.pages for line in page.extract_text().replace("\u200b", "\n").splitlines()]
    runs = [line for line in lines if "WWW" in line]

    assert sum(run.count("W") for run in runs) == 4 * 5_000
    assert max(map(len, runs)) <= 40  # forty of the widest letters still fit between the margins


def test_paragraphs_and_lines_are_kept() -> None:
    made = view(with_words("One\nstill one\n\n \n\nTwo"))

    assert made["narrative"][0]["paragraphs"] == [["One", "still one"], ["Two"]]


def test_missing_things_are_shown_as_missing() -> None:
    full = sample_report()
    nothing = full.progress.model_copy(
        update={
            "outcomes": [],
            "flares": [],
            "sessions": [],
            "pain": full.progress.pain.model_copy(
                update={
                    "now": full.progress.pain.now.model_copy(update={"points": []}),
                    "worst_24h": full.progress.pain.worst_24h.model_copy(update={"points": []}),
                }
            ),
            "adherence": full.progress.adherence.model_copy(
                update={"session_percent": None, "exercise_percent": None, "dose_percent": None, "excused": 0}
            ),
        }
    )
    bare = full.model_copy(
        update={
            "progress": nothing,
            "goals": [],
            "red_flags": [],
            "alerts": [],
            "program_changes": [],
            "episode": full.episode.model_copy(update={"icd10": []}),
            "narrative": Narrative(**dict.fromkeys(Narrative.model_fields)),
            **UNSIGNED,
        }
    )
    drawings = typesetting.progress_report_charts(bare)
    words = words_of(PdfReader(io.BytesIO(typesetting.progress_report_pdf(bare, paper="a4", drawings=drawings))))

    assert ChartName.OUTCOMES not in drawings
    for said in (
        "No goals were recorded.",
        "No outcome measures were taken in this period.",
        "No pain ratings were given in this period.",
        "not recorded",
        "none yet",
        "No warning sign was reported in 4 complete red-flag screens.",
        "The program was not changed in this period.",
        "Not written.",
        "Low back, no code",
    ):
        assert said in words, said


def test_a_trend_without_ratings_at_one_end_says_that_it_is_not_known() -> None:
    full = sample_report()
    points = [
        point if place >= 7 else point.model_copy(update={"value": None})
        for place, point in enumerate(full.progress.pain.now.points)
    ]
    pain = full.progress.pain.model_copy(
        update={
            "now": full.progress.pain.now.model_copy(update={"points": points}),
            "worst_24h": full.progress.pain.worst_24h.model_copy(update={"points": []}),
        }
    )

    said = view(report(progress=full.progress.model_copy(update={"pain": pain})))["pain"][0][0]

    assert said.startswith(
        "Pain now, 0 to 10: not known on average in the first 7 days of the period, 3.1 in the last 7."
    )
    assert "Worst" not in said


@pytest.mark.parametrize(
    ("changes", "cell"),
    [
        ({"worsened": True}, "Worse by an important change"),
        ({"rule": ChangeRule.NEITHER, "improved_points": False, "improved_percent": False}, "Not reached"),
        ({"rule": ChangeRule.PERCENT, "improved_points": False}, "Yes, by percent; not by points"),
        ({"rule": ChangeRule.POINTS, "improved_percent": None}, "Yes, by points"),
        ({"rule": None}, None),
    ],
)
def test_an_outcome_says_by_which_rule_its_change_is_important(changes: dict[str, Any], cell: str | None) -> None:
    full = sample_report()
    first = full.progress.outcomes[0]
    assert first.change is not None
    series = first.model_copy(update={"change": first.change.model_copy(update=changes)})

    row = view(report(progress=full.progress.model_copy(update={"outcomes": [series]})))["outcomes"][0]

    assert row[-1] == cell


def test_an_instrument_taken_once_has_no_change_and_a_baseline_of_zero_no_percentage() -> None:
    full = sample_report()
    first = full.progress.outcomes[0]
    assert first.change is not None
    once = first.model_copy(update={"change": None, "source": None, "mic_points": None, "mic_percent": None})
    zero = first.model_copy(update={"change": first.change.model_copy(update={"percent": None})})

    made = view(report(progress=full.progress.model_copy(update={"outcomes": [once, zero]})))

    assert made["outcomes"][0][1:] == [None, None, None, "none known", None]
    assert made["outcomes"][1][3] == f"{MINUS}7"


@pytest.mark.parametrize(
    ("changes", "said", "reached"),
    [
        ({"due_on": None}, "Walk (active)", None),
        ({"status": GoalStatus.CANCELED}, "Walk (canceled)", None),
        ({"mic_reached": False}, "Walk", "Not reached"),
        ({"mic_reached": True, "mic_rule": None}, "Walk", "Yes"),
        ({"mic_reached": True, "mic_rule": ChangeRule.BOTH}, "Walk", "Yes, by points and percent"),
        ({"target_reached": True}, "Walk", "Target reached"),
        ({"mic_reached": True, "target_reached": True}, "Walk", "Yes; target reached"),
    ],
)
def test_a_goal_says_how_far_it_came(changes: dict[str, Any], said: str, reached: str | None) -> None:
    goal = sample_report().goals[2].model_copy(update={"statement": "Walk", "measure": "NPRS", **changes})

    row = view(report(goals=[goal]))["goals"][0]

    assert row[0] == said.removesuffix(" (active)")
    assert row[1] == "NPRS"
    assert row[-1] == reached


def test_what_is_still_open_is_said_to_be_open() -> None:
    full = sample_report()
    made = view(
        report(
            alerts=[full.alerts[0].model_copy(update={"outcome": None, "resolved_at": None})],
            red_flags=[full.red_flags[0].model_copy(update={"findings": [], "complete": False, "closed_at": None})],
            progress=full.progress.model_copy(
                update={"flares": [full.progress.flares[0].model_copy(update={"ended_on": None, "trigger": None})]}
            ),
        )
    )

    assert made["alerts"][0][-1] == "Open"
    assert made["red_flags"][0][2:] == ["not every question was answered", "Seen by clinician"]
    assert made["flares"] == [["13 Oct 2026", "still open", None]]


def test_a_period_without_a_complete_screen_is_never_called_free_of_warning_signs() -> None:
    counts = sample_report().counts.model_copy(update={"red_flag_screens": 0})

    assert view(report(red_flags=[], counts=counts))["screened"] == "No red-flag screen was completed in this period."


def test_an_incomplete_screen_with_a_finding_says_both() -> None:
    flag = sample_report().red_flags[0].model_copy(update={"complete": False})

    made = view(report(red_flags=[flag]))["red_flags"][0][2]

    assert made == "Tingling down one leg; not every question was answered"


def test_a_discharge_summary_is_called_so() -> None:
    assert "Discharge summary" in words_of(pdf(report(kind=ReportKind.DISCHARGE)))


def test_days_are_those_of_the_patients_zone() -> None:
    full = sample_report()
    late = full.program_changes[0].model_copy(update={"changed_at": datetime(2026, 10, 15, 2, 0, tzinfo=UTC)})

    assert view(report(program_changes=[late]))["program_changes"][0][0] == "14 Oct 2026"


def test_a_snapshot_survives_its_way_through_json_and_prints_the_same() -> None:
    stored = ReportSnapshot.model_validate_json(sample_report().model_dump_json())

    assert stored == sample_report()
    assert stored.patient.birth_date == date(1984, 2, 29)


def test_one_command_draws_a_small_picture_for_the_documentation(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert pictures.PICTURE.stat().st_size <= 200_000
    monkeypatch.setattr(pictures, "PICTURE", tmp_path / "pictures" / "progress-report.png")

    pictures.main()

    assert pictures.PICTURE.read_bytes().startswith(b"\x89PNG")
    assert pictures.PICTURE.stat().st_size <= 200_000
    assert capsys.readouterr().out.startswith("progress-report.png")
