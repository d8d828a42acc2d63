"""The integration with Gunicorn. Without it, stops, reloads and stuck workers would lose requests.

``arbiter.OpsArbiter`` is the map of the master: each of its methods names the part that does the work.

The worker is Gunicorn's threaded one, in three steps. ``direct_worker.DirectWorker`` serves: its ``serving_threads``
take connections with a request from ``ready_connections``. A connection that ends goes to ``lingering_clients``.
``idle_connections.KeepingWorker`` decides which connections to accept, keep and close, and which requests go first or
get a ``refusal``. ``worker.ServiceWorker`` is the process: it loads the application, obeys signals, stops and reports.
``request`` and ``response`` are Gunicorn's, with less work. SIGTERM starts the drain in the master
(``graceful_stop``). The master then stops its workers by a signal of its own (``worker_signals``). How a worker is
replaced:

1. Its threads are all stuck: the ``metrics.pulse`` of the worker lets ``web.stuck_requests`` check that twice a second,
   and ``stuck_worker`` kills the worker.
   It gives no heartbeat: Gunicorn's ``murder_workers`` sends SIGABRT, ``worker`` reports the requests, and
   ``hung_worker_stacks`` gets the stacks of a worker that runs no Python code any more.
2. ``worker_exits`` reaps it, and logs and counts the reason. ``master.Master.ended`` frees its slot.
3. ``succession`` forks the missing worker.
"""
