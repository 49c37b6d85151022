"""What a job says about differentiable search, made concrete: its options, its costs, and the search itself."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from nas.features.network_features import SpaceFeatures
from nas.jobspec.metric_names import STATIC
from nas.jobspec.spec import JobSpec
from nas.strategies.gradient import GradientOptions
from nas.strategies.registry import GRADIENT, strategy
from nas.table import Table, TableError
from search_spaces.decision import Option
from search_spaces.gradient.cost_settings import CostSettings
from search_spaces.gradient.cost_table import CostTable
from search_spaces.gradient.plan import GradientPlan
from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.space import SearchSpace

SAMPLED = 1024
PREDICTED = 20_000


def gradient_options(spec: JobSpec) -> GradientOptions | None:
    """The options of a job's strategy; None where it is none of differentiable search."""
    chosen = spec.strategy
    if chosen.name not in GRADIENT:
        return None
    options = strategy(chosen.name).options_type(**{"name": chosen.name, **chosen.settings})
    assert isinstance(options, GradientOptions)
    return options


def gradient_plan(spec: JobSpec, options: GradientOptions, costs: CostTable | None) -> GradientPlan:
    """The search of a job, with costs where it pays for any."""
    own = {name: getattr(options, name) for name in METHODS[options.name].model_fields}
    settings = SearchSettings(**options.recipe(spec.seed))
    if costs is None or options.cost is None:
        return GradientPlan(options.name, own, settings)
    return GradientPlan(options.name, own, settings, costs, cost_settings(spec, options), options.cost.margin)


def cost_settings(spec: JobSpec, options: GradientOptions) -> CostSettings:
    """How the cost enters; the bound of the objective is the target where the job gives no other."""
    cost = options.cost
    assert cost is not None
    bounds = [each.bound for each in spec.objectives if each.metric == cost.metric]
    target = cost.target if cost.target is not None or cost.form == "weighted" else next(iter(bounds), None)
    return cost.settings(target)


def known_costs(options: GradientOptions, space: SearchSpace) -> CostTable | None:
    """What is known of the cost without measuring: from a table, a predictor, or the graphs; None for anything else.

    Raises:
        ValueError: a table or predictor that cannot be read, is of another space or knows too little of the metric.
    """
    cost = options.cost
    if cost is None:
        return None
    if cost.table is not None:
        return _of_table(Path(cost.table), cost.metric, space)
    if cost.predictor is not None:
        return _of_predictor(Path(cost.predictor), cost.metric, space)
    if cost.metric not in STATIC:
        return None
    size = space.size()
    rows = space.enumerate() if size <= SAMPLED else space.sample(SAMPLED, np.random.default_rng(0))
    return CostTable.fit(space, cost.metric, rows, space.costs(rows, [cost.metric])[cost.metric], exact=True)


def _of_table(path: Path, metric: str, space: SearchSpace) -> CostTable:
    where = "strategy.cost.table"
    try:
        table = Table.load(path)
        values = table.column(metric)
    except TableError as error:
        raise ValueError(f"{where}: {error}") from error
    given = [(decision.name, decision.options) for decision in table.space.decisions]
    wanted = [(decision.name, decision.options) for decision in space.decisions]
    if given != wanted:
        raise ValueError(
            f"{where}: {path} has {len(given)} decisions of space {table.space_name!r}, {_first(given, wanted)}; a "
            f"table for this job has those of space {space.name!r}"
        )
    known = np.isfinite(values)
    if known.sum() < 3:
        raise ValueError(f"{where}: {path} knows {metric} of {int(known.sum())} networks; at least 3 are needed")
    return CostTable.fit(space, metric, table.genotypes[known], values[known])


def _of_predictor(path: Path, metric: str, space: SearchSpace) -> CostTable:
    from predictors.file import LARGEST, from_bytes  # here, because all predictors take seconds to import

    where = "strategy.cost.predictor"
    try:
        if path.stat().st_size > LARGEST:
            raise ValueError(f"{path} has {path.stat().st_size} bytes; at most {LARGEST} are read")
        stored = from_bytes(path.read_bytes())
        told = f"{stored.about.get('metric')}@{stored.about.get('device')}"
        if told != metric:
            raise ValueError(f"{path} predicts {told}, and the cost is {metric}")
        features = SpaceFeatures(space)
        if stored.predictor.features.subject != features.features.subject:
            raise ValueError(
                f"{path} is for {stored.predictor.features.subject!r}; this job needs one for space {space.name!r}"
            )
        small = space.size() <= PREDICTED
        rows = space.enumerate() if small else space.sample(PREDICTED, np.random.default_rng(0))
        values = stored.predictor.predict(features(space.canonical(rows))).mean
    except (ValueError, OSError) as error:
        raise ValueError(f"{where}: {error}") from error
    return CostTable.fit(space, metric, rows, np.asarray(values, np.float64))


def _first(given: Sequence[tuple[str, Sequence[Option]]], wanted: Sequence[tuple[str, Sequence[Option]]]) -> str:
    """The first decision that differs."""
    for one, other in zip(given, wanted, strict=False):
        if one != other:
            return f"of which {one[0]!r} has {list(one[1])} where this job's {other[0]!r} has {list(other[1])}"
    return f"where this job has {len(wanted)}"
