"""Job files: read with limits, every problem reported at once, turned into a `JobSpec`."""
