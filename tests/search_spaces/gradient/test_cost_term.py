"""Costs in differentiable search: tables are fitted, expectations exact, and budgets are kept by what is derived."""

from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from search_spaces.families.darts import Darts
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.gradient.budget import Budget
from search_spaces.gradient.cost_settings import CostSettings
from search_spaces.gradient.cost_term import CostTerm
from search_spaces.gradient.decision_costs import DecisionCosts, EncodedCost
from search_spaces.gradient.derivation import Derivation
from search_spaces.gradient.logits import Logits
from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.search import GradientSearch
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.space import Genotype, Population, SearchSpace
from search_spaces.training.checkpoint import CheckpointError

Data = tuple[np.ndarray, np.ndarray]
OPTIONS = np.array([1.0, 2, 4, 7, 1, 3, 4, 9, 2, 5])  # of first, second and kernel of the directions


@pytest.fixture(scope="module")
def table(directions: SearchSpace) -> DecisionCosts:
    """A table fitted on a sum over decisions; the cheapest network costs 4, the one that fits the data 18."""
    population = directions.enumerate()
    return DecisionCosts.fit(directions, population, directions.encode(population) @ OPTIONS)


def test_a_table_recovers_a_sum_and_its_expectation(directions: SearchSpace, table: DecisionCosts) -> None:
    """Options cost what they cost, and the expected cost is the mean over all genotypes by their probability."""
    population = directions.enumerate()
    costs = directions.encode(population) @ OPTIONS
    np.testing.assert_allclose(table.predict(population), costs, atol=0.01)
    assert table.error < 0.01
    logits = Logits(directions, seed=0)
    for value in logits.values:
        value.data = torch.linspace(-1, 1, len(value))
    mean = np.average(costs, weights=np.exp(logits.log_odds(population)))
    assert table.expected(logits.expected()).item() == pytest.approx(mean, abs=0.01)


def test_pairs_are_needed_where_decisions_switch_others_off(directions: SearchSpace) -> None:
    """With pairs, a product of two options is fitted, and its expectation is exact."""
    population = directions.enumerate()
    encoded = directions.encode(population)
    costs = encoded @ OPTIONS + 6 * encoded[:, 2] * encoded[:, 7]
    plain, pairs = (DecisionCosts.fit(directions, population, costs, pairwise=pairwise) for pairwise in (False, True))
    assert pairs.error < 0.05 < 0.5 < plain.error
    logits = Logits(directions, seed=0)
    for value in logits.values:
        value.data = torch.linspace(-1, 1, len(value))
    mean = np.average(costs, weights=np.exp(logits.log_odds(population)))
    assert pairs.expected(logits.expected()).item() == pytest.approx(mean, abs=0.05)


def test_gradients_of_the_expected_cost_agree_with_finite_differences() -> None:
    """Conditions included: a pair of inputs changes which edges count."""
    space = Darts(resolution=8, width=4, layers=3, nodes=2, operations=("skip_connect", "sep_conv_3x3"))
    population = space.sample(200, np.random.default_rng(0))
    cost = DecisionCosts.fit(space, population, population.sum(axis=1).astype(float), pairwise=True)
    logits = Logits(space, seed=0)
    start = tuple([value.detach().double().requires_grad_() for value in logits.values])
    assert torch.autograd.gradcheck(
        lambda *values: cost.expected(logits.expected([torch.softmax(value, 0) for value in values])), start
    )


def test_any_differentiable_predictor_of_encodings_will_do(directions: SearchSpace) -> None:
    """Such as a torch module."""
    module = torch.nn.Sequential(torch.nn.Linear(10, 1), torch.nn.Flatten(0))
    cost = EncodedCost(directions, module)
    population = directions.enumerate()[:5]
    with torch.no_grad():
        expected = module(torch.from_numpy(directions.encode(population))).numpy()
    np.testing.assert_allclose(cost.predict(population), expected, rtol=1e-6)
    assert cost.expected(Logits(directions, seed=0).expected()).requires_grad


