"""The page of the management address, in a real Chromium."""

from __future__ import annotations

import base64
import json
import math
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from importlib.resources import files
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from flask_ops.core.address import Address
from flask_ops.core.http import Request, Response, Shared
from flask_ops.core.settings import Settings
from flask_ops.health import Result, Status
from flask_ops.health.readiness import Readiness
from flask_ops.management import page
from flask_ops.management.listener import Listener
from flask_ops.management.recent import Point
from flask_ops.management.routes import Management
from flask_ops.metrics.requests import DURATION_BUCKETS, RequestMetrics
from flask_ops.metrics.scrape import from_sources
from flask_ops.metrics.sources import Source
from service import __version__
from tests.management.chromium import Browser, Tab, chromium
from tests.ports import free_port
from tests.process import wait_until
from tests.programs import require
from tests.servers import serve

pytestmark = pytest.mark.system

DASH = "\N{EN DASH}"
LONG = "a_name_that_does_not_fit_into_one_line_of_a_small_screen_by_any_means"
MARKUP = "<img src=x onerror=alert(1)>"

# The page sends a request every two seconds. Tests that do not test this interval run it 20 times faster.
HASTE = "{ const later = setTimeout; window.setTimeout = (run, ms) => later(run, ms / 20); }"

CONTRASTS = """
(() => {
  const parse = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((channel) => channel / 255)
    .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = getComputedStyle(e).backgroundColor;
      if ((parse(color)[3] ?? 1) === 1) return color;
    }
    return getComputedStyle(document.body).backgroundColor;
  };
  const read = [...document.body.querySelectorAll("*")].filter((element) => element.checkVisibility() &&
    (element.matches(".line") ||
    [...element.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim())));
  return read.map((element) => {
    const [a, b] = [getComputedStyle(element).color, behind(element)].map((color) => luminance(parse(color)));
    return [element.textContent, (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05)];
  });
})()
"""


class Stage:
    """The management listener of a simulated service."""

    def __init__(self) -> None:
        self.fault: str | None = None
        self.is_broken = False
        self.readiness = Readiness(Status.OK, {})
        self.sources: list[Source] = []
        self.restart()
        settings = Settings.from_environ({"SERVICE_NAME": "stage"})
        self._management = Management(
            settings,
            lambda: self.fault,
            lambda _: self.readiness,
            partial(from_sources, self.sources),
            partial(from_sources, self.sources),
            server="gunicorn",
        )
        self.listener = Listener.bind(Address("127.0.0.1", 0), self._answer)
        self.url = f"http://{self.listener.address}/"

    def restart(self) -> None:
        """Start every counter at 0 again."""
        registry = CollectorRegistry()
        self.requests = RequestMetrics(registry, Settings.from_environ({}))
        for name, number in (("worker_threads", 8), ("requests_in_flight", 5), ("requests_stuck", 1)):
            Gauge(f"service_{name}", "A sample.", registry=registry).set(number)
        self.sources[:] = [registry.collect]

    def served(self, route: str, status: int = 200, seconds: float = 0.02, times: int = 1) -> None:
        """Count requests."""
        for _ in range(times):
            self.requests.observe("GET", route, status, seconds, exception=False)

    def says(self, status: Status, *results: Result) -> None:
        """Set the readiness."""
        self.readiness = Readiness(status, {result.name: result for result in results})

    def says_all_it_can(self) -> None:
        """Add rows of every kind, some with long names or with names that contain markup."""
        now = time.monotonic()
        self.says(
            Status.DOWN,
            Result("quick", Status.OK, seconds=0.0012, ended=now),
            Result(LONG, Status.DOWN, seconds=1.0, ended=now - 75, reason="timed out", failures=12),
            Result("minor", Status.DOWN, critical=False, seconds=0.2, ended=now, reason=LONG, failures=3),
            Result(MARKUP, reason=MARKUP, failures=1),
        )
        self.served("/")
        self.served(f"/{LONG}/<int:{LONG}>", 500)
        self.served(f"/{MARKUP}")

    def has_been_busy(self) -> None:
        """Add 15 minutes in which the load grew, the threads were all busy, and requests were refused."""
        now = time.monotonic()
        for number in range(180):
            load = 1 - math.cos(number / 180 * 2 * math.pi) + 0.1 * math.sin(number * 5)
            late = max(0.0, load - 1.6)
            busy = min(8.0, round(load * 5))
            errors = 0.4 if number % 50 == 7 else 0.0
            times = (0.03 + 0.02 * load, 0.002 + late * 2 if number > 9 else None)
            rates = (40 + 50 * load, errors + late * 20, min(1.0, late * 2))
            point = Point(now - 897 + 5 * number, *rates, *times, late * 20, round(late * 30), busy)
            self._management.recent.points.append(point)

    def _answer(self, request: Request) -> Response | Shared:
        if self.is_broken and request.path == "/status":
            return Response(503)
        return self._management.answer(request)


