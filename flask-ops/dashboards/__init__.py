"""The Grafana dashboards, built with Grafana's own library.

``make dashboards`` writes them as JSON into the package data of ``flask_ops.observability``. ``services`` is the
overview of all services. ``service`` is the page of one service. ``parts`` has the kinds of panels.
"""