@pytest.mark.parametrize("name", [name for name in METHODS if name != "dass"])
def test_derived_networks_meet_a_budget(
    directions: SearchSpace, correlated: Data, table: DecisionCosts, name: str
) -> None:
    """Below the cost of the network that fits best, and the expected cost comes down to it."""
    term = CostTerm(directions, table, CostSettings(form="budget", target=11.0, multiplier_rate=0.3))
    settings = SearchSettings(
        rounds=8, batch_size=32, optimiser="adamw", learning_rate=0.02, logits_learning_rate=0.1, seed=0
    )
    search = GradientSearch(directions, METHODS[name](), settings, *correlated, term=term)
    metrics = [search.round() for _ in range(8)]
    assert all(each["cost_derived"] <= 11 for each in metrics)
    assert table.predict(search.derive()[None])[0] <= 11
    assert metrics[-1]["cost_expected"] < 12
    assert metrics[-1]["cost_multiplier"] == term.multiplier


@pytest.mark.parametrize(
    "settings",
    [CostSettings(form="weighted", weight=0.5), CostSettings(form="ratio", target=8.0, weight=1.0)],
    ids=["weighted", "ratio"],
)
def test_soft_forms_make_networks_cheaper(
    directions: SearchSpace, correlated: Data, table: DecisionCosts, settings: CostSettings
) -> None:
    """The same search with and without the term."""
    recipe = SearchSettings(rounds=6, batch_size=32, optimiser="adamw", learning_rate=0.02, logits_learning_rate=0.1)
    expected = []
    for term in (None, CostTerm(directions, table, settings)):
        search = GradientSearch(directions, METHODS["darts"](), recipe, *correlated, term=term)
        for _ in range(6):
            metrics = search.round()
        expected.append(float(table.expected(search.logits.expected().detach())))
    assert "cost_multiplier" not in metrics
    assert expected[1] < expected[0] - 2


def test_forms_are_what_they_say(directions: SearchSpace, table: DecisionCosts) -> None:
    """Numbers by hand."""
    logits, loss = Logits(directions, seed=0), torch.tensor(2.0)
    cost = float(table.expected(logits.expected()).detach())
    weighted = CostTerm(directions, table, CostSettings(form="weighted", weight=0.5))
    ratio = CostTerm(directions, table, CostSettings(form="ratio", weight=0.07, target=5.0))
    budget = CostTerm(directions, table, CostSettings(form="budget", target=5.0, multiplier_rate=0.5))
    assert weighted(loss, logits).item() == pytest.approx(2 + 0.5 * cost)
    assert ratio(loss, logits).item() == pytest.approx(2 * (cost / 5) ** 0.07)
    assert budget(loss, logits).item() == 2
    budget.update(logits)
    assert budget.multiplier == pytest.approx(0.5 * (cost / 5 - 1))
    assert budget(loss, logits).item() == pytest.approx(2 + budget.multiplier * (cost / 5 - 1))


def test_budgets_that_cannot_be_met_are_refused_before_work(directions: SearchSpace, table: DecisionCosts) -> None:
    """With the least reachable cost and the network that has it."""
    message = r"budget of 3 is out of reach.* the least that was found is 4.*'first': 'skip'"
    with pytest.raises(ValueError, match=message):
        CostTerm(directions, table, CostSettings(form="budget", target=3.0))


def test_the_most_probable_network_within_a_budget_is_exact_in_small_spaces(directions: SearchSpace) -> None:
    """As by trying all."""
    population = directions.enumerate()
    costs = directions.encode(population) @ OPTIONS
    logits = Logits(directions, seed=0)
    for value in logits.values:
        value.data = torch.linspace(-1, 1, len(value))
    start = np.array([3, 3, 1], np.int16)
    for limit in (4.0, 9.0, 12.0, 21.0):
        found = Budget(directions, lambda rows: directions.encode(rows) @ OPTIONS, limit).best(logits.log_odds, start)
        scores = np.where(costs <= limit, logits.log_odds(population), -np.inf)
        assert found.tolist() == population[scores.argmax()].tolist()


