"""Fast JSON by orjson, for ``jsonify()`` and for views that return dicts and lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from flask.json.provider import DefaultJSONProvider

if TYPE_CHECKING:
    from werkzeug.sansio.response import Response

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


class JSONProvider(DefaultJSONProvider):
    """Uses orjson, in every mode.

    Uses Flask's own JSON for what orjson refuses: integers over 64 bits, keys that are not text. Also uses it if you
    set ``default``, because orjson does not ask it about an Enum or a UUID.
    """

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a response with the arguments as JSON, as ``jsonify()`` does."""
        body: bytes | str
        if self.compact is False:
            return super().response(*args, **kwargs)
        content = self._prepare_response_obj(args, kwargs)
        try:
            is_flasks = self.default is DefaultJSONProvider.default
            body = self._by_orjson(content) if is_flasks else self._by_flask(content)
        except TypeError:
            body = self._by_flask(content)
        return self._app.response_class(body, mimetype=self.mimetype)  # type: ignore[arg-type] # typed as the base class

    def loads(self, s: str | bytes, **kwargs: Any) -> Any:
        """Read JSON. Raises ValueError, which is a 400 for ``request.get_json()``, also for too deep a nesting."""
        try:
            return super().loads(s, **kwargs)
        except RecursionError:
            raise ValueError("The JSON is nested too deeply.") from None

    def _by_orjson(self, content: Any) -> bytes:
        options = _OPTIONS | orjson.OPT_SORT_KEYS if self.sort_keys else _OPTIONS
        return orjson.dumps(content, self.default, options)

    def _by_flask(self, content: Any) -> str:
        return self.dumps(content, separators=(",", ":")) + "\n"
