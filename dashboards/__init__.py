"""What is looked at: the web pages of the service."""
