"""The care loop, from the therapist's license to the signed report: live server, real worker, real time zones."""

from datetime import date, datetime, timedelta
from io import BytesIO
from typing import Any
from zoneinfo import ZoneInfo

import httpx
from pypdf import PdfReader

from core.crypto import new_id
from schemas.red_flag_screens import QUESTIONS
from tests.journeys.installation import Installation
from tests.journeys.people import Caller, accept, sign_in

ZONE = ZoneInfo("America/Chicago")
PHASES: list[dict[str, Any]] = [
    {
        "name": "Get it moving",
        "kind": "mobility",
        "weeks": 2,
        "items": [{"exercise_code": "lb_pelvic_tilt", "sets": 2, "reps": 10}, {"exercise_code": "br_belly_supine"}],
    },
    {
        "name": "Build strength",
        "kind": "strength",
        "items": [{"exercise_code": "hp_bridge", "sets": 3, "reps": 10, "pain_ceiling": 4}],
    },
]


def at(day: date, wall: str) -> datetime:
    return datetime.fromisoformat(f"{day}T{wall}").replace(tzinfo=ZONE)


def license_the_therapist(live: Installation, dana: Caller) -> Caller:
    today = live.now.date()
    bob = dana.post(
        "/v1/therapists",
        {
            "given_name": "Bob",
            "family_name": "Keller",
            "email": "bob@example.org",
            "profession": "PT",
            "credentials": "PT, DPT",
            "npi": "1234567893",
        },
    )
    license_ = dana.post(
        f"/v1/therapists/{bob['id']}/licenses",
        {
            "jurisdiction": "US-IL",
            "kind": "license",
            "number": "070012345",
            "issued_on": str(today - timedelta(days=400)),
            "expires_on": str(today + timedelta(days=400)),
        },
    )
    assert license_["status"] == "unverified"
    dana.post(
        f"/v1/licenses/{license_['id']}/verifications",
        {"result": "verified", "method": "primary_source_site", "source": "State license lookup"},
    )
    licenses = dana.get(f"/v1/therapists/{bob['id']}/licenses")["items"]
    assert [each["status"] for each in licenses] == ["verified"]
    invited = dana.post("/v1/invitations", {"therapist_id": bob["id"]})
    assert invited["code"] is None, "only the invited person's mailbox holds it"
    return accept(dana.client, live.code_for("bob@example.org"))


def welcome_the_patient(live: Installation, bob: Caller) -> tuple[Caller, str]:
    alice = bob.post(
        "/v1/patients",
        {
            "given_name": "Alice",
            "family_name": "Moreau",
            "birth_date": "1984-05-17",
            "zone": "America/Chicago",
            "email": "alice@example.org",
        },
    )
    bob.post("/v1/invitations", {"patient_id": alice["id"]})
    caller = accept(bob.client, live.code_for("alice@example.org"))
    caller.post(
        f"/v1/patients/{alice['id']}/consents",
        {"purpose": "telehealth", "text_version": "1", "method": "electronic"},
    )
    return caller, alice["id"]


def evaluate(bob: Caller, alice: Caller, patient: str) -> str:
    episode = bob.post(
        f"/v1/patients/{patient}/episodes",
        {"title": "Low back pain", "body_region": "low_back", "icd10_codes": ["M54.50"]},
    )
    screen = alice.post(
        f"/v1/patients/{patient}/red-flag-screens",
        {
            "trigger": "intake",
            "episode_id": episode["id"],
            "answers": dict.fromkeys(QUESTIONS, "no"),
            "facts": {"pain_0_10": 5, "weeks_without_improvement": 2},
        },
    )
    assert screen["level"] == "none"
    assert screen["complete"] is True
    assert screen["advice"]["text"]
    scored = answer_rmdq(alice, episode["id"], 13)
    assert scored["score"] == 13
    alice.post(
        f"/v1/episodes/{episode['id']}/outcomes",
        {"instrument": "nprs", "answers": {"now": 5, "worst_24h": 7, "least_24h": 3}},
    )
    alice.post(
        f"/v1/episodes/{episode['id']}/outcomes",
        {"instrument": "psfs", "answers": {"activities": [{"id": "stairs", "name": "Climb stairs", "rating": 4}]}},
    )
    draft = bob.post(
        f"/v1/episodes/{episode['id']}/assessments",
        {
            "kind": "initial",
            "content": {
                "reason": "Low back pain for six weeks",
                "hypothesis": "Non-specific low back pain",
                "plan": {"sessions_per_week": 5, "weeks": 8, "interventions": ["exercise"]},
            },
        },
    )
    signed = bob.change("POST", f"/v1/assessments/{draft['id']}/sign", None, draft["version"])
    assert signed["status"] == "signed"
    bob.post(
        f"/v1/episodes/{episode['id']}/goals",
        {"statement": "Carry my shopping home", "measure": "rmdq24", "baseline": 13, "target": 5},
    )
    moved: str = episode["id"]
    assert bob.get(f"/v1/episodes/{moved}")["status"] == "active"
    return moved


