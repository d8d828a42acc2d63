"""Gunicorn's configuration: data, and hooks that call the service."""

from pathlib import Path
from typing import Any

from service import logs
from service.startup import open_store, start
from service.under_gunicorn import worker_classes
from service.web.leaving import process_is_leaving

_settings = start()
logs.take_printed_lines(_settings)
# Before any metric is made.
open_store()

# `gunicorn`, without an argument, starts the service.
wsgi_app = "service.app:create_app()"
bind = str(_settings.bind)
proc_name = _settings.name

# Threads, for a view waits more than it computes; several processes, for Python computes in one at a time.
worker_class = worker_classes.THREADED
worker_classes.name()
workers = _settings.workers
threads = _settings.threads
# The default of 1000 lets one worker hoard the connections while another one is idle: of 24
# one-second requests on 2 x 4 threads, 23 went to one worker. Five a thread share them out.
worker_connections = 5 * _settings.threads

graceful_timeout = max(1, round(_settings.graceful_seconds))
# A worker whose main loop says nothing for so long is replaced. It does not bound a request.
timeout = 30
# The heartbeat is a file that is touched each second; on a disk, that can block.
_memory = Path("/dev/shm")  # noqa: S108 - Linux's memory file system; Gunicorn makes the file safely
worker_tmp_dir = str(_memory) if _memory.is_dir() else None

# Not the compiled one, which Gunicorn takes where it is installed: gunicorn_h1c 0.6.9 passes a folded header line,
# which RFC 9112 (5.2) has a server refuse, on as a header without a name, and answers 400 where 501 is due.
http_parser = "python"

# A little more than the proxies of deploy/ let pass, which add some: what is too large is refused there, as a problem,
# and not here, with a page of HTML. A line of 8190 bytes is the most that Gunicorn takes.
limit_request_line = 8190
limit_request_field_size = 8200
limit_request_fields = 128

# Which proxy is believed is said in one place, SERVICE_TRUSTED_PROXIES.
forwarded_allow_ips = ""
# To Gunicorn every client of a Unix socket is a trusted proxy.
secure_scheme_headers: dict[str, str] = {}
forwarder_headers = ""
# Two instances under one home directory would take each other's socket away.
control_socket_disable = True

loglevel = str(_settings.log_level)
logger_class = "service.under_gunicorn.logger.GunicornLogger"


def on_starting(server: Any) -> None:
    """Take part in how the master handles its workers."""
    from service.under_gunicorn.master import Master  # noqa: PLC0415 - makes metrics, so after the store
    from service.under_gunicorn.systemd import Systemd  # noqa: PLC0415 - as above

    logs.serve(_settings)
    server.service_master = Master(server, _settings)
    Systemd(server, server.service_master.fault, server.service_master.readiness)


def when_ready(server: Any) -> None:
    """Answer probes and scrapes in the master, whatever the workers do."""
    server.service_master.ready()


def pre_fork(server: Any, worker: Any) -> None:
    """Give the worker its place in the metrics store."""
    server.service_master.before_fork(worker)


def post_fork(server: Any, worker: Any) -> None:
    """Let the worker take its place."""
    from service.under_gunicorn import rejections  # noqa: PLC0415 - makes metrics, so after the store

    logs.serve(_settings)
    server.service_master.after_fork(worker)
    rejections.start()


def on_reload(server: Any) -> None:
    """Note why the workers of now will end."""
    server.service_master.reloading()


def pre_exec(server: Any) -> None:
    """Let the next master (SIGUSR2) go on with what this one has."""
    server.service_master.hand_over()


def child_exit(server: Any, worker: Any) -> None:
    """Count the worker's end. A killed worker never runs ``worker_exit``."""
    server.service_master.ended(worker)


def on_exit(server: Any) -> None:
    """Answer probes until here, when nothing else is left."""
    server.service_master.leaving()


def worker_int(worker: Any) -> None:
    """Let the SystemExit pass with which a worker quits at once."""
    process_is_leaving.set()


def worker_abort(worker: Any) -> None:
    """Say what a worker was doing that was silent for too long, or is not done when the stop has taken its time."""
    process_is_leaving.set()
    if worker.app.callable is not None:  # else it was still being loaded
        from service.monitoring import Monitoring  # noqa: PLC0415 - with Flask, which the master does not need
        from service.under_gunicorn import silent_worker  # noqa: PLC0415 - makes metrics, so after the store

        silent_worker.write_no_more()
        monitoring = Monitoring.of(worker.app.callable)
        if worker.time_is_up:
            monitoring.cut_off()
            logs.sink.end_process()
        monitoring.abort()
