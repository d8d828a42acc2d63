"""A scrape is answered whatever the state of the store's files."""

from __future__ import annotations

import errno
import os
import random
import re
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from structlog.testing import capture_logs

from flask_ops.metrics import store_reader, sums
from flask_ops.metrics.scrape import Form, Scrape
from tests.exposition import value
from tests.process import PROJECT, clean_environ


def write(directory: Path, name: str, amount: float, labels: dict[str, str] | None = None) -> Path:
    """Write one counter as prometheus_client does."""
    labels = labels or {}
    path = directory / name
    file = MmapedDict(str(path))
    file.write_value(mmap_key("hits", "hits_total", list(labels), list(labels.values()), "Hits."), amount, 0.0)
    file.close()
    return path


class Collected(Collector):
    def __init__(self, directory: Path) -> None:
        self._sums = sums.Sums(directory)

    def collect(self) -> Iterable[Metric]:
        return self._sums.collect()


def scrape(directory: Path) -> str:
    return generate_latest(Collected(directory)).decode()


def test_the_sum_is_over_all_files(tmp_path: Path) -> None:
    for number in range(3):
        write(tmp_path, f"counter_{number}.db", 2.0, {"kind": 'a "quoted" ü'})

    assert 6 == value(scrape(tmp_path), "hits_total", kind='a "quoted" ü')


def test_it_reads_what_prometheus_client_reads() -> None:
    """Read the same metrics with prometheus_client's collector and with ours, in a separate process."""
    script = """
import os, sys, tempfile
os.environ["PROMETHEUS_MULTIPROC_DIR"] = tempfile.mkdtemp()
from prometheus_client import *
from prometheus_client import values, multiprocess
from pathlib import Path
from types import SimpleNamespace
from flask_ops.metrics import store_reader, sums
from flask_ops.metrics.scrape import Form, Scrape
for pid in ("1", "2", "3"):
    values.ValueClass = values.MultiProcessValue(lambda pid=pid: f"s{pid}")  # the slot of a process that serves
    Counter("c", "c", ["x"], registry=None).labels("1").inc(2)
    Histogram("h", "h", registry=None).observe(0.3)
    Summary("s", "s", registry=None).observe(0.3)
    for mode in Gauge._MULTIPROC_MODES:
        Gauge(f"g_{mode}", "g", multiprocess_mode=mode, registry=None).set(int(pid))
def text(collect):
    return sorted(generate_latest(SimpleNamespace(collect=collect)).decode().splitlines())
path = os.environ["PROMETHEUS_MULTIPROC_DIR"]
theirs = text(multiprocess.MultiProcessCollector(None).collect)
ours = [line for line in text(sums.Sums(Path(path)).collect) if "service_metrics_store_errors" not in line]
assert [line.replace('pid="s', 'pid="') for line in theirs] == ours, (theirs, ours)
assert len(ours) > 40
"""
    subprocess.run([sys.executable, "-c", script], cwd=PROJECT, env=clean_environ(), check=True)


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "truncated": lambda content: content[:20],
    "cut in its header": lambda content: content[:3],
    "garbage": lambda content: random.Random(1).randbytes(len(content)),  # noqa: S311 - reproducible garbage
    "used beyond its end": lambda content: struct.pack("i", 2**30) + content[4:],
    "used is negative": lambda content: struct.pack("i", -5) + content[4:],
    # prometheus_client's reader loops forever here
    "an entry without an end": lambda content: content[:8] + struct.pack("i", -24) + content[12:],
    "a key that is no JSON": lambda content: content[:12] + b"\xff" + content[13:],
    "a key of another form": lambda content: content[:12] + b"{}" + content[14:],
    "empty, and not new": lambda _content: b"",
}


def damage(path: Path, how: str) -> None:
    path.write_bytes(DAMAGES[how](path.read_bytes()))
    if how == "empty, and not new":
        os.utime(path, (time.time() - 60, time.time() - 60))


def test_a_damaged_file_is_set_aside_and_counted_and_the_rest_is_served(tmp_path: Path) -> None:
    write(tmp_path, "counter_1.db", 1.0)
    for count, how in enumerate(DAMAGES, 1):
        damage(write(tmp_path, "counter_2.db", 1.0), how)

        with capture_logs() as lines:
            for _ in range(2):
                text = scrape(tmp_path)
                assert 1 == value(text, "hits_total"), how
                assert count == value(text, "service_metrics_store_errors_total"), how

        assert ["damaged metrics file set aside"] == [line["event"] for line in lines], how
        assert not (tmp_path / "counter_2.db").exists()
        assert count == len(list(tmp_path.glob("damaged-*-counter_2.db")))


def test_a_file_that_is_just_being_made_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "counter_1.db"
    for content in (b"", bytes(65536)):
        path.write_bytes(content)

        assert 0 == value(scrape(tmp_path), "service_metrics_store_errors_total")
        assert path.exists()


