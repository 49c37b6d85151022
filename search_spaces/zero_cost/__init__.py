"""Zero-cost scores: what networks say of their accuracy before they are trained."""
