"""Ways to search: each proposes genotypes and learns from their losses, and knows nothing else."""
