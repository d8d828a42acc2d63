"""What can be said about a deployment from outside once it runs: ``python -m service verify``."""
