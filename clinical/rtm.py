"""US remote therapeutic monitoring: which codes a month of work may stand for.

Dated numbers from `rules/rtm.yaml`, read through secondary pages: a proposal to check with the payer, never a claim.
"""

from datetime import date

from clinical.library import load


def applies(on: date) -> bool:
    """Whether the rules are known to hold on that day."""
    rules = load().rtm
    return rules.valid_from <= on <= rules.valid_to


def propose(
    *, device_days: int, minutes: int, live_contact: bool, setup_done: bool, setup_billed: bool
) -> dict[str, int]:
    """Units per code.

    device_days: distinct days with data in the 30-day period, in the patient's zone. minutes: of treatment management
    in the calendar month, tied to data reviewed in it. live_contact: a two-way conversation in real time took place in
    the month. setup_billed: the set-up was already billed in this episode.
    """
    limits = load().rtm.limits
    codes: dict[str, int] = {}
    if setup_done and not setup_billed and device_days >= limits.setup_days:
        codes["98975"] = 1
    if device_days >= limits.supply_long_days:
        codes["98977"] = 1
    elif device_days >= limits.supply_short_days:
        codes["98985"] = 1
    if live_contact and device_days > 0:
        if minutes >= limits.management_minutes:
            codes["98980"] = 1
            further = (minutes - limits.management_minutes) // limits.further_minutes
            if further:
                codes["98981"] = further
        elif minutes >= limits.management_short_minutes:
            codes["98979"] = 1
    return codes
