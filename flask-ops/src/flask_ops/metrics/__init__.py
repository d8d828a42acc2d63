"""Metrics: the shared store, the scrape, and the metrics of requests and processes.

The path of a count: ``web.observer`` calls ``requests.RequestMetrics.observe`` at the end of a request, or ``shed``
for a refused one. This counts in the files of its process, which ``store.STORE`` named. A scrape (``scrape.Scrape``)
asks ``sources.sources``: one of them is ``sums.collect``, which sums the files of all processes, others are
``processes`` and the accept queue. ``pulse`` publishes gauges twice a second. It also lets ``ended.fold`` remove the
files of child processes that have ended, and keep their counts.
"""
