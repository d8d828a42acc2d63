from __future__ import annotations

import contextvars
import subprocess
import sys
import threading
import time
import uuid

import pytest

from flask_ops.core.context import RequestContext, current_request, new_request_id, parse_traceparent

TRACE = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"


@pytest.mark.parametrize("request_id", ["a", "A-1_2.3:4", "x" * 128, "0190163d-8694-739b-aea5-966c26f8ad91"])
def test_a_well_formed_request_id_is_taken_over(request_id: str) -> None:
    """The caller's id links its log with ours."""
    assert request_id == RequestContext.from_environ({"HTTP_X_REQUEST_ID": request_id}).request_id


@pytest.mark.parametrize("sent", [None, "", " ", "x" * 129, "a b", "a\n", "a\x1b[31m", '"', "{}", "\N{SNOWMAN}", "a/b"])
def test_any_other_request_id_is_replaced(sent: str | None) -> None:
    """A client's value reaches the log and a header, so only plain text passes."""
    context = RequestContext.from_environ({} if sent is None else {"HTTP_X_REQUEST_ID": sent})
    expected = 7

    assert expected == uuid.UUID(context.request_id).version


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        pytest.param(f"00-{TRACE}-{SPAN}-01", (TRACE, SPAN, "01"), id="sampled"),
        pytest.param(f"00-{TRACE}-{SPAN}-00", (TRACE, SPAN, "00"), id="not sampled"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01", (TRACE, SPAN, "01"), id="later version"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01-what-the-future-brings", (TRACE, SPAN, "01"), id="later version with more"),
        pytest.param(f"00-{TRACE}-{SPAN}-01-more", None, id="version 00 with more"),
        pytest.param(f"ff-{TRACE}-{SPAN}-01", None, id="ff is no version"),
        pytest.param(f"cc-{TRACE}-{SPAN}-01.more", None, id="more without a dash"),
        pytest.param(f"00-{'0' * 32}-{SPAN}-01", None, id="trace id of zeros"),
        pytest.param(f"00-{TRACE}-{'0' * 16}-01", None, id="span id of zeros"),
        pytest.param(f"00-{TRACE.upper()}-{SPAN}-01", None, id="upper case"),
        pytest.param(f"00-{TRACE[1:]}-{SPAN}-01", None, id="short trace id"),
        pytest.param(f"00-{TRACE}-{SPAN}0-01", None, id="long span id"),
        pytest.param(f"00-{TRACE}-{SPAN}", None, id="no flags"),
        pytest.param(f"00-{TRACE}-{SPAN}-01\n", None, id="newline"),
        pytest.param(f"0-{TRACE}-{SPAN}-01", None, id="short version"),
        pytest.param("", None, id="empty"),
        pytest.param("nonsense", None, id="nonsense"),
    ],
)
def test_traceparent_is_read_as_the_w3c_writes_it(header: str, expected: tuple[str, str, str] | None) -> None:
    """W3C Trace Context, section 3.2; a malformed header is no header."""
    assert expected == parse_traceparent(header)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({"HTTP_TRACEPARENT": f"00-{TRACE}-{SPAN}-01"}, (TRACE, SPAN)),
        ({"HTTP_TRACEPARENT": "nonsense"}, ("", "")),
        ({}, ("", "")),
    ],
)
def test_a_request_has_the_trace_of_its_caller_or_none(environ: dict[str, str], expected: tuple[str, str]) -> None:
    """The library invents no trace: no other span would belong to it."""
    context = RequestContext.from_environ(environ)

    assert expected == (context.trace_id, context.span_id)


def test_a_new_request_id_is_a_uuid_of_version_7() -> None:
    """RFC 9562: version 7, the RFC's variant, the usual form, and the other 74 bits random."""
    ids = [new_request_id() for _ in range(500)]
    numbers = [uuid.UUID(each).int for each in ids]
    fixed_bits = (0xF << 76) | (0b11 << 62)
    expected = (1 << 80) - 1 & ~fixed_bits  # each random bit differs somewhere; version and variant never do

    assert ids == [str(uuid.UUID(each)) for each in ids]
    assert {(7, uuid.RFC_4122)} == {(uuid.UUID(each).version, uuid.UUID(each).variant) for each in ids}
    differs = 0
    for number in numbers:
        differs |= number ^ numbers[0]
    assert expected == differs & ((1 << 80) - 1)


def test_a_new_request_id_holds_the_time_it_was_made() -> None:
    """The first 48 bits are the Unix time in milliseconds."""
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_request_id()).int >> 80
    after = time.time_ns() // 1_000_000

    assert before <= made <= after


def test_a_later_request_id_sorts_after_an_earlier_one() -> None:
    """Sorted as text, ids are in the order of their creation, to the millisecond."""
    expected = []
    for _ in range(5):
        millisecond = time.time_ns() // 1_000_000
        expected.append(new_request_id())
        while time.time_ns() // 1_000_000 <= millisecond + 1:
            pass

    assert expected == sorted(expected)


def test_request_ids_are_unique_across_threads() -> None:
    """Threads that create ids at the same time never create the same id."""
    made: list[str] = []
    barrier = threading.Barrier(8)

    def make() -> None:
        barrier.wait(10)
        made.extend([new_request_id() for _ in range(1000)])

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    expected = 8000

    assert expected == len(set(made))


@pytest.mark.skipif(sys.platform == "win32", reason="the platform does not fork")
def test_forked_workers_make_different_request_ids() -> None:
    """Workers with an inherited random state would otherwise create the same ids."""
    program = """
import os
from flask_ops.core.context import new_request_id

new_request_id()  # the state is there before the fork
for _ in range(2):
    if os.fork() == 0:
        os.write(1, (new_request_id() + "\\n").encode())
        os._exit(0)
    os.wait()
os.write(1, (new_request_id() + "\\n").encode())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    random_parts = [line[-16:] for line in done.stdout.splitlines()]
    expected = 3

    assert expected == len(random_parts) == len(set(random_parts))


def test_outside_of_a_request_there_is_none() -> None:
    """A separate thread, for example of a health check, serves no request, even while another thread does."""
    seen: list[object] = []

    def serve() -> None:
        current_request.set(RequestContext("a request"))
        thread = threading.Thread(target=lambda: seen.append(current_request.get()))
        thread.start()
        thread.join(10)

    contextvars.copy_context().run(serve)
    expected = [None, None]

    assert expected == [*seen, current_request.get()]
