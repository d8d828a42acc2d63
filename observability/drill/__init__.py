"""A drill that injects faults into the running service and checks that only the right alerts arrive.

``python -m observability.drill`` runs all faults. ``python -m observability.drill errors scanner`` runs two of them.
The service, Prometheus and Alertmanager are real. They use the rules and routes of this folder, but ``scaling``
shortens every duration by the same factor.

With shorter durations, the drill cannot show if an alert is too sensitive for the traffic of a real day. It cannot test
windows of several days that include a night and a weekend. It does not measure the memory that Prometheus needs for
such windows. No duration is shorter than four scrapes. So short windows are too long in comparison with long windows,
and the detection times do not scale back by the factor.
"""
