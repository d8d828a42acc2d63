"""Injects faults into the running service and looks whether the right alerts arrive, and no others.

``python -m observability.drill`` runs all faults, ``python -m observability.drill errors scanner`` these two.
The service, Prometheus and Alertmanager are the real ones, with the rules and routes of this folder in which every
duration is shortened by the same factor (``scaling``).

What shortened durations cannot show: whether an alert is too sensitive for the traffic of a real day; what a
window of days does that has seen a night and a weekend; the memory that Prometheus needs for them. Nothing is
shorter than four scrapes, so the short windows are longer to the long ones than they really are, and the
seconds to detect do not multiply back by the factor.
"""
