"""What a zero-cost score is."""

from abc import ABC, abstractmethod
from typing import ClassVar

from search_spaces.zero_cost.needs import NEEDS, Needs
from search_spaces.zero_cost.network import Batch, FreshNetwork


class ZeroCostScore(ABC):
    """A number that ranks networks at their initialisation; more is better.

    Attributes:
        name: in the registry and, as `zero_cost@NAME`, in jobs.
        least_samples: of a data set, where it needs one.
    """

    name: ClassVar[str]
    least_samples: ClassVar[int] = 2

    @property
    def needs(self) -> Needs:
        """What of a data set it looks at."""
        return NEEDS[self.name]

    @abstractmethod
    def value(self, network: FreshNetwork, batch: Batch | None) -> float:
        """The score.

        Args:
            network: at its initialisation.
            batch: `least_samples` or more; None only where nothing is needed.

        Raises:
            Undefined: the network has no such score; says why.
        """
