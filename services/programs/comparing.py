"""What changed between two versions of a program."""

from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from clinical.program_changes import Change, Item, Phase, Version, changes
from core.errors import NotFound
from models.programs import Program, ProgramItem, ProgramPhase, ProgramVersion
from schemas.programs import ProgramChange, ProgramDiff
from services import access, audit
from services.access import Action, Actor
from services.programs.reading import NOBODY_SAID, hides, summary, versions_of


async def compare(
    session: AsyncSession, actor: Actor, program_id: UUID, *, from_: int | None, to: int | None, at: datetime
) -> ProgramDiff:
    """Compare two versions; without numbers the newest with the one before. Raises NotFound."""
    program = await access.subject(session, actor, Action.READ_RECORD, Program, program_id, at=at)
    await audit.record(
        session, actor, "program.read", subject=("program", program_id), patient_id=program.patient_id, at=at
    )
    versions = {version.number: version for version in await versions_of(session, program)}
    newest = max(versions) if to is None else to
    before, after = versions.get(max(1, newest - 1) if from_ is None else from_), versions.get(newest)
    if before is None or after is None:
        raise NotFound
    advice, hidden = await hides(session, actor, program)
    found = None
    if not hidden:
        contents = await _contents(session, [before, after])
        found = [_shown(each) for each in changes(contents[before.id], contents[after.id])]
    return ProgramDiff(
        program_id=program.id,
        from_version=summary(before),
        to_version=summary(after),
        changes=found,
        advice=advice,
    )


def _shown(change: Change) -> ProgramChange:
    """Shape a change; a load is a number in JSON, as everywhere."""
    told = asdict(change)
    return ProgramChange.model_validate(
        {name: float(value) if isinstance(value, Decimal) else value for name, value in told.items()}
    )


async def _contents(session: AsyncSession, versions: Sequence[ProgramVersion]) -> dict[UUID, Version]:
    """Give all that these versions of one program prescribe, as it was written; in two statements."""
    clinic_id, ids = versions[0].clinic_id, {version.id for version in versions}
    items = await session.scalars(
        select(ProgramItem)
        .where(ProgramItem.clinic_id == clinic_id, ProgramItem.version_id.in_(ids))
        .order_by(ProgramItem.position)
    )
    by_phase: dict[UUID, list[Item]] = {}
    for item in items:
        content = {field.name: getattr(item, field.name) for field in fields(Item)}
        by_phase.setdefault(item.phase_id, []).append(Item(**content))
    phases = await session.scalars(
        select(ProgramPhase)
        .where(ProgramPhase.clinic_id == clinic_id, ProgramPhase.version_id.in_(ids))
        .order_by(ProgramPhase.position)
    )
    by_version: dict[UUID, list[Phase]] = {}
    for phase in phases:
        content = {field.name: getattr(phase, field.name) for field in fields(Phase) if field.name != "items"}
        by_version.setdefault(phase.version_id, []).append(Phase(**content, items=by_phase.get(phase.id, [])))
    return {
        version.id: Version(
            version.starts_on,
            version.pain_ceiling,
            by_version.get(version.id, []),
            {**NOBODY_SAID, **version.progression},
        )
        for version in versions
    }
