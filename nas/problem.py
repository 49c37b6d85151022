"""A job made concrete: its space, its data and its strategy, checked against each other before any work starts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.samples import Data
from nas.features.search_features import search_features
from nas.gradient_search import gradient_options, gradient_plan, known_costs
from nas.jobspec.job_recipe import job_data, job_recipe
from nas.jobspec.spec import JobSpec, SupernetSpec
from nas.objectives import Objective
from nas.strategies.base import StaticViolation, Strategy
from nas.strategies.gradient import GradientOptions, Rounds
from nas.strategies.registry import create, strategy
from profilers.device_choices import choices_of
from search_spaces.decision import Decision
from search_spaces.genotypes import Population
from search_spaces.gradient.cost_table import CostTable
from search_spaces.joint_space import JointSpace
from search_spaces.recipe import SpaceRecipe
from search_spaces.space import SearchSpace
from search_spaces.space_file import told
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.recipe_settings import RecipeSettings

STATIC_METRICS = ("macs", "params", "peak_activation_bytes", "bytes_moved")
_TRIES = 4096
_BUILT_TRIES = 32
"""Networks that are looked at for static bounds, where costs are look-ups and where each network is built."""


@dataclass(frozen=True, slots=True)
class Problem:
    """What a search works on.

    Attributes:
        spec: the job.
        recipe: how the space is made elsewhere.
        space: what can be built, with the class count and channels of the data, or its vocabulary and length.
        dataset: what accuracy, loss and zero-cost scores are measured on; None when they are not asked for.
        searched: what the strategy searches: the space, or that together with settings of devices and of training.
        gradient_options: of a strategy that trains a relaxed network; None for others.
        known_costs: what such a strategy pays for, where that is known before anything is measured.
    """

    spec: JobSpec
    recipe: SpaceRecipe
    space: SearchSpace
    dataset: Data | None
    searched: SearchSpace
    gradient_options: GradientOptions | None = None
    known_costs: CostTable | None = None

    def strategy(self, rounds: Rounds | None = None, budget: StaticViolation | None = None) -> Strategy[Any]:
        """A fresh strategy, as the job describes it.

        Args:
            rounds: of a strategy that trains a relaxed network.
            budget: by how much genotypes break a budget that is predicted.
        """
        chosen = self.spec.strategy
        kind = strategy(chosen.name)
        bounds = [each for each in (self.static_violation if self.static_bounds else None, budget) if each is not None]
        return create(
            kind.options_type(**{"name": chosen.name, **chosen.settings}),
            self.searched,
            len(self.spec.objectives),
            self.spec.seed,
            static_violation=(lambda rows: np.sum([bound(rows) for bound in bounds], axis=0)) if bounds else None,
            seeds=np.stack([self.searched.smallest(), self.searched.largest()]),
            features=search_features(self.searched) if kind.predicts else None,
            rounds=rounds,
        )

    def network(self, choices: Mapping[str, Any]) -> NDArray[np.int16]:
        """The genotype (d,) of a network from choices that may be about devices as well."""
        return self.space.genotype({name: option for name, option in choices.items() if name in self.space.names})

    def static_violation(self, population: Population) -> NDArray[np.float64]:
        """By how much each genotype breaks the bounds that need no evaluation, (n,), 0 where they hold."""
        costs = self.searched.costs(population, [objective.metric for objective in self.static_bounds])
        broken = np.zeros(len(population))
        for objective in self.static_bounds:
            broken += objective.violations(costs[objective.metric])
        return broken

    @property
    def static_bounds(self) -> list[Objective]:
        """The objectives whose bound can be checked before anything is evaluated."""
        return [o for o in self.spec.objectives if o.metric in STATIC_METRICS and o.bound is not None]


def prepare(spec: JobSpec, *, allow_code: bool = False) -> Problem:
    """Load the data, build the space and check that the job can be done at all.

    Args:
        spec: the job.
        allow_code: whether a search space of the job's own may be run.

    Raises:
        ValueError: data that cannot be read, a space that does not fit them, bounds that nothing meets.
    """
    dataset = job_data(spec)
    recipe = job_recipe(spec, dataset, allow_code=allow_code)
    space, options = recipe.make(), gradient_options(spec)
    settings = device_decisions(spec.devices)
    if settings and options is not None:
        raise ValueError(
            f"strategy {spec.strategy.name!r} searches networks alone, and not settings of devices such as "
            f"{settings[0].name}; give one value of each, or another strategy"
        )
    asked = {objective.metric.rpartition("@")[2] for objective in spec.objectives}
    if idle := [each.name for each in settings if each.name.rpartition(".")[0] not in asked]:
        raise ValueError(f"{idle[0]} is searched, but no objective is a metric of its device; give it one value")
    training = [] if spec.recipe is None or spec.train is None else spec.recipe.decisions(spec.train)
    searched = JointSpace(space, settings, training) if settings or training else space
    costs = None if options is None else known_costs(options, space)
    problem = Problem(spec, recipe, space, dataset, searched, options, costs)
    _check_networks(problem)
    _check_inputs(problem)
    _check_training(problem)
    _check_bounds(problem)
    _check_gradient(problem)
    return problem


def device_decisions(devices: Mapping[str, Mapping[str, Any]]) -> list[Decision]:
    """The settings of a job's devices that are searched, named `DEVICE.SETTING`."""
    return [
        Decision(f"{name}.{key}", tuple(options))
        for name, section in devices.items()
        for key, options in choices_of(section).items()
    ]


