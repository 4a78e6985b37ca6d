"""Templates: who keeps and sees which, what is refused where, and what a draft from one holds."""

from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from core.database import Sessions
from core.errors import Forbidden, NotFound, Stale
from models.exercises import Exercise
from models.patients import Patient
from models.program_templates import ProgramTemplate
from models.programs import Program
from schemas.pages import Page
from schemas.program_templates import (
    ProgramTemplateCreate,
    ProgramTemplateRead,
    ProgramTemplateUpdate,
    ProgramTemplateUse,
)
from schemas.programs import ProgramRead
from services import program_templates
from services.access import Actor
from services.program_templates import TemplateRefused, TemplateRetired
from services.programs.authoring import Contraindicated, ProgramRefused
from tests.factories import NOW
from tests.services.caring import MOBILITY, STRENGTH, Care, care, pointers

BRIDGE = STRENGTH["items"][0]


@pytest.fixture
async def ward(sessions: Sessions) -> Care:
    return await care(sessions)


@pytest.fixture
async def here(session: AsyncSession, ward: Care) -> AsyncSession:
    await ward.open(session)
    return session


async def keep(session: AsyncSession, actor: Actor, **changes: Any) -> ProgramTemplateRead:
    form = {"name": "Six weeks", "phases": [MOBILITY, STRENGTH]} | changes
    return await program_templates.create(session, actor, ProgramTemplateCreate.model_validate(form), at=NOW)


async def use(session: AsyncSession, ward: Care, template: ProgramTemplateRead, **changes: Any) -> ProgramRead:
    form = ProgramTemplateUse.model_validate({"template_id": template.id} | changes)
    return await program_templates.use(session, ward.bob, ward.episode_id, form, at=NOW)


async def names(session: AsyncSession, actor: Actor, **wanted: Any) -> list[str]:
    wanted = {"scope": None, "retired": False} | wanted
    return [row.name for row in (await program_templates.browse(session, actor, Page(), **wanted)).items]


async def test_a_therapists_own_is_his_and_the_clinics_is_everybodys(here: AsyncSession, ward: Care) -> None:
    bob, carol, dana = ward.bob, ward.world.actors["carol"], ward.world.actors["dana"]
    own = await keep(here, bob)
    shared = await keep(here, dana, scope="clinic", name="For all")
    for actor, scope in ((bob, "clinic"), (dana, "own"), (ward.alice, "own")):
        with pytest.raises(Forbidden):
            await keep(here, actor, scope=scope)
    assert await names(here, bob) == ["For all", "Six weeks"]
    assert await names(here, bob, scope="own") == ["Six weeks"]
    assert await names(here, carol) == await names(here, dana) == ["For all"]
    with pytest.raises(NotFound):
        await program_templates.get(here, carol, own.id)
    change = ProgramTemplateUpdate.model_validate({"name": "Mine", "retired": True})
    with pytest.raises(Forbidden):
        await program_templates.update(here, bob, shared.id, change, expected=1, at=NOW)
    with pytest.raises(Stale):
        await program_templates.update(here, bob, own.id, change, expected=2, at=NOW)
    retired = await program_templates.update(here, bob, own.id, change, expected=1, at=NOW)
    assert (retired.retired_at, retired.phases) == (NOW, own.phases)
    assert await names(here, bob) == ["For all"]
    assert await names(here, bob, retired=True) == ["For all", "Mine"]
    with pytest.raises(TemplateRetired):
        await use(here, ward, retired)


async def test_what_could_not_be_prescribed_is_refused_at_its_place_and_nothing_is_kept(
    here: AsyncSession, ward: Care
) -> None:
    await here.execute(update(Exercise).where(Exercise.code == "lb_knee_chest").values(retired_at=NOW))
    items = [BRIDGE, {"exercise_code": "lb_knee_chest"}, {"exercise_code": "no_such"}]
    open_ended = {**MOBILITY, "weeks": None, "items": items}
    with pytest.raises(ProgramRefused) as refused:
        await keep(here, ward.bob, phases=[open_ended, STRENGTH])
    wrong = {
        "/phases/0/weeks": "weeks_missing",
        "/phases/0/items/1/exercise_code": "exercise_retired",
        "/phases/0/items/2/exercise_code": "exercise_unknown",
    }
    assert pointers(refused.value.problems) == wrong
    accepted = {**BRIDGE, "accept_contraindications": {"codes": ["pregnancy"], "reason": "For everybody"}}
    with pytest.raises(TemplateRefused) as personal:
        await keep(here, ward.bob, phases=[{**STRENGTH, "items": [accepted]}])
    assert pointers(personal.value.problems) == {"/phases/0/items/0/accept_contraindications": "patient_needed"}
    assert await here.scalar(select(func.count()).select_from(ProgramTemplate)) == 0
    kept = await keep(here, ward.bob)
    change = ProgramTemplateUpdate.model_validate({"name": "Wrong", "phases": [open_ended, STRENGTH]})
    with pytest.raises(ProgramRefused) as again:
        await program_templates.update(here, ward.bob, kept.id, change, expected=1, at=NOW)
    assert pointers(again.value.problems) == wrong
    assert await program_templates.get(here, ward.bob, kept.id) == kept


async def test_a_draft_from_a_template_is_a_prescription_like_any_other(here: AsyncSession, ward: Care) -> None:
    kept = await keep(
        here, ward.bob, pain_ceiling=4, phases=[MOBILITY, {**STRENGTH, "items": [{"exercise_code": "hp_bridge"}]}]
    )
    program = await use(here, ward, kept)
    assert (program.title, program.status) == ("Six weeks", "draft")
    assert program.shown is not None
    assert program.shown.pain_ceiling == 4
    assert [phase.name for phase in program.shown.phases] == ["Get it moving", "Build strength"]
    assert program.shown.phases[0].items[0].sets == 2
    assert program.shown.phases[1].items[0].sets >= 1, "the usual dose of the exercise"
    change = ProgramTemplateUpdate.model_validate({"pain_ceiling": 6, "phases": [STRENGTH]})
    changed = await program_templates.update(here, ward.bob, kept.id, change, expected=1, at=NOW)
    assert (changed.pain_ceiling, len(changed.phases)) == (6, 1)
    assert (await use(here, ward, kept, title="Again")).title == "Again"


async def test_what_was_retired_later_or_may_harm_this_patient_is_refused(here: AsyncSession, ward: Care) -> None:
    kept = await keep(here, ward.bob)
    query = select(Exercise).where(Exercise.code == "hp_bridge")
    bridge = (await here.scalars(query)).one()
    bridge.contraindications = [{"code": "pregnancy", "text": "Not on the back"}]
    await here.flush()
    await here.execute(update(Patient).where(Patient.id == ward.world.alice.id).values(conditions=["pregnancy"]))
    with pytest.raises(Contraindicated):
        await use(here, ward, kept)
    bridge.retired_at = NOW
    await here.flush()
    with pytest.raises(ProgramRefused) as refused:
        await use(here, ward, kept)
    assert pointers(refused.value.problems) == {"/phases/1/items/0/exercise_code": "exercise_retired"}
    with pytest.raises(TemplateRefused) as unknown:
        await use(here, ward, kept, template_id=ward.episode_id)
    assert pointers(unknown.value.problems) == {"/template_id": "template_unknown"}
    assert await here.scalar(select(func.count()).select_from(Program)) == 0
