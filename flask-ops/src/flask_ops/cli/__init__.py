"""The command line: serve, check, verify, healthcheck, observability."""
