"""E-mail addresses, and what a PATCH may leave out."""

import pytest
from pydantic import ValidationError

from schemas.base import EmailAddress, In, unchanged


class Contact(In):
    email: EmailAddress
    name: str = unchanged()


@pytest.mark.parametrize(
    "address", ["alice@example.org", "Alice.Moreau+pt@Mail.Example.ORG", "o'neil_1@xn--bcher-kva.example"]
)
def test_an_address_is_kept_in_lower_case(address: str) -> None:
    assert Contact.model_validate({"email": address}).email == address.lower()


@pytest.mark.parametrize(
    "address",
    [
        "",
        "alice",
        "alice@",
        "@example.org",
        "alice@example",
        "alice@-example.org",
        "a@b@example.org",
        "alice @example.org",
        "alice@example.org\nbcc: all@example.org",
        "älice@example.org",
        f"{'a' * 65}@example.org",
        f"alice@{'a.' * 130}org",
    ],
)
def test_what_no_mail_server_would_take_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        Contact.model_validate({"email": address})


def test_a_field_left_out_is_unchanged_and_null_is_refused() -> None:
    contact = Contact.model_validate({"email": "alice@example.org"})
    assert contact.model_dump(exclude_unset=True) == {"email": "alice@example.org"}
    assert "default" not in Contact.model_json_schema()["properties"]["name"]
    assert "name" not in Contact.model_json_schema()["required"]
    with pytest.raises(ValidationError):
        Contact.model_validate({"email": "alice@example.org", "name": None})
