"""Networks trained one by one as trials of Ray Tune: each is cut short when it has no prospects."""
