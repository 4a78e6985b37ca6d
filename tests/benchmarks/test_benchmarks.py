"""The benchmarks run, and say what they found in the promised form; how fast it is, no test says."""

import json
import subprocess
import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from typer.testing import CliRunner

from benchmarks import report
from benchmarks.__main__ import app
from benchmarks.load import Outcome, Request

ROOT = Path(__file__).parents[2]
FORM = {"name", "value", "unit", "floor", "ratio", "goal", "holds"}


@pytest.mark.slow
def test_a_tiny_run_of_every_measure_gives_results_in_the_promised_form(tmp_path: Path) -> None:
    output = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--output", str(output)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True, timeout=180)
    assert done.returncode == 0, done.stderr
    results = json.loads(output.read_text())
    assert all(each.keys() == FORM and each["value"] > 0 and each["unit"] for each in results)
    names = " ".join(each["name"] for each in results)
    for measure in (
        "check-in answer",
        "session log",
        "me/today",
        "worklist",
        "memory",
        "materializing",
        "evaluating",
        "a tenth",
        "start",
    ):
        assert measure in names


def test_an_unknown_measure_is_refused_before_anything_starts() -> None:
    done = CliRunner().invoke(app, ["--only", "luck"])
    assert done.exit_code == 2
    assert "luck" in done.output


def test_the_committed_results_have_the_form() -> None:
    results = json.loads((ROOT / "benchmarks" / "results.json").read_text())
    assert results
    assert all(each.keys() == FORM for each in results)


def test_a_rate_is_judged_by_its_ratio_and_a_time_by_itself() -> None:
    good = report.at_least("writes", 500, "/s", 1_000, 0.35)
    bad = report.at_most("start", 6, "s", 1, 3)
    free = report.at_most("crowd", 6, "ms", None, None)
    assert (good.ratio, good.holds) == (0.5, True)
    assert bad.ratio == pytest.approx(0.1667)
    assert bad.holds is False
    assert (free.ratio, free.holds, free.goal) == (None, None, "none")


def test_what_does_not_hold_is_said_plainly() -> None:
    out = StringIO()
    report.show([report.at_most("start", 6, "s", 1, 3)], Console(file=out, width=120))
    assert "The goal does not hold: start" in out.getvalue()


def test_every_result_reads_as_one_object_of_a_list(tmp_path: Path) -> None:
    report.write([report.at_least("writes", 500, "/s", 1_000, 0.35)], tmp_path / "results.json")
    (row,) = json.loads((tmp_path / "results.json").read_text())
    assert row == {
        "name": "writes",
        "value": 500.0,
        "unit": "/s",
        "floor": 1000.0,
        "ratio": 0.5,
        "goal": "ratio >= 0.35",
        "holds": True,
    }


def test_a_request_is_bytes_with_its_true_length() -> None:
    sent = Request("POST", "/v1/things", "t", '{"a":"é"}').encoded(8000)
    assert sent.startswith(b"POST /v1/things HTTP/1.1\r\nhost: 127.0.0.1:8000\r\nauthorization: Bearer t\r\n")
    assert b"content-length: 10\r\n" in sent


def test_a_run_tells_its_rate_and_its_ninety_fifth_percentile() -> None:
    outcome = Outcome({"200": 100}, 2.0, [float(ms) for ms in range(1, 101)])
    assert outcome.per_second == 50
    assert 95 <= outcome.p95 <= 96