@pytest.fixture
def stage() -> Iterator[Stage]:
    stage = Stage()
    stage.listener.start()
    yield stage
    stage.listener.stop()


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def tab(browser: Browser) -> Iterator[Tab]:
    with browser.tab() as tab:
        tab.before_load(HASTE)
        yield tab


def row(tab: Tab, name: str, table: str = "#routes") -> list[str]:
    """Return the row that begins with ``name``, without its first cell."""
    return next((cells for first, *cells in tab.rows(table) if first == name), [])


def next_answer(tab: Tab) -> None:
    """Wait until the page has processed the answer to a request sent after this call."""

    def asked() -> int:
        return sum(url.endswith("/status") for url in tab.requested())

    before = asked()
    wait_until(lambda: asked() >= before + 2, "the page goes on asking")


def watch(tab: Tab) -> None:
    """Record everything that the table of routes shows from now on."""
    tab.evaluate("""
        new MutationObserver(() => (window.seen ??= []).push(document.querySelector("#routes").innerText))
            .observe(document.querySelector("#routes"), {subtree: true, childList: true})
    """)


def assert_nothing_was_negative(tab: Tab) -> None:
    """Check the text recorded since ``watch``."""
    seen = tab.evaluate("window.seen.join()")
    assert "All routes" in seen
    assert not re.search(r"[-\N{MINUS SIGN}]\d", seen)


def test_it_shows_a_real_service_and_refreshes_itself(browser: Browser, tmp_path: Path) -> None:
    with serve("gunicorn", tmp_path) as server, browser.tab() as tab:
        for path in ("/items/1", "/items/2", "/boom", "/nowhere"):
            server.get(path)
        tab.open(f"http://127.0.0.1:{server.management_port}/")
        tab.shown("Ready", "#state")
        assert f"{__version__} \N{MIDDLE DOT} production \N{MIDDLE DOT} gunicorn \N{MIDDLE DOT} up for" in tab.text(
            "#facts"
        )
        wait_until(lambda: row(tab, "storage", "#checks")[:2] == ["ok", "yes"], "a check")
        totals = {"/items/<int:number>": ["2", "0"], "/boom": ["1", "1"], "unmatched": ["1", "0"], "/greet": ["0", "0"]}
        wait_until(lambda: {name: row(tab, name)[-2:] for name in totals} == totals, "what came before it was opened")
        wait_until(lambda: DASH not in row(tab, "All routes")[:2], "a second answer")
        wait_until(lambda: tab.text("#threads").endswith(" of 8"), "the threads of two workers")
        assert ("2", "debug", "0") == (tab.text("#alive"), tab.text("#level"), tab.text("#lost"))
        assert ["none"] * 3 == [tab.text(each) for each in ("#exits", "#rejected", "#overridden")]

        for path in ("/items/3", "/items/3", "/items/3", "/boom"):
            server.get(path)
        server.request("BAD METHOD", "/")
        level = b'{"level": "warning", "seconds": 600}'
        server.request("PUT", "/loglevel", body=level, port=server.management_port)

        def refreshed() -> dict[str, list[str]]:
            rows = {name: cells for name, *cells in tab.rows("#routes")}
            return rows if ["5", "0"] == rows["/items/<int:number>"][-2:] and "2" == rows["/boom"][-1] else {}

        rows = wait_until(refreshed, "it refreshes itself")
        per_second, errors, *latencies, _, _ = rows["/items/<int:number>"]
        assert float(per_second) > 0 == float(errors)
        assert all(re.fullmatch(r"[\d.]+ m?s", latency) for latency in latencies)
        assert float(rows["/boom"][0]) == float(rows["/boom"][1]) > 0
        assert ["0", "0", DASH, DASH, DASH, "0", "0"] == rows["/greet"]
        tab.shown("1", "#rejected")
        tab.shown("root warning until", "#overridden")
        assert "warning" == tab.text("#level")
        assert f"Ready \N{MIDDLE DOT} {Settings.from_environ({}).name}" == tab.evaluate("document.title")
        assert [] == tab.complaints()
        assert all(url.startswith(f"http://127.0.0.1:{server.management_port}/") for url in tab.requested())


