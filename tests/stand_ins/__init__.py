"""The views and checks that tests have in place of those of the service, which are its adopter's to replace."""
