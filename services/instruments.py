"""The instruments that the clinic can use: what ships with Physio."""

from typing import Any

from clinical.forms import Instrument
from clinical.library import load
from core.errors import Invalid, NotFound, Problem
from schemas.outcomes import InstrumentRead, InstrumentSummary
from services.access import Action, Actor, require


class UnknownInstrument(Invalid):
    """There is no instrument of this code."""


def by_code(code: str) -> Instrument:
    """Give the instrument. Raises UnknownInstrument."""
    found = load().instruments.get(code)
    if found is None:
        raise UnknownInstrument(Problem("/instrument", "unknown_instrument", "There is no instrument of this code."))
    return found


def browse(actor: Actor) -> list[InstrumentSummary]:
    """All instruments, by code."""
    require(actor, Action.READ_INSTRUMENTS)
    return [InstrumentSummary.model_validate(_summary(one)) for _, one in sorted(load().instruments.items())]


def get(actor: Actor, code: str) -> InstrumentRead:
    """One instrument with its items. Raises NotFound."""
    require(actor, Action.READ_INSTRUMENTS)
    found = load().instruments.get(code)
    if found is None:
        raise NotFound
    return InstrumentRead.model_validate(
        {
            **_summary(found),
            "recall": found.recall,
            "stem": found.stem,
            "anchors": {str(value): text for value, text in found.anchors.items()},
            "answer_type": _answer_type(found),
            "options": _plain(found.options),
            "items": _plain(found.items),
            "unscored_items": _plain(found.unscored_items),
            "scores": _plain(found.scoring.scores),
            "bands": None if found.bands is None else _plain(found.bands.list),
            "change": None if found.change is None else found.change.model_dump(mode="json", exclude_none=True),
            "frequency": found.frequency.model_dump(mode="json", exclude_none=True),
            "loinc": found.loinc.model_dump(mode="json", exclude_none=True),
            "license_status": found.license.status,
        }
    )


def _summary(instrument: Instrument) -> dict[str, Any]:
    return {
        "code": instrument.code,
        "version": instrument.version,
        "title": instrument.title,
        "measures": instrument.measures,
        "body_regions": list(instrument.body_regions),
        "est_minutes": instrument.est_minutes,
        "attribution": instrument.license.attribution,
        "lower_is_better": instrument.primary.lower_is_better,
    }


def _answer_type(instrument: Instrument) -> str:
    if instrument.repeated is not None:
        return "activities"
    if instrument.answer is not None:
        return instrument.answer.type
    return "option" if instrument.options else "integer"


def _plain(parts: Any) -> list[dict[str, Any]]:
    return [part.model_dump(mode="json", exclude_none=True) for part in parts]
