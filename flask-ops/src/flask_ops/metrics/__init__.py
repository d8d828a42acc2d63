"""Metrics: the shared store, the scrape, and the metrics of requests and processes."""
