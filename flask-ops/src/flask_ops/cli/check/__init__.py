"""What can be said about a deployment before there is one: ``python -m service check``."""
