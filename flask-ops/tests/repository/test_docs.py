"""The pages in docs/, compared with the code. README.md is not read, because users of the template replace it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from flask_ops.core.settings import Settings, documentation
from observability.drill.faults import UNTRIED
from tests.check.checking import check as checked
from tests.exposition import scrape, value
from tests.process import BIN, REPOSITORY, Server, running, wait_until
from tests.repository.guides import written
from tests.servers import serve

DOCS = REPOSITORY / "docs"
FREE = {"SERVICE_BIND": "127.0.0.1:0"}
OURS = ("flask_http_", "service_", "process_", "python_")
"""Prefixes of the metrics that the library itself exports."""


def page(name: str) -> str:
    return (DOCS / f"{name}.md").read_text()


def section(title: str) -> str:
    """Return the text below a heading of the reference."""
    return page("reference").partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def tables(text: str) -> list[list[list[str]]]:
    """Return the cells of each Markdown table, without its head."""
    found = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[[cell.strip() for cell in line.strip("|").split("|")] for line in one.splitlines()[2:]] for one in found]


def table(text: str) -> list[list[str]]:
    """Return the cells of the first table."""
    return tables(text)[0]


def test_every_setting_is_in_the_table_with_its_default_and_meaning() -> None:
    expected = [[f"`{name}`", default, meaning] for name, default, meaning in documentation()]

    assert expected == table(section("Settings"))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve("gunicorn", tmp_path_factory.mktemp("server"), ready="/readyz") as running_server:
        yield running_server


def test_every_endpoint_and_every_path_of_the_management_address_answers_as_in_the_tables(server: Server) -> None:
    endpoints, management = tables(section("Endpoints"))
    for rows, port, added in ((endpoints, server.port, {"OPTIONS"}), (management, server.management_port, set())):
        for path, methods, _ in rows:
            for method in methods.split(", "):
                body = b'{"level": null}' if method == "PUT" else None
                assert 200 == server.request(method, path.strip("`"), body=body, port=port).status, (method, path)
            answer = server.request("DELETE", path.strip("`"), port=port)
            assert 405 == answer.status, path
            assert {*methods.split(", ")} | added == set(answer.headers["Allow"].split(", ")), path


def test_every_metric_is_in_the_table_with_its_type_and_labels(server: Server) -> None:
    server.get("/boom")
    wait_until(lambda: value(scrape(server), "flask_http_request_exceptions_total"), "the observation")
    families = {
        family.name: family for family in text_string_to_metric_families(scrape(server)) if family.name.startswith(OURS)
    }

    documented = {
        name.removesuffix("_total"): row for row in table(section("Metrics")) for name in re.findall(r"`(\w+)`", row[0])
    }
    assert set(families) == set(documented)
    for name, (_, kind, labels, _) in documented.items():
        assert families[name].type == kind
        sampled = {label for sample in families[name].samples for label in sample.labels} - {"le"}
        assert sampled <= set(re.findall(r"`(\w+)`", labels)), name


def test_the_log_fields_are_those_of_the_table(server: Server) -> None:
    documented = {name for row in table(section("Logs")) for name in re.findall(r"`(\w+)`", row[0])}
    server.get("/empty")
    line = server.line("request", route="/empty")

    everywhere = {"timestamp", "level", "event", "service", "request_id"}
    rare = {"status_sent", "outcome", "timed_out", "query", "share", "queue_ms"}
    library = (
        (REPOSITORY / "flask-ops" / "README.md").read_text().partition("\n## Settings, metrics and log fields\n")[2]
    )
    assert documented | everywhere <= set(re.findall(r"`(\w+)`", library.partition("\n## ")[0]))
    assert set(line) - {"queue_ms"} == documented - rare | everywhere


def test_the_snippets_for_customising_work_as_written(tmp_path: Path) -> None:
    """Use the service with all snippets of the page, and with the calls that it names in its text."""
    copy = written(tmp_path / "copy", REPOSITORY / "docs" / "customise.md")
    calls = re.findall(r"`((?:ORDERS|structlog)\.[^`\n]+\.(?:inc|bind_contextvars)\([^`\n]*\))`", page("customise"))
    assert 2 == len(calls)
    views = copy / "service" / "views.py"
    before, shown, after = views.read_text().partition('    """Show one item."""\n')
    assert shown
    views.write_text("".join([before, shown, "    import structlog\n\n", *(f"    {call}\n" for call in calls), after]))

    with running(
        [BIN / "gunicorn"], tmp_path, {**FREE, "WEB_CONCURRENCY": "2", "SERVICE_DATABASE": "shop.db"}, cwd=copy
    ) as server:
        # On an empty disk, too: a service that is not ready gets no request that could create the file.
        wait_until(lambda: server.get("/readyz").json() == {"status": "degraded"}, "a new database, and no prices")
        for _ in range(20):
            assert {"number": 7} == server.get("/items/7").json()
        wait_until(lambda: len(server.lines("request", customer="c-17", route="/items/<int:number>")) == 20, "20 lines")
        assert 20 == value(scrape(server), "orders_total", kind="gift")
        assert 0 == value(scrape(server), "orders_total", kind="voucher")
        verbose = server.get("/readyz?verbose").json()
        assert "ok" == verbose["checks"]["database"]["status"]
        assert ("down", "URLError") == (verbose["checks"]["prices"]["status"], verbose["checks"]["prices"]["reason"])
        assert [] == server.lines("unknown variable")
    for path, code, severity in (("/nonexistent/orders.db", 1, "error"), ("orders.db", 0, "ok")):
        free = {**FREE, "SERVICE_MANAGEMENT_BIND": "127.0.0.1:0", "SERVICE_DATABASE": path}
        found = checked("--checks", environ=free, cwd=copy)
        assert code == found.code
        (text,) = [each for each in found.texts("checks", severity) if each.startswith("database")]
        assert ("OperationalError: unable to open database file" in text) == (code == 1)


def test_the_numbers_of_each_supervisor_are_those_of_its_file() -> None:
    defaults = Settings.from_environ({})
    rows = tables(page("deployment"))[1]

    assert ["`docker stop`", "compose", "Kubernetes", "systemd"] == [row[0] for row in rows]
    for _, phases, grace, where in rows:
        assert f"{defaults.drain_seconds:g} + {defaults.graceful_seconds:g}" == phases
        assert int(grace) >= defaults.drain_seconds + defaults.graceful_seconds + 5
        option, _, path = where.partition("` in `")
        text = (REPOSITORY / path.rstrip("`")).read_text() if path else where
        assert re.search(rf"{option.strip('`').partition('=')[0]}\s*[=:]\s*{grace}(?!\d)", text)


def test_the_exit_codes_are_those_that_the_library_promises() -> None:
    library = (REPOSITORY / "flask-ops" / "README.md").read_text().partition("**Exit codes:**")[2]
    codes = {row[0] for row in table(page("signals").partition("\n## Exit codes\n")[2])}

    assert codes == {row[0] for row in table(library)}


def test_each_signal_is_on_the_page_that_describes_its_phases() -> None:
    signals = re.compile(r"\bSIG[A-Z]+[12]?\b")
    shown = {name for row in table(page("operations")) for name in signals.findall(row[0])}

    assert shown | {"SIGKILL"} == {
        name for row in table(page("signals").partition("\n## Signals\n")[2]) for name in signals.findall(row[0])
    }


def test_the_time_outs_of_each_proxy_are_those_of_its_file() -> None:
    files = {"nginx": "nginx/nginx.conf", "Apache": "apache/apache2.conf", "HAProxy": "haproxy/haproxy.cfg"}
    (rows,) = [found for found in tables(page("proxies")) if "keepalive_timeout" in found[0][1]]

    assert list(files) == [row[0] for row in rows]
    for proxy, *time_outs in rows:
        text = (REPOSITORY / "deploy" / files[proxy]).read_text()
        assert [] == [each for each in time_outs if each.strip("`") not in text], proxy


def test_each_link_leads_to_a_file_and_a_heading() -> None:
    for path in DOCS.glob("*.md"):
        for target in re.findall(r"\]\((?!https?:)([^)]+)\)", path.read_text()):
            name, _, heading = target.partition("#")
            file = path.parent / name if name else path
            assert file.exists(), f"{path.name}: {target}"
            headings = re.findall(r"^#+ (.+)$", file.read_text(), re.MULTILINE) if heading else []
            anchors = {re.sub(r"[^a-z0-9 -]", "", one.lower()).replace(" ", "-") for one in headings}
            assert not heading or heading in anchors, f"{path.name}: {target}"


def test_the_page_about_observability_names_what_the_files_have() -> None:
    """It has the alerts that no fault raises, and the retention of the budget."""
    text = page("observability")
    (sentence,) = re.findall(r"^No fault has to raise .+?:", text, re.MULTILINE | re.DOTALL)

    assert UNTRIED.keys() == set(re.findall(r"`(\S+?)`", sentence.replace("...", "ServiceErrorBudgetGoneIn")))
    assert "--storage.tsdb.retention.time=35d" in text