def answer_rmdq(alice: Caller, episode: str, ticks: int) -> dict[str, Any]:
    answers = {f"q{number}": True for number in range(1, ticks + 1)}
    scored: dict[str, Any] = alice.post(
        f"/v1/episodes/{episode}/outcomes", {"instrument": "rmdq24", "answers": answers}
    )
    return scored


def log_session(alice: Caller, live: Installation, today: dict[str, Any], pain: int) -> None:
    planned = today["program"]["sessions"][0]
    body = {
        "performed_at": live.now.isoformat(),
        "device_zone": "America/Chicago",
        "slot": planned["slot"],
        "items": [
            {
                "item_id": item["item_id"],
                "sets": [{"reps": item["reps"], "duration_seconds": item["duration_seconds"]}] * item["sets"],
                "pain_during": pain,
                "effort": 4,
            }
            for item in planned["items"]
        ],
    }
    session = new_id(live.now)
    first = alice.ask("PUT", f"/v1/sessions/{session}", body, expect=201).json()
    again = alice.ask("PUT", f"/v1/sessions/{session}", body, expect=200).json()
    assert again == first


def open_today(alice: Caller) -> list[dict[str, Any]]:
    """Check-ins of her own local day that are open for answers."""
    today = alice.get("/v1/me/today")
    return [one for one in today["check_ins"] if one["status"] == "open" and one["local_date"] == today["on"]]


def check_in(alice: Caller, pain: int) -> dict[str, Any]:
    due = open_today(alice)
    assert len(due) == 1, due
    answers = {"pain_now": pain, "function_limit": pain, "flare": False, "new_symptoms": False}
    answered: dict[str, Any] = alice.post(f"/v1/check-ins/{due[0]['id']}/answers", {"answers": answers})
    return answered


