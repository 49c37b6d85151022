"""What networks cost by their shapes: of one graph, and of whole populations by tables."""
