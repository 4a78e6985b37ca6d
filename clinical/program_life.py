"""The life of a program: what is possible in which state, and what becomes of its versions and pauses.

Days are local days of the patient, and may go back by one or two when he travels. Whether somebody may ask for it is said
in `services/access`; whether the patient, his therapist and his episode are ready for it, where a program is put to use.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from enum import StrEnum
from typing import Self

from core.errors import Conflict, Problem


class ProgramStatus(StrEnum):
    """draft → active ⇄ paused → completed; active → suspended_red_flag → active; active → superseded."""

    DRAFT = "draft"
    ACTIVE = "active"
    PAUSED = "paused"
    SUSPENDED_RED_FLAG = "suspended_red_flag"
    COMPLETED = "completed"
    SUPERSEDED = "superseded"


class ProgramAction(StrEnum):
    """What is done with a program, or happens to it."""

    ACTIVATE = "activate"
    PAUSE = "pause"
    RESUME = "resume"
    COMPLETE = "complete"
    WRITE = "write"
    """Write the next version."""
    ADJUST = "adjust"
    """Write the next version as the rules suggest it, for today."""
    SUPERSEDE = "supersede"
    """Another program of the episode is put into use."""
    SUSPEND = "suspend"
    """A red flag was found."""
    REST = "rest"
    """Nobody may treat the patient any more, or his consent is gone."""
    HOLD = "hold"
    """Its episode is held."""
    DISCHARGE = "discharge"
    """Its episode is over."""


IN_USE = frozenset({ProgramStatus.ACTIVE, ProgramStatus.PAUSED, ProgramStatus.SUSPENDED_RED_FLAG})
"""One program of an episode at most is in one of these."""

RESTING = frozenset({ProgramStatus.PAUSED, ProgramStatus.SUSPENDED_RED_FLAG})
"""As long as one of these lasts a pause is open."""

ENDED = frozenset({ProgramStatus.COMPLETED, ProgramStatus.SUPERSEDED})
"""Nothing leads out of these."""


class ProgramNotInState(Conflict):
    """This is not possible in the program's present state."""


@dataclass(frozen=True)
class Step:
    """Where an action leads; `ready`: only when nothing is missing that the program rests on."""

    to: ProgramStatus
    ready: bool = False


def _steps() -> Mapping[ProgramAction, Mapping[ProgramStatus, Step]]:
    draft, active, paused, suspended, completed, superseded = ProgramStatus
    return {
        ProgramAction.ACTIVATE: {draft: Step(active, ready=True)},
        ProgramAction.PAUSE: {active: Step(paused)},
        ProgramAction.RESUME: {paused: Step(active, ready=True), suspended: Step(active, ready=True)},
        ProgramAction.COMPLETE: {active: Step(completed), paused: Step(completed)},
        ProgramAction.WRITE: {
            draft: Step(draft),
            active: Step(active, ready=True),
            paused: Step(paused),
            suspended: Step(suspended),
        },
        ProgramAction.ADJUST: {active: Step(active, ready=True)},
        ProgramAction.SUPERSEDE: dict.fromkeys((active, paused, suspended), Step(superseded)),
        ProgramAction.SUSPEND: dict.fromkeys((active, paused), Step(suspended)),
        ProgramAction.REST: {active: Step(paused)},
        ProgramAction.HOLD: {active: Step(paused)},
        ProgramAction.DISCHARGE: dict.fromkeys((active, paused, suspended), Step(completed)),
    }


STEPS = _steps()


def step(status: ProgramStatus, action: ProgramAction) -> Step:
    """Give where an action leads. Raises ProgramNotInState."""
    found = STEPS[action].get(status)
    if found is None:
        fitting = ", ".join(one for one in ProgramStatus if one in STEPS[action])
        raise ProgramNotInState(Problem("", "state", f"It is {status}; this takes one that is: {fitting}."))
    return found


