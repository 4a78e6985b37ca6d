"""The instruments that the clinic can use: what ships with Physio, and what it has filled in itself."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from clinical.forms import Instrument
from clinical.library import load
from core.errors import Conflict, Invalid, NotFound, Problem
from models.instrument_imports import InstrumentImport
from schemas.outcomes import InstrumentRead, InstrumentSummary
from services import instrument_imports
from services.access import Action, Actor, require

SHIPPED, FILLED, EMPTY = "shipped", "filled", "empty"
"""Where the text of an instrument is from; of an empty one the clinic has none, or may not use it any more."""


class UnknownInstrument(Invalid):
    """There is no instrument of this code."""


class InstrumentNotLicensed(Conflict):
    """The clinic has no licensed text of this instrument, or its license has ended."""


async def usable(session: AsyncSession, actor: Actor, code: str, *, at: datetime) -> Instrument:
    """Give an instrument that may be asked today; the version of a filled one names its text, too.

    Raises UnknownInstrument, InstrumentNotLicensed.
    """
    found = load().measures.get(code)
    if found is None:
        raise UnknownInstrument(Problem("/instrument", "unknown_instrument", "There is no instrument of this code."))
    if code not in load().slots:
        return found
    text = (await instrument_imports.in_force(session, actor.clinic_id, at=at)).get(code)
    if text is None:
        raise InstrumentNotLicensed
    return found.model_copy(update={"version": _version(found, text)})


async def browse(session: AsyncSession, actor: Actor, *, at: datetime) -> list[InstrumentSummary]:
    """All instruments, by code."""
    require(actor, Action.READ_INSTRUMENTS)
    texts = await instrument_imports.in_force(session, actor.clinic_id, at=at)
    return [
        InstrumentSummary.model_validate(_summary(one, texts.get(code)))
        for code, one in sorted(load().measures.items())
    ]


async def get(session: AsyncSession, actor: Actor, code: str, *, at: datetime) -> InstrumentRead:
    """One instrument with its items; of an empty slot they have no text. Raises NotFound."""
    require(actor, Action.READ_INSTRUMENTS)
    found = load().measures.get(code)
    if found is None:
        raise NotFound
    text = (await instrument_imports.in_force(session, actor.clinic_id, at=at)).get(code)
    shown = {
        **_summary(found, text),
        "recall": found.recall,
        "stem": found.stem,
        "anchors": {str(value): words for value, words in found.anchors.items()},
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
    if text is not None and text.content is not None:
        shown |= _filled(text.content, shown["items"])
    return InstrumentRead.model_validate(shown)


def _filled(content: Mapping[str, Any], items: list[dict[str, Any]]) -> dict[str, Any]:
    """Put the licensed texts where they belong."""
    return {
        "recall": content["recall"],
        "stem": content["stem"],
        "answer_type": "option",
        "options": content["options"],
        "items": [
            {**item, "text": own["text"], **({"options": own["options"]} if own["options"] else {})}
            for item, own in zip(items, content["items"], strict=True)
        ],
    }


def _version(instrument: Instrument, text: InstrumentImport) -> str:
    return f"{instrument.version}/{text.number}"


def _summary(instrument: Instrument, text: InstrumentImport | None) -> dict[str, Any]:
    empty = instrument.code in load().slots and text is None
    return {
        "code": instrument.code,
        "version": instrument.version if text is None else _version(instrument, text),
        "title": instrument.title,
        "measures": instrument.measures,
        "body_regions": list(instrument.body_regions),
        "est_minutes": instrument.est_minutes,
        "attribution": instrument.license.attribution,
        "lower_is_better": instrument.primary.lower_is_better,
        "text": EMPTY if empty else SHIPPED if text is None else FILLED,
        "license_contact": instrument.license.evidence if instrument.code in load().slots else None,
    }


def _answer_type(instrument: Instrument) -> str:
    if instrument.repeated is not None:
        return "activities"
    if instrument.answer is not None:
        return instrument.answer.type
    return "option" if instrument.options else "integer"


def _plain(parts: Any) -> list[dict[str, Any]]:
    return [part.model_dump(mode="json", exclude_none=True) for part in parts]