def test_before_there_are_two_answers_to_compare_it_shows_dashes(stage: Stage, browser: Browser) -> None:
    stage.served("/", times=3)
    with browser.tab() as tab:
        tab.before_load("window.setTimeout = () => 0;")  # so that it sends no further request
        tab.open(stage.url)
        tab.shown("Rates and service times come with the next answer.", "#window")
        assert [*[DASH] * 5, "3", "0"] == row(tab, "/") == row(tab, "All routes")


def test_each_state_has_its_word(stage: Stage, tab: Tab) -> None:
    tab.open(stage.url)
    for status, word in (
        (Status.OK, "Ready"),
        (Status.DEGRADED, "Degraded"),
        (Status.STARTING, "Starting"),
        (Status.DOWN, "Down"),
        (Status.DRAINING, "Draining"),
    ):
        stage.says(status)
        tab.shown(word, "#state-word")
        wait_until(lambda: tab.evaluate("document.title") == f"{word} \N{MIDDLE DOT} stage", "the title")  # noqa: B023 - called at once


def test_a_service_without_a_living_worker_says_so(stage: Stage, tab: Tab) -> None:
    stage.fault = "no worker is alive"
    tab.open(stage.url)
    tab.shown("Down It cannot answer: no worker is alive.", "#state")


def test_checks_are_told_with_what_they_failed_of(stage: Stage, tab: Tab) -> None:
    stage.says_all_it_can()
    tab.open(stage.url)
    tab.shown(LONG, "#checks")

    assert ["ok", "yes", "1.2 ms", "0 s", DASH] == row(tab, "quick", "#checks")
    assert ["down", "yes", "1.00 s", "1 min 15 s", "timed out, 12 in a row"] == row(tab, LONG, "#checks")
    assert ["starting", "yes", DASH, DASH] == row(tab, MARKUP, "#checks")[:4]
    assert ("5 of 8", "1") == (tab.text("#threads"), tab.text("#stuck"))


def test_an_outage_shows_its_start_and_a_restart_shows_no_negative_rate(tab: Tab, tmp_path: Path) -> None:
    bind = f"127.0.0.1:{free_port()}"
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
    with serve("gunicorn", tmp_path / "first", {"SERVICE_MANAGEMENT_BIND": bind}) as server:
        for _ in range(20):
            server.get("/greet")
        tab.open(f"http://{bind}/")
        wait_until(lambda: row(tab, "/greet")[-2:] == ["20", "0"], "it shows the requests")
        wait_until(lambda: DASH not in row(tab, "/greet")[:2], "rates")
        watch(tab)
        children = server.children()
        server.process.send_signal(signal.SIGKILL)
        wait_until(lambda: re.search(r"No answer since \d\d:\d\d:\d\d \(no connection\)", tab.text()), "a word")
        assert tab.evaluate("document.title").startswith("No answer")
        since = tab.text("#connection")
        next_answer(tab)
        assert since == tab.text("#connection")
        assert ["20", "0"] == row(tab, "/greet")[-2:]
        wait_until(lambda: not any(child.is_running() for child in children), "the workers end")
    with serve("gunicorn", tmp_path / "second", {"SERVICE_MANAGEMENT_BIND": bind}) as server:
        server.get("/greet")
        wait_until(lambda: row(tab, "/greet")[-2:] == ["1", "0"], "it shows the new server")
        assert "No answer" not in tab.text() + tab.evaluate("document.title")
        next_answer(tab)
    assert_nothing_was_negative(tab)
    assert [] == tab.complaints()


def test_counters_that_begin_anew_show_no_negative_rate(stage: Stage, tab: Tab) -> None:
    stage.served("/", times=50)
    tab.open(stage.url)
    wait_until(lambda: row(tab, "/")[:1] == ["0"], "a rate")
    watch(tab)
    stage.restart()
    stage.served("/", times=3)
    wait_until(lambda: row(tab, "/")[-2:] == ["3", "0"], "the counters of the restarted service")
    wait_until(lambda: row(tab, "/")[:1] == ["0"], "the rate begins anew")
    assert_nothing_was_negative(tab)


def test_an_answer_that_is_an_error_does_not_stop_it(stage: Stage, tab: Tab) -> None:
    stage.is_broken = True
    tab.open(stage.url)
    tab.shown("(status 503)", "#connection")
    stage.is_broken = False
    tab.shown("Ready", "#state")
    assert "" == tab.text("#connection")


