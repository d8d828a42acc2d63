"""Import of the application and the settings class that a command line names."""

from __future__ import annotations

import pkgutil
import re
import sys
from pathlib import Path
from typing import Any

from flask_ops.core.settings import Settings

TARGET = r"\w+(\.\w+)*:\w+(\.\w+)*(\(\))?"
"""The form ``module:name`` or ``module:factory()``."""
EXPECTED = "MODULE:NAME or MODULE:FACTORY(), such as yourapp:app or yourapp:create_app()"


def from_here() -> None:
    """Put the current folder on the import path, as servers do."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))


def load_settings(target: str) -> type[Settings]:
    """Import the settings class of ``target``, in the form ``module:Class``.

    Raises ValueError for another form, and ImportError or AttributeError for an unknown name. Raises TypeError if the
    object is not derived from ``flask_ops.Settings``. Passes on exceptions of the module.
    """
    if not re.fullmatch(TARGET, target) or target.endswith("()"):
        raise ValueError(f"{target!r} is not MODULE:CLASS, such as yourapp.settings:Settings")
    found = pkgutil.resolve_name(target)
    if not (isinstance(found, type) and issubclass(found, Settings)):
        raise TypeError(f"{target} is not a class derived from flask_ops.Settings")
    return found


def load_application(target: str) -> Any:
    """Import the WSGI callable of ``target``, in the form ``module:name`` or ``module:factory()``.

    Raises the errors of ``load_settings``, with TypeError if the object is not callable. Passes on exceptions of the
    module and of the factory.
    """
    if not re.fullmatch(TARGET, target):
        raise ValueError(f"{target!r} is not {EXPECTED}")
    found = pkgutil.resolve_name(target.removesuffix("()"))
    if not callable(found):
        raise TypeError(f"{target} is a {type(found).__name__}, not an application")
    return found() if target.endswith("()") else found
