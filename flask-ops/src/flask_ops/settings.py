"""Your own settings: the base class, the declaration of a field, and parsers for its text."""

from flask_ops.core.address import Address
from flask_ops.core.settings import LogFormat, LogLevel, Mode, Settings, SettingsError
from flask_ops.core.variables import boolean, choice, integer, names, seconds, setting, text

__all__ = [
    "Address",
    "LogFormat",
    "LogLevel",
    "Mode",
    "Settings",
    "SettingsError",
    "boolean",
    "choice",
    "integer",
    "names",
    "seconds",
    "setting",
    "text",
]
