"""The count of output in a file and in a pipe."""

from __future__ import annotations

import os
from pathlib import Path

from benchmark.log_sink import file_sink, pipe_sink


def test_a_file_counts_what_was_appended_to_what_it_had(tmp_path: Path) -> None:
    with file_sink(tmp_path / "log", 2**30) as sink:
        os.write(sink.descriptor, b"one\ntwo\n")

        assert 2 == sink.lines()
        assert 2**30 + 8 == (tmp_path / "log").stat().st_size
    assert [] == list(tmp_path.iterdir())


def test_a_pipe_is_read_while_it_is_written() -> None:
    with pipe_sink() as sink:
        for _ in range(100):  # more than a pipe holds
            os.write(sink.descriptor, b"x" * 4095 + b"\n")

        assert 100 == sink.lines() == sink.lines()
