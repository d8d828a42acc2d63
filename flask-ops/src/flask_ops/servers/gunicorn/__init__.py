"""The integration with Gunicorn. Without it, stops, reloads and stuck workers would lose requests.

``arbiter.OpsArbiter`` is the map of the master: each of its methods names the part that does the work. How a worker is
replaced:

1. Its threads are all stuck: ``web.stuck_requests`` finds that, in the worker, and ``stuck_worker`` kills the worker.
   It gives no heartbeat: Gunicorn's ``murder_workers`` sends SIGABRT, ``worker`` reports the requests, and
   ``hung_worker_stacks`` gets the stacks of a worker that runs no Python code any more.
2. ``worker_exits`` reaps it, and logs and counts the reason. ``master.Master.ended`` frees its slot.
3. ``succession`` forks the missing worker.
"""
