"""Modules in the scripts' folder, imported as the scripts import them."""

import importlib
import sys
from types import ModuleType

from script_runs import SCRIPTS


def script_module(name: str) -> ModuleType:
    """The module of that name."""
    sys.path.insert(0, str(SCRIPTS))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(SCRIPTS))
