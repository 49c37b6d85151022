"""The service: an HTTP API over the store, and the processes that do its work."""
