"""What SlipCover may cost, and no more; pytest loads this first.

Its plugin for test workers cannot be told to take each of its marks out at once when it was passed (the command line can:
`--immediate`), which costs half. And it marks the branches of every file, for which each has to be compiled anew in each
process; `make cover` asks for those of one room only.
"""

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
