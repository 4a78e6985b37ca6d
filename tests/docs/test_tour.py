"""The tour does what it says: every block runs, in one shell, against a live server, and prints what stands below it."""

from pathlib import Path

from pypdf import PdfReader

from tests.docs.pages import ROOT, printed, run

TOUR = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")


def test_every_block_prints_what_the_page_says(clinic: str, tmp_path: Path) -> None:
    said = run(TOUR, clinic, tmp_path)
    expected = [what for _, what in printed(TOUR)]
    assert None not in expected
    assert said[:-1] == expected[:-1]
    # The last block ends with the folder that holds what was fetched.
    *lines, folder = said[-1].splitlines()
    assert lines == (expected[-1] or "").splitlines()
    assert Path(folder, "pain.png").read_bytes().startswith(b"\x89PNG")
    text = "\n".join(page.extract_text() for page in PdfReader(Path(folder, "report.pdf")).pages)
    assert "Progress report" in text
    assert "Pain was falling until a flare today." in text


def test_the_tour_shows_what_a_client_must_know() -> None:
    script = "\n".join(text for text, _ in printed(TOUR))
    for shown in ("If-Match", "Idempotency-Key", "/v1/me/today", "/v1/worklist", "/acknowledge", "application/pdf"):
        assert shown in script
