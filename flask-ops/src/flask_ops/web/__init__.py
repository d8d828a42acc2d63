"""The layers around the views: the observer of each request, error responses, probes.

The path of a request: the server calls the function of ``observer.Observer.observe``. It creates the
``exchange.Exchange``, with the time of arrival, which calls the application. ``flask_events`` notes the route. At the
end, the exchange calls ``Observer.record``: one observation in ``metrics.requests``, one line in ``log.RequestLog``.
"""
