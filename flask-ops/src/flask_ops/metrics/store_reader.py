"""The content of one file of the store. A file that cannot be read is set aside, so that the scrape succeeds.

prometheus_client's own reader raises for an empty, truncated or damaged file, at every scrape from then on. It can also
loop for ever on a damaged file.

The format is prometheus_client's ``mmap_dict``. The header is the number of used bytes (int32, padded to 8). Each entry
is a length (int32), a key in JSON, padding, a value and a timestamp (doubles). The padding aligns the doubles to 8.
"""

from __future__ import annotations

import errno
import json
import struct
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

import structlog

from flask_ops.metrics.families import Key
from flask_ops.metrics.layout import HEADER

_integer = struct.Struct("i").unpack_from
_two_doubles = struct.Struct("dd").unpack_from
T = TypeVar("T")
_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
_NEW_SECONDS = 5
"""A new file is empty for a moment. An older empty file was left by a killed process."""

stuck: set[Path] = set()
"""Damaged files that could not be set aside. Each is logged and counted once."""
_log = structlog.stdlib.get_logger(__name__)


def read(path: Path) -> list[tuple[bytes, float, float]]:
    """Return key, value and timestamp of each entry; none for a file that is new, gone or damaged. Set aside the last.

    Raises OSError if this process has no descriptor or memory left. Then the file is not at fault.
    """
    return read_by(path, _parse_all) or []


def _parse_all(data: bytes) -> list[tuple[bytes, float, float]]:
    found = [(data[start + 4 : end], *_two_doubles(data, values)) for start, end, values in entries(data)]
    for key, _, _ in found:
        parse_key(key)  # raises ValueError for a damaged key
    return found


def read_by(path: Path, parse: Callable[[bytes], T]) -> T | None:
    """Return what ``parse`` makes of the content, None for a file that is new, gone or damaged. Set aside the last.

    ``parse`` raises ValueError if the content is damaged. Raises OSError as ``read``.
    """
    try:
        data = path.read_bytes()
        if data[:HEADER].strip(b"\0"):
            return parse(data)
        if len(data) < HEADER and time.time() - path.stat().st_mtime >= _NEW_SECONDS:
            raise ValueError("the file is empty")
    except FileNotFoundError:  # live gauges of a worker that has just ended
        pass
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno in _SHORTAGES:
            raise  # without this file the sums would be wrong
        _set_aside(path, error)
    return None


def entries(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield three positions of each entry: of the length of its key, of the end of the key, and of its value."""
    if len(data) < HEADER:
        raise ValueError("the file ends in its header")
    used = _integer(data, 0)[0]
    if not HEADER <= used <= len(data):
        raise ValueError(f"{used} bytes are said to be used of {len(data)}")
    position = HEADER
    while position < used:
        length = _integer(data, position)[0]
        end = position + 4 + length
        value = end + 8 - (length + 4) % 8
        if length <= 0 or value + 16 > used:
            raise ValueError(f"an entry of {length} bytes at {position}")
        yield position, end, value
        position = value + 16


@lru_cache(maxsize=10_000)
def parse_key(key: bytes) -> Key:
    """Return the meaning of a key. Raises ValueError if it is damaged."""
    try:
        metric_name, name, labels, help_text = json.loads(key)
        return str(metric_name), str(name), tuple(sorted(labels.items())), str(help_text)
    except (ValueError, TypeError, AttributeError) as error:
        raise ValueError("a key is not the JSON it should be") from error


def _set_aside(path: Path, error: Exception) -> None:
    try:
        path.rename(path.with_name(f"damaged-{time.time_ns()}-{path.name}"))
    except FileNotFoundError:  # a concurrent scrape has set it aside and logged it
        return
    except OSError as reason:
        if path not in stuck:
            stuck.add(path)
            _log.error("failed to set aside damaged metrics file", file=path.name, reason=str(reason))
        return
    _log.error("damaged metrics file set aside", file=path.name, reason=str(error))
