"""The search: jobs, strategies, evaluation on Ray, export and the command line."""
