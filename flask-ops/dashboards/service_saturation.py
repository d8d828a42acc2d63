"""The row "Saturation" of a service's page."""

from __future__ import annotations

from dashboards.parts import Panel, lines

TITLE = "Saturation"


def panels() -> list[Panel]:
    """Return the panels of the row."""
    return [
        lines(
            "Threads in use by instance",
            "Share of busy threads among the threads that can serve requests. Above 90%, requests wait.",
            [
                (
                    "sum by (instance) (service_requests_in_flight{HERE}) / (sum by (instance) "
                    "(service_worker_threads{HERE}) > 0)",
                    "{{instance}}",
                )
            ],
            "ServiceThreadsSaturated",
            unit="percentunit",
            high=1,
            steps=[(None, "green"), (0.9, "red")],
        ),
        lines(
            "Threads by route",
            "Number of threads that each route keeps busy, on average.",
            [("sum by (route) (rate(flask_http_request_duration_seconds_sum{ROUTE}[$__rate_interval]))", "{{route}}")],
            "ServiceThreadsSaturated",
            unit="none",
        ),
        lines(
            "Accept queue",
            "Connections that wait in the kernel for a worker, and the limit of the queue.",
            [
                ("sum by (instance) (service_accept_queue_length{HERE})", "{{instance}} waiting"),
                ("sum by (instance) (service_accept_queue_limit{HERE})", "{{instance}} limit"),
            ],
            "ServiceAcceptQueueGrowing",
            unit="short",
        ),
        lines(
            "Stuck requests",
            "Requests that run for longer than SERVICE_REQUEST_TIMEOUT: the current number, and new ones. For new "
            "ones, each point covers the last minute or more, so one request can show in several points.",
            [
                ("sum by (instance) (service_requests_stuck{HERE})", "{{instance}} now"),
                (
                    "sum by (instance) (increase(service_requests_timed_out_total{HERE}[$__rate_interval]))",
                    "{{instance}} new",
                ),
            ],
            "ServiceRequestsStuck",
            unit="short",
        ),
        lines(
            "Refused by the server",
            "Requests per second that were refused before they reached the application, by reason. Those that had "
            "waited too long have the reasons late and overload.",
            [
                ("sum by (reason) (rate(service_requests_shed_total{HERE}[$__rate_interval]))", "{{reason}}"),
                ("sum by (reason) (rate(service_requests_rejected_total{HERE}[$__rate_interval]))", "{{reason}}"),
            ],
            "ServiceRequestsShed",
            unit="reqps",
        ),
    ]
