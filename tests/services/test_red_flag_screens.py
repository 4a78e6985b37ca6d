from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import ProgrammingError

from clinical.program_life import ProgramStatus
from clinical.red_flags import InvalidAnswers, required_questions
from core.database import Sessions
from core.errors import Forbidden, NotFound, Stale
from models.alerts import Alert, AlertEvent
from models.notifications import Notification
from models.programs import Program
from models.red_flag_screens import RedFlagLevel, RedFlagScreen, ScreenStatus
from schemas.pages import Page
from schemas.red_flag_screens import QUESTIONS, RedFlagScreenClose, RedFlagScreenCreate, RedFlagScreenRead
from services import places, red_flag_screens
from tests.factories import NOW, locate
from tests.services.caring import Care, care, codes, pointers, settle

CLOSE = RedFlagScreenClose.model_validate({"outcome": "seen_by_clinician", "note": "Seen today."})


async def _alerts(world: Care) -> list[Alert]:
    async with world.sessions() as session:
        await world.open(session)
        return list(await session.scalars(select(Alert).where(Alert.clinic_id == world.clinic_id)))


async def test_a_screen_without_findings_is_complete_and_raises_nothing(sessions: Sessions) -> None:
    world = await care(sessions)
    screen = await world.screen()
    read = RedFlagScreenRead.model_validate(screen)
    assert (read.level, read.complete, read.missing) == (RedFlagLevel.NONE, True, [])
    assert read.status is ScreenStatus.PATIENT_ADVISED
    assert read.facts["age_years"] == 41
    assert await _alerts(world) == []
    assert "red_flag_screen.create" in await world.actions()


async def test_the_age_counts_from_the_birthday_in_the_patients_zone(sessions: Sessions) -> None:
    world = await care(sessions)
    before = await world.screen(at=NOW.replace(month=5, day=16, hour=21))
    birthday = await world.screen(at=NOW.replace(month=5, day=16, hour=22))
    assert (before.facts["age_years"], birthday.facts["age_years"]) == (41, 42)


async def test_an_emergency_suspends_programs_and_alerts_in_one_transaction(sessions: Sessions) -> None:
    world = await care(sessions)
    program = await world.running()
    screen = await world.screen(yes=["saddle"], at=NOW + timedelta(hours=1), trigger="new_symptom")
    assert screen.level is RedFlagLevel.EMERGENCY_NOW
    assert screen.advice["actions"] == ["call_emergency"]
    async with sessions() as session:
        await world.open(session)
        row = await session.get_one(Program, (world.clinic_id, program.id))
        assert (row.status, row.suspended_by_id) == (ProgramStatus.SUSPENDED_RED_FLAG, screen.id)
    (alert,) = await _alerts(world)
    assert (alert.rule_id, alert.level.value) == ("ES01", "emergency_now")
    assert alert.inputs["fired"] == ["RF01"]
    assert alert.inputs["red_flag_level"] == "emergency_now"
    assert "program.suspend" in await world.actions()


