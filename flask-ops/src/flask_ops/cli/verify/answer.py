"""One response and its parsed parts."""

from __future__ import annotations

import http.client
import json
from dataclasses import dataclass
from typing import Any

from flask_ops.cli.verify.target import without_secrets

_MAX_JSON_BYTES = 2**20
"""A longer body is not parsed: no expected answer is that long, and parsing could take seconds."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A response. ``seconds`` is the time from before the connection to the end of the body."""

    status: int
    headers: http.client.HTTPMessage
    body: bytes
    seconds: float

    def header(self, name: str) -> str:
        """Return the value of a header, or an empty string."""
        return str(self.headers.get(name, ""))

    @property
    def media_type(self) -> str:
        """The type of the body without its parameters, in lower case."""
        return self.header("Content-Type").partition(";")[0].strip().lower()

    def json(self) -> Any:
        """Return the JSON object of the body, empty if the body is anything else."""
        try:
            found = json.loads(self.body) if len(self.body) <= _MAX_JSON_BYTES else {}
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    def __str__(self) -> str:
        if 300 <= self.status < 400 and "Location" in self.headers:
            return f"{self.status} to {without_secrets(self.header('Location'))}, which is not followed"
        return f"{self.status} {http.client.responses.get(self.status, '')}".rstrip()
