"""Differentiable architecture search: relaxed networks of any space, and methods that learn their decisions."""
