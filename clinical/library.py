"""The clinic's bookshelf: every packaged file, read once, checked, and then never changed."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from types import MappingProxyType
from typing import TypeVar

from clinical.administration import Administration
from clinical.adverse_event_rules import AdverseEvents
from clinical.flare_rules import Flares
from clinical.forms import Article, EducationFile, Exercise, ExerciseFile, Instrument, QuestionSet, QuestionSetFile
from clinical.habit_rules import Habits
from clinical.ladders import circle
from clinical.levels import FlareStep, Level
from clinical.reading import BrokenFile, Document, Loc, Parsed, read
from clinical.rulebook import (
    AdherenceRules,
    EducationRules,
    EmergencyNumbers,
    Escalation,
    Identifiers,
    Progression,
    RedFlags,
    Rtm,
    Schedule,
)
from clinical.screening import Screening
from clinical.slots import Slot, SlotFile
from clinical.workstation_form import Workstation

__all__ = ["BrokenFile", "Library", "load", "load_from"]

T = TypeVar("T")

WHOLE = 100
"""A whole dose, in percent."""

INSTRUMENTS = ("gad2", "gad7", "groc11", "groc15", "nprs", "phq2", "phq4", "phq9", "psfs", "rmdq24")


@dataclass(frozen=True)
class Library:
    """Everything that the clinic knows without a patient; mappings are by code.

    instruments: those that are shipped with their text. slots: those without. measures: both, as they are scored.
    """

    instruments: Mapping[str, Instrument]
    slots: Mapping[str, Slot]
    measures: Mapping[str, Instrument]
    exercise_file: ExerciseFile
    exercises: Mapping[str, Exercise]
    contraindications: Mapping[str, str]
    education_file: EducationFile
    articles: Mapping[str, Article]
    question_sets: Mapping[str, QuestionSet]
    red_flags: RedFlags
    progression: Progression
    adherence: AdherenceRules
    escalation: Escalation
    education: EducationRules
    flares: Flares
    habits: Habits
    workstation: Workstation
    adverse_events: AdverseEvents
    screening: Screening
    administration: Administration
    identifiers: Identifiers
    schedule: Schedule
    rtm: Rtm
    emergency_numbers: EmergencyNumbers


@cache
def load() -> Library:
    """Return the packaged library. Raises BrokenFile with file and line when a file is not what it must be."""
    return load_from(files("clinical"))


def load_from(root: Traversable) -> Library:
    """Return the library below `root`, read again. Raises BrokenFile."""
    red_flags = read(root, "rules/red_flags.yaml", RedFlags)
    _check_red_flags(red_flags)
    escalation = read(root, "rules/escalation.yaml", Escalation)
    _check_escalation(escalation)
    progression = read(root, "rules/progression.yaml", Progression)
    adherence = read(root, "rules/adherence.yaml", AdherenceRules)
    identifiers = read(root, "rules/identifiers.yaml", Identifiers)
    schedule = read(root, "rules/schedule.yaml", Schedule)
    rtm = read(root, "rules/rtm.yaml", Rtm)
    emergency_numbers = read(root, "emergency_numbers.yaml", EmergencyNumbers)
    question_sets = read(root, "question_sets.yaml", QuestionSetFile)
    _check_question_sets(question_sets)
    instruments = [read(root, f"instruments/{code}.yaml", Instrument) for code in INSTRUMENTS]
    for code, instrument in zip(INSTRUMENTS, instruments, strict=True):
        _check_instrument(code, instrument)
    slots = read(root, "instrument_slots.yaml", SlotFile)
    _check_slots(slots)
    education = read(root, "education.yaml", EducationFile)
    _check_articles(education)
    education_rules = read(root, "rules/education.yaml", EducationRules)
    _check_education(education_rules, education.value, question_sets.value)
    exercises = read(root, "exercises.yaml", ExerciseFile)
    _check_exercises(exercises)
    _known(education_rules, ("phases",), education_rules.value.phases, exercises.value.phases)
    flares = read(root, "rules/flares.yaml", Flares)
    _check_flares(flares, exercises.value.types)
    habits = read(root, "rules/habits.yaml", Habits)
    _check_habits(habits, question_sets.value)
    workstation = read(root, "workstation.yaml", Workstation)
    _unique(workstation, ("items",), [item.code for item in workstation.value.items])
    adverse_events = read(root, "rules/adverse_events.yaml", AdverseEvents)
    _check_adverse_events(adverse_events)
    screening = read(root, "rules/screening.yaml", Screening)
    administration = read(root, "rules/administration.yaml", Administration)
    shipped = {document.value.code: document.value for document in instruments}
    return Library(
        instruments=_by_code(shipped.items()),
        slots=_by_code((slot.code, slot) for slot in slots.value.slots),
        measures=_by_code([*shipped.items(), *((slot.code, slot.instrument()) for slot in slots.value.slots)]),
        exercise_file=exercises.value,
        exercises=_by_code((exercise.code, exercise) for exercise in exercises.value.exercises),
        contraindications=_by_code((entry.code, entry.label) for entry in exercises.value.contraindication_codes),
        education_file=education.value,
        articles=_by_code((article.code, article) for article in education.value.articles),
        question_sets=_by_code((one.code, one) for one in question_sets.value.question_sets),
        red_flags=red_flags.value,
        progression=progression.value,
        adherence=adherence.value,
        escalation=escalation.value,
        education=education_rules.value,
        flares=flares.value,
        habits=habits.value,
        workstation=workstation.value,
        adverse_events=adverse_events.value,
        screening=screening.value,
        administration=administration.value,
        identifiers=identifiers.value,
        schedule=schedule.value,
        rtm=rtm.value,
        emergency_numbers=emergency_numbers.value,
    )


def _by_code(pairs: Iterable[tuple[str, T]]) -> Mapping[str, T]:
    return MappingProxyType(dict(pairs))


def _unique(document: Document[Parsed], loc: Loc, codes: Iterable[str]) -> None:
    """Refuse a code that comes twice in the list at `loc`."""
    seen: set[str] = set()
    for place, code in enumerate(codes):
        if code in seen:
            raise document.broken((*loc, place), f"the code {code} comes twice")
        seen.add(code)


def _known(document: Document[Parsed], loc: Loc, codes: Iterable[str], known: Iterable[str]) -> None:
    """Refuse a code that nothing is called by."""
    unknown = sorted(set(codes) - set(known))
    if unknown:
        raise document.broken(loc, f"unknown code {unknown[0]}")


def _check_instrument(code: str, document: Document[Instrument]) -> None:
    instrument = document.value
    if instrument.code != code:
        raise document.broken(("code",), f"the file is named {code}")
    if instrument.license.may_ship_items is (code not in INSTRUMENTS):
        raise document.broken(("license",), "only texts that may be shipped are")
    items = [item.id for item in instrument.items]
    scores = [rule.id for rule in instrument.scoring.scores]
    _unique(document, ("items",), items)
    _unique(document, ("scoring", "scores"), scores)
    _known(document, ("scoring", "primary"), [instrument.scoring.primary], scores)
    for place, rule in enumerate(instrument.scoring.scores):
        used = [rule.item] if rule.item is not None else []
        used += rule.items if isinstance(rule.items, tuple) else []
        _known(document, ("scoring", "scores", place), used, items)
    for place, check in enumerate(instrument.scoring.validation):
        _known(document, ("scoring", "validation", place), check.lte, items)
    for place, safety in enumerate(instrument.safety_rules):
        _known(document, ("safety_rules", place, "when"), safety.when.facts(), [*items, *scores])
    if instrument.bands is not None:
        _known(document, ("bands", "score"), [instrument.bands.score], scores)
        expected, end = next(rule.range for rule in instrument.scoring.scores if rule.id == instrument.bands.score)
        for place, band in enumerate(instrument.bands.list):
            if band.min != expected or band.max < band.min:
                raise document.broken(("bands", "list", place), f"the band {band.code} leaves a gap or overlaps")
            expected = band.max + 1
        if expected != end + 1:
            raise document.broken(("bands", "list"), "the bands do not end where the score ends")


def _check_slots(document: Document[SlotFile]) -> None:
    _unique(document, ("slots",), [slot.code for slot in document.value.slots])
    for place, slot in enumerate(document.value.slots):
        if slot.code in INSTRUMENTS:
            raise document.broken(("slots", place), f"{slot.code} is shipped with its text")
        _check_instrument(slot.code, Document(document.name, slot.instrument(), document.node))


def _check_exercises(document: Document[ExerciseFile]) -> None:
    library = document.value
    easier = {exercise.code: exercise.progression_of for exercise in library.exercises}
    codes = [entry.code for entry in library.contraindication_codes]
    _unique(document, ("exercises",), [exercise.code for exercise in library.exercises])
    _unique(document, ("contraindication_codes",), codes)
    for place, entry in enumerate(library.contraindication_codes):
        _known(document, ("contraindication_codes", place), entry.implies, codes)
    for place, exercise in enumerate(library.exercises):
        loc: Loc = ("exercises", place)
        _known(document, (*loc, "phase"), [exercise.phase], library.phases)
        _known(document, (*loc, "type"), [exercise.type], library.types)
        for at, reason in enumerate(exercise.contraindications):
            _known(document, (*loc, "contraindications", at), [reason.code], codes)
        if exercise.progression_of is not None:
            _known(document, (*loc, "progression_of"), [exercise.progression_of], easier)
    for place, exercise in enumerate(library.exercises):
        loc = ("exercises", place)
        harder = [code for code, easier_code in easier.items() if easier_code == exercise.code]
        if Counter(harder) != Counter(exercise.regression_of):
            raise document.broken((*loc, "regression_of"), f"the harder exercises of {exercise.code} are {harder}")
        if circle(easier, exercise.code):
            raise document.broken((*loc, "progression_of"), f"the progression of {exercise.code} runs in a circle")
    by_code = {exercise.code: exercise for exercise in library.exercises}
    for place, exercise in enumerate(library.exercises):
        if exercise.progression_of is not None and exercise.difficulty < by_code[exercise.progression_of].difficulty:
            raise document.broken(
                ("exercises", place, "difficulty"), f"{exercise.code} cannot be easier than what it follows"
            )


def _check_question_sets(document: Document[QuestionSetFile]) -> None:
    _unique(document, ("question_sets",), [one.code for one in document.value.question_sets])
    for place, question_set in enumerate(document.value.question_sets):
        loc: Loc = ("question_sets", place, "questions")
        _unique(document, loc, [question.id for question in question_set.questions])
        for at, question in enumerate(question_set.questions):
            ranged = question.type in {"integer", "number"}
            complete = (
                ranged == (question.min is not None and question.max is not None)
                and (question.type == "code") == bool(question.options)
                and (question.type == "text") == (question.max_length is not None)
                and (question.type == "number") == (question.decimals is not None)
            )
            if not complete:
                raise document.broken((*loc, at), f"the question {question.id} does not say what may be answered")


def _check_red_flags(document: Document[RedFlags]) -> None:
    screen = document.value
    questions = [question.id for question in screen.questions]
    rules = [rule.id for rule in screen.rules]
    _unique(document, ("questions",), questions)
    _unique(document, ("rules",), rules)
    if screen.level_order != tuple(Level):
        raise document.broken(("level_order",), "the levels are not in the order of their urgency")
    _known(document, ("levels",), set(Level) - {Level.NONE}, screen.levels)
    _known(document, ("decisive_facts",), screen.decisive_facts, screen.facts)
    for group, members in screen.question_groups.items():
        _known(document, ("question_groups", group), members, questions)
    _known(
        document, ("question_groups",), questions, [one for group in screen.question_groups.values() for one in group]
    )
    for region, groups in screen.regions.items():
        _known(document, ("regions", region), groups, screen.question_groups)
    for place, rule in enumerate(screen.rules):
        _known(document, ("rules", place, "when"), rule.when.questions(), questions)
        _known(document, ("rules", place, "when"), rule.when.facts(), screen.facts)
    for place, example in enumerate(screen.examples):
        _known(document, ("examples", place), [*example.answered_yes, *example.answered_unsure], questions)


def _check_escalation(document: Document[Escalation]) -> None:
    _unique(document, ("rules",), [rule.id for rule in document.value.rules])
    for place, rule in enumerate(document.value.rules):
        _known(document, ("rules", place, "instruments"), rule.instruments, INSTRUMENTS)


def _check_articles(document: Document[EducationFile]) -> None:
    _unique(document, ("articles",), [article.code for article in document.value.articles])
    for place, article in enumerate(document.value.articles):
        if not 0 <= article.check.answer < len(article.check.options):
            raise document.broken(("articles", place, "check", "answer"), "the right answer is none of the options")


def _check_education(document: Document[EducationRules], shelf: EducationFile, asked: QuestionSetFile) -> None:
    codes = [article.code for article in shelf.articles]
    sets = {each.code: [question.id for question in each.questions] for each in asked.question_sets}
    _unique(document, ("triggers",), [trigger.code for trigger in document.value.triggers])
    _unique(document, ("triggers",), [trigger.id for trigger in document.value.triggers])
    for kind, articles in document.value.phases.items():
        _known(document, ("phases", kind), articles, codes)
    for place, trigger in enumerate(document.value.triggers):
        loc: Loc = ("triggers", place)
        _known(document, (*loc, "articles"), trigger.articles, codes)
        _known(document, (*loc, "question_sets"), trigger.question_sets, sets)
        for name in trigger.question_sets:
            _known(document, (*loc, "any_of"), [answer.question for answer in trigger.any_of], sets[name])
        for at, answer in enumerate(trigger.any_of):
            if [answer.is_true, answer.at_most, answer.at_least].count(None) != 2:  # noqa: PLR2004 - one of three is given
                raise document.broken((*loc, "any_of", at), "say one thing: is_true, at_most or at_least")


def _check_adverse_events(document: Document[AdverseEvents]) -> None:
    for place, each in enumerate(document.value.grades):
        if each.grade != place + 1:
            raise document.broken(("grades", place), "the grades are not 1 to 5")
    criteria = [each.code for each in document.value.seriousness]
    _unique(document, ("seriousness",), criteria)
    for place, example in enumerate(document.value.examples):
        _known(document, ("examples", place), example.seriousness or (), criteria)


def _check_flares(document: Document[Flares], types: Iterable[str]) -> None:
    """Refuse a step without its share, shares that do not rise to the whole, and a type that no kind, or two, hold."""
    shares = document.value.shares
    if tuple(shares) != tuple(FlareStep) or sorted(shares.values()) != list(shares.values()):
        raise document.broken(("shares",), "the shares do not rise with the steps")
    if shares[FlareStep.FULL] != WHOLE:
        raise document.broken(("shares",), "the last step is not the whole dose")
    kinds = document.value.kinds
    held = [*kinds.as_is, *kinds.short, *kinds.eased]
    _unique(document, ("kinds",), held)
    _known(document, ("kinds",), held, types)
    _known(document, ("kinds",), types, held)


def _check_habits(document: Document[Habits], asked: QuestionSetFile) -> None:
    """Refuse a measure that no check-in asks for, a target out of the question's range, and a ladder that does not rise."""
    habits = document.value
    codes = [measure.code for measure in habits.measures]
    questions = {each.id: each for one in asked.question_sets if one.code != "after_session" for each in one.questions}
    _unique(document, ("measures",), codes)
    for place, code in enumerate(codes):
        _known(
            document, ("measures", place), [code], [name for name, each in questions.items() if each.min is not None]
        )
    _known(document, ("lifestyle",), habits.lifestyle, codes)
    for code, allowed in habits.lifestyle.items():
        low, high = questions[code].min or 0, questions[code].max or 0
        if not low <= allowed.min < allowed.max <= high:
            raise document.broken(("lifestyle", code), "the question has no such answers")
    for name, ladder in habits.milestones.model_dump().items():
        if list(ladder) != sorted(set(ladder)) or ladder[0] < 1:
            raise document.broken(("milestones", name), "the steps do not rise")
