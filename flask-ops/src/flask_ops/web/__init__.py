"""What stands around the views: the observer of each request, errors, probes."""
