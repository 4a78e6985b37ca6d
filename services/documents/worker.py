"""The drawing process: requests come in by standard input, drawings go out by standard output.

Each is a length of four bytes, then so many bytes; a drawing begins with a byte that says whether it is one. A request
that breaks it ends the process: the parent starts another one. It ends, too, when its input is closed.
"""

import os
import sys
from typing import Any, BinaryIO

import orjson

from services.documents import pictures
from services.documents.drawing import DRAWN, LENGTH_BYTES, UNPRINTABLE, UnprintableDocumentError


def serve(requests: BinaryIO, drawings: BinaryIO) -> None:
    """Draw until there are no more requests."""
    while len(head := requests.read(LENGTH_BYTES)) == LENGTH_BYTES:
        answer = draw(orjson.loads(requests.read(int.from_bytes(head, "big"))))
        drawings.write(len(answer).to_bytes(LENGTH_BYTES, "big") + answer)
        drawings.flush()


def draw(request: dict[str, Any]) -> bytes:
    """Draw what is asked for: a chart as `svg` or `png`, or a `report` as PDF."""
    try:
        match request["draw"]:
            case "svg":
                return DRAWN + pictures.svg(request["spec"]).encode()
            case "png":
                return DRAWN + pictures.png(request["spec"])
            case _:
                # What only reports need takes longer to load than the rest: a chart does not wait for it.
                from schemas.reports import ReportSnapshot  # noqa: PLC0415
                from services.documents import typesetting  # noqa: PLC0415

                snapshot = ReportSnapshot.model_validate(request["snapshot"])
                drawings = typesetting.progress_report_charts(snapshot)
                return DRAWN + typesetting.progress_report_pdf(snapshot, paper=request["paper"], drawings=drawings)
    except UnprintableDocumentError:
        return UNPRINTABLE


def main() -> None:
    """Keep the real standard output for drawings: what a library prints must not get between them."""
    drawings = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with drawings:
        serve(sys.stdin.buffer, drawings)


if __name__ == "__main__":
    main()
