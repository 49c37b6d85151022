"""A job made concrete: its space, its data and its strategy, checked against each other before any work starts."""

import inspect
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.dataset import Dataset
from nas.datasets.load import load_dataset
from nas.jobspec.spec import JobSpec
from nas.objectives import Objective
from nas.strategies.base import Strategy
from nas.strategies.registry import create, strategy
from search_spaces.genotypes import Population
from search_spaces.registry import SPACES
from search_spaces.space import SearchSpace

STATIC_METRICS = ("macs", "params", "peak_activation_bytes", "bytes_moved")
_TRIES = 4096


@dataclass(frozen=True, slots=True)
class Problem:
    """What a search works on.

    Attributes:
        spec: the job.
        space: what can be built, with the class count and channels of the data.
        dataset: what accuracy is measured on; None when it is not asked for.
    """

    spec: JobSpec
    space: SearchSpace
    dataset: Dataset | None

    def strategy(self) -> Strategy[Any]:
        """A fresh strategy, as the job describes it."""
        chosen = self.spec.strategy
        return create(
            strategy(chosen.name).options_type(**{"name": chosen.name, **chosen.settings}),
            self.space,
            len(self.spec.objectives),
            self.spec.seed,
            static_violation=self.static_violation if self.static_bounds else None,
            seeds=np.stack([self.space.smallest(), self.space.largest()]),
        )

    def static_violation(self, population: Population) -> NDArray[np.float64]:
        """By how much each genotype breaks the bounds that need no evaluation, (n,), 0 where they hold."""
        costs = self.space.costs(population)
        broken = np.zeros(len(population))
        for objective in self.static_bounds:
            broken += objective.violations(costs[objective.metric])
        return broken

    @property
    def static_bounds(self) -> list[Objective]:
        """The objectives whose bound can be checked before anything is evaluated."""
        return [o for o in self.spec.objectives if o.metric in STATIC_METRICS and o.bound is not None]


def prepare(spec: JobSpec) -> Problem:
    """Load the data, build the space and check that the job can be done at all.

    Raises:
        ValueError: data that cannot be read, a space that does not fit them, bounds that nothing meets.
    """
    dataset = None if spec.data is None or not spec.wants_accuracy else load_dataset(**spec.data.model_dump())
    problem = Problem(spec, _space(spec, dataset), dataset)
    _check_training(problem)
    _check_networks(problem)
    _check_bounds(problem)
    return problem


def _space(spec: JobSpec, dataset: Dataset | None) -> SearchSpace:
    """The space of the job; class count and channels are those of the data unless the job says them."""
    space, settings = SPACES[spec.space.name], dict(spec.space.settings)
    if dataset is not None:
        known = inspect.signature(space).parameters
        for key, value in (("classes", dataset.num_classes), ("channels", dataset.input_shape[0])):
            if key in known and settings.setdefault(key, value) != value:
                raise ValueError(
                    f"space.{key} is {settings[key]}, but {dataset.source} has {value}; "
                    f"allowed: {value}, or leave it out"
                )
    return space(**settings)


def _check_training(problem: Problem) -> None:
    """A batch must not be larger than the training split."""
    dataset, supernet = problem.dataset, problem.spec.supernet
    if dataset is not None and supernet is not None and supernet.batch_size > len(dataset.train):
        raise ValueError(
            f"supernet.batch_size is {supernet.batch_size}, but {dataset.source} has {len(dataset.train)} training "
            f"images; allowed: 2 to {len(dataset.train)}"
        )


def _check_networks(problem: Problem) -> None:
    """The extreme networks must be buildable."""
    for genotype in (problem.space.smallest(), problem.space.largest()):
        problem.space.graph(genotype)


def _check_bounds(problem: Problem) -> None:
    """Look hard for an architecture that meets the static bounds.

    The smallest network is looked at, many random ones, and then changes of the best one found, one decision at
    a time, for as long as that helps.
    """
    bounds = problem.static_bounds
    if not bounds:
        return
    space = problem.space
    rng = np.random.default_rng([problem.spec.seed, 0])
    pool = np.concatenate([space.smallest()[None], space.largest()[None], space.sample(_TRIES, rng)])
    while True:
        violation = problem.static_violation(pool)
        best = pool[[int(violation.argmin())]]
        if violation.min() <= 0:
            return
        neighbours = space.canonical(_neighbours(space, best[0]))
        if problem.static_violation(neighbours).min() >= violation.min():
            break
        pool = neighbours
    costs = space.costs(best)
    raise ValueError(
        "no architecture of the space meets the bounds "
        + ", ".join(f"{o.metric} {'<=' if o.direction == 'min' else '>='} {o.bound:g}" for o in bounds)
        + "; the nearest that was found has "
        + ", ".join(f"{o.metric} {costs[o.metric][0]:g}" for o in bounds)
    )


def _neighbours(space: SearchSpace, genotype: NDArray[np.int16]) -> Population:
    """Every genotype that differs in one decision."""
    rows = []
    for column, cardinality in enumerate(space.cardinalities):
        for option in range(cardinality):
            row = genotype.copy()
            row[column] = option
            rows.append(row)
    return np.stack(rows)
