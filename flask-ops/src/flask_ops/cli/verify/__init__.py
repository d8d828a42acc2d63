"""Tests of a running service from outside: ``python -m service verify``."""
