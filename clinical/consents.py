"""What patients agree to, word by word: the packaged texts by purpose, version and language."""

from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

from pydantic import Field

from clinical.forms import Code
from clinical.reading import Strict, read

FILE = "consents.yaml"


class Section(Strict):
    """A part of a text under its own heading."""

    heading: str
    text: str


class ConsentText(Strict):
    """One text, as the patient reads it; never edited once in use."""

    purpose: Code
    version: Annotated[str, Field(pattern=r"^[1-9][0-9]*$")]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8})*$")]
    title: str
    sections: Annotated[tuple[Section, ...], Field(min_length=1)]

    @property
    def key(self) -> tuple[str, str, str]:
        """What no second text may share."""
        return self.purpose, self.language, self.version


class ConsentFile(Strict):
    """All texts, the newest version of each last."""

    schema_version: Literal["1.0"]
    texts: tuple[ConsentText, ...]


@cache
def load() -> tuple[ConsentText, ...]:
    """Return the packaged texts. Raises BrokenFile."""
    return load_from(files("clinical"))


def load_from(root: Traversable) -> tuple[ConsentText, ...]:
    """Return the texts below `root`, read again. Raises BrokenFile."""
    document = read(root, FILE, ConsentFile)
    newest: dict[tuple[str, str], int] = {}
    for place, text in enumerate(document.value.texts):
        before = newest.get((text.purpose, text.language), 0)
        if int(text.version) <= before:
            raise document.broken(("texts", place, "version"), f"version {before} of this text stands before it")
        newest[text.purpose, text.language] = int(text.version)
    return document.value.texts


def current() -> tuple[ConsentText, ...]:
    """Return the newest version of every text."""
    return tuple({(text.purpose, text.language): text for text in load()}.values())


def find(purpose: str, language: str, version: str) -> ConsentText | None:
    """Return the text when it is the newest of its purpose and language; nobody agrees to an outdated one."""
    return next((text for text in current() if text.key == (purpose, language, version)), None)
