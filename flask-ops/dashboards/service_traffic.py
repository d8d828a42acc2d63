"""The row "Traffic, errors, latency" of a service's page."""

from __future__ import annotations

from dashboards.parts import Panel, lines

TITLE = "Traffic, errors, latency"


def panels() -> list[Panel]:
    """Return the panels of the row."""
    return [
        lines(
            "Requests by route",
            "Completed requests per second. `unmatched` are requests that match no URL rule, mostly from scanners.",
            [("sum by (route) (rate(flask_http_request_total{ROUTE}[$__rate_interval]))", "{{route}}")],
            "ServiceErrorBudgetGoneIn2Days",
            unit="reqps",
        ),
        lines(
            "Errors by route",
            "Share of requests with a 5xx response, and the share that the objectives allow: of the service, and of "
            "routes with their own.",
            [
                (
                    'sum by (route) (rate(flask_http_request_total{ROUTE,status=~"5.."}[$__rate_interval])) / (sum '
                    "by (route) (rate(flask_http_request_total{ROUTE}[$__rate_interval])) > 0)",
                    "{{route}}",
                ),
                ('1 - max by (route) (job_slo:objective:ratio{SERVICE,slo="availability"})', "allowed {{route}}"),
            ],
            "ServiceErrorBudgetGoneIn2Days",
            "ServiceErrorBudgetGoneIn5Days",
            unit="percentunit",
        ),
        lines(
            "99% of requests are faster, by route",
            "99th percentile of the time from arrival to the last byte. The bounds of the objectives, of the service "
            "and of routes with their own.",
            [
                (
                    "histogram_quantile(0.99, sum by (route, le) "
                    "(rate(flask_http_request_duration_seconds_bucket{ROUTE}[$__rate_interval])))",
                    "{{route}}",
                ),
                ("max by (route) (service_slo_latency_bound_seconds{HERE})", "bound {{route}}"),
            ],
            "ServiceErrorBudgetGoneIn2Days",
            "ServiceErrorBudgetGoneIn5Days",
            unit="s",
        ),
        lines(
            "Requests by status",
            "Completed requests per second. 499: the client did not wait for the response.",
            [("sum by (status) (rate(flask_http_request_total{ROUTE}[$__rate_interval]))", "{{status}}")],
            "ServiceErrorBudgetGoneIn2Days",
            unit="reqps",
        ),
        lines(
            "Exceptions by route",
            "Requests per second that ended with an unhandled exception. The log has the stack frames.",
            [("sum by (route) (rate(flask_http_request_exceptions_total{ROUTE}[$__rate_interval]))", "{{route}}")],
            "ServiceErrorBudgetGoneIn2Days",
            unit="reqps",
        ),
        lines(
            "Latency",
            "50%, 95% and 99% of the requests are faster than this.",
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
    ]