def test_budgets_are_kept_in_large_spaces() -> None:
    """Decisions with conditions, among 10 to the power of 19: the result keeps the limit and uses most of it."""
    space = MobileNetV3()
    rng = np.random.default_rng(0)
    prices = rng.uniform(0.5, 3, space.encode(space.largest()[None]).shape[1])

    def predict(rows: Population) -> np.ndarray:
        return np.asarray(space.encode(rows) @ prices, np.float64)

    preferred = space.sample(1, rng)[0]
    logits = Logits(space, seed=0)
    for value, option in zip(logits.values, preferred, strict=True):
        value.data[int(option)] += 3

    def start() -> Genotype:
        return np.array([int(value.argmax()) for value in logits.values], np.int16)

    free = float(predict(logits.derive()[None])[0])
    generous = Budget(space, predict, free + 1)
    assert generous.best(logits.log_odds, start()).tolist() == logits.derive().tolist()
    least = float(predict(generous.cheapest[None])[0])
    limit = (free + least) / 2
    found = Budget(space, predict, limit).best(logits.log_odds, start())
    assert 0.9 * limit < predict(found[None])[0] <= limit
    cheapest = logits.log_odds(generous.cheapest[None])[0]
    assert cheapest < logits.log_odds(found[None])[0] < logits.log_odds(logits.derive()[None])[0]
    with pytest.raises(ValueError, match="out of reach"):
        Budget(space, predict, least * 0.99)


def test_searches_with_a_budget_resume_to_the_bit(
    directions: SearchSpace, correlated: Data, table: DecisionCosts, tmp_path: Path
) -> None:
    """The multiplier is part of the state; another cost is another search."""
    settings, data = (
        SearchSettings(rounds=3, batch_size=32, logits_learning_rate=0.1),
        [part[:128] for part in correlated],
    )

    def begin(cost: DecisionCosts) -> GradientSearch:
        term = CostTerm(directions, cost, CostSettings(form="budget", target=9.0))
        return GradientSearch(directions, METHODS["gdas"](), settings, *data, term=term)

    whole, path = begin(table), tmp_path / "search.safetensors"
    whole.round()
    whole.save(path)
    expected = [whole.round() for _ in range(2)][-1]
    resumed = begin(table)
    resumed.load(path)
    found = [resumed.round() for _ in range(2)][-1]
    assert {**found, "seconds": 0} == {**expected, "seconds": 0}
    assert found["cost_multiplier"] > 0
    dearer = DecisionCosts(directions, table.constant + 1, table.options, table.pairs, table.places, table.error)
    with pytest.raises(CheckpointError, match="its cost is"):
        begin(dearer).load(path)


def test_budgets_on_a_published_latency_table(shared_data: Path) -> None:
    """The 30th percentile of the Raspberry Pi 4's latencies: the fitted table ranks networks well, and budgets hold."""
    with np.load(shared_data / "nb201.npz", allow_pickle=False) as file:
        latency = file["values"][:, list(file["metrics"]).index("latency_ms@raspi4")]
        population = file["genotypes"]
    space, rows = NasBench201(), np.random.default_rng(0).choice(len(latency), 500, replace=False)
    plain, pairs = (
        DecisionCosts.fit(space, population[rows], latency[rows], pairwise=pairwise) for pairwise in (False, True)
    )
    errors = [float(np.sqrt(np.mean(np.square(cost.predict(population) - latency)))) for cost in (plain, pairs)]
    assert errors[1] < errors[0] < latency.std() / 2
    for cost, error in zip((plain, pairs), errors, strict=True):
        assert cost.error == pytest.approx(error, rel=0.2)
    target = float(np.percentile(latency, 30))
    term = CostTerm(space, pairs, CostSettings(form="budget", target=target))
    logits = Logits(space, seed=0)
    for value in logits.values:
        value.data[3] += 2  # the slow convolution everywhere
    assert pairs.predict(logits.derive()[None])[0] > target
    assert pairs.predict(Derivation(space, term.budget)(logits)[None])[0] <= target


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"form": "budget"}, "the form 'budget' needs target, got None; it takes target"),
        ({"form": "budget", "target": 3.0, "weight": 1.0}, "takes no weight, got 1.0"),
        ({"form": "ratio", "target": 3.0}, "the form 'ratio' needs weight"),
        ({"form": "weighted", "weight": -1.0}, "greater than 0"),
        ({"form": "hinge"}, "'weighted', 'ratio' or 'budget'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    """Before any work."""
    with pytest.raises(ValidationError, match=message):
        CostSettings(**settings)


def test_tables_need_measurements(directions: SearchSpace) -> None:
    """As many as genotypes, all finite."""
    population = directions.enumerate()[:5]
    with pytest.raises(ValueError, match=r"5 and costs of shape \(4,\), 0 of them not finite"):
        DecisionCosts.fit(directions, population, np.zeros(4))
    with pytest.raises(ValueError, match="1 of them not finite"):
        DecisionCosts.fit(directions, population, np.array([1, 2, np.nan, 4, 5]))
