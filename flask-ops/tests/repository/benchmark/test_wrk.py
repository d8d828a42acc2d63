"""A reader of wrk's output."""

from __future__ import annotations

import pytest

from benchmark import wrk

OUTPUT = f"""\
Running 2s test @ http://127.0.0.1:8000/
  1 threads and 32 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     9.31ms   12.01ms   1.12s    88.10%
    Req/Sec     3.12k   410.53     3.90k    75.00%
  Latency Distribution
     50%  812.00us
     75%   10.90ms
     90%   20.61ms
     99%    1.02s{" "}
  6240 requests in 2.10s, 1.06MB read
"""
ERRORS = "  Socket errors: connect 1, read 20, write 0, timeout 300\n  Non-2xx or 3xx responses: 4000\n"


def test_requests_durations_in_every_unit_and_no_failure() -> None:
    assert wrk.Load(requests=6240, seconds=2.1, p50=0.000812, p99=1.02, failed=0) == wrk.parse(OUTPUT)


def test_socket_errors_and_refusing_answers_are_failures() -> None:
    assert 4321 == wrk.parse(OUTPUT + ERRORS).failed


def test_output_that_lacks_a_figure_is_an_error_that_shows_it() -> None:
    for lost in ("     50%  812.00us\n", "  6240 requests in 2.10s, 1.06MB read\n"):
        with pytest.raises(wrk.MissingError, match="Thread Stats"):
            wrk.parse(OUTPUT.replace(lost, ""))


def test_a_missing_program_is_named_with_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")

    with pytest.raises(wrk.MissingError, match="apt-get install --no-install-recommends wrk"):
        wrk.command("http://127.0.0.1:1/", 1, 1)
