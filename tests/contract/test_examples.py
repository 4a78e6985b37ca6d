"""The examples of the document are sent, one after the other, and all of them work."""

from typing import Any

import pytest

from api import openapi
from api.routers import ROUTERS
from core.database import Sessions
from tests import walk
from tests.api.conftest import app, client

__all__ = ["app", "client"]


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    return openapi.document(openapi.routes_of(ROUTERS))


def test_every_operation_has_a_place_in_the_walk(document: dict[str, Any]) -> None:
    assert {step.operation for step in walk.STEPS} | walk.SANDBOX == walk.operations(document).keys()


async def test_every_example_of_the_document_works(client: Any, sessions: Sessions, document: dict[str, Any]) -> None:
    (cast,) = await walk.make_clinic(sessions, "Alice Moreau")
    alice = walk.Walk(cast, client, sessions)
    wrong = await walk.run(alice, document)
    assert wrong == {}, "\n".join(f"{name}: {answer}" for name, answer in wrong.items())
