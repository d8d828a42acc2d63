"""Prometheus rules, alerts and a Grafana dashboard for the metrics of this version."""
