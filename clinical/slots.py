"""Instruments of which only the scoring is ours: empty slots that a clinic fills with the licensed text.

The scoring, with its golden vectors, is packaged and the same for everybody; texts are checked against it and never change
it. Nothing is asked of anybody before a clinic has accepted the owner's terms and filled the slot.
"""

from collections.abc import Sequence
from typing import Literal

from pydantic import StrictInt

from clinical.forms import Bands, ChangeRule, Code, Frequency, Instrument, License, ScoreExample, Scoring
from clinical.reading import Strict
from core.errors import Problem


class Slot(Strict):
    """An instrument without its text: `items` questions, each answered from `min` to `max`."""

    code: Code
    version: str
    title: str
    measures: str
    body_regions: tuple[str, ...]
    recall: str
    owner: str
    license_contact: str
    est_minutes: StrictInt
    frequency: Frequency
    items: StrictInt
    min: StrictInt
    max: StrictInt
    scoring: Scoring
    bands: Bands | None = None
    change: ChangeRule | None = None
    examples: tuple[ScoreExample, ...]

    def instrument(self) -> Instrument:
        """Give it as what scores it: questions q1 to qN without a word."""
        return Instrument.model_validate(
            {
                **self.model_dump(exclude={"license_contact", "items", "min", "max"}),
                "schema_version": "1.0",
                "license": License(
                    status="licensed", may_ship_items=False, attribution=self.owner, evidence=self.license_contact
                ),
                "loinc": {"status": "no code looked for"},
                "stem": "",
                "items": [
                    {"id": f"q{place}", "type": "integer", "min": self.min, "max": self.max}
                    for place in range(1, self.items + 1)
                ],
            }
        )


class SlotFile(Strict):
    """All slots."""

    schema_version: Literal["1.0"]
    slots: tuple[Slot, ...]


def misfits(slot: Slot, items: Sequence[Sequence[int]], shared: Sequence[int]) -> list[Problem]:
    """Tell where texts do not fit a slot.

    items: for each question the values of answers of its own, empty where the shared ones are its. shared: the values of
    the answers that all questions share. Each list has every value from `min` to `max` once.
    """
    wanted = list(range(slot.min, slot.max + 1))
    problems = []
    if len(items) != slot.items:
        problems.append(Problem("/items", "wrong_number", f"This instrument has {slot.items} questions."))
    needed = any(not own for own in items)
    for pointer, values, asked in (
        ("/options", shared, needed or bool(shared)),
        *((f"/items/{place}/options", own, bool(own)) for place, own in enumerate(items)),
    ):
        if asked and sorted(values) != wanted:
            problems.append(
                Problem(pointer, "wrong_values", f"Say each value from {slot.min} to {slot.max} once, with its text.")
            )
    return problems
