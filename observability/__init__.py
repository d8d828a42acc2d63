"""What monitors the service, and the drill that shows that it does."""
