"""Differentiable search as a job runs it: what decisions cost on its device, its rounds on Ray, and their picture."""
