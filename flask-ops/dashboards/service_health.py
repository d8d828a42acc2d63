"""The row "Health checks, logs, monitoring" of a service's page."""

from __future__ import annotations

from dashboards.parts import Panel, lines, states

TITLE = "Health checks, logs, monitoring"


def panels() -> list[Panel]:
    """Return the panels of the row."""
    return [
        states(
            "Health checks",
            "State of each readiness check. A check passes only if it passes in every worker.",
            ("min by (instance, check) (service_health_check_up{HERE})", "{{check}} {{instance}}"),
            "ServiceDependencyDown",
            "ServiceNotReady",
        ),
        lines(
            "Duration of the health checks",
            "Duration of the last run of each check, in the slowest worker.",
            [("max by (instance, check) (service_health_check_duration_seconds{HERE})", "{{check}} {{instance}}")],
            "ServiceDependencyDown",
            unit="s",
            width=12,
        ),
        lines(
            "Log lines dropped",
            "Log lines per second that could not be written.",
            [("sum by (instance) (rate(service_log_lines_dropped_total{HERE}[$__rate_interval]))", "{{instance}}")],
            "ServiceLogLinesDropped",
            unit="cps",
            width=6,
        ),
        lines(
            "Damaged metrics files",
            "Files of the metrics store that were damaged and set aside. Each point covers the last minute or more, "
            "so one file can show in several points.",
            [
                (
                    "sum by (instance) (increase(service_metrics_store_errors_total{HERE}[$__rate_interval]))",
                    "{{instance}}",
                )
            ],
            "ServiceMetricsStoreDamaged",
            unit="short",
            calcs=["max"],
            width=6,
        ),
        lines(
            "Scrapes",
            "Duration of a scrape, as Prometheus measures it and as the service measures it. At 10 s a scrape fails.",
            [
                ("max by (instance) (scrape_duration_seconds{HERE})", "{{instance}}"),
                ("max by (instance) (service_scrape_duration_seconds{HERE})", "{{instance}} within"),
            ],
            "ServiceScrapesSlow",
            unit="s",
            width=6,
            steps=[(None, "green"), (2, "red")],
        ),
        lines(
            "Samples in a scrape",
            "Number of samples in a scrape. A scrape with more than 100000 samples fails.",
            [("max by (instance) (scrape_samples_post_metric_relabeling{HERE})", "{{instance}}")],
            "ServiceSeriesNearLimit",
            unit="short",
            calcs=["lastNotNull", "max"],
            width=6,
            steps=[(None, "green"), (60000, "red")],
        ),
    ]
