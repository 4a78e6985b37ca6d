"""What people are told: owed in the transaction that causes it, delivered later, outside of any transaction.

Delivery is lease (commit) → send → record (commit). A process that dies between sending and recording sends again when
the lease runs out, with the same message id; so a message may come twice, and is never lost. `policy` decides by which
channel and when, `texts` holds the words; devices, preferences and the list in the app are `devices`, `preferences` and
`inbox`.
"""

from services.notifications.addresses import heed
from services.notifications.leasing import LEASE, Leased, Settled, Target, lease, prepare, set_aside
from services.notifications.owing import clinics_owing, owe, owe_many, owed
from services.notifications.passing import TO
from services.notifications.policy import ATTEMPTS, PATIENCE
from services.notifications.recording import Result, record, take_receipt

__all__ = [
    "ATTEMPTS",
    "LEASE",
    "PATIENCE",
    "TO",
    "Leased",
    "Result",
    "Settled",
    "Target",
    "clinics_owing",
    "heed",
    "lease",
    "owe",
    "owe_many",
    "owed",
    "prepare",
    "record",
    "set_aside",
    "take_receipt",
]
