"""The management listener, which answers outside the worker pool."""
