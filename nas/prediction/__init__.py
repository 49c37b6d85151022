"""Predictors of devices and of accuracy: what they are fitted on, how far they are right, and where they are kept."""
