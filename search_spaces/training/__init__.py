"""Training of supernets: the loop, its settings, its data, its checkpoints."""
