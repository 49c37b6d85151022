"""Random search: the baseline of every report."""

from typing import ClassVar, Literal

import numpy as np

from nas.strategies.base import Strategy, StrategyOptions
from search_spaces.genotypes import Population


class RandomOptions(StrategyOptions):
    """Random search has nothing to set."""

    name: Literal["random"] = "random"


class RandomSearch(Strategy[RandomOptions]):
    """Samples every decision uniformly, by rejection where static bounds are given."""

    summary: ClassVar[str] = "uniform random sampling without repetition, the baseline of every report"
    options_type = RandomOptions
    screened = False  # what is chosen among samples is no sample

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        return self.space.sample(n, rng)
