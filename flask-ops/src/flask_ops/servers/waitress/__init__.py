"""What is different where Waitress runs the application."""
