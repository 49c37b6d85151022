"""NSGA-II: its options, its first points, and that it searches better than chance."""

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from nas.front import hypervolume
from nas.strategies.nsga2 import Nsga2, Nsga2Options
from nas.strategies.random import RandomOptions
from nas.strategies.registry import StrategySpec, create, strategy
from search_spaces.decision import Decision
from search_spaces.genotypes import GenotypeSpace, Population


def bits(d: int = 40) -> GenotypeSpace:
    """A space of d decisions with three options each."""
    return GenotypeSpace([Decision(f"d{column}", (0, 1, 2)) for column in range(d)])


def conflicting(rows: Population) -> np.ndarray:
    """Zeros at the front against zeros at the back, both spoilt by ones."""
    ones = (rows == 1).mean(axis=1)
    return np.stack([(rows == 0).mean(axis=1) + ones, (rows == 2).mean(axis=1) + ones], axis=1)


def test_it_beats_random_search() -> None:
    """With 2,000 evaluations the hypervolume is well above that of random search, for three seeds."""
    space = bits()
    volumes: dict[str, list[float]] = {"random": [], "nsga2": []}
    for name, options in (("random", RandomOptions()), ("nsga2", Nsga2Options(population=40))):
        for seed in range(3):
            searcher = create(options, space, 2, seed)
            while len(searcher.history) < 2_000:
                rows = searcher.ask(40)
                searcher.tell(rows, conflicting(rows), np.zeros(len(rows)))
            volumes[name].append(hypervolume(searcher.history.losses, [1.0, 1.0]))
    assert min(volumes["nsga2"]) > 1.3 * max(volumes["random"])


def test_one_by_one_with_work_outstanding_works_as_well() -> None:
    """A steady state with eight evaluations in flight reaches a comparable front."""
    space = bits()
    searcher = create(Nsga2Options(population=20), space, 2, 0)
    waiting = [searcher.ask(1) for _ in range(8)]
    while len(searcher.history) < 1_000:
        rows = waiting.pop(0)
        searcher.tell(rows, conflicting(rows), np.zeros(1))
        waiting.append(searcher.ask(1))
    assert hypervolume(searcher.history.losses, [1.0, 1.0]) > 0.3


def test_seeds_come_first_and_first_points_use_all_options_evenly() -> None:
    """Seeds in their order, then a balanced design; between two seeds every second point is a blend."""
    space = bits(6)
    plain = create(Nsga2Options(population=30), space, 1, 0).ask(30)
    assert (np.abs(space.encode(plain).mean(axis=0) - 1 / 3) < 0.07).all()
    seeds = np.array([[0] * 6, [2] * 6, [0] * 6], np.int16)
    rows = create(Nsga2Options(population=30), space, 1, 0, seeds=seeds).ask(30)
    np.testing.assert_array_equal(rows[:2], seeds[:2])
    blends = (rows != 1).all(axis=1)
    assert 10 <= blends.sum() <= 20
    single = create(Nsga2Options(population=30), space, 1, 0, seeds=seeds)
    singles = np.concatenate([single.ask(1) for _ in range(30)])
    np.testing.assert_array_equal(singles[:2], seeds[:2])
    assert 5 < (singles != 1).all(axis=1).sum() < 28


def test_parents_are_the_best_of_everything_told() -> None:
    """One objective: exactly the `population` least losses, however they were told."""
    space = bits()
    searcher = create(Nsga2Options(population=10), space, 1, 0)
    assert isinstance(searcher, Nsga2)
    rng = np.random.default_rng(2)
    for batch in (1, 4, 37, 9, 10, 2):
        rows = searcher.ask(batch)
        searcher.tell(rows, rng.random((batch, 1)), np.zeros(batch))
        losses = searcher.history.losses[:, 0]
        np.testing.assert_array_equal(searcher.incumbents, np.argsort(losses)[:10])


@pytest.mark.parametrize(
    "given, message",
    [
        ("nsga3", "unknown strategy 'nsga3'; known: random, nsga2"),
        ({"name": "nsga3"}, "unknown strategy 'nsga3'; known: random, nsga2"),
        ({"population": 20}, "a strategy needs a name; known: random, nsga2"),
        ({"name": "nsga2", "population": 1}, "(?s)population.*greater than or equal to 2"),
        ({"name": "nsga2", "crossover": 1.5}, "(?s)crossover.*less than or equal to 1"),
        ({"name": "nsga2", "mutation_rate": 0}, "(?s)mutation_rate.*greater than 0"),
        ({"name": "nsga2", "tournament": "big"}, "(?s)tournament.*valid integer"),
        ({"name": "nsga2", "populaton": 20}, "(?s)populaton.*not permitted"),
        ({"name": "random", "population": 20}, "(?s)population.*not permitted"),
        (7, "valid dictionary"),
    ],
)
def test_bad_specs_are_refused(given: object, message: str) -> None:
    """The message says where, what was given and what is allowed."""
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(StrategySpec).validate_python(given)


def test_unknown_names_and_foreign_options_are_refused() -> None:
    """Names answer with the known ones; options of another strategy are a programming error."""
    with pytest.raises(ValueError, match="unknown strategy 'tpe'; known: random, nsga2"):
        strategy("tpe")
    with pytest.raises(TypeError, match=r"must be Nsga2Options \(got RandomOptions\)"):
        strategy("nsga2")(bits(), 1, 0, RandomOptions())
