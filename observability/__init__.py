"""Monitoring of the service, and a drill that tests the alerts."""
