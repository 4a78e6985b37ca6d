"""The one letter that opens a door."""

from dataclasses import replace
from uuid import UUID

import pytest

from core import crypto
from integrations.email import compose
from services import invitations, letters
from services.notifications import Leased
from tests.factories import TOKENS

SEED = bytes(range(32))
INVITED = Leased(
    id=UUID(int=1),
    clinic_id=UUID(int=2),
    template="invitation",
    parameters={"invitation_id": str(UUID(int=3)), "seed": SEED.hex()},
    address="erin@people.example",
    clinic_name="Riverside",
    attempts=1,
)


def test_the_code_is_in_the_letter_and_reaches_the_mailbox_in_one_piece() -> None:
    code = invitations.code_of(TOKENS.key, UUID(int=2), UUID(int=3), SEED)
    letter = letters.write(INVITED, "erin@people.example", url="https://app.example", key=TOKENS.key)
    assert code in letter.text.splitlines()
    assert code not in letter.subject
    assert code in compose(letter, "clinic@physio.example").get_content().splitlines()


def test_the_code_needs_the_seed_and_the_key() -> None:
    code = invitations.code_of(TOKENS.key, UUID(int=2), UUID(int=3), SEED)
    assert invitations.code_of(TOKENS.key, UUID(int=2), UUID(int=3), SEED) == code, "a second attempt sends the same"
    other_key, other_seed = crypto.derive_key("another", "tokens"), crypto.seed()
    assert invitations.code_of(other_key, UUID(int=2), UUID(int=3), SEED) != code
    assert invitations.code_of(TOKENS.key, UUID(int=2), UUID(int=3), other_seed) != code


def test_an_invitation_of_before_whose_code_nobody_can_make_is_not_sent() -> None:
    old = replace(INVITED, parameters={"invitation_id": str(UUID(int=3)), "role": "patient"})
    with pytest.raises(letters.Unwritable) as refused:
        letters.write(old, "erin@people.example", url="https://app.example", key=TOKENS.key)
    assert refused.value.code == "no_code"
