"""An attached application gives the same answers as without this library."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.attach.answers import Client, Request, Seen
from tests.attach.endpoints import HTTPBIN, httpbin_requests, journal_requests
from tests.attach.servers import JOURNAL, LOOPBACK, STOCK, attached, served
from tests.process import Server

Serve = Callable[[str, Path], AbstractContextManager[Server]]


@contextlib.contextmanager
def zero_lines(application: str, directory: Path) -> Iterator[Server]:
    # The template's settings must not affect an application that asks for nothing.
    settings = {"SERVICE_BIND": "127.0.0.1:0", "SERVICE_MAX_BODY_BYTES": "1000", "WEB_CONCURRENCY": "1"}
    with attached(application, directory, [], settings) as server:
        yield server


@contextlib.contextmanager
def one_line(application: str, directory: Path) -> Iterator[Server]:
    assert application == JOURNAL
    with served([*STOCK, LOOPBACK, "tests.applications.one_line:create_app()"], directory) as server:
        yield server


def answers(server: Server, requests: Iterable[Request]) -> dict[str, tuple[Seen, int]]:
    client = Client(server.port)
    found = {}
    for number, request in enumerate(requests):
        seen, ids = client.ask(request)
        found[f"{number} {str(request)[:80]}"] = seen, len(ids)
    return found


@pytest.mark.parametrize(
    ("application", "requests", "serve"),
    [
        pytest.param(HTTPBIN, httpbin_requests, zero_lines, id="httpbin, zero lines"),
        pytest.param(JOURNAL, journal_requests, zero_lines, id="journal, zero lines"),
        pytest.param(JOURNAL, journal_requests, one_line, id="journal, one line"),
    ],
)
def test_every_endpoint_answers_as_under_stock_gunicorn(
    application: str, requests: Callable[[], Iterator[Request]], serve: Serve, tmp_path: Path
) -> None:
    folders = [tmp_path / "stock", tmp_path / "ours"]
    for folder in folders:
        folder.mkdir()
    with served([*STOCK, LOOPBACK, application], folders[0]) as stock, serve(application, folders[1]) as ours:
        expected, actual = answers(stock, requests()), answers(ours, requests())

    different = {name: (seen, actual[name][0]) for name, (seen, _) in expected.items() if seen != actual[name][0]}
    assert {} == different
    # The one difference: each answer has exactly one id, even if the view has set one.
    assert {1} == {ids for _, ids in actual.values()}
