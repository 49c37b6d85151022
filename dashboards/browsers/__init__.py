"""Browsers as devices: the page that measures in them, and what it talks to."""
