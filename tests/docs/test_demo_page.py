"""The page about the demo clinic tells the truth: everything it promises is there, where it says."""

import re
from collections.abc import Mapping
from functools import cache
from typing import Any

import httpx
import pytest

from cli.running import PASSWORD
from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
SHOWN: list[tuple[str, str, str]] = re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \|$", PAGE, re.MULTILINE)


@cache
def signed_in(clinic: str, email: str) -> Mapping[str, str]:
    """Give the header of somebody whom the page names."""
    answer = httpx.post(f"{clinic}/v1/auth/login", json={"email": email, "password": PASSWORD}).raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def get(clinic: str, email: str, path: str) -> Any:
    return httpx.get(f"{clinic}{path}", headers=signed_in(clinic, email), timeout=30).raise_for_status().json()


@cache
def ids_of(clinic: str, email: str) -> Mapping[str, str]:
    """Give what a signed-in patient puts into a path, from where the page says."""
    patient_id = get(clinic, email, "/v1/me")["membership"]["patient_id"]
    (episode,) = get(clinic, email, f"/v1/patients/{patient_id}/episodes")["items"]
    program_id = get(clinic, email, "/v1/me/today")["program"]["program_id"]
    return {"patient_id": patient_id, "episode_id": episode["id"], "program_id": program_id}


def asked(clinic: str, path: str) -> Any:
    """Ask for what the page promises under a path."""
    ((_, email, _),) = [row for row in SHOWN if row[2] == path]
    return get(clinic, email, path.format(**(ids_of(clinic, email) if "{" in path else {})))


def test_everything_on_the_page_is_there(clinic: str) -> None:
    assert len(SHOWN) == PAGE.count("@demo.example")
    for what, _, path in SHOWN:
        answer = asked(clinic, path)
        assert answer.get("items") or answer.get("changes"), what


def test_an_exercise_rests_and_another_was_taken_out_in_words_for_the_patient(clinic: str) -> None:
    stopped = asked(clinic, "/v1/suggestions?outcome=stop")["items"]
    (gone,) = asked(clinic, "/v1/suggestions?outcome=stop&status=accepted")["items"]
    assert gone["written_version_id"] is not None
    assert gone["patient_id"] not in {one["patient_id"] for one in stopped}
    changes = asked(clinic, "/v1/programs/{program_id}/diff?from=1&to=2")["changes"]
    assert [(one["kind"], one["exercise_code"]) for one in changes] == [("removed", gone["exercise_code"])]
    assert changes[0]["text"]


def test_somebody_flares_and_is_at_the_first_step(clinic: str) -> None:
    (entry,) = asked(clinic, "/v1/worklist?reason=flare")["items"]
    (flare,) = get(clinic, "therapist@demo.example", f"/v1/patients/{entry['patient_id']}/flares")["items"]
    assert (flare["step"], flare["closed_at"]) == ("reduced", None)


def test_harm_is_on_the_register_open_and_reviewed(clinic: str) -> None:
    (waiting,) = asked(clinic, "/v1/adverse-events?status=reported")["items"]
    (closed,) = asked(clinic, "/v1/adverse-events?status=reviewed")["items"]
    assert waiting["relatedness"] is None
    assert (closed["conclusion"], closed["relatedness"], closed["outcome"]) == (
        "program_changed",
        "probable",
        "recovered",
    )
    assert closed["item_id"] is not None


@pytest.mark.parametrize(
    ("path", "column", "expected"),
    [
        ("/v1/episodes/{episode_id}/instrument-plans", "instrument", {"rmdq24", "psfs"}),
        ("/v1/episodes/{episode_id}/lifestyle-targets", "kind", {"sleep_hours", "activity_minutes"}),
        ("/v1/patients/{patient_id}/factor-entries?kind=self_care", "kind", {"self_care"}),
        ("/v1/patients/{patient_id}/factor-entries?kind=work_exposure", "kind", {"work_exposure"}),
    ],
)
def test_habits_work_and_plans_are_there(clinic: str, path: str, column: str, expected: set[str]) -> None:
    assert {one[column] for one in asked(clinic, path)["items"]} == expected


def test_the_desk_is_better_than_before(clinic: str) -> None:
    after, before = asked(clinic, "/v1/patients/{patient_id}/factor-entries?kind=workstation")["items"]

    def amiss(entry: Any) -> set[str]:
        return {point for point, answer in entry["content"]["answers"].items() if answer == "not_fine"}

    assert amiss(after) < amiss(before)
