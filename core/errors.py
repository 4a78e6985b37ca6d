"""The ways in which the clinic says no.

    Refusal
    ├── Unauthenticated      the caller is not signed in
    ├── Forbidden            never for this role
    ├── NotFound             not there, or not yours: the same answer
    ├── Conflict             not in this state
    ├── Invalid              the input breaks a rule
    ├── Stale                somebody changed it first
    ├── PreconditionRequired the caller must say which version is meant
    ├── TooMany              later, please
    └── Unavailable          our fault, try again

A service raises the most specific leaf; only `api/errors.py` knows what status a kind has. The first line of an error's
docstring is its public title: a stranger may read it, so it never holds anything about a patient.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from inspect import cleandoc
from typing import Any, ClassVar


@dataclass(frozen=True)
class Problem:
    """One thing wrong with the input: where (JSON pointer), a stable code, a sentence that never echoes the value."""

    pointer: str
    code: str
    message: str


class Refusal(Exception):  # noqa: N818 - a refusal is an answer, not a defect
    """The request was refused."""

    retryable: ClassVar[bool] = False
    keeps_effects: ClassVar[bool] = False
    """Whether what was changed before the refusal is committed all the same (a counted attempt, a revoked sign-in)."""
    code: ClassVar[str] = "refusal"
    title: ClassVar[str] = "The request was refused."

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.code = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", cls.__name__).lower()
        if "__doc__" in vars(cls) and cls.__doc__:
            cls.title = cleandoc(cls.__doc__).splitlines()[0]

    def __init__(self, *problems: Problem, extras: Mapping[str, Any] | None = None) -> None:
        """problems: what is wrong, where. extras: further public members of the answer (no health data)."""
        super().__init__(self.title)
        self.problems: Sequence[Problem] = problems
        self.extras: Mapping[str, Any] = dict(extras or {})


class Unauthenticated(Refusal):
    """Sign in first."""


class Forbidden(Refusal):
    """Your role may not do this."""


class NotFound(Refusal):
    """There is no such thing here."""


class Conflict(Refusal):
    """This is not possible in the present state."""


class Invalid(Refusal):
    """The input breaks a rule."""


class PreconditionRequired(Refusal):
    """Say which version you mean: send If-Match."""


class Stale(Refusal):
    """Somebody changed this first: read it again."""

    def __init__(self, current_version: int) -> None:
        """current_version: what If-Match should have said."""
        super().__init__(extras={"current_version": current_version})
        self.current_version = current_version


class TooMany(Refusal):
    """Too many requests."""

    retryable = True

    def __init__(self, retry_after: int) -> None:
        """retry_after: seconds until it is worth trying again."""
        super().__init__()
        self.retry_after = retry_after


class Unavailable(Refusal):
    """The service cannot answer right now."""

    retryable = True

    def __init__(self, retry_after: int = 1) -> None:
        """retry_after: seconds until it is worth trying again."""
        super().__init__()
        self.retry_after = retry_after
