"""The integration with Gunicorn. Without it, stops, reloads and stuck workers would lose requests.

``arbiter.OpsArbiter`` is the map of the master: each of its methods names the part that does the work.
``worker.ServiceWorker`` is the worker. ``idle_connections`` accepts and keeps its connections, ``serving_threads`` take
those with a request from ``ready_connections`` and serve them in ``direct_worker``, and ``refusing_worker`` refuses the
late ones. ``request`` and ``response`` are Gunicorn's, with less work. SIGTERM starts the drain in the master
(``graceful_stop``). The master then stops its workers by a signal of its own (``worker_signals``). How a worker is
replaced:

1. Its threads are all stuck: the ``metrics.pulse`` of the worker lets ``web.stuck_requests`` check that twice a second,
   and ``stuck_worker`` kills the worker.
   It gives no heartbeat: Gunicorn's ``murder_workers`` sends SIGABRT, ``worker`` reports the requests, and
   ``hung_worker_stacks`` gets the stacks of a worker that runs no Python code any more.
2. ``worker_exits`` reaps it, and logs and counts the reason. ``master.Master.ended`` frees its slot.
3. ``succession`` forks the missing worker.
"""
