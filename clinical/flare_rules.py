"""What `rules/flares.yaml` consists of."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import StrictBool, StrictInt

from clinical.forms import Code
from clinical.levels import FlareStep
from clinical.reading import Strict


class FlareBaseline(Strict):
    """How many days before a flare-up its baseline is made of, and the pain that stands in where nothing was answered."""

    days: StrictInt
    unknown_pain: StrictInt


class FlareSettled(Strict):
    """When a day counts as settled, and how many in a row raise the dose."""

    above_baseline: StrictInt
    days: StrictInt


class FlareReduced(Strict):
    """How many hours the reduced plan lasts: at least, and usually at most."""

    least_hours: StrictInt
    usual_hours: StrictInt


class FlareThreeQuarters(Strict):
    """What leads on from three quarters, and what leads back. Pain 0-10.

    good_days: so many days with sessions, all of them good.
    """

    good_days: StrictInt
    session_pain: StrictInt
    worse_days: StrictInt


class FlareReassess(Strict):
    """When a new assessment is asked for. Days count from the day it began, which is 0."""

    day: StrictInt
    function_down_percent: StrictInt
    function_days: StrictInt
    function_from_day: StrictInt


class FlareKinds(Strict):
    """What becomes of an exercise, by its type."""

    as_is: tuple[Code, ...]
    short: tuple[Code, ...]
    eased: tuple[Code, ...]


class FlareTexts(Strict):
    """What the patient reads, in his words."""

    reduced: str
    three_quarters: str
    next_three_quarters: str
    next_full: str
    screen: str
    held: str
    contact: str


class FlareExample(Strict):
    """A worked example. days: day, pain, limitation, flare; sessions: day, done, highest pain."""

    name: str
    step: FlareStep
    since: StrictInt
    today: StrictInt
    days: tuple[tuple[StrictInt, StrictInt | None, StrictInt | None, StrictBool | None], ...]
    sessions: tuple[tuple[StrictInt, StrictBool, StrictInt | None], ...]
    expect: Mapping[str, Any]


class Flares(Strict):
    """What becomes of the exercises in a flare-up, and how they come back."""

    schema_version: Literal["1.0"]
    version: str
    default: StrictBool
    shares: Mapping[FlareStep, StrictInt]
    baseline: FlareBaseline
    settled: FlareSettled
    reduced: FlareReduced
    three_quarters: FlareThreeQuarters
    reassess: FlareReassess
    screen_hours: StrictInt
    kinds: FlareKinds
    short_seconds: StrictInt
    load_percent: StrictInt
    rules: tuple[str, ...]
    sessions: str
    texts: FlareTexts
    examples: tuple[FlareExample, ...]