async def test_a_repeated_flag_adds_to_the_alert(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.screen(yes=["both_legs"])
    await world.screen(yes=["saddle"], at=NOW + timedelta(hours=1))
    (alert,) = await _alerts(world)
    assert (alert.level.value, alert.repeats) == ("emergency_now", 1)
    async with sessions() as session:
        await world.open(session)
        assert await session.scalar(select(func.count()).select_from(AlertEvent)) == 2


@pytest.mark.parametrize(
    ("answers", "rule", "level"),
    [({"cancer": "yes"}, "RF12", "high"), ({"weight_loss": "unsure"}, "RF-unsure", "routine")],
)
async def test_what_can_wait_is_shown_to_the_therapist_as_the_advice_promises(
    sessions: Sessions, answers: dict[str, str], rule: str, level: str
) -> None:
    world = await care(sessions)
    screen = await world.screen(answers=dict.fromkeys(QUESTIONS, "no") | answers)
    assert screen.level in {RedFlagLevel.REFER, RedFlagLevel.WATCH}
    (alert,) = await _alerts(world)
    assert (alert.rule_id, alert.level.value) == (rule, level)


@pytest.mark.parametrize("answers", [{"weight_loss": "yes"}, {"weight_loss": "unsure"}])
async def test_what_can_wait_is_raised_anew_however_lately_it_was_dealt_with(
    sessions: Sessions, answers: dict[str, str]
) -> None:
    world = await care(sessions)
    form = dict.fromkeys(QUESTIONS, "no") | answers
    await world.screen(answers=form)
    async with sessions.begin() as session:
        await world.open(session)
        await settle(session, world)
    await world.screen(answers=form, at=NOW + timedelta(days=2))
    first, second = sorted(await _alerts(world), key=lambda one: one.raised_at)
    assert (first.status, second.status, second.rule_id) == ("resolved", "open", first.rule_id)
    async with sessions() as session:
        await world.open(session)
        owed = list(await session.scalars(select(Notification.template)))
    assert owed == ["alert_raised"] * (2 if second.level == "high" else 0)


async def test_the_therapist_screens_and_the_patient_is_not_yet_advised(sessions: Sessions) -> None:
    world = await care(sessions)
    assert (await world.screen(by="bob")).status is ScreenStatus.OPEN


async def test_an_incomplete_screen_is_never_negative(sessions: Sessions) -> None:
    world = await care(sessions)
    screen = await world.screen(answers={"chest": "no"})
    assert not screen.complete
    assert "/answers/saddle" in screen.missing


async def test_the_episodes_region_decides_what_must_be_answered(sessions: Sessions) -> None:
    world = await care(sessions)
    answers = {question: "no" for question in QUESTIONS if question not in {"brain_signs", "temple_jaw"}}
    everywhere = await world.screen(answers=answers)
    assert not everywhere.complete
    low_back = await world.screen(answers=answers, episode_id=world.episode_id)
    assert "/answers/brain_signs" not in low_back.missing


async def test_the_advice_names_the_emergency_number_of_where_the_patient_is(sessions: Sessions) -> None:
    world = await care(sessions)
    async with sessions.begin() as session:
        await world.open(session)
        await locate(session, world.world.alice, "US", "CA", at=NOW)
    assert (await world.screen(yes=["saddle"])).advice["emergency_number"] == "911"


async def test_without_an_attested_place_the_clinics_country_counts(sessions: Sessions) -> None:
    world = await care(sessions, country="GB")
    async with sessions.begin() as session:
        await world.open(session)
        country = await places.country_of(session, world.clinic_id, uuid4())
    assert country == "GB"


async def test_a_refusal_still_carries_the_advice(sessions: Sessions) -> None:
    world = await care(sessions)
    with pytest.raises(red_flag_screens.EpisodeUnknown) as unknown_episode:
        await world.screen(yes=["saddle"], episode_id=str(uuid4()))
    assert unknown_episode.value.extras["advice"]["level"] == "emergency_now"
    with pytest.raises(InvalidAnswers) as unknown_question:
        await world.screen(answers={"saddle": "yes", "headless": "no"})
    assert unknown_question.value.extras["advice"]["level"] == "emergency_now"
    assert pointers(unknown_question.value.problems) == {"/answers/headless": "unknown_question"}


async def test_the_advice_reaches_the_patient_even_when_the_save_fails(sessions: Sessions) -> None:
    world = await care(sessions)
    form = RedFlagScreenCreate.model_validate({"trigger": "flare", "answers": {"saddle": "yes"}})
    async with sessions() as session:
        await world.open(session)
        await session.execute(text("SET TRANSACTION READ ONLY"))
        with pytest.raises(red_flag_screens.ScreenNotSaved) as refused:
            await red_flag_screens.create(session, world.alice, world.world.alice.id, form, at=NOW)
    assert refused.value.retryable
    assert refused.value.extras["advice"]["actions"] == ["call_emergency"]


async def test_a_stranger_finds_no_patient_to_screen(sessions: Sessions) -> None:
    world = await care(sessions)
    with pytest.raises(NotFound):
        await world.screen(by="carol")
    with pytest.raises(Forbidden):
        await world.screen(by="dana")


async def test_a_human_contacts_the_patient_and_then_closes(sessions: Sessions) -> None:
    world = await care(sessions)
    screen = await world.screen(yes=["saddle"])
    contact = RedFlagScreenClose.model_validate({"note": "Reached by phone, on the way to hospital."})
    async with sessions.begin() as session:
        await world.open(session)
        row = await red_flag_screens.close(session, world.bob, screen.id, contact, version=1, at=NOW)
        assert row.status is ScreenStatus.CLINICIAN_CONTACTED
    async with sessions.begin() as session:
        await world.open(session)
        with pytest.raises(Stale):
            await red_flag_screens.close(session, world.bob, screen.id, CLOSE, version=1, at=NOW)
        row = await red_flag_screens.close(session, world.bob, screen.id, CLOSE, version=2, at=NOW)
        assert (row.status, row.closed_at) == (ScreenStatus.CLOSED, NOW)
        assert row.outcome_note == "Reached by phone, on the way to hospital.\n\nSeen today."
        assert [(note.note, note.by) for note in row.notes] == [
            ("Reached by phone, on the way to hospital.", world.bob.account_id),
            ("Seen today.", world.bob.account_id),
        ]
        stored = await session.get_one(RedFlagScreen, (world.clinic_id, screen.id))
        assert (stored.closed_by, stored.outcome_note) == (world.bob.account_id, None)
    async with sessions.begin() as session:
        await world.open(session)
        with pytest.raises(red_flag_screens.ScreenClosed):
            await red_flag_screens.close(session, world.bob, screen.id, CLOSE, version=3, at=NOW)
    assert {"red_flag_screen.contact", "red_flag_screen.close"} <= set(await world.actions())


async def test_only_a_therapist_of_the_patient_closes(sessions: Sessions) -> None:
    world = await care(sessions)
    screen = await world.screen(yes=["saddle"])
    async with sessions() as session:
        await world.open(session)
        with pytest.raises(Forbidden):
            await red_flag_screens.close(session, world.alice, screen.id, CLOSE, version=1, at=NOW)
        carol = world.world.actors["carol"]
        with pytest.raises(NotFound):
            await red_flag_screens.close(session, carol, screen.id, CLOSE, version=1, at=NOW)


async def test_what_was_noted_before_notes_had_rows_is_still_shown_and_cannot_be_changed(sessions: Sessions) -> None:
    world = await care(sessions)
    screen = await world.screen(yes=["saddle"])
    async with sessions.begin() as session:
        await world.open(session)
        await session.execute(
            text(
                "INSERT INTO red_flag_screens (clinic_id, id, patient_id, trigger, answers, facts, rule_version, level,"
                " complete, advice, status, screened_at, screened_by, outcome_note) SELECT clinic_id, uuidv7(),"
                " patient_id, trigger, answers, facts, rule_version, level, complete, advice, status, screened_at,"
                " screened_by, 'Rang twice.' FROM red_flag_screens WHERE id = :id"
            ),
            {"id": screen.id},
        )
        page = await red_flag_screens.browse(session, world.bob, world.world.alice.id, Page(), at=NOW)
        (old,) = [each for each in page.items if each.outcome_note]
        assert (old.outcome_note, old.notes) == ("Rang twice.", [])
        read = await red_flag_screens.close(session, world.bob, old.id, CLOSE, version=1, at=NOW)
        assert read.outcome_note == "Rang twice.\n\nSeen today."
        for change in ("UPDATE red_flag_screens SET outcome_note = ''", "UPDATE red_flag_notes SET note = ''"):
            with pytest.raises(ProgrammingError, match="permission denied"):
                async with session.begin_nested():
                    await session.execute(text(change))


async def test_screens_are_listed_newest_first(sessions: Sessions) -> None:
    world = await care(sessions)
    first = await world.screen()
    second = await world.screen(at=NOW + timedelta(days=1))
    async with sessions.begin() as session:
        await world.open(session)
        page = Page(limit=1)
        newest = await red_flag_screens.browse(session, world.alice, world.world.alice.id, page, at=NOW)
        assert newest.next_cursor is not None
        rest = await red_flag_screens.browse(
            session, world.alice, world.world.alice.id, Page(limit=1, cursor=newest.next_cursor), at=NOW
        )
    assert [row.id for row in [*newest.items, *rest.items]] == [second.id, first.id]
    assert "red_flag_screen.list" in await world.actions()


async def test_named_conditions_tell_urgent_unresolved_and_clear_apart(sessions: Sessions) -> None:
    world = await care(sessions)
    await world.screen()
    await world.screen(yes=["saddle"])
    async with sessions() as session:
        await world.open(session)
        counts = [
            await session.scalar(select(func.count()).select_from(RedFlagScreen).where(condition))
            for condition in (RedFlagScreen.urgent(), RedFlagScreen.unresolved(), RedFlagScreen.clear())
        ]
    assert counts == [1, 1, 1]
    assert codes([]) == set()


async def test_an_app_learns_the_words_of_the_questions_and_which_of_them_a_region_must_answer(
    sessions: Sessions,
) -> None:
    world = await care(sessions)
    told = red_flag_screens.questions(world.alice)
    asked = {"low_back": set[str](), "knee": set[str]()}
    for question in told.questions:
        for region in asked.keys() & set(question.regions):
            asked[region].add(question.id)
    assert asked == {region: set(required_questions(region)) for region in asked}
    answers = dict.fromkeys(asked["low_back"], told.answers[0])
    assert (await world.screen(answers=answers, episode_id=str(world.episode_id))).complete
    assert all(question.text.endswith("?") for question in told.questions)
