"""Labelled images: loaded from outside with limits, split, normalised."""
