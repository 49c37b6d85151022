"""Strategies whose models take long to ask: on a long history they plan ahead for several proposals at once."""

from abc import abstractmethod
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from typing import ClassVar

import numpy as np

from nas.strategies.base import Options, Strategy
from search_spaces.genotypes import Population

SPARE = 4


class PlanningStrategy(Strategy[Options]):
    """Asks its models once for a share of the history, at most `1 / grain` of it, and hands out what they answered.

    An `ask` for at least as many is answered by models that know every result and what is outstanding. A smaller one
    takes the next proposals of a plan that is made from the results up to the last multiple of that share. So the cost
    of a proposal falls as the history grows, also when proposals are asked for one by one. A plan is a pure function of
    the seed and those results; what was proposed or told since it was made is left out when it is handed out.
    """

    predicts = True
    grain: ClassVar[int]

    def _start(self) -> None:
        self._plan_end = -1
        self._planned: set[bytes] = set()  # what later plans from the same results must not hold
        self._plans: list[Population] = []

    @abstractmethod
    def _plan(
        self, n: int, end: int, waiting: Population, known: Sequence[AbstractSet[bytes]], rng: np.random.Generator
    ) -> Population:
        """Return about n candidates, best first, that satisfy the static bounds.

        Args:
            n: how many.
            end: only this many first results may be used.
            waiting: (k, d) proposals whose results will come.
            known: keys of genotypes that must not be among the candidates.
            rng: where the randomness comes from.
        """

    def _modelled(self, n: int, rng: np.random.Generator) -> Population:
        """Return about n candidates: of a plan, or where many are wanted of the models as they are now."""
        end = len(self.history)
        shares = end // self.grain
        block = 1 << shares.bit_length() >> 1  # a power of two, so that it seldom changes
        if n >= block:
            return self._plan(n, end, self.outstanding, (self._proposed, self._told), rng)
        self._begin(end - end % block)
        known = self._proposed, self._told
        rows = self._fresh(np.concatenate([self.history.genotypes[:0], *self._plans]), known)
        while len(rows) < n:
            more = self._next_plan(block + block // 4 + SPARE)
            if not len(more):
                break
            rows = np.concatenate([rows, self._fresh(more, known)])
        return rows

    def _begin(self, end: int) -> None:
        """Forget the plans made from other results."""
        if self._plan_end != end:
            self._plan_end, self._plans = end, []
            self._planned = set(self.space.keys(self.history.genotypes[:end]).tolist())

    def _next_plan(self, n: int) -> Population:
        """Make another plan from the same results, of other genotypes; empty when the models know no more."""
        rng = np.random.default_rng([self.seed, self._plan_end, len(self._plans), 2])
        nothing = self.history.genotypes[:0]
        known = (self._planned,)
        rows = self._fresh(self._plan(n, self._plan_end, nothing, known, rng), known)
        self._planned.update(self.space.keys(rows).tolist())
        self._plans.append(rows)
        return rows

    def _fresh(self, rows: Population, known: Sequence[AbstractSet[bytes]]) -> Population:
        """The distinct canonical genotypes among (n, d) that are not known and satisfy static bounds, in order."""
        keys = self.space.keys(rows).tolist()
        first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
        new = set(first)
        for each in known:
            new = new.difference(each)
        rows = rows[np.array(sorted(map(first.__getitem__, new)), np.intp)]
        return rows[self.static_violations(rows) <= 0]
