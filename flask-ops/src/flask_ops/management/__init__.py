"""What is answered on the management address, from outside the worker pool."""
