"""Fast JSON by orjson, for ``jsonify()`` and for views that return dicts and lists."""

from __future__ import annotations

import contextlib
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
        if self.compact is False:
            return super().response(*args, **kwargs)
        body = self._render(self._prepare_response_obj(args, kwargs))
        return self._app.response_class(body, mimetype=self.mimetype)  # type: ignore[arg-type] # typed as the base class

    def _render(self, content: Any) -> bytes | str:
        if self.default is DefaultJSONProvider.default:
            options = _OPTIONS | orjson.OPT_SORT_KEYS if self.sort_keys else _OPTIONS
            with contextlib.suppress(TypeError):
                return orjson.dumps(content, self.default, options)
        return self.dumps(content, separators=(",", ":")) + "\n"
