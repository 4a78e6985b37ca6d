"""Tables that a person opens in a spreadsheet: no cell of theirs is ever read as a formula."""

import csv
import io
from collections.abc import Iterable, Sequence

FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
"""What a spreadsheet takes for the beginning of a formula, or skips before looking for one."""

WIDE = str.maketrans("＝＋－＠", "=+-@")  # noqa: RUF001 - their full-width twins, which some programs read alike


def harmless(text: str) -> str:
    """Give a text that a spreadsheet shows as it is: an apostrophe stands before what it would calculate."""
    start = text.lstrip(" \u00a0\u3000").translate(WIDE)
    return f"'{text}" if start.startswith(FORMULA) else text


def csv_of(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """Write a table as CSV (RFC 4180, UTF-8): None is empty; texts are harmless, numbers are as they are."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(columns)
    for row in rows:
        writer.writerow(["" if cell is None else harmless(cell) if isinstance(cell, str) else cell for cell in row])
    return out.getvalue().encode()
