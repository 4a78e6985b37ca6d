"""`physio users …`: who may sign in, mended from the command line."""

import asyncio
import os
import pty
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from uuid import uuid4

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from core import clock
from core.database import make_engine, make_sessions
from core.errors import Refusal
from schemas.authentication import SignedIn, SignInRequest
from services import authentication
from tests import nursery
from tests.conftest import ROOT, Database
from tests.factories import TOKENS
from tests.live import environment

PASSWORD = "a short sentence is good"
OTHER = "another short sentence"

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def email() -> str:
    return f"dana.{uuid4().hex[:8]}@riverside.example"


@pytest.fixture
def users(database: Database, tmp_path: Path) -> Run:
    """Run a command of `physio users`; typed: what comes in on standard input."""

    def run(*words: str, typed: str = "") -> "subprocess.CompletedProcess[str]":
        return nursery.run("users", *words, env=environment(database, tmp_path), typed=typed)

    return run


@pytest.fixture
def clinic(users: Run, email: str) -> str:
    """Give the id of a clinic whose admin has this address, and PASSWORD."""
    made = users("create-clinic", "Sunrise", "--email", email, "--password", PASSWORD)
    assert made.returncode == 0, made.stderr
    return made.stdout.strip()


def answer(database: Database, ask: Callable[[AsyncSession], Awaitable[SignedIn]]) -> SignedIn | str:
    """Give what a service answers, or the code of its refusal."""

    async def run() -> SignedIn | str:
        engine = make_engine(database.api, pool_size=1)
        try:
            async with make_sessions(engine).begin() as session:
                return await ask(session)
        except Refusal as refusal:
            return refusal.code
        finally:
            await engine.dispose()

    return asyncio.run(run())


def sign_in(database: Database, email: str, password: str = PASSWORD) -> SignedIn | str:
    form = SignInRequest.model_validate({"email": email, "password": password})
    return answer(
        database, lambda session: authentication.log_in(session, form, tokens=TOKENS, address=email, at=clock.now())
    )


def goes_on(database: Database, signed: SignedIn) -> SignedIn | str:
    return answer(
        database, lambda session: authentication.refresh(session, signed.refresh_token, tokens=TOKENS, at=clock.now())
    )


def test_a_closed_account_is_out_everywhere_until_it_is_opened_and_its_owner_signs_in_anew(
    database: Database, users: Run, clinic: str, email: str
) -> None:
    before = sign_in(database, email)
    assert isinstance(before, SignedIn)
    closed = users("disable", email.upper())
    assert (closed.returncode, closed.stdout) == (0, ""), closed.stderr
    assert "the account is closed" in closed.stderr
    assert sign_in(database, email) == "wrong_credentials"
    assert users("list", "--clinic", clinic).stdout == f"{email}\tdisabled\tclinic_admin\t{clinic}\n"
    assert users("enable", email).returncode == 0
    assert goes_on(database, before) == "sign_in_ended"
    assert isinstance(sign_in(database, email), SignedIn)


def test_a_password_comes_in_on_standard_input_and_ends_what_was_signed_in(
    database: Database, users: Run, clinic: str, email: str
) -> None:
    before = sign_in(database, email)
    assert isinstance(before, SignedIn)
    changed = users("set-password", email, typed=f"{OTHER}\n")
    assert (changed.returncode, OTHER in changed.stdout + changed.stderr) == (0, False), changed.stderr
    assert goes_on(database, before) == "sign_in_ended"
    assert sign_in(database, email) == "wrong_credentials"
    assert isinstance(sign_in(database, email, OTHER), SignedIn)


def test_on_a_terminal_the_password_is_asked_for_twice_and_not_shown(
    database: Database, clinic: str, email: str, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "cli", "users", "set-password", email],
        cwd=ROOT, env=environment(database, tmp_path), stdin=theirs, stdout=theirs, stderr=theirs,
        start_new_session=True,
    ) as process:  # fmt: skip
        os.close(theirs)
        shown = b""
        for question in (b"Password: ", b"Repeat for confirmation: "):
            while question not in shown:
                shown += os.read(ours, 1)
            os.write(ours, f"{OTHER}\n".encode())
        while b"is changed" not in shown:
            shown += os.read(ours, 1)
        assert process.wait(60) == 0
    os.close(ours)
    assert OTHER.encode() not in shown
    assert isinstance(sign_in(database, email, OTHER), SignedIn)


@pytest.mark.parametrize(
    ("words", "typed", "said"),
    [
        (("disable", "nobody@riverside.example"), "", "There is no account with this e-mail address."),
        (("enable", "nobody@riverside.example"), "", "There is no account with this e-mail address."),
        (("set-password", "nobody@riverside.example"), f"{OTHER}\n", "There is no account with this e-mail address."),
        (("set-password", "nobody@riverside.example"), "short\n", "Use at least 15 characters"),
        (("set-password", "nobody@riverside.example"), "", "Use at least 15 characters"),
    ],
)
def test_what_cannot_be_done_is_a_sentence(users: Run, words: tuple[str, ...], typed: str, said: str) -> None:
    refused = users(*words, typed=typed)
    assert (refused.returncode, said in refused.stderr) == (1, True), refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_password_is_never_an_argument(users: Run) -> None:
    for words in (("--password", OTHER), (OTHER,)):
        refused = users("set-password", "nobody@riverside.example", *words)
        assert refused.returncode == 2, refused.stderr
