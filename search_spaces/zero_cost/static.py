"""Parameters and MACs as scores: what every other score has to beat.

C. White et al., "A deeper look at zero-cost proxies for lightweight NAS", ICLR blog track 2022, find that most do not.
"""

from search_spaces.costs.static import costs
from search_spaces.zero_cost.network import Batch, FreshNetwork
from search_spaces.zero_cost.score import ZeroCostScore


class Params(ZeroCostScore):
    """Trainable numbers."""

    name = "params"

    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """The number of trainable parameters."""
        return costs(network.graph)["params"]


class Macs(ZeroCostScore):
    """Multiplications that are added up."""

    name = "macs"

    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """MACs of one sample."""
        return costs(network.graph)["macs"]
