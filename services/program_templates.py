"""Programs to begin from: a template seeds a draft, which is a therapist's prescription like any other."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from core.errors import Conflict, Forbidden, Invalid, NotFound, Problem, Stale
from models.episodes import Episode
from models.identity import Role
from models.program_templates import ProgramTemplate, TemplateScope
from schemas.exercises import retired_at
from schemas.pages import Page, Paged, fetch
from schemas.program_templates import (
    ProgramTemplateCreate,
    ProgramTemplateRead,
    ProgramTemplateUpdate,
    ProgramTemplateUse,
)
from schemas.programs import ProgramCreate, ProgramPhaseIn, ProgramRead
from services import access, audit, programs
from services.access import Action, Actor, require


class TemplateRefused(Invalid):
    """The template breaks a rule; see errors for each place."""


class TemplateRetired(Conflict):
    """This template is not for new use."""


async def browse(
    session: AsyncSession, actor: Actor, page: Page, *, scope: TemplateScope | None, retired: bool
) -> Paged[ProgramTemplate]:
    """Templates that the caller may use, by name."""
    require(actor, Action.READ_TEMPLATES)
    query = select(ProgramTemplate).where(_visible(actor))
    if scope is not None:
        query = query.where(ProgramTemplate.scope == scope)
    if not retired:
        query = query.where(ProgramTemplate.retired_at.is_(None))
    return await fetch(session, query, page, keys=(ProgramTemplate.name, ProgramTemplate.id))


async def get(session: AsyncSession, actor: Actor, template_id: UUID) -> ProgramTemplateRead:
    """One template, retired or not. Raises NotFound."""
    require(actor, Action.READ_TEMPLATES)
    return _shown(await _find(session, actor, template_id))


async def create(
    session: AsyncSession, actor: Actor, form: ProgramTemplateCreate, *, at: datetime
) -> ProgramTemplateRead:
    """Keep a template of the clinic's (admin) or of the therapist's own.

    Raises Forbidden, TemplateRefused, ProgramRefused: unknown and retired exercises are named by their place.
    """
    require(actor, Action.WRITE_TEMPLATES)
    if (form.scope is TemplateScope.CLINIC) != (actor.role is Role.CLINIC_ADMIN):
        raise Forbidden
    await _check(session, actor, form.phases, at=at)
    row = ProgramTemplate(
        clinic_id=actor.clinic_id,
        scope=form.scope,
        owner_id=actor.therapist_id if form.scope is TemplateScope.OWN else None,
        name=form.name,
        about=form.about or "",
        content=_content(form.model_dump(mode="json", include={"pain_ceiling"}), form.phases),
    )
    session.add(row)
    await session.flush()
    await audit.record(session, actor, "program_template.create", subject=("program_template", row.id), at=at)
    return _shown(row)


async def update(
    session: AsyncSession, actor: Actor, template_id: UUID, form: ProgramTemplateUpdate, *, expected: int, at: datetime
) -> ProgramTemplateRead:
    """Change or retire a template. Raises NotFound, Forbidden, Stale, TemplateRefused, ProgramRefused."""
    require(actor, Action.WRITE_TEMPLATES)
    row = await _find(session, actor, template_id, lock=True)
    if row.scope is TemplateScope.CLINIC and actor.role is not Role.CLINIC_ADMIN:
        raise Forbidden
    if row.version != expected:
        raise Stale(row.version)
    changes = form.model_dump(mode="json", include=form.model_fields_set - {"phases"})
    row.retired_at = retired_at(changes.pop("retired", None), row.retired_at, at)
    content = {name: changes.pop(name) for name in ("pain_ceiling",) if name in changes}
    phases = form.phases if "phases" in form.model_fields_set else None
    if phases is not None:
        await _check(session, actor, phases, at=at)
    if content or phases is not None:
        row.content = {**row.content, **_content(content, phases)}
    for name, value in changes.items():
        setattr(row, name, value)
    await session.flush()
    await audit.record(session, actor, "program_template.update", subject=("program_template", row.id), at=at)
    return _shown(row)


async def use(
    session: AsyncSession, actor: Actor, episode_id: UUID, form: ProgramTemplateUse, *, at: datetime
) -> ProgramRead:
    """Write a draft from a template, checked against the shelf and the patient of today.

    Places in a refusal are those of the template's phases; what is contraindicated for the patient is not accepted by
    a template. Raises NotFound, TemplateRetired, EpisodeClosed, ProgramRefused, Contraindicated.
    """
    await access.subject(session, actor, Action.PRESCRIBE, Episode, episode_id, at=at)
    found = await session.scalar(select(ProgramTemplate).where(_visible(actor), ProgramTemplate.id == form.template_id))
    if found is None:
        raise TemplateRefused(Problem("/template_id", "template_unknown", "There is no such template."))
    if found.retired_at is not None:
        raise TemplateRetired
    template = _shown(found)
    draft = ProgramCreate(
        title=form.title or template.name,
        starts_on=form.starts_on,
        pain_ceiling=template.pain_ceiling,
        phases=template.phases,
    )
    program = await programs.create(session, actor, episode_id, draft, at=at)
    subject = ("program_template", found.id)
    await audit.record(session, actor, "program_template.use", subject=subject, patient_id=program.patient_id, at=at)
    return program


def _visible(actor: Actor) -> ColumnElement[bool]:
    own = and_(ProgramTemplate.scope == TemplateScope.OWN, ProgramTemplate.owner_id == actor.therapist_id)
    shared = ProgramTemplate.scope == TemplateScope.CLINIC
    reached = shared if actor.therapist_id is None else or_(shared, own)
    return and_(ProgramTemplate.clinic_id == actor.clinic_id, reached)


async def _find(session: AsyncSession, actor: Actor, template_id: UUID, *, lock: bool = False) -> ProgramTemplate:
    query = select(ProgramTemplate).where(_visible(actor), ProgramTemplate.id == template_id)
    row = await session.scalar(query.with_for_update() if lock else query)
    if row is None:
        raise NotFound
    return row


async def _check(session: AsyncSession, actor: Actor, phases: Sequence[ProgramPhaseIn], *, at: datetime) -> None:
    """Refuse what is a patient's own, and what could not be prescribed to anybody."""
    problems = [
        Problem(
            f"/phases/{place}/items/{rank}/accept_contraindications",
            "patient_needed",
            "Contraindications are accepted for one patient, not in a template.",
        )
        for place, phase in enumerate(phases)
        for rank, item in enumerate(phase.items)
        if item.accept_contraindications is not None
    ]
    if problems:
        raise TemplateRefused(*problems)
    await programs.check(session, actor, phases, at=at)


def _content(content: dict[str, Any], phases: Sequence[ProgramPhaseIn] | None) -> dict[str, Any]:
    """Make what is kept; a dose that was left out stays left out."""
    if phases is None:
        return content
    return {**content, "phases": [phase.model_dump(mode="json", exclude_unset=True) for phase in phases]}


def _shown(row: ProgramTemplate) -> ProgramTemplateRead:
    names = ProgramTemplateRead.model_fields.keys() - {"pain_ceiling", "phases"}
    return ProgramTemplateRead.model_validate({**{name: getattr(row, name) for name in names}, **row.content})
