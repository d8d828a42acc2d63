"""Checks of a deployment before it starts: ``python -m service check``."""
