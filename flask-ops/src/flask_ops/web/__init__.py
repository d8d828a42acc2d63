"""The layers around the views: the observer of each request, error responses, probes.

The path of a request: the server calls the function of ``observer.Observer.observe``. ``Observer.begin`` makes the
``exchange.Exchange``, with the time of arrival and the ``request_body.RequestBody``. ``Exchange.respond`` calls the
application. ``flask_events`` notes the route. The server sends the response and calls ``Exchange.close``. At the end,
the exchange calls ``Observer.record``: one observation in ``metrics.requests``, one line in ``log.request_log``.
"""
