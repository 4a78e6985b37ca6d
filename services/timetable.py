"""Everything that starts because time passed, on one screen.

Every job may run at any time, twice, on several workers, and late: what is due is decided by rows, not by the clock
that starts it. Times are UTC, in cron's notation. An outside scheduler may start the same jobs by
`POST /v1/jobs/{job}/runs`.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entry:
    """A job: its name, when it starts, what it does."""

    job: str
    cron: str
    about: str


TIMETABLE: tuple[Entry, ...] = (
    Entry("check-ins.dispatch", "* * * * *", "make the check-ins of the next 24 hours, open those whose time has come"),
    Entry("check-ins.close", "* * * * *", "close what nobody answered, escalate misses in a row (ES07-ES09)"),
    Entry(
        "alerts.escalate", "* * * * *", "remind of alerts that nobody acknowledged in time, tell the next one in line"
    ),
    Entry("notifications.deliver", "* * * * *", "send the messages that are owed"),
    Entry("jobs.watch", "* * * * *", "look for rows that are due and wait too long, and tell"),
    Entry("programs.review", "*/5 * * * *", "pause programs of patients whom nobody may treat any more"),
    Entry(
        "programs.follow-up", "* * * * *", "look at the programs of which sessions were logged, suggest the next dose"
    ),
    Entry("programs.progress", "50 2 * * *", "look at every program in use, suggest or apply the next dose"),
    Entry("programs.phases", "20 3 * * *", "find the programs whose phase may end by its criteria"),
    Entry(
        "flares.review", "*/15 * * * *", "move the dose in flare-ups by the rules, call the therapist on day 7 (ES06)"
    ),
    Entry("instruments.remind", "*/30 * * * *", "remind patients of the instruments that are due, once each time"),
    Entry("adherence.review", "20 2 * * *", "look for too few sessions over 14 days (ES10)"),
    Entry("education.assign", "20 2 * * *", "give patients the articles that fit their answers and their phase"),
    Entry("licenses.expire", "10 0 * * *", "mark licenses that run out soon, or have run out"),
    Entry("consents.expire", "*/5 * * * *", "mark consents that have run out, pause what rested on them"),
    Entry(
        "housekeeping", "40 3 * * *", "forget Idempotency-Keys after 30 days, runs after 90, old events and sign-ins"
    ),
)