def test_a_file_that_vanishes_is_no_error(tmp_path: Path) -> None:
    assert [] == store_reader.read(tmp_path / "gauge_livesum_1.db")


def test_a_shortage_of_resources_fails_the_scrape_and_spares_the_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without one of the files, the sums would be wrong."""
    write(tmp_path, "counter_1.db", 1.0)
    for shortage in (errno.EMFILE, errno.ENFILE, errno.ENOMEM):
        with monkeypatch.context() as patch:
            patch.setattr(Path, "read_bytes", lambda _path, number=shortage: fail(number))
            with pytest.raises(OSError, match=re.escape(os.strerror(shortage))):
                scrape(tmp_path)

    assert 1 == value(scrape(tmp_path), "hits_total")


def fail(number: int) -> bytes:
    raise OSError(number, os.strerror(number))


def test_a_damaged_file_that_cannot_be_set_aside_costs_no_scrape(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, "counter_1.db", 1.0)
    damage(write(tmp_path, "counter_2.db", 1.0), "garbage")
    monkeypatch.setattr(Path, "rename", lambda _path, _target: fail(errno.EROFS))
    with capture_logs() as lines:
        assert 1 == value(scrape(tmp_path), "hits_total")

    assert ["failed to set aside damaged metrics file"] == [line["event"] for line in lines]


@pytest.mark.system
def test_any_cut_and_any_flipped_byte_is_survived(tmp_path: Path) -> None:
    """A scrape ends and serves the other file, whatever the damage."""
    whole = write(tmp_path, "counter_2.db", 1.0).read_bytes()[:200]
    write(tmp_path, "counter_1.db", 1.0)
    generator = random.Random(7)  # noqa: S311 - reproducible damage
    for _ in range(500):
        damaged = bytearray(whole[: generator.randrange(len(whole) + 1)])
        for _ in range(generator.randrange(4)):
            if damaged:
                damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        (tmp_path / "counter_2.db").write_bytes(damaged)

        assert "service_metrics_store_errors_total" in scrape(tmp_path)


def store(path: Path, kind: str, counts: dict[str, float]) -> None:
    """Write values of a counter or a histogram, whose labels are the letters of the keys, in their order."""
    file = MmapedDict(str(path))
    for key, amount in counts.items():
        if kind == "counter":
            file.write_value(mmap_key("hits", "hits_total", ["key"], [key], 'Hits\\ "and"\nmore.'), amount, 0.0)
        else:
            for bound in ("0.5", "1.0", "+Inf", "10000000.0"):
                file.write_value(mmap_key("took", "took_bucket", ["key", "le"], [key, bound], "Took."), amount, 0.0)
            file.write_value(mmap_key("took", "took_sum", ["key"], [key], "Took."), amount / 3, 0.0)
    file.close()


@pytest.mark.parametrize("accept", ["text/plain", "application/openmetrics-text;version=1.0.0"])
def test_later_scrapes_see_every_change_of_the_files(accept: str, tmp_path: Path) -> None:
    """A scrape prepares the next one. Each is compared with one of prometheus_client, which prepares nothing."""
    ours = sums.Sums(tmp_path)

    def lines(collect: Callable[[], Iterable[Metric]]) -> list[str]:
        metrics = {metric.name: metric for metric in collect() if metric.name != "service_metrics_store_errors"}
        body, _ = Scrape(lambda: metrics).render(Form.accepted(accept))
        return sorted(line for line in body.decode().splitlines() if "service_scrape_duration" not in line)

    def check(step: str) -> None:
        expected = lines(MultiProcessCollector(None, str(tmp_path)).collect)
        for _ in range(2):
            assert expected == lines(ours.collect), step

    changes: dict[str, dict[str, dict[str, float]]] = {
        "nothing": {},
        "a file": {"1": {"a": 1, "b": 2}},
        "a value": {"1": {"b": 20_000_000, "a": 1.5}},
        "a series, with text to escape": {"1": {' c\\"\n#} 0.0': 1e300}},
        "another process with another order": {"2": {"d": 5, "b": 1, "a": 1}},
        "a third one with fewer": {"3": {"a": 1}},
        "all values": {"1": {"a": 7, "b": 8}, "2": {"a": 9}, "3": {"a": float("inf")}},
    }
    for step, files in changes.items():
        for kind in ("counter", "histogram"):
            for owner, counts in files.items():
                store(tmp_path / f"{kind}_s{owner}.db", kind, counts)
        check(step)
    (tmp_path / "counter_s2.db").unlink()
    check("a file is gone")
    for number in range(2):
        (tmp_path / "counter_s3.db").unlink()
        store(tmp_path / "counter_s3.db", "counter", {"xy"[number]: 1})
        check("a file of the same size with another key")
