"""The applications of the comparison, each set up as the documentation of its tool shows."""
