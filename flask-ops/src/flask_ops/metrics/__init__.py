"""Where metrics are kept and collected, and what is measured besides requests."""
