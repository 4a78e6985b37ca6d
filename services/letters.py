"""What our messages say on each channel: that there is something to see, and where. Never what it is, and never whom.

A subject line and a push message show on locked screens and a mailbox may be shared, so none names a patient, a
complaint, an answer or a level. One of them opens a door: the invitation holds its code, which is made here and nowhere
stored.
"""

from collections.abc import Iterator
from string import Template
from uuid import UUID

import orjson

from core.crypto import Key
from integrations.email import Letter
from integrations.push import PushMessage
from integrations.sms import TextMessage
from integrations.web_push import Subscription, WebPushMessage
from models.notifications import NotificationCategory, Platform
from services import invitations
from services.notifications import Leased, Target, policy, texts

LONGEST_NAME = texts.ROOM[texts.CLINIC]

KEPT_SECONDS = 43_200
"""How long a push service keeps a message for a phone that is off; what is urgent is kept as long."""


class Unwritable(Exception):  # noqa: N818 - it cannot be written
    """The message has no such form, or its code cannot be made any more."""

    def __init__(self, code: str) -> None:
        """code: a word for the record."""
        super().__init__(code)
        self.code = code


def write(leased: Leased, address: str, *, url: str, key: Key) -> Letter:
    """Write a letter. url: where the app is. key: the tokens' key, for codes.

    Raises Unwritable for a template that does not exist, and for an invitation whose code nobody can make.
    """
    language, words = _wording(leased)
    filled = {texts.CLINIC: _clinic(leased), texts.LINK: url}
    if leased.template == "invitation":
        filled[texts.CODE] = _code(leased, key)
    return Letter(
        to=address,
        subject=Template(words.email.subject).substitute(filled),
        text=Template(f"{words.email.text}\n{language.footer}").substitute(filled),
        key=str(leased.id),
    )


def text_message(leased: Leased, address: str, *, url: str) -> TextMessage:
    """Write a text message; its key names clinic and message, for the receipt. Raises Unwritable."""
    _, words = _wording(leased)
    if words.sms is None:
        raise Unwritable("no_form")
    name = texts.plain(_clinic(leased))[:LONGEST_NAME].strip()
    text = Template(words.sms).substitute({texts.CLINIC: name, texts.LINK: url})
    return TextMessage(to=address, text=text, key=f"{leased.clinic_id}.{leased.id}")


def push_messages(leased: Leased) -> Iterator[tuple[Target, PushMessage | WebPushMessage]]:
    """Write a push message for each device; to the app it gives the message's id and nothing else. Raises Unwritable."""
    language, words = _wording(leased)
    if words.push is None:
        raise Unwritable("no_form")
    title, text, key = words.push.title, words.push.text, str(leased.id)
    urgent = policy.RULES[leased.category].urgent
    for target in leased.targets:
        if target.platform is not Platform.WEB:
            token = target.token or ""
            data = {"notification_id": key}
            # Of each category a phone that was off gets the newest, so none crowds out what is urgent. By number: what it is
            # about is nobody's business on the way.
            kind = str(list(NotificationCategory).index(leased.category))
            yield target, PushMessage(token, title, text, key, data, key, kind, KEPT_SECONDS, urgent)
        else:
            shown = {"title": title, "body": text, "lang": language.language, "notification_id": key}
            to = Subscription(target.endpoint or "", target.p256dh or "", target.auth or "")
            content = orjson.dumps(shown)
            yield target, WebPushMessage(to, content, key, key, KEPT_SECONDS, "high" if urgent else "normal")


def _wording(leased: Leased) -> tuple[texts.LanguageFile, texts.Wording]:
    try:
        return texts.wording(leased.template, leased.language)
    except KeyError:
        raise Unwritable("no_template") from None


def _clinic(leased: Leased) -> str:
    return " ".join(leased.clinic_name.split())


def _code(leased: Leased, key: Key) -> str:
    known = leased.parameters
    if "seed" not in known:  # owed by a version that gave the code to whoever invited
        raise Unwritable("no_code")
    return invitations.code_of(key, leased.clinic_id, UUID(known["invitation_id"]), bytes.fromhex(known["seed"]))