def test_the_care_loop_from_license_to_signed_report(installation: Installation, client: httpx.Client) -> None:
    live = installation
    dana = sign_in(client, "dana@example.org")
    bob = license_the_therapist(live, dana)
    alice, patient = welcome_the_patient(live, bob)
    episode = evaluate_after_attesting(bob, alice, patient)

    # A two-phase program: refused until everything it needs is there, then in use.
    program = bob.post(f"/v1/episodes/{episode}/programs", {"title": "Home program", "phases": PHASES})
    program = bob.change("POST", f"/v1/programs/{program['id']}/activate", None, program["version"])
    assert program["status"] == "active"
    plan = {"question_set": "daily", "frequency": "daily", "local_time": "08:00", "opens_minutes": 0}
    bob.post(f"/v1/episodes/{episode}/check-in-plans", plan)
    first_day = live.now.astimezone(ZONE).date() + timedelta(days=1)

    # Three mornings: the real worker opens the check-in at 08:00 in her zone, she answers and trains.
    for day, pain in ((0, 4), (1, 4), (2, 3)):
        live.move_to(at(first_day + timedelta(days=day), "07:50"))
        alice = sign_in(client, "alice@example.org")
        live.let_the_worker_work()
        assert not open_today(alice)
        live.move_to(at(first_day + timedelta(days=day), "08:01"))
        live.let_the_worker_work()
        today = alice.get("/v1/me/today")
        assert today["program"]["phase"] == "Get it moving"
        assert check_in(alice, pain)["status"] == "submitted"
        log_session(alice, live, today, pain)

    # Pain rises: an alert reaches the worklist; she acknowledges, edits the program and resolves it.
    live.move_to(at(first_day + timedelta(days=3), "08:05"))
    live.let_the_worker_work()
    alice = sign_in(client, "alice@example.org")
    check_in(alice, 8)
    bob = sign_in(client, "bob@example.org")
    entry = bob.get("/v1/worklist")["items"][0]
    assert entry["patient_id"] == patient
    reasons = [reason for reason in entry["reasons"] if reason["code"] == "alert"]
    assert [reason["rule_id"] for reason in reasons] == ["ES03"]
    alert = bob.get(f"/v1/alerts?patient_id={patient}")["items"][0]
    seen = bob.change("POST", f"/v1/alerts/{alert['id']}/acknowledge", None, alert["version"])
    program = bob.get(f"/v1/programs/{program['id']}")
    easier = {"reason": "Pain rose after day three: fewer sets for now", "phases": [PHASES[0], PHASES[1]]}
    easier["phases"][0]["items"][0]["sets"] = 1  # type: ignore[index]
    edited = bob.change("POST", f"/v1/programs/{program['id']}/versions", easier, program["version"])
    assert [one["number"] for one in edited["versions"]] == [1, 2]
    done = {"outcome": "program_changed", "note": "Eased the first phase."}
    resolved = bob.change("POST", f"/v1/alerts/{alert['id']}/resolve", done, seen["version"])
    assert resolved["status"] == "resolved"

    # She misses two days; nothing is lost or doubled.
    for day in range(4, 7):
        live.move_to(at(first_day + timedelta(days=day), "08:05"))
        live.let_the_worker_work()
    bob = sign_in(client, "bob@example.org")
    found = bob.get(f"/v1/check-ins?patient_id={patient}&limit=200")["items"]
    days = [one["local_date"] for one in found if one["status"] != "due"]
    assert len(days) == len(set(days))
    missed = [one for one in found if one["status"] == "missed"]
    assert len(missed) >= 2

    # After four weeks she takes the RMDQ again, he opens her progress with charts, and signs the report.
    live.move_to(at(first_day + timedelta(days=28), "09:00"))
    live.let_the_worker_work()
    alice = sign_in(client, "alice@example.org")
    scored = answer_rmdq(alice, episode, 6)
    assert scored["change"]["points"] == -7
    assert scored["change"]["improved_points"] is True
    assert scored["change"]["improved_percent"] is True
    bob = sign_in(client, "bob@example.org")
    period = f"from={first_day}&to={first_day + timedelta(days=27)}"
    progress = bob.get(f"/v1/patients/{patient}/progress?{period}")
    assert progress["adherence"]["scheduled"] > 20
    assert progress["adherence"]["session_percent"] < 50
    chart = bob.ask("GET", f"/v1/patients/{patient}/progress/charts/pain?{period}", Accept="image/png")
    assert chart.content.startswith(b"\x89PNG")
    report = bob.post(
        f"/v1/episodes/{episode}/reports",
        {"kind": "progress", "period_from": str(first_day), "period_to": str(first_day + timedelta(days=27))},
    )
    words = {
        "assessment_of_progress": "Disability fell by seven points.",
        "justification_for_skilled_care": "Load is progressed against symptoms.",
        "plan": "Go on with the strength phase.",
    }
    report = bob.change("PATCH", f"/v1/reports/{report['id']}", words, report["version"])
    report = bob.change("POST", f"/v1/reports/{report['id']}/sign", None, report["version"])
    assert report["status"] == "signed"
    pdf = bob.ask("GET", f"/v1/reports/{report['id']}", Accept="application/pdf")
    text = "\n".join(page.extract_text() for page in PdfReader(BytesIO(pdf.content)).pages)
    assert "Moreau" in text
    assert "Riverside Physiotherapy" in text
    alice.ask("GET", f"/v1/reports/{report['id']}")


def evaluate_after_attesting(bob: Caller, alice: Caller, patient: str) -> str:
    """Refused while nobody knows where she is; granted once she has said so."""
    episode = bob.post(f"/v1/patients/{patient}/episodes", {"title": "Asking too early", "body_region": "low_back"})
    draft = bob.post(
        f"/v1/episodes/{episode['id']}/assessments",
        {
            "kind": "initial",
            "content": {
                "reason": "Low back pain",
                "hypothesis": "Non-specific low back pain",
                "plan": {"sessions_per_week": 3, "weeks": 6, "interventions": ["exercise"]},
            },
        },
        expect=409,
    )
    assert "location_missing" in {error["code"] for error in draft["errors"]}
    bob.change("POST", f"/v1/episodes/{episode['id']}/discharge", {"reason": "Opened twice"}, episode["version"])
    alice.post(f"/v1/patients/{patient}/locations", {"country": "US", "region": "IL"})
    return evaluate(bob, alice, patient)