def test_a_fault_of_its_own_does_not_stop_it(stage: Stage, tab: Tab) -> None:
    tab.open(stage.url)
    tab.shown("Ready", "#state")
    tab.evaluate("document.querySelector('#checks').remove()")
    tab.shown("It does not update: checks.", "#faults")
    stage.says(Status.DEGRADED)
    stage.served("/", times=7)
    tab.shown("Degraded", "#state")
    wait_until(lambda: row(tab, "/")[-2:] == ["7", "0"], "what comes after the fault")

    tab.evaluate("document.querySelector('#connection').remove()")
    next_answer(tab)


def test_text_of_the_service_is_text(stage: Stage, tab: Tab) -> None:
    stage.says_all_it_can()
    tab.open(stage.url)
    tab.shown(MARKUP, "#checks")
    tab.shown(MARKUP, "#routes")
    assert 0 == tab.evaluate("document.querySelectorAll('img').length")
    assert [] == tab.complaints()


def test_the_browser_refuses_what_the_policy_forbids(stage: Stage, tab: Tab) -> None:
    tab.open(stage.url)
    tab.shown("Ready", "#state")
    assert [] == tab.complaints()
    for attempt in (
        "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.hit = 1'}))",
        "import('http://127.0.0.1:9/')",
        "document.body.append(Object.assign(document.createElement('style'), {textContent: '* {color: red}'}))",
        "document.body.append(Object.assign(document.createElement('img'), {src: 'http://127.0.0.1:9/'}))",
        "fetch('http://127.0.0.1:9/')",
        "document.body.setAttribute('onclick', 'window.hit = 1'); document.body.click()",
        "document.body.innerHTML = '<p>'",
    ):
        before = len(tab.complaints())
        tab.evaluate(f"(async () => {{ {attempt} }})().catch(() => 0)")
        said = wait_until(lambda: tab.complaints()[before:], f"the browser complains of {attempt}")  # noqa: B023 - called at once
        assert re.search("Content Security Policy|Trusted", said[0])
    assert tab.evaluate("window.hit") is None


def test_without_values_the_charts_say_so(stage: Stage, tab: Tab) -> None:
    tab.open(stage.url)
    tab.shown("There are no values yet.", "main")
    assert 0 == tab.evaluate("document.querySelectorAll('svg').length")


def test_charts_show_the_last_15_minutes_as_lines_as_words_and_as_a_table(stage: Stage, tab: Tab) -> None:
    stage.has_been_busy()
    tab.open(stage.url)
    tab.shown("highest 8", "#charts")

    assert "Last 0 of 8, highest 8" == tab.text("#chart-busy-summary")
    assert re.fullmatch(r"Last [\d.]+/s, highest 14\d/s", tab.text("#chart-requests-summary"))
    assert re.fullmatch(r"Last 0/s, highest [\d.]+/s", tab.text("#chart-errors-summary"))
    assert re.fullmatch(r"Last 0%, highest 9[\d.]+%", tab.text("#chart-slow-summary"))
    assert re.fullmatch(r"Last [\d.]+ ms, highest [67]\d ms", tab.text("#chart-duration-summary"))
    path = tab.evaluate("document.querySelector('#chart-requests .line').getAttribute('d')")
    points = [tuple(map(float, pair)) for pair in re.findall(r"[ML]([\d.]+) ([\d.]+)", path)]
    assert 0 <= points[0][0] < 3 < 297 < points[-1][0] <= 300
    assert 180 == len(points) == len(set(points))
    assert 0 == min(y for _, y in points)  # the highest value is at the top
    assert 1 == path.count("M")

    assert not tab.evaluate("document.querySelector('#minutes').checkVisibility()")
    tab.evaluate("document.querySelector('summary').focus()")
    for kind in ("keyDown", "keyUp"):
        tab.call("Input.dispatchKeyEvent", type=kind, key="Enter", code="Enter", text="\r", windowsVirtualKeyCode=13)
    wait_until(lambda: tab.evaluate("document.querySelector('#minutes').checkVisibility()"), "the table opens")
    rows = tab.rows("#minutes")
    assert [("last minute", "14 min ago"), 15, {9}] == [(rows[0][0], rows[-1][0]), len(rows), set(map(len, rows))]
    assert "8" == max(cells[-1] for cells in rows)
    assert [] == tab.complaints()


