"""The masking of secrets in the log: values whose keys name a secret, at any depth."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote_plus

from flask_ops.log.masked_copy import MASKED, MaskedCopy

NAMES = ("auth", "authorization", "bearer", "csrf", "otp", "signature")
"""Words of a key, such as in ``basic_auth`` or ``X-Amz-Signature``."""
ENDINGS = (
    *("access_key", "accesskey", "api_key", "apikey", "cookie", "credential", "jwt", "passcode", "passphrase"),
    *("passwd", "password", "private_key", "privatekey", "pwd", "secret", "secretkey", "sessid", "session_id"),
    *("sessionid", "token"),
)
"""Ends of words of a key, also with a number: ``db_password``, ``PGPASSWORD``, ``accessToken``, ``password2``."""
_CACHED_LENGTH = 100


class Mask:
    """Copies fields of a line without their secrets. ``more`` adds words to ``NAMES``."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        names = "|".join(sorted(re.escape(_words(name)) for name in {*NAMES, *more}))
        endings = "|".join(ENDINGS)
        self._secret = re.compile(f"(?:(?:^|_)(?:{names})(?P<s>s?)|(?:{endings})(?P<plural>s?)[0-9]*)(?:_|$)")
        # The cache has a limit, because a client may send any number of keys.
        self._found: Callable[[str], re.Match[str] | None] = lru_cache(4096)(self._find)

    def fields(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """Return a copy, made of dicts and lists, without cycles and of limited depth."""
        return MaskedCopy(self.hides).mapping(fields.items())

    def value(self, value: Any) -> Any:
        """Return ``value`` itself, or a copy without secrets if it holds any."""
        copied = MaskedCopy(self.hides)
        copy = copied.value(value)
        return copy if copied.cuts else value

    def query(self, query: str) -> str:
        """Return a query string with the values of secret parameters masked."""
        return "&".join(map(self._parameter, query.split("&")))

    def hides(self, key: object, value: object) -> bool:
        """Tell whether ``key`` makes ``value`` a secret."""
        if isinstance(key, bytes):  # some libraries have headers as bytes
            key = key.decode("latin-1")
        if value is None or not isinstance(key, str):
            return False
        found = self._found(key) if len(key) < _CACHED_LENGTH else self._find(key)
        # A plural with a number is a count, such as of tokens.
        return found is not None and not ((found["s"] or found["plural"]) and isinstance(value, (int, float)))

    def _find(self, key: str) -> re.Match[str] | None:
        return self._secret.search(_words(key))

    def _parameter(self, parameter: str) -> str:
        name, separator, value = parameter.partition("=")
        return f"{name}={MASKED}" if separator and self.hides(unquote_plus(name), value) else parameter


def _words(key: str) -> str:
    """Return the words of ``key`` in lower case, joined by underscores."""
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", key).lower())
