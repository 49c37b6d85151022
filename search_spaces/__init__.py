"""What can be built: decisions, graphs and their costs, spaces and supernets."""
