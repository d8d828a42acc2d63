"""The application that a command line names: ``module:name`` or ``module:factory()``."""

from __future__ import annotations

import pkgutil
import re
from typing import Any

_TARGET = re.compile(r"(?P<module>\w+(?:\.\w+)*):(?P<name>\w+(?:\.\w+)*)(?P<call>\(\))?")
EXPECTED = "MODULE:NAME or MODULE:FACTORY(), such as yourapp:app or yourapp:create_app()"


def is_target(text: str) -> bool:
    """Tell whether ``text`` has the form of ``load_application``."""
    return _TARGET.fullmatch(text) is not None


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
