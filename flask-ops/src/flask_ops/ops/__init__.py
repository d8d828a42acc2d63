"""The monitoring of one process, and the extension that attaches an application to it.

``startup.PROCESS`` is the one accessor: it has the settings and the ``runtime.Runtime``. The runtime has the metrics,
the request log and the health of all applications of the process. The integration of a server makes the management
address from it (``management.routes.Management``). The log itself belongs to the process (``log.sink``).
"""
