"""The row "Workers and process" of a service's page."""

from __future__ import annotations

from dashboards.parts import Panel, lines

TITLE = "Workers and process"


def panels() -> list[Panel]:
    """Return the panels of the row."""
    return [
        lines(
            "Workers",
            "Running worker processes.",
            [("sum by (instance) (service_workers{HERE})", "{{instance}}")],
            "ServiceWorkersCrashing",
            "ServiceNotReady",
            unit="short",
            calcs=["min", "lastNotNull"],
        ),
        lines(
            "Worker exits",
            "Workers that ended, by reason. `boot`, `crash`, `signal`, `stuck` and `timeout` are faults. The others "
            "are planned. Each point covers the last minute or more, so one exit can show in several points.",
            [("sum by (reason) (increase(service_worker_exits_total{HERE}[$__rate_interval]))", "{{reason}}")],
            "ServiceWorkersCrashing",
            unit="short",
            calcs=["max"],
        ),
        lines(
            "Draining and failed reloads",
            "1 while an instance drains. Failed reloads: the new code could not be loaded, so the old workers still "
            "serve. For reloads, each point covers the last minute or more, so one reload can show in several points.",
            [
                ("max by (instance) (service_draining{HERE})", "{{instance}} draining"),
                (
                    "sum by (instance) (increase(service_reload_failures_total{HERE}[$__rate_interval]))",
                    "{{instance}} failed reloads",
                ),
            ],
            "ServiceDrainingTooLong",
            unit="short",
            calcs=["max", "lastNotNull"],
        ),
        lines(
            "CPU",
            "CPU seconds per second, over all processes of the instance. 1 is one full core.",
            [("sum by (instance) (rate(process_cpu_seconds_total{HERE}[$__rate_interval]))", "{{instance}}")],
            "ServiceThreadsSaturated",
            unit="none",
        ),
        lines(
            "Memory",
            "Resident memory of the largest worker, and of all processes. Shared pages count once for each process.",
            [
                ("max by (instance) (service_worker_memory_max_bytes{HERE})", "{{instance}} largest worker"),
                ("sum by (instance) (process_resident_memory_bytes{HERE})", "{{instance}} all"),
            ],
            "ServiceMemoryGrowing",
            unit="bytes",
        ),
        lines(
            "File descriptors",
            "Open file descriptors as a share of the limit, in the process with the highest share.",
            [("max by (instance) (service_process_open_fds_max_ratio{HERE})", "{{instance}}")],
            "ServiceDescriptorsNearLimit",
            unit="percentunit",
            high=1,
            steps=[(None, "green"), (0.8, "red")],
        ),
        lines(
            "Garbage collections",
            "Garbage collections per second, by generation.",
            [
                (
                    "sum by (generation) (rate(python_gc_collections_total{HERE}[$__rate_interval]))",
                    "generation {{generation}}",
                )
            ],
            "ServiceMemoryGrowing",
            unit="ops",
        ),
        lines(
            "Running for",
            "Time since the main process started. A restart sets it to 0.",
            [("time() - max by (instance) (process_start_time_seconds{HERE})", "{{instance}}")],
            "ServiceRestarting",
            "ServiceTargetDown",
            unit="s",
            calcs=["lastNotNull"],
        ),
        lines(
            "Threads of the processes",
            "All threads of the instance, including the monitoring threads.",
            [("sum by (instance) (process_threads{HERE})", "{{instance}}")],
            "ServiceThreadsSaturated",
            unit="short",
        ),
    ]