def test_a_line_breaks_where_nothing_was_measured(stage: Stage, tab: Tab) -> None:
    tab.open(stage.url)
    ages, values = [900, 890, 600, 595, 590, 5], [0, 2, 4, None, 0, 1]
    assert "M0.0 60.0h1L3.3 30.0M100.0 0.0h1L103.3 60.0M298.3 45.0h1" == tab.evaluate(
        f"import('/status/charts.js').then(m => m.line({json.dumps(ages)}, {json.dumps(values)}, 4))"
    )


def test_the_picture_of_the_documentation_is_of_this_page(stage: Stage, tab: Tab, tmp_path: Path) -> None:
    """``make screenshot`` sets SCREENSHOT to keep the picture."""
    stage.has_been_busy()
    stage.says(
        Status.DEGRADED,
        Result("database", Status.OK, seconds=0.0021, ended=time.monotonic()),
        Result(
            "cache", Status.DOWN, critical=False, seconds=0.2, ended=time.monotonic(), reason="timed out", failures=3
        ),
    )
    for route, status, times in (("/", 200, 7300), ("/items/<int:number>", 200, 41200), ("/orders", 500, 3)):
        stage.served(route, status, times=times)
    tab.resize(900, 880)
    tab.call("Emulation.setScrollbarsHidden", hidden=True)
    tab.open(stage.url)
    tab.shown("highest 8", "#charts")
    wait_until(lambda: DASH not in row(tab, "All routes")[:2], "rates")
    picture = base64.b64decode(tab.call("Page.captureScreenshot")["data"])
    Path(os.environ.get("SCREENSHOT", tmp_path / "page.png")).write_bytes(picture)
    assert 20_000 < len(picture) < 150_000


def test_nothing_is_wider_than_the_screen(stage: Stage, tab: Tab) -> None:
    stage.says_all_it_can()
    stage.has_been_busy()
    tab.open(stage.url)
    for width in (320, 360, 1200):
        tab.resize(width, 800)
        wait_until(lambda: tab.evaluate("innerWidth") == width, "the screen is so wide")  # noqa: B023 - called at once
        tab.shown(LONG, "#routes")
        tab.evaluate("document.querySelector('details').open = true")
        assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")
        scrolls = tab.evaluate("document.querySelector('#routes').closest('.scroll').scrollWidth > innerWidth")
        assert (width < 1200) == scrolls  # only the table scrolls


def test_everything_can_be_read_in_light_and_dark(stage: Stage, tab: Tab) -> None:
    """WCAG 2.2, success criteria 1.4.3 and 1.4.11: a contrast of at least 4.5, of lines at least 3."""
    stage.says_all_it_can()
    stage.has_been_busy()
    tab.open(stage.url)
    backgrounds = []
    for scheme in ("light", "dark"):
        tab.prefer(scheme)
        stage.is_broken = False
        tab.shown(LONG, "#routes")
        wait_until(lambda: not tab.text("#connection"), "an answer")
        fresh = tab.evaluate(CONTRASTS)
        stage.is_broken = True
        tab.shown("No answer", "#connection")
        for contrasts in (fresh, tab.evaluate(CONTRASTS)):
            assert len(contrasts) > 50
            assert [] == [(text, contrast) for text, contrast in contrasts if contrast < 4.5]
        backgrounds.append(tab.evaluate("getComputedStyle(document.body).backgroundColor"))
    light, dark = (sum(map(int, re.findall(r"\d+", color))) for color in backgrounds)
    assert light > 600 > 150 > dark


def test_assistive_technology_finds_its_way(stage: Stage, tab: Tab) -> None:
    stage.says_all_it_can()
    stage.has_been_busy()
    tab.open(stage.url)
    tab.shown(LONG, "#routes")

    assert "en" == tab.evaluate("document.documentElement.lang")
    assert 1 == tab.evaluate("document.querySelectorAll('h1').length")
    assert tab.evaluate("[...document.querySelectorAll('thead th')].every(cell => cell.scope === 'col')")
    assert tab.evaluate("[...document.querySelectorAll('tbody th')].every(cell => cell.scope === 'row')")
    nodes = tab.call("Accessibility.getFullAXTree")["nodes"]
    named = {(node["role"]["value"], node.get("name", {}).get("value")) for node in nodes if not node["ignored"]}
    assert {
        ("region", "Checks"),
        ("region", "Requests"),
        ("rowheader", "All routes"),
        ("meter", "Threads in use"),
        ("image", "Busy threads Last 0 of 8, highest 8"),
        ("DisclosureTriangle", "The same as a table"),
    } <= named
    assert not any(
        role in {"region", "table", "meter", "link", "image"} and not name for role, name in named - {("table", "")}
    )


