"""The JSON in the body of a request. If it is nested too deeply, the client is to blame, not the application."""

from __future__ import annotations

from typing import Any


class RequestJSON:
    """Takes the place of ``request.json_module``, which Flask sets to the application's JSON provider."""

    def __init__(self, provider: Any) -> None:
        self._provider = provider

    def loads(self, data: str | bytes, **kwargs: Any) -> Any:
        """Read JSON. Raises ValueError, for which ``request.get_json()`` raises a 400."""
        try:
            return self._provider.loads(data, **kwargs)
        except RecursionError:
            raise ValueError("The JSON is nested too deeply.") from None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._provider, name)