def possible(status: ProgramStatus, action: ProgramAction) -> bool:
    """Tell whether an action concerns a program in this state."""
    return status in STEPS[action]


@dataclass(frozen=True)
class Span:
    """Days from `begins` on; `ends` is excluded, None while it is open."""

    begins: date
    ends: date | None = None

    def __contains__(self, day: date) -> bool:
        """Tell whether a day is one of them."""
        return self.begins <= day and (self.ends is None or day < self.ends)

    def before(self, on: date) -> Self:
        """Give those before `on`; NEVER when there are none."""
        if self.ends is not None and self.ends <= on:
            return self
        return replace(self, ends=on) if self.begins < on else replace(self, begins=date.min, ends=date.min)


NEVER = Span(date.min, date.min)
"""No day at all."""


@dataclass(frozen=True)
class Version:
    """When a version holds: its phases count from `starts_on`, `held` is None while the program is a draft."""

    starts_on: date
    held: Span | None = None


@dataclass(frozen=True)
class Pause:
    """Days without sessions; `over`: what is done from its end on counts again."""

    reason: str
    during: Span
    over: bool = False


@dataclass(frozen=True)
class Life:
    """A program's state, its versions by their number, and its pauses in the order in which they began."""

    status: ProgramStatus
    versions: tuple[Version, ...]
    pauses: tuple[Pause, ...] = ()

    def after(self, action: ProgramAction, today: date, *, reason: str = "") -> Self:
        """Give what becomes of it; for what is written, see `written`. reason: of the pause that begins, if one does.

        A program that ends plans nothing from that day. Raises ProgramNotInState.
        """
        to = step(self.status, action).to
        versions, pauses = self.versions, self.pauses
        if to is not self.status and (to in RESTING or self.status in RESTING):
            # Of a program that ends while a red flag stops it no session counts any more.
            counts = self.status is not ProgramStatus.SUSPENDED_RED_FLAG or to not in ENDED
            pauses = tuple(replace(one, during=one.during.before(today), over=one.over or counts) for one in pauses)
        if to is not self.status and to in RESTING:
            pauses = (*pauses, Pause(reason, Span(today)))
        if action is ProgramAction.ACTIVATE:
            begins = max(versions[-1].starts_on, today)
            versions = (*versions[:-1], Version(begins, Span(begins)))
        elif to in ENDED:
            versions = _cut(versions, today)
        return replace(self, status=to, versions=versions, pauses=pauses)

    def written(
        self, action: ProgramAction, today: date, *, effective_on: date | None = None, restart: bool = False
    ) -> Self:
        """Give it with its next version, the last one; what was planned from its first day on is gone.

        effective_on: from today on, today when nothing is said. restart: its phases begin with it, else they go on counting
        from where those of the version before do. Raises ProgramNotInState.
        """
        step(self.status, action)
        on, last = effective_on or today, self.versions[-1]
        if self.status is ProgramStatus.DRAFT:
            made = Version(on if effective_on is not None else max(last.starts_on, today))
            return replace(self, versions=(*self.versions, made))
        starts_on = on if restart else self.versions[self.base(on)].starts_on
        begins = max(on, starts_on)
        return replace(self, versions=(*_cut(self.versions, begins), Version(starts_on, Span(begins))))

    def base(self, on: date) -> int:
        """Give the place of the version that one written to hold from `on` goes on from: the one in force on that day.

        Before the program begins it is the one that it begins with; of a draft, and of what has ended, the last.
        """
        going = (
            place
            for place, one in enumerate(self.versions)
            if one.held not in {None, NEVER} and (one.held.ends is None or on < one.held.ends)
        )
        return next(going, len(self.versions) - 1)


def _cut(versions: tuple[Version, ...], on: date) -> tuple[Version, ...]:
    """Let no version hold from `on`; one that would have begun then or later never does."""
    return tuple(one if one.held is None else replace(one, held=one.held.before(on)) for one in versions)
