"""Fast JSON by orjson, for ``jsonify()`` and for views that return dicts and lists."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
from flask.json.provider import DefaultJSONProvider

if TYPE_CHECKING:
    from werkzeug.sansio.response import Response

_OPTIONS = orjson.OPT_APPEND_NEWLINE | orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS


class JSONProvider(DefaultJSONProvider):
    """Uses orjson, or Flask's own JSON if orjson refuses: integers over 64 bits, keys that are not text."""

    def response(self, *args: Any, **kwargs: Any) -> Response:
        """Return a response with the arguments as JSON, as ``jsonify()`` does."""
        if self.compact is False or (self.compact is None and self._app.debug):
            return super().response(*args, **kwargs)
        try:
            options = _OPTIONS | orjson.OPT_SORT_KEYS if self.sort_keys else _OPTIONS
            body = orjson.dumps(self._prepare_response_obj(args, kwargs), self.default, options)
        except TypeError:
            return super().response(*args, **kwargs)
        return self._app.response_class(body, mimetype=self.mimetype)  # type: ignore[arg-type] # typed as the base class