def _check_training(problem: Problem) -> None:
    """A batch must not be larger than the training split, and a recipe must have something to train."""
    dataset, supernet, train = problem.dataset, problem.spec.supernet, problem.spec.train
    if dataset is None:
        return
    if train is not None:
        if not problem.space.trained_here:
            raise ValueError(
                f"train is given, but the weights of space {problem.space.name!r} come with it and are not trained "
                f"here; leave it out"
            )
        _check_recipe(dataset, train, "train")
    if supernet is None:
        return
    if not problem.space.trained_here:
        given, usual = supernet.model_dump(), SupernetSpec().model_dump()
        asked = [key for key in given if given[key] != usual[key] and key != "recalibration_samples"]
        if asked:
            raise ValueError(
                f"supernet.{asked[0]} is {given[asked[0]]!r}, but the weights of space {problem.space.name!r} come "
                f"with it and are not trained here; allowed: recalibration_samples"
            )
        return
    _check_recipe(dataset, supernet, "supernet")
    if supernet.kernel_transformation:
        Supernet(problem.space, seed=0, settings=supernet)  # refuses where there is nothing to transform


def _check_recipe(dataset: Data, recipe: RecipeSettings, section: str) -> None:
    """A recipe must fit the data."""
    if recipe.batch_size > len(dataset.train):
        raise ValueError(
            f"{section}.batch_size is {recipe.batch_size}, but {dataset.source} has {len(dataset.train)} training "
            f"samples; allowed: 2 to {len(dataset.train)}"
        )
    for option in ("shift", "flip", "augmentation"):
        if dataset.input_type != "float32" and getattr(recipe, option):
            raise ValueError(f"{section}.{option} changes images, but {dataset.source} is text; leave it out")
    if recipe.augmentation is not None:
        recipe.augmentation.check(dataset.input_shape[0])


def _check_inputs(problem: Problem) -> None:
    """The networks must take what the data hold; images may be of another size, because they are resized."""
    if problem.dataset is None:
        return
    data, takes = problem.dataset, problem.space.graph(problem.space.smallest()).inputs
    resized = data.input_shape[:1] if len(data.input_shape) == 3 else data.input_shape
    shape = takes[0].shape[1:]
    agree = takes[0].dtype == data.input_type and len(shape) == len(data.input_shape)
    if len(takes) != 1 or not agree or shape[: len(resized)] != resized:
        wanted = " and ".join(f"{value.dtype} of {value.shape[1:]}" for value in takes)
        raise ValueError(
            f"space {problem.space.name!r} takes inputs {wanted}, but {data.source} has {data.input_type} of "
            f"{data.input_shape}; choose another space or other data"
        )


def _check_networks(problem: Problem) -> None:
    """The extreme networks must be buildable."""
    try:
        for genotype in (problem.space.smallest(), problem.space.largest()):
            problem.space.graph(genotype)
    except Exception as error:
        if problem.recipe.code is None:
            raise
        raise ValueError(
            f"a network of space {problem.space.name!r} cannot be built: {problem.recipe.file}: "
            f"{told(error, problem.recipe.file)}"
        ) from error


def _check_gradient(problem: Problem) -> None:
    """A differentiable search must be able to begin: candidates that can be mixed, batches, a budget within reach."""
    if problem.gradient_options is None or problem.dataset is None:
        return
    data = problem.dataset.train
    plan = gradient_plan(problem.spec, problem.gradient_options, problem.known_costs)
    try:
        plan.search(problem.space, data.inputs(), np.array(data.labels, np.int64))
    except ValueError as error:
        raise ValueError(f"strategy {plan.method!r}: {error}") from error


def _check_bounds(problem: Problem) -> None:
    """Look hard for an architecture that meets the static bounds.

    The smallest network is looked at, many random ones, and then changes of the best one found, one decision at
    a time, for as long as that helps.
    """
    bounds = problem.static_bounds
    if not bounds:
        return
    space = problem.searched
    rng = np.random.default_rng([problem.spec.seed, 0])
    pool = np.concatenate(
        [space.smallest()[None], space.largest()[None], space.sample(_TRIES if space.tabulated else _BUILT_TRIES, rng)]
    )
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
