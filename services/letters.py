"""What our e-mails say: that there is something to see, and where. Never what it is, and never about whom.

A subject line shows on locked screens and a mailbox may be shared, so no letter names a patient, a complaint, an answer
or a level. One of them opens a door: the invitation holds its code, which is made here and nowhere stored.
"""

from collections.abc import Mapping
from string import Template
from uuid import UUID

from core.crypto import Key
from integrations.delivery import Reason, Refused
from integrations.email import Letter
from services import invitations
from services.notifications import Leased

_FOOTER = """

$clinic
$url

This message was sent automatically. In an emergency call your local emergency number; nobody reads replies.
"""

TEMPLATES: Mapping[str, tuple[str, str]] = {
    "invitation": (
        "You are invited by $clinic",
        """Hello,

$clinic invites you to its online service. Open the app or the address below and enter this code:

$code

It is for you alone and can be used once, within seven days. Nobody at the clinic can see it, and nobody will ask you
for it.""",
    ),
    "check_in_reminder": (
        "A short reminder from $clinic",
        """Hello,

there is something waiting for you in the app. It takes about a minute.""",
    ),
    "alert_raised": (
        "$clinic: something needs your attention",
        """Hello,

there is a new entry on your worklist. Please sign in to see it.""",
    ),
    "alert_overdue": (
        "$clinic: something still waits for you",
        """Hello,

an entry on your worklist is past its time and nobody has looked at it yet. Please sign in now.""",
    ),
}
"""Subject and text of each kind of message; `$clinic` and `$url` are all that is filled in, and one `$code`."""


def write(leased: Leased, address: str, *, url: str, key: Key) -> Letter | Refused:
    """Write a letter, or tell why it cannot be. url: where the app is. key: the tokens' key, for codes.

    Raises KeyError for a template that does not exist.
    """
    subject, text = TEMPLATES[leased.template]
    filled = {"clinic": " ".join(leased.clinic_name.split()), "url": url}
    if leased.template == "invitation":
        if "seed" not in leased.parameters:  # owed by a version that gave the code to whoever invited
            return Refused(Reason.UNFIT, "no_code")
        filled["code"] = _code(leased, key)
    return Letter(
        to=address,
        subject=Template(subject).substitute(filled),
        text=Template(text + _FOOTER).substitute(filled),
        key=str(leased.id),
    )


def _code(leased: Leased, key: Key) -> str:
    known = leased.parameters
    return invitations.code_of(key, leased.clinic_id, UUID(known["invitation_id"]), bytes.fromhex(known["seed"]))
