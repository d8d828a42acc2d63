"""The integration with Gunicorn. Without it, stops, reloads and stuck workers would lose requests.

``arbiter.OpsArbiter`` is the map of the master: each of its methods names the part that does the work.

The worker is Gunicorn's threaded one, in four steps. ``direct_worker.DirectWorker`` serves: its ``serving_threads``
take connections with a request from ``ready_connections``. A connection that ends goes to ``lingering_clients``.
``new_connections.AcceptingWorker`` decides which connections to accept, and which requests go first.
``idle_connections.KeepingWorker`` decides which connections to keep, and which requests get a ``refusal``.
``worker.ServiceWorker`` is the process: it loads the application, obeys signals, stops and reports. ``request`` and
``response`` are Gunicorn's, with less work.

What SIGTERM does:

1. ``graceful_stop.GracefulStop.terminate`` begins the drain. Its ``wait_for_signals`` ends the drain with
   StopIteration, at which Gunicorn's ``run`` calls ``halt``, and that calls ``GracefulStop.stop``.
2. ``stop`` closes the listeners, and sends each worker a signal of the master's own (``worker_signals``).
3. ``worker.ServiceWorker`` accepts the connections that wait (``set_accept_enabled``), and ends after its last request.

How a worker is replaced:

1. If all its threads are stuck, it ends itself: its ``metrics.pulse`` lets ``web.stuck_requests`` look twice a second,
   and ``stuck_worker`` kills the process. If a worker gives no heartbeat, Gunicorn's ``murder_workers`` sends SIGABRT.
   ``worker`` reports its requests, and ``hung_worker_stacks`` gets the stacks if it runs no Python code any more.
2. ``worker_exits`` reaps it, and logs and counts the reason. ``master.Master.ended`` frees its slot.
3. ``succession`` forks the missing worker.
"""
