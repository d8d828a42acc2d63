"""The masking of secrets in a query string."""

from __future__ import annotations

import re
from urllib.parse import unquote_plus

from flask_ops.log.masking import MASKED, Mask, words

NAMES = ("code", "hmac", "key", "samlart", "sig", "ticket")
"""Whole names of parameters: of OAuth 2.0, CAS, SAML and signed URLs. Elsewhere, a ``code`` is rarely secret."""
_MARK = re.compile(r"[&;?#]|(?P<equals>[=:])|%(?:25)*(?:26|3b|3f|23|(?P<encoded>3d|3a))", re.IGNORECASE)
"""The characters around the names of a query string, of a URL in its values or of JSON in them, encoded or not."""
_ENCODED_TIMES = 3


def masked(query: str, mask: Mask) -> str:
    """Return a query string with the values of secret parameters masked.

    A secret ends at the next ``&``. Every other separator could be a part of it.
    """
    return "&".join(_parameter(parameter, mask) for parameter in query.split("&"))


def _parameter(parameter: str, mask: Mask) -> str:
    begin = 0
    for mark in _MARK.finditer(parameter):
        if mark["equals"] or mark["encoded"]:
            name = parameter[begin : mark.start()]
            for _ in range(_ENCODED_TIMES):
                name = unquote_plus(name)
            if mask.hides(name, "") or words(name.lower()).strip("_") in NAMES:
                return parameter[: mark.end()] + MASKED
        begin = mark.end()
    return parameter
