"""What loading the tests and measuring them may cost, and no more; pytest loads this first.

What is loaded stays: the garbage collector has nothing to look for meanwhile, and leaves it alone afterwards.

SlipCover's plugin for test workers cannot be told to take each of its marks out at once when it was passed (the command line
can: `--immediate`), which costs half. It marks the branches of every file, for which each has to be compiled anew by each
process; `make cover` asks for those of one room only.
"""

import gc
from pathlib import Path
from types import ModuleType

from slipcover import importer, pytest_plugin

BRANCHES = Path(__file__).parents[1] / "clinical"
"""Where every branch must be run by a test."""

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

if pytest_plugin._slipcover_instance is not None:
    pytest_plugin._slipcover_instance.immediate = True


def pytest_configure() -> None:
    """Look for no garbage while the tests are loaded."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Look for garbage again, among what the tests leave."""
    gc.freeze()
    gc.enable()
