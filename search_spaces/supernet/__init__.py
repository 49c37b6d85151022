"""Weight sharing: the largest network's parameters, and what each subnet takes of them."""
