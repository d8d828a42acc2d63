"""The row "Traffic, errors, latency" of a service's page."""

from __future__ import annotations

from dashboards.parts import Panel, lines

TITLE = "Traffic, errors, latency"


def panels() -> list[Panel]:
    """Return the panels of the row."""
    return [
        lines(
            "Requests by route",
            "Completed requests per second. `unmatched` are requests that match no URL rule, mostly from scanners. "
            "`refused` are requests that had waited too long. The service refuses them before it knows their route.",
            [
                ("sum by (route) (rate(flask_http_request_total{ROUTE}[$__rate_interval]))", "{{route}}"),
                ("sum(rate(service_requests_shed_total{HERE}[$__rate_interval]))", "refused"),
            ],
            "ServiceErrorBudgetGoneIn2Days",
            unit="reqps",
        ),
        _bad(
            "Errors",
            "Share of the requests that failed: with a 5xx response, or refused because they had waited too long. Each "
            "objective has a line, and a line for the share that it allows.",
            "availability",
            "errors",
        ),
        _bad(
            "Slow requests",
            "Share of the requests that took longer than the objective allows, from arrival to the last byte. Time in "
            "the queue counts. Each objective has a line, and a line for the share that it allows.",
            "latency",
            "slow",
        ),
        lines(
            "Requests by status",
            "Completed requests per second. 499: the client did not wait for the response.",
            [("sum by (status) (rate(flask_http_request_total{ROUTE}[$__rate_interval]))", "{{status}}")],
            "ServiceErrorBudgetGoneIn2Days",
            unit="reqps",
        ),
        lines(
            "Errors by route",
            "Share of the completed requests with a 5xx response. Refused requests have no route: see *Errors*.",
            [
                (
                    'sum by (route) (rate(flask_http_request_total{ROUTE,status=~"5.."}[$__rate_interval])) / (sum '
                    "by (route) (rate(flask_http_request_total{ROUTE}[$__rate_interval])) > 0)",
                    "{{route}}",
                ),
            ],
            "ServiceErrorBudgetGoneIn2Days",
            unit="percentunit",
        ),
        lines(
            "Exceptions by route",
            "Requests per second that ended with an unhandled exception. The log has the stack frames.",
            [("sum by (route) (rate(flask_http_request_exceptions_total{ROUTE}[$__rate_interval]))", "{{route}}")],
            "ServiceErrorBudgetGoneIn2Days",
            unit="reqps",
        ),
        lines(
            "Time in the queue",
            "99% of the requests waited less than this for a thread, in the kernel's queue too. On Unix sockets and "
            "under uWSGI, a trusted proxy must set X-Request-Start.",
            [
                (
                    "histogram_quantile(0.99, sum by (instance, le) "
                    "(rate(service_request_queue_seconds_bucket{HERE}[$__rate_interval])))",
                    "{{instance}}",
                )
            ],
            "ServiceRequestsShed",
            unit="s",
        ),
        lines(
            "Service time, without the queue",
            "50%, 95% and 99% of the requests were served in less than this, once a thread had begun.",
            [
                (
                    "histogram_quantile(0.5, sum by (le) "
                    "(rate(flask_http_request_duration_seconds_bucket{ROUTE}[$__rate_interval])))",
                    "50%",
                ),
                (
                    "histogram_quantile(0.95, sum by (le) "
                    "(rate(flask_http_request_duration_seconds_bucket{ROUTE}[$__rate_interval])))",
                    "95%",
                ),
                (
                    "histogram_quantile(0.99, sum by (le) "
                    "(rate(flask_http_request_duration_seconds_bucket{ROUTE}[$__rate_interval])))",
                    "99%",
                ),
            ],
            "ServiceErrorBudgetGoneIn2Days",
            unit="s",
        ),
        lines(
            "Service time by route, without the queue",
            "99% of the requests were served in less than this: the time from the start in a thread to the last byte. "
            "The bounds of the objectives count the time in the queue too.",
            [
                (
                    "histogram_quantile(0.99, sum by (route, le) "
                    "(rate(flask_http_request_duration_seconds_bucket{ROUTE}[$__rate_interval])))",
                    "{{route}}",
                ),
                ("max by (route) (service_slo_latency_bound_seconds{HERE})", "bound {{route}}"),
            ],
            "ServiceErrorBudgetGoneIn2Days",
            unit="s",
        ),
    ]


def _bad(title: str, description: str, slo: str, legend: str) -> Panel:
    events = f'{{HERE,slo="{slo}"}}[$__rate_interval]'
    share = f"sum by (route) (rate(service_slo_bad_events_total{events})) / (sum by (route) "
    return lines(
        title,
        description,
        [
            (f"{share}(rate(service_slo_events_total{events})) > 0)", f"{legend} {{{{route}}}}"),
            (f'1 - max by (route) (job_slo:objective:ratio{{SERVICE,slo="{slo}"}})', "allowed {{route}}"),
        ],
        "ServiceErrorBudgetGoneIn2Days",
        "ServiceErrorBudgetGoneIn5Days",
        unit="percentunit",
    )
