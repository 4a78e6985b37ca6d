"""The document that clients read, and the wiring that must agree with it."""

import json
from typing import Any

import pytest
from fastapi import APIRouter

from api import openapi
from api.app import NotWired, create_app
from api.errors import STATUS, status_of
from api.routes import PUBLIC, Router
from core.errors import Refusal
from services import access
from tests.api import things


@pytest.fixture(scope="module")
def house() -> dict[str, Any]:
    return openapi.of_house()


def operations(made: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, each) for path, item in made["paths"].items() for method, each in item.items()]


def test_the_committed_document_is_current(house: dict[str, Any]) -> None:
    assert openapi.FILE.read_text(encoding="utf-8") == openapi.rendered(house), "run: make openapi"


def test_every_operation_with_a_body_shows_an_example(house: dict[str, Any]) -> None:
    assert openapi.without_example(house) == []


def test_every_operation_has_a_sentence_a_described_tag_and_its_permissions(house: dict[str, Any]) -> None:
    for path, method, operation in operations(house):
        assert operation["description"], (method, path)
        assert set(operation["tags"]) <= openapi.TAGS.keys(), (method, path)
        if operation["operationId"] not in PUBLIC:
            action = access.OPERATIONS[operation["operationId"]]
            assert operation["x-permissions"]["action"] == action
            assert operation["security"] == [{"bearer": []}]


def test_every_refusal_has_a_status_and_a_title() -> None:
    def family(kind: type[Refusal]) -> list[type[Refusal]]:
        return [kind, *(leaf for child in kind.__subclasses__() for leaf in family(child))]

    for kind in family(Refusal)[1:]:
        assert status_of(kind) in STATUS.values()
        assert kind.title.endswith((".", "?", ":")) or kind.title, kind
    with pytest.raises(LookupError):
        status_of(Refusal)


# ------------------------------------------------------------------ the tests' own concept


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.setattr(access, "OPERATIONS", things.ACTIONS)
    return openapi.document(openapi.routes_of([things.router]))


def test_the_document_says_how_an_operation_may_refuse(made: dict[str, Any]) -> None:
    assert made["openapi"].startswith("3.1")
    post = made["paths"]["/v1/things"]["post"]
    assert set(post["responses"]) == {"201", "400", "401", "403", "409", "413", "415", "422", "429", "503"}
    assert post["responses"]["409"] == {"$ref": "#/components/responses/409"}
    patch = made["paths"]["/v1/things/{thing_id}"]["patch"]
    assert {"404", "412", "428"} <= set(patch["responses"])
    assert "404" not in made["paths"]["/v1/things"]["get"]["responses"]
    assert "application/problem+json" in made["components"]["responses"]["422"]["content"]
    assert "HTTPValidationError" not in json.dumps(made)


def test_the_document_names_the_headers_that_count(made: dict[str, Any]) -> None:
    patch = {each["name"]: each for each in made["paths"]["/v1/things/{thing_id}"]["patch"]["parameters"]}
    assert patch["If-Match"]["required"] is True
    assert patch["thing_id"]["example"]
    assert "Idempotency-Key" in {each["name"] for each in made["paths"]["/v1/things"]["post"]["parameters"]}
    assert "Idempotency-Key" not in patch


def test_the_document_says_who_may(made: dict[str, Any]) -> None:
    assert made["paths"]["/v1/things"]["post"]["x-permissions"] == {
        "action": "set_goals",
        "roles": {"therapist": "linked"},
    }


def test_a_missing_example_is_found(made: dict[str, Any]) -> None:
    assert openapi.without_example(made) == []
    del made["components"]["schemas"]["ThingIn"]["examples"]
    assert openapi.without_example(made) == ["create_thing"]


def test_writing_the_document_gives_what_is_committed(tmp_path: Any) -> None:
    openapi.write(tmp_path / "openapi.json")
    assert (tmp_path / "openapi.json").read_text() == openapi.FILE.read_text()


# ------------------------------------------------------------------ wiring


async def nothing() -> None:
    """Do nothing."""


def test_a_route_without_a_row_does_not_start(settings: Any) -> None:
    router = Router("/v1", tags=["goals"])
    router.get("/nothing")(nothing)
    with pytest.raises(NotWired, match="nothing: must be either public or have a row"):
        create_app(settings, routers=[router])


def test_a_row_without_a_route_does_not_start(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.app.COMPLETE", True)
    monkeypatch.setattr(access, "OPERATIONS", dict(access.OPERATIONS) | {"fly": access.Action.READ_CLINIC})
    with pytest.raises(NotWired, match="fly: has a row, but no route"):
        create_app(settings)


def test_two_routes_of_one_name_or_a_foreign_router_do_not_start(
    settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "OPERATIONS", {"nothing": access.Action.READ_CLINIC})
    router = Router("/v1", tags=["goals"])
    router.get("/a")(nothing)
    router.get("/b")(nothing)
    with pytest.raises(NotWired, match="two routes have this name"):
        create_app(settings, routers=[router])
    plain = APIRouter()
    plain.get("/a")(nothing)
    with pytest.raises(NotWired, match="make its router"):
        create_app(settings, routers=[plain])
