"""The names of metrics that objectives can give, and what a name says of its metric."""

ACCURACY = "accuracy"
LEARNED = (ACCURACY, "loss")
"""Metrics of trained networks on held-out data: share of right answers, and cross-entropy in nats."""
QUANTISED = tuple(f"{metric}@int8" for metric in LEARNED)
"""The same of the networks quantised to 8-bit integers."""
TRAINED = "@trained"
"""Ends the name of a learned metric that comes from a training of the network alone."""
UTILISATION = "utilisation@"
"""Begins the name of a metric that, like accuracy, is a share and better when it is higher."""
ZERO_COST = "zero_cost@"
"""Begins the name of a metric that ranks networks before they are trained; more is better."""
STATIC = ("macs", "params", "peak_activation_bytes", "bytes_moved")
"""What the graph alone tells: multiply-adds, parameters, and bytes."""


def is_share(metric: object) -> bool:
    """Whether a metric lies between 0 and 1 and should be high."""
    return metric in (ACCURACY, f"{ACCURACY}@int8") or str(metric).startswith(UTILISATION)


def is_zero_cost(metric: object) -> bool:
    """Whether a metric is a zero-cost score."""
    return str(metric).startswith(ZERO_COST)
