"""The layers around the views: the observer of each request, error responses, probes."""