def test_without_javascript_it_says_where_the_same_is(stage: Stage, tab: Tab) -> None:
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    tab.open(stage.url)

    tab.shown("This page needs JavaScript", "main")
    links = tab.evaluate("[...document.querySelectorAll('main a')].map(link => link.href)")
    assert [f"{stage.url}{path}" for path in ("readyz", "metrics", "info")] == links
    for link in links:
        tab.open(link)
    assert '"name":"stage"' in tab.text()


HISTOGRAMS = [
    [0, 0, 0, 7, 7, 9, 30, 30, 30, 31, 31, 40, 40, 40, 41, 41],
    [100] * 16,
    [0] * 15 + [5],
    [1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2],
    [3, 10, 29, 77, 150, 333, 1234, 4000, 5000, 5001, 9000, 9999, 9999, 10000, 10000, 10007],
]


def test_quantiles_are_those_of_prometheus(stage: Stage, tab: Tab, tmp_path: Path) -> None:
    promtool = require("promtool")
    tab.open(stage.url)
    series, expectations = [], []
    bounds = [*map(str, DURATION_BUCKETS), "+Inf"]
    for number, counts in enumerate(HISTOGRAMS):
        series += [
            {"series": f'h{number}_bucket{{le="{le}"}}', "values": str(count)}
            for le, count in zip(bounds, counts, strict=True)
        ]
        pairs = ", ".join(
            f"[{le.replace('+Inf', 'Infinity')}, {count}]" for le, count in zip(bounds, counts, strict=True)
        )
        for q in (0.01, 0.5, 0.9, 0.95, 0.99, 1):
            result = tab.evaluate(f"import('/status/figures.js').then(m => m.quantile({q}, [{pairs}]))")
            expectations.append(
                {
                    "expr": f"histogram_quantile({q}, h{number}_bucket)",
                    "eval_time": "0m",
                    "exp_samples": [{"labels": "{}", "value": result}],
                }
            )
    tests = {"tests": [{"interval": "1m", "input_series": series, "promql_expr_test": expectations}]}
    (tmp_path / "quantiles.yml").write_text(json.dumps(tests))

    ended = subprocess.run(
        [promtool, "test", "rules", tmp_path / "quantiles.yml"], check=False, capture_output=True, text=True
    )

    assert 0 == ended.returncode, ended.stdout + ended.stderr
    assert 30 == len(expectations)


def test_a_quantile_beyond_the_last_bucket_is_said_to_be_more(stage: Stage, tab: Tab) -> None:
    stage.served("/")
    tab.open(stage.url)
    wait_until(lambda: row(tab, "/")[-2:] == ["1", "0"], "the first request")
    stage.served("/", seconds=60)
    wait_until(lambda: row(tab, "/")[-2:] == ["2", "0"], "a slow one")
    assert ["> 10.0 s"] * 3 == row(tab, "/")[2:5]


def test_rates_are_of_the_last_ten_seconds(stage: Stage, tab: Tab) -> None:
    """The page gets an answer every two seconds. The third has 60 requests more than the second."""
    tab.open(stage.url)
    steps = [0, 0, 60, 60, 60, 60, 60, 60, 60]
    rates = tab.evaluate(f"""
        import("/status/figures.js").then(({{ remember, growth }}) => {{
          let history = [];
          return {steps}.map((count, index) => {{
            const route = {{ requests: {{ "2xx": count }}, errors: 0, duration_seconds: {{ buckets: {{}} }} }};
            history = remember(history, {{ service: {{}}, routes: {{ "/": route }} }}, index * 2000);
            const grown = growth(history);
            return grown && grown.routes.get("/").requests / grown.seconds;
          }});
        }})
    """)
    assert [None, 0, 60 / 4, 60 / 6, 60 / 8, 60 / 10, 60 / 10, 0, 0] == rates


def test_every_file_has_the_headers_that_protect_it_and_is_served() -> None:
    names = {path.name for path in files("flask_ops.management").joinpath("assets").iterdir()}
    routes = page.routes()

    assert {"/", *(f"/status/{name}" for name in names - {"page.html"})} == set(routes)
    for path, handlers in routes.items():
        headers = dict(handlers["GET"](Request("GET", path, "", {}, b"")).headers)
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; script-src 'self'; style-src 'self';")
        assert "unsafe" not in headers["Content-Security-Policy"]
        assert ("nosniff", "no-referrer") == (headers["X-Content-Type-Options"], headers["Referrer-Policy"])
