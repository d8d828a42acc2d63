"""The application and the settings that a command line names: ``module:name`` or ``module:factory()``."""

from __future__ import annotations

import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

from flask_ops.core.settings import Settings

_TARGET = re.compile(r"(?P<module>\w+(?:\.\w+)*):(?P<name>\w+(?:\.\w+)*)(?P<call>\(\))?")
EXPECTED = "MODULE:NAME or MODULE:FACTORY(), such as yourapp:app or yourapp:create_app()"


def is_target(text: str) -> bool:
    """Tell whether ``text`` has the form of ``load_application``."""
    return _TARGET.fullmatch(text) is not None


def from_here() -> None:
    """Let modules in the current folder be imported, as servers do."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def load_settings(target: str) -> type[Settings]:
    """Import the class of settings that ``target``, ``module:Class``, names.

    Raises ValueError for another form, TypeError for what is not derived from ``flask_ops.Settings``, ImportError or
    AttributeError if there is no such name, and whatever the module raises.
    """
    match = _TARGET.fullmatch(target)
    if match is None or match["call"]:
        raise ValueError(f"{target!r} is not MODULE:CLASS, such as yourapp.settings:Settings")
    found = pkgutil.resolve_name(target)
    if not (isinstance(found, type) and issubclass(found, Settings)):
        raise TypeError(f"{target} is not a class derived from flask_ops.Settings")
    return found


def load_application(target: str) -> Any:
    """Import the WSGI callable that ``target`` names.

    Raises ValueError for another form, ImportError or AttributeError if there is no such name, TypeError for what
    cannot be called, and whatever the module or the factory raises.
    """
    match = _TARGET.fullmatch(target)
    if match is None:
        raise ValueError(f"{target!r} is not {EXPECTED}")
    found = pkgutil.resolve_name(f"{match['module']}:{match['name']}")
    if not callable(found):
        raise TypeError(f"{target} is a {type(found).__name__}, not an application")
    return found() if match["call"] else found
