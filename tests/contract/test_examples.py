"""The examples of the document are sent, one after the other, and all of them work."""

from typing import Any

from core.database import Sessions
from tests import walk
from tests.api.conftest import app, client

__all__ = ["app", "client"]


def test_every_operation_has_a_place_in_the_walk() -> None:
    assert {step.operation for step in walk.STEPS} | walk.SANDBOX == walk.operations(walk.DOCUMENT).keys()


async def test_every_example_of_the_document_works(client: Any, sessions: Sessions) -> None:
    (cast,) = await walk.make_clinic(sessions, "Alice Moreau")
    alice = walk.Walk(cast, client, sessions)
    wrong = await walk.run(alice)
    assert wrong == {}, "\n".join(f"{name}: {answer}" for name, answer in wrong.items())
