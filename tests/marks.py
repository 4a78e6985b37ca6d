"""Lets SlipCover take each of its marks out at once when it was passed, which costs half; pytest loads this first.

Its plugin for test workers knows no such setting (the command line does: `--immediate`).
"""

from slipcover import pytest_plugin

if pytest_plugin._slipcover_instance is not None:
    pytest_plugin._slipcover_instance.immediate = True
