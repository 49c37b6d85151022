"""Searches of others on a landscape, as sequences of distinct evaluations.

A peer that proposes the same again is answered from memory and is not charged; one that stops to find anything new is
given four proposals for each evaluation and then its sequence ends.
"""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from landscape import Array, Landscape
from numpy.typing import NDArray

from nas.front import front
from nas.strategies.neighbourhood import neighbours
from nas.strategies.random import RandomOptions, RandomSearch
from search_spaces.genotypes import Population

PATIENCE = 4


class Ledger:
    """Distinct evaluations, up to a budget."""

    def __init__(self, landscape: Landscape, budget: int) -> None:
        self.landscape = landscape
        self.budget = budget
        self.genotypes: list[NDArray[np.int16]] = []
        self.losses: list[Array] = []
        self.asked = 0
        self._known: dict[bytes, Array] = {}

    @property
    def done(self) -> bool:
        """Whether the budget is spent or hope is lost."""
        return len(self.losses) >= min(self.budget, self.landscape.size) or self.asked >= PATIENCE * self.budget

    def known(self, rows: Population) -> NDArray[np.bool_]:
        """Which of (n, d) canonical genotypes were evaluated."""
        return np.array([row.tobytes() in self._known for row in rows], np.bool_)

    def evaluate(self, rows: Population) -> Array:
        """Return the (n, m) losses of genotypes; NaN for what may not be proposed or is beyond the budget."""
        rows = self.landscape.space.canonical(np.asarray(rows, np.int16))
        self.asked += len(rows)
        losses, allowed = self.landscape.losses(rows), self.landscape.missing(rows) <= 0
        for row, loss, inside in zip(rows, losses, allowed, strict=True):
            key = row.tobytes()
            if inside and key not in self._known and len(self.losses) < self.budget:
                self._known[key] = loss
                self.genotypes.append(row)
                self.losses.append(loss)
        return np.where(allowed[:, None], losses, np.nan)

    def result(self) -> Array:
        """The (k, m) losses in the order of evaluation."""
        return np.array(self.losses).reshape(-1, len(self.landscape.objectives))


def random(landscape: Landscape, budget: int, seed: int) -> Array:
    """Uniform sampling without repetition."""
    ledger = Ledger(landscape, budget)
    over = landscape.missing if landscape.restricted else None
    count = len(landscape.objectives)
    searcher = RandomSearch(landscape.space, count, seed, RandomOptions(), static_violation=over)
    ledger.evaluate(searcher.ask(budget))
    return ledger.result()


def one_edge(landscape: Landscape, budget: int, seed: int) -> Array:
    """Pareto local search: from ten random points, one new neighbour of a random point of the front at a time."""
    ledger = Ledger(landscape, budget)
    space, rng = landscape.space, np.random.default_rng([seed, 17])
    while len(ledger.losses) < min(10, budget) and not ledger.done:
        ledger.evaluate(space.sample(1, rng))
    exhausted: set[int] = set()
    while not ledger.done:
        best = [index for index in front(ledger.result()).tolist() if index not in exhausted]
        if not best:
            ledger.evaluate(space.sample(1, rng))
            continue
        index = best[int(rng.integers(len(best)))]
        rows = neighbours(space, ledger.genotypes[index])
        rows = rows[~ledger.known(rows) & (landscape.missing(rows) <= 0)]
        if len(rows):
            ledger.evaluate(rows[[int(rng.integers(len(rows)))]])
        else:
            exhausted.add(index)
    return ledger.result()


def _optuna(landscape: Landscape, budget: int, sampler: Any) -> Array:
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    sizes = landscape.space.cardinalities.tolist()
    ledger = Ledger(landscape, budget)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        study = optuna.create_study(directions=["minimize"] * len(landscape.objectives), sampler=sampler)
        while not ledger.done:
            trial = study.ask()
            row = [trial.suggest_categorical(f"d{column}", list(range(size))) for column, size in enumerate(sizes)]
            (losses,) = ledger.evaluate(np.array([row], np.int16))
            if np.isnan(losses).any():
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
            else:
                study.tell(trial, losses.tolist())
    return ledger.result()


def optuna_nsga2(population: int) -> Callable[[Landscape, int, int], Array]:
    """Optuna's NSGA-II with a population size."""

    def search(landscape: Landscape, budget: int, seed: int) -> Array:
        import optuna

        sampler = optuna.samplers.NSGAIISampler(population_size=population, seed=seed)
        return _optuna(landscape, budget, sampler)

    return search


def optuna_tpe(landscape: Landscape, budget: int, seed: int) -> Array:
    """Optuna's multi-objective TPE."""
    import optuna

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        sampler = optuna.samplers.TPESampler(seed=seed, multivariate=False)
    return _optuna(landscape, budget, sampler)


def pymoo_nsga2(population: int) -> Callable[[Landscape, int, int], Array]:
    """NSGA-II of pymoo on integers, with a population size."""

    def search(landscape: Landscape, budget: int, seed: int) -> Array:
        from pymoo.algorithms.moo.nsga2 import NSGA2
        from pymoo.core.evaluator import Evaluator
        from pymoo.core.problem import Problem
        from pymoo.operators.crossover.sbx import SBX
        from pymoo.operators.mutation.pm import PM
        from pymoo.operators.repair.rounding import RoundingRepair
        from pymoo.operators.sampling.rnd import IntegerRandomSampling
        from pymoo.problems.static import StaticProblem

        upper = landscape.space.cardinalities.astype(int) - 1
        ledger = Ledger(landscape, budget)
        count = len(landscape.objectives)
        problem = Problem(n_var=len(upper), n_obj=count, n_ieq_constr=1, xl=np.zeros_like(upper), xu=upper, vtype=int)
        algorithm = NSGA2(
            pop_size=population,
            sampling=IntegerRandomSampling(),
            crossover=SBX(prob=0.9, eta=3, vtype=float, repair=RoundingRepair()),
            mutation=PM(eta=3, vtype=float, repair=RoundingRepair()),
            eliminate_duplicates=True,
        )
        algorithm.setup(problem, termination=("n_gen", 10**9), seed=seed, verbose=False)
        while not ledger.done:
            infills = algorithm.ask()
            if infills is None or not len(infills):
                break
            losses = ledger.evaluate(infills.get("X").astype(np.int16))
            failed = np.isnan(losses).any(axis=1)
            worst = np.where(failed[:, None], landscape.high, losses)
            Evaluator().eval(StaticProblem(problem, F=worst, G=failed[:, None].astype(float)), infills)
            algorithm.tell(infills=infills)
        return ledger.result()

    return search


PEERS: dict[str, Callable[[Landscape, int, int], Array]] = {
    "random": random,
    "optuna_nsga2_50": optuna_nsga2(50),
    "optuna_nsga2_20": optuna_nsga2(20),
    "optuna_tpe": optuna_tpe,
    "pymoo_nsga2_50": pymoo_nsga2(50),
    "pymoo_nsga2_20": pymoo_nsga2(20),
    "one_edge_local_search": one_edge,
}
NEEDS = {"optuna": "optuna", "pymoo": "pymoo"}
"""The package that a peer needs, by the beginning of its name."""
