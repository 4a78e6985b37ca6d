import pytest

from services import passwords
from services.passwords import PasswordRefused

EMAIL = "alice.moreau@patients.example"


@pytest.mark.parametrize(
    "password",
    [
        "physio-demo-2026",
        "a short sentence is good",
        "x7#Qm2!vB9@kL4$p",
        "m" * 60 + "xyzabcdefghij",
        "日本語の長いパスワードです。はい",
    ],
)
def test_long_passwords_of_any_kind_are_taken(password: str) -> None:
    assert passwords.check(password, EMAIL) == password


@pytest.mark.parametrize(
    ("password", "code"),
    [
        ("fourteen chars", "password_short"),
        ("x7#Qm2!vB9@kL4$p" * 9, "password_long"),
        ("Password12345678", "password_common"),
        ("Correct Horse Battery Staple", "password_common"),
        ("abcabcabcabcabc", "password_common"),
        ("aaaaaaaaaaaaaaaa", "password_common"),
        ("3456789012345678", "password_common"),
        ("9876543210987654", "password_common"),
        ("Alice.Moreau@patients.example", "password_email"),
        ("moreau@patients.example", "password_email"),
    ],
)
def test_what_anybody_would_try_first_is_refused_without_an_echo(password: str, code: str) -> None:
    with pytest.raises(PasswordRefused) as caught:
        passwords.check(password, EMAIL)
    (problem,) = caught.value.problems
    assert (problem.pointer, problem.code) == ("/password", code)
    assert password not in problem.message


def test_length_is_counted_in_composed_characters() -> None:
    with pytest.raises(PasswordRefused):
        passwords.check("u\u0308ber" * 3, EMAIL)


def test_the_shipped_list_only_holds_what_is_long_enough_to_matter() -> None:
    assert all(len(each) >= 14 and each == each.lower() for each in passwords.COMMON)
