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


def test_only_a_well_formed_request_id_is_taken_over() -> None:
    """The caller's id links its log with ours. It reaches the log and a header, so only plain text passes."""
    for request_id in ["a", "A-1_2.3:4", "x" * 128, "0190163d-8694-739b-aea5-966c26f8ad91"]:
        assert request_id == RequestContext.from_environ({"HTTP_X_REQUEST_ID": request_id}).request_id
    for sent in [None, "", " ", "x" * 129, "a b", "a\n", "a\x1b[31m", '"', "{}", "\N{SNOWMAN}", "a/b"]:
        context = RequestContext.from_environ({} if sent is None else {"HTTP_X_REQUEST_ID": sent})
        assert 7 == uuid.UUID(context.request_id).version, sent


VALID = {
    f"00-{TRACE}-{SPAN}-01": "sampled",
    f"00-{TRACE}-{SPAN}-00": "not sampled",
    f"cc-{TRACE}-{SPAN}-01": "later version",
    f"cc-{TRACE}-{SPAN}-01-what-the-future-brings": "later version with more",
}
MALFORMED = {
    f"00-{TRACE}-{SPAN}-01-more": "version 00 with more",
    f"ff-{TRACE}-{SPAN}-01": "ff is no version",
    f"cc-{TRACE}-{SPAN}-01.more": "more without a dash",
    f"00-{'0' * 32}-{SPAN}-01": "trace id of zeros",
    f"00-{TRACE}-{'0' * 16}-01": "span id of zeros",
    f"00-{TRACE.upper()}-{SPAN}-01": "upper case",
    f"00-{TRACE[1:]}-{SPAN}-01": "short trace id",
    f"00-{TRACE}-{SPAN}0-01": "long span id",
    f"00-{TRACE}-{SPAN}": "no flags",
    f"00-{TRACE}-{SPAN}-01\n": "newline",
    f"0-{TRACE}-{SPAN}-01": "short version",
    "": "empty",
    "nonsense": "nonsense",
}


def test_traceparent_is_read_as_the_w3c_writes_it() -> None:
    """W3C Trace Context, section 3.2; a malformed header is no header. The library invents no trace."""
    for header, case in VALID.items():
        assert (TRACE, SPAN, header[53:55]) == parse_traceparent(header), case
        context = RequestContext.from_environ({"HTTP_TRACEPARENT": header})
        assert (TRACE, SPAN) == (context.trace_id, context.span_id)
    for header, case in MALFORMED.items():
        assert parse_traceparent(header) is None, case
        context = RequestContext.from_environ({"HTTP_TRACEPARENT": header})
        assert ("", "") == (context.trace_id, context.span_id)
    assert "" == RequestContext.from_environ({}).trace_id


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
    """The first 48 bits are the Unix time in milliseconds, so that ids as text sort by their creation."""
    before = time.time_ns() // 1_000_000
    made = uuid.UUID(new_request_id()).int >> 80
    after = time.time_ns() // 1_000_000

    assert before <= made <= after


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
