"""What a patient is told at once; the text depends on no staff, queue or network."""

from schemas.base import Out


class Advice(Out):
    """What to do now. `actions` are codes for the app's buttons, such as `call_emergency` or `contact_clinician`."""

    level: str
    title: str
    text: str
    actions: list[str]
    emergency_number: str
    crisis_line: str | None
