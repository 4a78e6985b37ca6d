"""What our e-mails say: that there is something to see, and where. Never what it is, and never about whom.

A subject line shows on locked screens and a mailbox may be shared, so no letter names a patient, a complaint, an answer
or a level.
"""

from collections.abc import Mapping
from string import Template

from integrations.email import Letter
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

$clinic invites you to its online service. Open the app or the address below and enter the code that the clinic gave
you. The code can be used once and runs out after some days.""",
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
"""Subject and text of each kind of message; `$clinic` and `$url` are all that is ever filled in."""


def write(leased: Leased, address: str, *, url: str) -> Letter:
    """Write a letter. url: where the app is. Raises KeyError for a template that does not exist."""
    subject, text = TEMPLATES[leased.template]
    filled = {"clinic": " ".join(leased.clinic_name.split()), "url": url}
    return Letter(
        to=address,
        subject=Template(subject).substitute(filled),
        text=Template(text + _FOOTER).substitute(filled),
        key=str(leased.id),
    )
