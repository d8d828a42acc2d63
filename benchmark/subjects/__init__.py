"""The applications that are compared, each as the page of its tool shows it."""
