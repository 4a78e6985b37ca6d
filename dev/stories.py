"""How fictional people fare: seeded, deterministic stories of recovery, plateau, flare, dropout and red flag."""

from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from random import Random
from typing import Any

GIVEN = (
    "Amara", "Beatriz", "Caspian", "Dorothea", "Elowen", "Fenwick", "Greta", "Hollis", "Ines", "Jasper", "Kenji",
    "Leocadia", "Matilde", "Nestor", "Ottilie", "Percival", "Quilla", "Rosalind", "Silvan", "Tamsin", "Ulises",
    "Verity", "Wilhelmina", "Xanthe", "Yorick", "Zephyrine",
)  # fmt: skip
FAMILY = (
    "Applewhite", "Bramblewood", "Cloudberry", "Dandelion", "Elderflower", "Featherstone", "Gooseberry", "Hazelnut",
    "Inkwell", "Juniper", "Kettlewell", "Lanternlight", "Marigold", "Nightingale", "Oakenshield", "Peppercorn",
    "Quicksilver", "Rosewater", "Sandpiper", "Thistledown", "Underhill", "Violetta", "Windermere", "Yarrow",
)  # fmt: skip


class Story(StrEnum):
    """What becomes of somebody."""

    RECOVERY = "recovery"
    PLATEAU = "plateau"
    FLARE = "flare"
    DROPOUT = "dropout"
    RED_FLAG = "red_flag"


SHARES = (
    (Story.RECOVERY, 45),
    (Story.PLATEAU, 20),
    (Story.FLARE, 15),
    (Story.DROPOUT, 12),
    (Story.RED_FLAG, 8),
)
"""How many of a hundred people have which story."""


FLARE_DAYS = 5
"""How long somebody says that it flares."""

SHOWN = {0: Story.RECOVERY, 2: Story.PLATEAU, 4: Story.FLARE}
"""Who has which story in every cast that is big enough: patients of the therapist whose sign-in is in the README.

The first has a sign-in there himself; an exercise has hurt him, and was taken out. The second has one that hurts now, and
the third's flare-up has just begun.
"""

FRESH_DAYS = 3
"""So many days ago it began."""


@dataclass(frozen=True)
class Person:
    """Somebody fictional; `turning_day` is when the story turns: the flare, the last answer, the warning sign."""

    number: int
    given_name: str
    family_name: str
    birth_date: date
    story: Story
    pain: float
    turning_day: int
    diligence: float

    @property
    def email(self) -> str:
        """An address that cannot exist."""
        return f"{self.given_name}.{self.family_name}.{self.number}@demo.example".lower()


def cast(seed: int, count: int, days: int) -> list[Person]:
    """Make `count` people whose stories take `days` days; the same seed gives the same people."""
    random = Random(seed)  # noqa: S311 - a story, no secret
    stories = [story for story, share in SHARES for _ in range(max(1, round(share * count / 100)))]
    stories = (stories + [Story.RECOVERY] * count)[:count]
    random.shuffle(stories)
    for place, story in SHOWN.items():
        free = [number for number, told in enumerate(stories) if told is story and SHOWN.get(number) is not story]
        if free and place < count and stories[place] is not story:
            stories[place], stories[free[0]] = stories[free[0]], stories[place]
    return [
        Person(
            number=number,
            given_name=GIVEN[number % len(GIVEN)],
            family_name=random.choice(FAMILY),
            birth_date=date(random.randint(1948, 2002), random.randint(1, 12), random.randint(1, 28)),
            story=story,
            pain=random.uniform(5.0, 7.4),
            turning_day=_turning_day(number, story, days, random),
            diligence=0.93 if number in SHOWN else random.uniform(0.68, 0.95),
        )
        for number, story in enumerate(stories)
    ]


def _turning_day(number: int, story: Story, days: int, random: Random) -> int:
    """Give the day of a turn: some time in the middle, but for one flare-up that has just begun."""
    turns = random.randint(days // 3, max(days // 3, days * 3 // 4))
    return max(0, days - FRESH_DAYS) if SHOWN.get(number) is story is Story.FLARE else turns


def pain_on(person: Person, day: int, days: int, random: Random) -> int:
    """Pain on the 0-10 scale on one day of the story."""
    eased = person.pain * (0.25 + 0.75 * 0.5 ** (day / (days / 4)))
    match person.story:
        case Story.PLATEAU:
            level = person.pain - 1 + 0.3 * (day % 3)
        case Story.FLARE:
            since = day - person.turning_day
            level = eased + (max(0.0, 4.5 - 0.6 * since) if since >= 0 else 0.0)
        case Story.RED_FLAG:
            level = eased + (1.5 if day >= person.turning_day else 0.0)
        case Story.RECOVERY | Story.DROPOUT:
            level = eased
    return min(10, max(0, round(level + random.gauss(0, 0.6))))


def answers_on(person: Person, day: int, days: int, random: Random) -> dict[str, Any] | None:
    """Answers to the daily check-in; None on a day without any."""
    if person.story is Story.DROPOUT and day >= person.turning_day:
        return None
    if random.random() > person.diligence:
        return None
    pain = pain_on(person, day, days, random)
    flare = person.story is Story.FLARE and 0 <= day - person.turning_day < FLARE_DAYS
    return {
        "pain_now": pain,
        "pain_worst_24h": min(10, pain + random.randint(0, 2)),
        "function_limit": min(10, max(0, pain + random.randint(-1, 1))),
        "flare": flare,
        "sleep_hours": round(random.uniform(5.5, 8.2), 1),
        "sleep_quality": min(10, max(0, 9 - pain + random.randint(-1, 1))),
        "activity_minutes": random.randint(10, 60),
        "pain_24h_after_session": pain,
        "new_symptoms": False,
    }


def trains_on(person: Person, day: int, random: Random) -> bool:
    """Whether a session is done on a day on which one is planned."""
    if person.story is Story.DROPOUT:
        return random.random() < person.diligence * max(0.0, 1 - day / (person.turning_day + 7))
    return random.random() < person.diligence - 0.08


def rmdq_on(person: Person, day: int, days: int, random: Random) -> dict[str, bool]:
    """Answers to the RMDQ-24: about two ticks for each point of pain."""
    ticks = min(24, max(0, round(2.1 * pain_on(person, day, days, random) + random.uniform(-1, 1))))
    return {f"q{number}": True for number in random.sample(range(1, 25), ticks)}
