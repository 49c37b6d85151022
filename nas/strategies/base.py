"""What every strategy is: ask for genotypes, tell their losses, and be resumable by replay."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

from nas.strategies.features import Choices, Features
from nas.strategies.history import History
from nas.strategies.repair import repaired
from search_spaces.genotypes import GenotypeSpace, Population

StaticViolation = Callable[[Population], NDArray[np.float64]]
"""(n, d) genotypes -> (n,) amounts by which static bounds are broken; 0 or less where they hold."""

ROUNDS = 6
PLAIN_ROUNDS = 3
LARGEST_BATCH = 4096
SMALL_SPACE = 100_000
LAST_TRIES = 4


class StrategyOptions(BaseModel):
    """The options of a strategy as a job file gives them; unknown keys are refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str


Options = TypeVar("Options", bound=StrategyOptions)


class Strategy(ABC, Generic[Options]):
    """Proposes genotypes and learns from their losses.

    A strategy is resumed by telling it its past: `replay` what it proposed and `tell` what it was told, each
    in the recorded order. That works because a proposal is a pure function of the seed, the number of
    proposals so far, the results told and the proposals outstanding: every `ask` draws from its own
    `default_rng([seed, proposals so far])`, and a subclass keeps no other randomness and nothing that
    depends on how results were grouped into calls.

    A subclass says `_propose`, and `_start` and `_observe` if it learns by increments; it names its
    `options_type`, whose `name` is the key in the registry, and a one-line `summary`; `predicts` says whether it
    looks at `features`, `screened` whether predictors may choose among its proposals.

    Args:
        space: what is searched.
        objectives: m, the number of losses.
        seed: not negative.
        options: an instance of `options_type`.
        static_violation: bounds that need no evaluation, such as MACs. Every proposal satisfies them.
        seeds: (k, d) genotypes worth trying first, such as the largest and the smallest. A strategy may
            use them or not.
        features: what predictors see of a genotype; by default its one-hot choices.

    Raises:
        ValueError: m is less than 1, the seed is negative, or the seeds are not genotypes of the space.
        TypeError: the options are those of another strategy.
    """

    summary: ClassVar[str]
    options_type: ClassVar[type[StrategyOptions]]
    predicts: ClassVar[bool] = False
    screened: ClassVar[bool] = True

    def __init__(
        self,
        space: GenotypeSpace,
        objectives: int,
        seed: int,
        options: Options,
        *,
        static_violation: StaticViolation | None = None,
        seeds: Population | None = None,
        features: Features | None = None,
    ) -> None:
        if objectives < 1:
            raise ValueError(f"a strategy needs at least one objective (got {objectives})")
        if seed < 0:
            raise ValueError(f"the seed must not be negative (got {seed})")
        if not isinstance(options, self.options_type):
            raise TypeError(f"options must be {self.options_type.__name__} (got {type(options).__name__})")
        self.space = space
        self.objectives = objectives
        self.seed = seed
        self.options = options
        self.seeds = np.zeros((0, len(space.decisions)), np.int16) if seeds is None else seeds
        space.validate(self.seeds)
        self.seeds = space.canonical(self.seeds)
        self.features: Features = Choices(space) if features is None else features
        self.history = History(len(space.decisions), objectives)
        self._static_violation = static_violation
        self._proposed: set[bytes] = set()
        self._told: set[bytes] = set()
        self._outstanding: dict[bytes, None] = {}  # a set that keeps the order of proposing
        self._everything: Population | None = None
        self._start()

    @property
    def proposed(self) -> int:
        """The number of genotypes proposed so far, replayed ones included."""
        return len(self._proposed)

    @property
    def outstanding(self) -> Population:
        """(k, d) proposed genotypes that were not told yet, in the order of proposing."""
        return self._rows(self._outstanding)

    @property
    def incumbents(self) -> NDArray[np.intp]:
        """Indices into `history` of what the next proposals build on, best first.

        Feasible results come before infeasible ones, those by violation; failed ones are never among them.
        Empty for a strategy that learns nothing, or not by single results.
        """
        return np.zeros(0, np.intp)

    def ask(self, n: int) -> Population:
        """Propose up to n genotypes.

        Returns:
            (k, d) canonical genotypes, distinct, never proposed or told before, satisfying the static bounds. k is
            less than n only when the space is exhausted, or when a long search finds nothing more that
            satisfies the static bounds.

        Raises:
            ValueError: n is negative.
        """
        if n < 0:
            raise ValueError(f"cannot propose {n} genotypes; ask for 0 or more")
        rng = np.random.default_rng([self.seed, self.proposed])
        found: dict[bytes, None] = {}
        wanted = n
        # A small space is listed below once the plain rounds miss something.
        rounds = PLAIN_ROUNDS if self.space.size() <= SMALL_SPACE else ROUNDS
        for attempt in range(rounds):
            if len(found) == n:
                break
            rows = self._propose(wanted, rng)
            if attempt >= PLAIN_ROUNDS:
                rows = repaired(rows, self.space, self.static_violations, rng)
            before = len(found)
            self._admit(rows, found, n)
            share = (len(found) - before) / max(len(rows), 1)
            wanted = min(LARGEST_BATCH, max(16, int(1.25 * (n - len(found)) / max(share, 0.02))))
        if len(found) < n:
            self._search_elsewhere(found, n, rng)
        self._proposed.update(found)
        self._outstanding.update(found)
        return self._rows(found)

    def withdraw(self, genotypes: Population) -> None:
        """Forget (n, d) proposals that nobody will evaluate, as if they had never been made.

        Raises:
            ValueError: one of them is not outstanding.
        """
        keys = self.space.keys(genotypes).tolist()
        if not self._outstanding.keys() >= set(keys):
            raise ValueError("only what was proposed and not told can be withdrawn")
        self._proposed.difference_update(keys)
        for key in keys:
            self._outstanding.pop(key, None)

    def tell(self, genotypes: Population, losses: ArrayLike, violations: ArrayLike) -> None:
        """Learn the results of n evaluations, proposed here or known from elsewhere.

        Args:
            genotypes: (n, d).
            losses: (n, m), to be minimised; NaN where the evaluation failed.
            violations: (n,) amounts by which bounds are broken, 0 where all hold.

        Raises:
            ValueError: the shapes do not fit each other, the space or the number of objectives.
        """
        self.space.validate(genotypes)
        n, m = len(genotypes), self.objectives
        given = np.asarray(losses, np.float64)
        amounts = np.asarray(violations, np.float64)
        if given.shape != (n, m) or amounts.shape != (n,):
            raise ValueError(
                f"told {n} genotypes for {m} objectives: losses must have shape ({n}, {m}) and violations "
                f"({n},) (got {given.shape} and {amounts.shape})"
            )
        rows = genotypes
        keys = self.space.keys(rows).tolist()
        if not self._outstanding.keys() >= set(keys):  # what was proposed here is canonical
            rows = self.space.canonical(genotypes)
            keys = self.space.keys(rows).tolist()
        self._told.update(keys)
        for key in self._outstanding.keys() & keys:
            del self._outstanding[key]
        self.history.append(rows, given, amounts)
        self._observe()

    def replay(self, genotypes: Population) -> None:
        """Record (n, d) genotypes as proposed, without proposing.

        Raises:
            ValueError: they are not genotypes of the space, or one was proposed before.
        """
        self.space.validate(genotypes)
        rows = self.space.canonical(genotypes)
        keys = self.space.keys(rows).tolist()
        if len(set(keys)) < len(keys) or not self._proposed.isdisjoint(keys):
            again = next(row for row, key in enumerate(keys) if key in self._proposed or key in keys[:row])
            raise ValueError(f"row {again} was proposed before: {self.space.choices(rows[again])}")
        self._proposed.update(keys)
        self._outstanding.update(dict.fromkeys(key for key in keys if key not in self._told))

    def _start(self) -> None:
        """Prepare what the strategy keeps beside the history; called once, at the end of construction."""

    @abstractmethod
    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        """Return about n canonical candidates (k, d), best first.

        Called again within one `ask` while candidates are missing: those that repeat, were seen before or
        break the static bounds are dropped by the caller.
        """

    def _observe(self) -> None:
        """Take in what was appended to `history`; must not depend on how it was grouped into calls."""

    def static_violations(self, population: Population) -> NDArray[np.float64]:
        """Return (n,) amounts by which static bounds are broken; NaN counts as broken without measure.

        Raises:
            ValueError: the callable that was given returns another shape.
        """
        if self._static_violation is None:
            return np.zeros(len(population))
        amounts = np.asarray(self._static_violation(population), np.float64)
        if amounts.shape != (len(population),):
            raise ValueError(
                f"static_violation must return shape ({len(population)},) for {len(population)} genotypes "
                f"(got {amounts.shape})"
            )
        return np.where(np.isnan(amounts), np.inf, amounts)

    def _admit(self, rows: Population, found: dict[bytes, None], limit: int) -> None:
        """Add the new candidates that satisfy the static bounds to `found`, up to `limit`."""
        keys: list[bytes] = self.space.keys(rows).tolist()
        first = dict(zip(reversed(keys), range(len(keys) - 1, -1, -1), strict=True))
        new = set(first).difference(self._proposed).difference(self._told).difference(found)
        places = np.array(sorted(map(first.__getitem__, new)), np.intp)
        if self._static_violation is not None and len(places):
            places = places[self.static_violations(rows[places]) <= 0]
        found.update(dict.fromkeys(map(keys.__getitem__, places[: limit - len(found)].tolist())))

    def _search_elsewhere(self, found: dict[bytes, None], limit: int, rng: np.random.Generator) -> None:
        """Look past the strategy's own ideas: everywhere in a small space, else by sampling and repair."""
        if self.space.size() <= SMALL_SPACE:
            if self._everything is None:
                rows = self.space.enumerate()
                self._everything = rows[self.static_violations(rows) <= 0]
            self._admit(rng.permutation(self._everything), found, limit)
            return
        for _ in range(LAST_TRIES):
            known = np.concatenate([self.seeds, self.history.genotypes, self._rows(found)])
            near = known[rng.integers(0, len(known), 256 if len(known) else 0)]
            rows = np.concatenate([self.seeds, self.space.mutate(near, rng), self.space.sample(256, rng)])
            rows = repaired(rows, self.space, self.static_violations, rng, patience=64)
            self._admit(rows, found, limit)
            if len(found) >= limit:
                return

    def _rows(self, keys: dict[bytes, None]) -> Population:
        return np.frombuffer(bytearray().join(keys), np.int16).reshape(-1, len(self.space.decisions))
