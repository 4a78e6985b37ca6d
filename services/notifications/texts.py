"""The wording of every message in every language, read from files; a mistake in one stops the start and is named.

A message says that there is something to see, and where: so only the clinic's name, the app's address and the code of an
invitation can be filled in, and in a push message nothing at all. The same file holds what the app shows in its list.
"""

import re
import unicodedata
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Annotated, Literal

from pydantic import Field

from clinical.reading import Document, Loc, Strict, read
from services.notifications.policy import CATEGORIES

ENGLISH = "en"
LINK, CLINIC, CODE = "link", "clinic", "code"

ONE_SEGMENT, MORE_SEGMENTS = 160, 153
"""GSM-7 characters of a text message that goes in one piece, and of each piece of a longer one (3GPP TS 23.038)."""
ONE_WIDE, MORE_WIDE = 70, 67
"""The same for a message with another character in it, which goes as UCS-2."""
ROOM = {CLINIC: 30, LINK: 30}
"""Characters kept free for what is filled into a text message; a longer clinic's name is cut."""

LONGEST_TITLE, LONGEST_TEXT = 40, 80
"""Characters of a push message that every phone shows."""

_BASIC = (
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
_EXTENDED = "^{}\\[~]|€"
_PLACEHOLDER = re.compile(r"\$(?:\{?([a-z_]*)\}?)?")


class Email(Strict):
    """A letter."""

    subject: Annotated[str, Field(min_length=1)]
    text: Annotated[str, Field(min_length=1)]


class Push(Strict):
    """What a locked screen shows, and the app's list."""

    title: Annotated[str, Field(min_length=1, max_length=LONGEST_TITLE)]
    text: Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]


class Wording(Strict):
    """One message on every channel that it can go by."""

    email: Email
    sms: Annotated[str, Field(min_length=1)] | None = None
    push: Push | None = None


class LanguageFile(Strict):
    """One language."""

    schema_version: Literal["1.0"]
    language: Annotated[str, Field(pattern=r"^[a-z]{2,3}$")]
    footer: Annotated[str, Field(min_length=1)]
    messages: dict[str, Wording]


@dataclass(frozen=True)
class Text:
    """Title and text as the app shows them."""

    title: str
    text: str


@cache
def load() -> Mapping[str, LanguageFile]:
    """Give the packaged languages by their code. Raises BrokenFile."""
    return load_from(files("services.notifications").joinpath("templates"))


def load_from(root: Traversable) -> Mapping[str, LanguageFile]:
    """Give the languages below `root`, read again. Raises BrokenFile."""
    found = {}
    for name in sorted(each.name for each in root.iterdir() if each.name.endswith(".yaml")):
        document = read(root, name, LanguageFile)
        if name != f"{document.value.language}.yaml":
            raise document.broken(("language",), "the file is named after its language")
        _check(document)
        found[document.value.language] = document.value
    return found


def wording(template: str, language: str | None) -> tuple[LanguageFile, Wording]:
    """Give a message in a language, in its parent language (`pt-BR` is `pt`), or in English. Raises KeyError."""
    known = load()
    found = known.get((language or ENGLISH).partition("-")[0].lower(), known[ENGLISH])
    return found, found.messages[template]


def languages() -> AbstractSet[str]:
    """Give the codes of the languages."""
    return load().keys()


def shown(template: str, language: str | None) -> Text:
    """Give a message as the app's list shows it; of one from a newer version, that there is something."""
    known = template if template in CATEGORIES else "check_in_reminder"
    _, words = wording(known, language)
    if words.push is None:
        return Text(words.email.subject, "")
    return Text(words.push.title, words.push.text)


# ------------------------------------------------------------------ what a file must be


def _check(document: Document[LanguageFile]) -> None:
    messages = document.value.messages
    for template in CATEGORIES.keys() - messages.keys():
        raise document.broken(("messages",), f"the message {template} is missing")
    for template, words in messages.items():
        if template not in CATEGORIES:
            raise document.broken(("messages", template), "nobody owes a message of this name")
        invites = template == "invitation"
        if not invites and (words.sms is None or words.push is None):
            raise document.broken(("messages", template), "the forms sms and push are missing")
        may = {CLINIC, LINK, CODE} if invites else {CLINIC, LINK}
        place: Loc = ("messages", template, "email")
        _fill(document, (*place, "subject"), words.email.subject, {CLINIC})
        _fill(document, (*place, "text"), words.email.text, may)
        if words.push is not None:
            _fill(document, ("messages", template, "push", "title"), words.push.title, set())
            _fill(document, ("messages", template, "push", "text"), words.push.text, set())
        if words.sms is not None:
            _check_sms(document, ("messages", template, "sms"), words.sms)
    _fill(document, ("footer",), document.value.footer, {CLINIC, LINK})


def _fill(document: Document[LanguageFile], place: Loc, text: str, may: AbstractSet[str]) -> None:
    for match in _PLACEHOLDER.finditer(text):
        if match[1] not in may:
            raise document.broken(place, f"the placeholder {match[0]} is not known here")


def _check_sms(document: Document[LanguageFile], place: Loc, text: str) -> None:
    _fill(document, place, text, {CLINIC, LINK})
    fixed = _PLACEHOLDER.sub("", text)
    strange = sorted({each for each in fixed if each not in _BASIC})
    if strange:
        raise document.broken(place, f"a text message has no room for {''.join(strange)}: it is not in GSM-7")
    if len(fixed) + sum(ROOM.values()) > ONE_SEGMENT:
        raise document.broken(place, "the text message is too long for one piece")


# ------------------------------------------------------------------ text messages


def plain(text: str) -> str:
    """Give the text in GSM-7's own characters; an accent that it has not is left out, another character is a dot."""

    def spell(each: str) -> str:
        if each in _BASIC or each in _EXTENDED:
            return each
        bare = unicodedata.normalize("NFKD", each)[0]
        return bare if bare in _BASIC else "."

    return "".join(map(spell, text))


def segments(text: str) -> int:
    """Count the pieces in which a text message goes."""
    if all(each in _BASIC or each in _EXTENDED for each in text):
        size, one, more = len(text) + sum(each in _EXTENDED for each in text), ONE_SEGMENT, MORE_SEGMENTS
    else:
        size, one, more = len(text.encode("utf-16-le")) // 2, ONE_WIDE, MORE_WIDE
    return 1 if size <= one else -(-size // more)
