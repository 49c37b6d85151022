"""The strategies by name, and the part of a job file that chooses one."""

from typing import Annotated, Any, Union

from pydantic import BeforeValidator, Field

from nas.strategies.bandit import Bandit
from nas.strategies.base import StaticViolation, Strategy, StrategyOptions
from nas.strategies.bayesian import Bayesian
from nas.strategies.features import Features
from nas.strategies.gradient import GradientOptions, GradientStrategy, Rounds
from nas.strategies.gradient_methods import Darts, Dass, FBNet, Gdas, PcDarts, Proxyless, SharpDarts, SinglePath
from nas.strategies.local_search import LocalSearch
from nas.strategies.map_elites import MapElites
from nas.strategies.mcts import Mcts
from nas.strategies.nsga2 import Nsga2
from nas.strategies.predictor_assisted import PredictorAssisted
from nas.strategies.random import RandomSearch
from nas.strategies.regularized_evolution import RegularizedEvolution
from nas.strategies.reinforce import Reinforce
from search_spaces.genotypes import GenotypeSpace, Population

STRATEGIES: dict[str, type[Strategy[Any]]] = {
    "random": RandomSearch,
    "nsga2": Nsga2,
    "regularized_evolution": RegularizedEvolution,
    "local_search": LocalSearch,
    "map_elites": MapElites,
    "mcts": Mcts,
    "bayesian": Bayesian,
    "predictor_assisted": PredictorAssisted,
    "bandit": Bandit,
    "reinforce": Reinforce,
    "darts": Darts,
    "pc_darts": PcDarts,
    "sharp_darts": SharpDarts,
    "gdas": Gdas,
    "fbnet": FBNet,
    "proxyless": Proxyless,
    "single_path": SinglePath,
    "dass": Dass,
}
GRADIENT = frozenset(name for name, kind in STRATEGIES.items() if issubclass(kind, GradientStrategy))
"""The strategies that train a relaxed network, and so need data and a space that assembles graphs."""


def strategy(name: str) -> type[Strategy[Any]]:
    """Return the strategy of a name.

    Raises:
        ValueError: there is none; the message lists those there are.
    """
    if name not in STRATEGIES:
        raise ValueError(f"unknown strategy {name!r}; known: {', '.join(STRATEGIES)}")
    return STRATEGIES[name]


def _named(given: object) -> object:
    """Take `nsga2` for `{name: nsga2}`, and answer an unknown name with the known ones."""
    spec = {"name": given} if isinstance(given, str) else given
    if isinstance(spec, dict):
        if "name" not in spec:
            raise ValueError(f"a strategy needs a name; known: {', '.join(STRATEGIES)}")
        strategy(str(spec["name"]))
    return spec


_AnyOptions: Any = Union[tuple(kind.options_type for kind in STRATEGIES.values())]  # noqa: UP007  no types to write

StrategySpec: Any = Annotated[_AnyOptions, Field(discriminator="name"), BeforeValidator(_named)]
"""The type of a job file's `strategy:` field: a name, or an object of a name and options."""


def create(
    options: StrategyOptions,
    space: GenotypeSpace,
    objectives: int,
    seed: int,
    *,
    static_violation: StaticViolation | None = None,
    seeds: Population | None = None,
    features: Features | None = None,
    rounds: Rounds | None = None,
) -> Strategy[Any]:
    """Build the strategy that the options belong to; arguments are those of `Strategy`.

    A strategy of `GRADIENT` needs its `rounds` besides; others take none.

    Raises:
        ValueError: no strategy has the options' name, rounds are missing, or as `Strategy` says.
    """
    kind = strategy(options.name)
    more: dict[str, Any] = {"rounds": rounds} if options.name in GRADIENT else {}
    return kind(
        space, objectives, seed, options, static_violation=static_violation, seeds=seeds, features=features, **more
    )


def describe() -> list[dict[str, Any]]:
    """Return `{name, summary, options}` of every strategy; options as JSON Schema properties by name."""
    described = []
    for name, kind in STRATEGIES.items():
        properties = kind.options_type.model_json_schema()["properties"]
        own_first = sorted(properties, key=lambda option: name in GRADIENT and option in GradientOptions.model_fields)
        options = {option: properties[option] for option in own_first if option != "name"}
        described.append({"name": name, "summary": kind.summary, "options": options})
    return described
