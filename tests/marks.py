"""What loading the tests, measuring them and keeping their files may cost, and no more; pytest loads this first.

Databases and files of the tests live in memory where there is enough of it: copying a database is mostly the disk's work.

What is loaded stays: the garbage collector has nothing to look for meanwhile, and leaves it alone afterwards.

SlipCover's plugin for test workers cannot be told to take each of its marks out at once when it was passed (the command line
can: `--immediate`), which costs half. It marks the branches of every file, for which each has to be compiled anew by each
process; `make cover` asks for those of one room only.
"""

import dis
import gc
import json
import os
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

import pytest
from slipcover import importer, pytest_plugin, slipcover

ROOT = Path(__file__).parents[1]
BRANCHES = ROOT / "clinical"
"""Where every branch must be run by a test."""

MEMORY = Path("/dev/shm")
MEMORY_BYTES = 4 * 2**30
"""So much has to be free there; a run of all tests takes about half a gibibyte."""

if "TMPDIR" not in os.environ and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > MEMORY_BYTES:
    os.environ["TMPDIR"] = tempfile.tempdir = str(MEMORY)

FOLDER = "SLIPCOVER_COVERAGE_DIR"
SEEN = "seen.jsonl"
"""In that folder: a line for each child of the nursery, which marks it passed by file; a branch is a pair of lines."""

_execute = importer.SlipcoverLoader.exec_module


def _marked(self: importer.SlipcoverLoader, module: ModuleType) -> None:
    """Run a module with its marks. What it imports meanwhile comes here too, so each leaves things as it found them."""
    before = self.sci.branch
    self.sci.branch = BRANCHES in self.origin.parents
    try:
        _execute(self, module)
    finally:
        self.sci.branch = before


importer.SlipcoverLoader.exec_module = _marked

_ANNOTATING = {dis.opmap[each] for each in slipcover._ANNOTATION_ONLY_OPS if each in dis.opmap}


def _annotations_only(code: CodeType) -> frozenset[int]:
    """Give the lines that load types and do nothing else; SlipCover finds the same ten times as slowly."""
    loads: set[int] = set()
    others: set[int] = set()
    for step, (line, *_) in zip(code.co_code[::2], code.co_positions(), strict=True):
        if line and step != dis.opmap["CACHE"]:
            (loads if step in _ANNOTATING else others).add(line)
    return frozenset(loads - others)


if sys.version_info < (3, 14):  # later ones load no annotation before it is asked for
    slipcover._get_annotation_only_lines = _annotations_only

if pytest_plugin._slipcover_instance is not None:
    pytest_plugin._slipcover_instance.immediate = True


def pytest_configure() -> None:
    """Look for no garbage while the tests are loaded."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage again, among what the tests leave, and as seldom as a server of ours does."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    gc.enable()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish() -> None:
    """Add up what the nursery's children ran before SlipCover adds up what the test workers did."""
    folder = Path(os.environ.get(FOLDER, os.devnull))
    if (folder / SEEN).exists() and "PYTEST_XDIST_WORKER" not in os.environ:
        (folder / "coverage-gw-children.json").write_text(json.dumps(_of_children(folder)))


def _of_children(folder: Path) -> dict[str, Any]:
    """Give, in SlipCover's form, what the children ran of all that counts in the others' accounts."""
    seen: dict[str, set[Any]] = defaultdict(set)
    for told in (folder / SEEN).read_bytes().splitlines():
        for file, marks in json.loads(told).items():
            seen[file].update(tuple(mark) if isinstance(mark, list) else mark for mark in marks)
    counting: dict[str, set[Any]] = defaultdict(set)
    accounts = [json.loads(account.read_bytes()) for account in folder.glob("coverage-gw*.json")]
    for account in accounts:
        for name, of in account["files"].items():
            counting[name].update(of["executed_lines"], of["missing_lines"])
            counting[name].update(map(tuple, [*of["executed_branches"], *of["missing_branches"]]))
    nothing: dict[str, list[Any]] = {"missing_lines": [], "missing_branches": []}
    files = {}
    for name, marks in counting.items():
        run = marks & seen[str(ROOT / name)]
        lines, branches = (sorted(mark for mark in run if isinstance(mark, kind)) for kind in (int, tuple))
        files[name] = {"executed_lines": lines, "executed_branches": branches, **nothing}
    return {"meta": accounts[0]["meta"], "files": files}
