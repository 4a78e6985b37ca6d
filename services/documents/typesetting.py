"""How documents are set; loaded by the drawing process only.

Typst sets them; no browser and no system library. Patients' and therapists' words reach the template as JSON strings,
so nothing in them is ever markup. The files are PDF/A-2a and PDF/UA-1: archivable, tagged, with a language and a title.
The same snapshot gives the same bytes on the same fonts: the time in the file is the report's own.

Latin, Greek, Cyrillic, Hebrew and Arabic are covered by the fonts that Typst brings. For other scripts install fonts
on the server (Debian: fonts-noto-cjk and its siblings); they are found by themselves. What no font has is printed as a
white rectangle, and the document says so.
"""

import json
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, Literal

import typst

from schemas.progress import ChartName
from schemas.reports import ReportSnapshot
from services import charts
from services.documents import pictures
from services.documents.drawing import Paper, UnprintableDocumentError
from services.documents.view import view

TEMPLATE = Path(__file__).with_name("progress_report.typ")

TOFU = "\N{WHITE VERTICAL RECTANGLE}"
"""Stands for a character that no font has."""

_SIZES = {
    ChartName.PAIN: (530, 180),
    ChartName.ADHERENCE: (195, 140),
    ChartName.OUTCOMES: (160, 140),
    ChartName.FUNCTION: (262, 140),
}
"""Width and height of the plots in pixels; the margins differ, so that all fit their columns at one scale."""

_ROUNDS = 4
"""How often characters without a glyph are replaced before giving up."""

_UNPRINTABLE = re.compile(r'the text `"((?:[^"\\]|\\.)*)"` could not be displayed')
_WIDTH = re.compile(r'^<svg [^>]*?\bwidth="([0-9.]+)"')
_ESCAPED = re.compile(r"\\u\{([0-9a-f]+)\}")


def progress_report_charts(snapshot: ReportSnapshot) -> dict[ChartName, str]:
    """Draw the charts of a report from its frozen series, as SVG."""
    progress = snapshot.progress
    return {
        name: pictures.svg(charts.spec(name, progress, width=width, height=height, titled=False))
        for name, (width, height) in _SIZES.items()
        if name is not ChartName.OUTCOMES or progress.outcomes
    }


def progress_report_pdf(snapshot: ReportSnapshot, *, paper: Paper, drawings: Mapping[ChartName, str]) -> bytes:
    """Set a report as PDF. `drawings` are SVGs by chart; a missing one is left out.

    Raises UnprintableDocumentError.
    """
    return _set(_said(snapshot, paper, drawings), at=_at(snapshot), form="pdf")[0]


def progress_report_pages(
    snapshot: ReportSnapshot, *, paper: Paper, drawings: Mapping[ChartName, str], ppi: float = 96
) -> list[bytes]:
    """Give the pages of a report as PNG pictures, for looking at what we send; missing glyphs go unreported."""
    return _set(_said(snapshot, paper, drawings), at=_at(snapshot), form="png", ppi=ppi)


def _at(snapshot: ReportSnapshot) -> int:
    return int((snapshot.signature.signed_at if snapshot.signature else snapshot.created_at).timestamp())


def _said(snapshot: ReportSnapshot, paper: Paper, drawings: Mapping[ChartName, str]) -> dict[str, Any]:
    first = snapshot.progress.outcomes[0].name if snapshot.progress.outcomes else ""
    titles = {ChartName.FUNCTION: "How much the day was limited", ChartName.OUTCOMES: first}
    said = view(snapshot)
    said["paper"] = paper
    said["unprintable"] = False
    said["charts"] = {
        name: {
            "svg": svg.replace(charts.FONT, "Libertinus Serif"),
            "alt": charts.spec(name, snapshot.progress)["description"],
            "title": titles.get(name, ""),
            "width": _width(svg),
        }
        for name, svg in drawings.items()
    }
    return said


def _width(svg: str) -> float:
    found = _WIDTH.match(svg)
    if found is None:
        raise UnprintableDocumentError
    return float(found[1])


def _set(said: dict[str, Any], *, at: int, form: Literal["pdf", "png"], ppi: float | None = None) -> list[bytes]:
    """Let Typst set the strings; characters without a glyph are replaced and the document says that they were."""
    for _ in range(_ROUNDS):
        try:
            # A fresh compiler for each document holds a patient's data no longer than it takes. The template is a path
            # and not bytes, for which Typst would keep memory with every document.
            pages = typst.Compiler(TEMPLATE, root=TEMPLATE.parent, font_paths=_fonts()).compile(
                sys_inputs={"data": json.dumps(said, ensure_ascii=False)},
                format=form,
                ppi=ppi,
                timestamp=at,
                pdf_standards=["a-2a", "ua-1"] if form == "pdf" else [],
            )
        except typst.TypstError as refused:
            missing = _missing(refused.diagnostic)
            if not missing:
                raise UnprintableDocumentError from None
            said = {**_replaced(said, missing), "unprintable": True}
        else:
            return pages if isinstance(pages, list) else [pages or b""]
    raise UnprintableDocumentError


def _missing(diagnostic: str) -> set[str]:
    """Read from Typst's refusal which characters no font has."""
    found = "".join(_UNPRINTABLE.findall(diagnostic))
    return set(_ESCAPED.sub(lambda code: chr(int(code[1], 16)), found)) - set(map(chr, range(128)))


def _replaced(said: Any, missing: set[str]) -> Any:
    match said:
        case str():
            return "".join(TOFU if letter in missing else letter for letter in said)
        case list():
            return [_replaced(part, missing) for part in said]
        case dict():
            return {key: _replaced(part, missing) for key, part in said.items()}
        case _:
            return said


@cache
def _fonts() -> typst.Fonts:
    return typst.Fonts(include_system_fonts=True, include_embedded_fonts=True)
