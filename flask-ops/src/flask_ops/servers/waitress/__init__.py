"""The integration with Waitress. Without it, a stop would lose requests."""
