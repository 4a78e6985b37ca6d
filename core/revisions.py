"""Which revision of the schema this code was written for; read from the migrations without loading Alembic."""

import re
from pathlib import Path

VERSIONS = Path(__file__).resolve().parent.parent / "alembic" / "versions"
_NAMED = re.compile(r'^(revision|down_revision) = (?:"(\w+)"|None)', re.MULTILINE)


def head(folder: Path = VERSIONS) -> str | None:
    """Give the newest revision, or None where the migrations do not lie beside the code. Raises ValueError for two."""
    named = [dict(_NAMED.findall(file.read_text())) for file in sorted(folder.glob("*.py"))]
    older = {one["down_revision"] for one in named}
    newest = [one["revision"] for one in named if one["revision"] not in older]
    if len(newest) > 1:
        raise ValueError(f"the migrations have {len(newest)} heads")
    return newest[0] if newest else None
