"""The monitoring of one process, and the extension that attaches an application to it."""
