"""Differentiable search: it resumes to the bit, survives bad rounds, and refuses what cannot be searched."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from search_spaces.families.nasbench201 import NasBench201
from search_spaces.gradient.method import Bilevel, Relaxation, gradients_of
from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.relaxed_supernet import RelaxedSupernet
from search_spaces.gradient.search import GradientSearch
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.gradient.structure import Structure
from search_spaces.space import SearchSpace
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.checkpoint import CheckpointError
from search_spaces.training.loop import TrainingError

Data = tuple[np.ndarray, np.ndarray]
QUICK: dict[str, Any] = {"rounds": 3, "batch_size": 32, "learning_rate": 0.05, "logits_learning_rate": 0.05, "seed": 3}
DENSE = {name: method for name, method in METHODS.items() if name != "dass"}  # which has a test file of its own


@pytest.mark.parametrize("name", DENSE)
def test_resumed_searches_end_with_the_same_bits(
    directions: SearchSpace, correlated: Data, tmp_path: Path, name: str
) -> None:
    """Stopped after any round and taken up by another process, weights, logits and metrics are those of the whole."""
    settings, data = SearchSettings(**QUICK, warmup_rounds=1), tuple(part[:128] for part in correlated)
    whole = GradientSearch(directions, METHODS[name](), settings, *data)
    paths, metrics = [], {}
    while not whole.finished:
        paths.append(tmp_path / f"{whole.rounds}.safetensors")
        whole.save(paths[-1])
        metrics = whole.round()
    for path in paths:
        resumed = GradientSearch(directions, METHODS[name](), settings, *data)
        resumed.load(path)
        while not resumed.finished:
            again = resumed.round()
        assert {**again, "seconds": 0} == {**metrics, "seconds": 0}
        for key, value in whole.supernet.shared.items():
            assert torch.equal(value, resumed.supernet.shared[key]), key
        for first, second in zip(whole.logits.values, resumed.logits.values, strict=True):
            assert torch.equal(first, second)


def test_checkpoints_of_other_searches_are_refused(directions: SearchSpace, correlated: Data, tmp_path: Path) -> None:
    """What differs is named, and nothing is changed."""
    path = tmp_path / "search.safetensors"
    first = GradientSearch(directions, METHODS["darts"](), SearchSettings(**QUICK), *correlated)
    first.save(path)
    other = GradientSearch(directions, METHODS["gdas"](), SearchSettings(**QUICK), *correlated)
    with pytest.raises(CheckpointError, match=r"its method is \{'name': 'darts', 'order': 1.*'gdas'"):
        other.load(path)
    other = GradientSearch(directions, METHODS["darts"](), SearchSettings(**{**QUICK, "seed": 4}), *correlated)
    with pytest.raises(CheckpointError, match="its search is"):
        other.load(path)


def test_warm_up_leaves_the_logits(directions: SearchSpace, correlated: Data) -> None:
    """Weights learn alone, and metrics say nothing of validation."""
    search = GradientSearch(directions, METHODS["darts"](), SearchSettings(**QUICK, warmup_rounds=1), *correlated)
    before = [value.detach().clone() for value in search.logits.values]
    assert "validation_loss" not in search.round()
    assert all(torch.equal(*pair) for pair in zip(before, search.logits.values, strict=True))
    assert "validation_loss" in search.round()
    assert not any(torch.equal(*pair) for pair in zip(before, search.logits.values, strict=True))


def test_second_order_agrees_with_finite_differences(directions: SearchSpace, correlated: Data) -> None:
    """In float64: the gradient of the validation loss of weights that took a step, with respect to the logits."""
    settings = SearchSettings(**{**QUICK, "batch_size": 16})
    method = METHODS["darts"](order=2, epsilon=1e-4)
    search = GradientSearch(directions, method, settings, *(part[:64] for part in correlated))
    search.supernet.double()
    for value in search.logits.values:
        value.data = value.data.double() + torch.arange(len(value)) / 7
    images, labels = torch.from_numpy(correlated[0]).double(), torch.from_numpy(correlated[1])
    training, validation, rate = (images[:16], labels[:16]), (images[16:32], labels[16:32]), 0.3

    def loss(batch: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
        relaxation = method.relax(search.logits, search.structure, np.random.default_rng(0), 0.0, learns=True)
        outputs = search.relaxed(batch[0], relaxation.paths, relaxation.weights)
        return torch.nn.functional.cross_entropy(outputs, batch[1])

    logits, weights = search.logits.values, search.weights
    problem = Bilevel(lambda: loss(training), lambda: loss(validation), weights, logits, rate)
    kept = [value.detach().clone() for value in weights]
    found = method.gradients(problem)[1]
    assert all(torch.equal(*pair) for pair in zip(kept, weights, strict=True))

    @torch.no_grad()
    def after_a_step() -> float:
        with torch.enable_grad():
            slopes = gradients_of(loss(training), weights)
        for value, slope in zip(weights, slopes, strict=True):
            if slope is not None:
                value -= rate * slope
        result = loss(validation).item()
        for value, old in zip(weights, kept, strict=True):
            value.copy_(old)
        return result

    first_order = METHODS["darts"]().gradients(problem)[1]
    for column in search.structure.operators:
        for option in range(len(logits[column])):
            with torch.no_grad():
                logits[column][option] += 1e-5
                above = after_a_step()
                logits[column][option] -= 2e-5
                below = after_a_step()
                logits[column][option] += 1e-5
            expected = (above - below) / 2e-5
            assert found[column] is not None
            assert float(found[column][option]) == pytest.approx(expected, rel=1e-4, abs=1e-8)
        assert not torch.allclose(found[column], first_order[column], rtol=0.01)


def test_attributes_get_the_gradient_of_the_score_function(directions: SearchSpace, correlated: Data) -> None:
    """In the mean over draws it is the gradient of the expected loss."""
    settings = SearchSettings(**QUICK)
    search = GradientSearch(directions, METHODS["gdas"](), settings, *correlated)
    row, column = np.zeros(3, np.int16), 2
    relaxations = []
    for option in range(2):
        row[column] = option
        relaxations.append((row.copy(), search.structure.paths(row, weighed=False)))
    losses, search.loss.baseline = [1.5, 0.5], 0.8
    total = torch.zeros(2)
    chances = torch.softmax(search.logits.values[column], 0).detach()
    for (chosen, paths), chance, loss in zip(relaxations, chances, losses, strict=True):
        score = search.loss.score(search.logits, Relaxation(chosen, paths, {}), loss)
        assert score.item() == 0
        total += chance * torch.autograd.grad(score, search.logits.values[column])[0]
    value = search.logits.values[column]
    (expected,) = torch.autograd.grad((torch.softmax(value, 0) * torch.tensor(losses)).sum(), value)
    torch.testing.assert_close(total, expected)


def test_a_round_whose_loss_is_no_number_is_repeated_once(
    directions: SearchSpace, correlated: Data, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second attempt starts from the state before the round, with other draws."""
    search = GradientSearch(directions, METHODS["gdas"](), SearchSettings(**QUICK), *correlated)
    search.round()
    kept = {name: value.detach().clone() for name, value in search._state.tensors().items()}
    advance, attempts = search._advance, []

    def fail_first(rng: np.random.Generator, on_step: Any) -> dict[str, float]:
        attempts.append({name: value.detach().clone() for name, value in search._state.tensors().items()})
        if len(attempts) == 1:
            advance(rng, on_step)
            raise TrainingError("the first attempt")
        return advance(rng, on_step)

    monkeypatch.setattr(search, "_advance", fail_first)
    search.round()
    assert search.rounds == 2
    assert len(attempts) == 2
    for name, value in attempts[1].items():
        assert torch.equal(value, kept[name]), name


def test_a_loss_that_stays_no_number_ends_the_search(directions: SearchSpace, correlated: Data) -> None:
    """The message names step, round and the entropy of every decision; the state is that before the round."""
    images = correlated[0].copy()
    images[:] = np.nan
    search = GradientSearch(directions, METHODS["darts"](), SearchSettings(**QUICK), images, correlated[1])
    before = {name: value.detach().clone() for name, value in search._state.tensors().items()}
    entropy = r"entropies of the decisions in nats: first 1\.39, second 1\.39, kernel 0\.693"
    with pytest.raises(TrainingError, match=rf"nan in step 1 of round 1, and again.*{entropy}"):
        search.round()
    assert search.rounds == 0
    for name, value in search._state.tensors().items():
        assert torch.equal(value, before[name]), name


def test_proxyless_leaves_the_other_paths_alone(directions: SearchSpace, correlated: Data) -> None:
    """Only two probabilities of a decision change in a step, and their sum does not."""
    settings = SearchSettings(**{**QUICK, "batch_size": 64, "weights_share": 0.5})
    search = GradientSearch(directions, METHODS["proxyless"](), settings, *(part[:128] for part in correlated))
    before = [chance.detach() for chance in search.logits.probabilities()]
    search.round()  # of one step
    for column in search.structure.operators:
        change = search.logits.probabilities()[column].detach() - before[column]
        assert (change.abs() > 1e-6).sum() == 2
        assert change.sum().item() == pytest.approx(0, abs=1e-6)


def test_searches_end_early_when_skips_take_over(directions: SearchSpace, correlated: Data) -> None:
    """One identity of two is more than a third."""
    settings = SearchSettings(**QUICK, skip_limit=0.34)
    search = GradientSearch(directions, METHODS["darts"](), settings, *correlated)
    with torch.no_grad():
        search.logits.values[0][0] += 50
        search.logits.values[1][2] += 50
    assert not search.finished
    assert search.round()["skip_share"] == 0.5
    assert search.finished
    with pytest.raises(ValueError, match="finished after 1 of 3 rounds"):
        search.round()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 200}, r"batch_size 200 is more than the 154 of 512 training samples from which weights learn"),
        ({"weights_share": 0.95}, r"more than the 26 of 512 training samples from which logits learn"),
        ({"shift": -1}, "shift"),
        ({"warmup_rounds": 3}, r"warmup_rounds must be less than rounds \(3\), got 3"),
        ({"epochs": 3}, "epochs"),
    ],
)
def test_bad_settings_are_refused(
    directions: SearchSpace, correlated: Data, settings: dict[str, Any], message: str
) -> None:
    """Before any work, with what was given and what is allowed."""
    with pytest.raises((ValueError, ValidationError), match=message):
        GradientSearch(
            directions, METHODS["darts"](), SearchSettings(**{**QUICK, "weights_share": 0.3, **settings}), *correlated
        )


def test_networks_without_enough_memory_in_the_supernet_are_not_hidden(directions: SearchSpace) -> None:
    """A relaxed network runs with the weights of the whole space."""
    supernet = Supernet(directions, seed=0, genotypes=directions.smallest()[None])
    structure = Structure(directions)
    with pytest.raises(ValueError, match=re.escape("holds")):
        RelaxedSupernet(supernet).network(structure.paths(directions.largest(), {0: (0, 1, 2, 3)}))


def test_steps_of_the_logits_leave_weights_alone(directions: SearchSpace, correlated: Data) -> None:
    """No gradient of a weight is computed or kept for them, and weights learn again afterwards."""
    search = GradientSearch(directions, METHODS["gdas"](), SearchSettings(**QUICK), *correlated)
    asked = []

    def validation_loss() -> torch.Tensor:
        asked.extend(value.requires_grad for value in search.weights)
        return torch.stack([value.sum() for value in search.logits.values]).sum()

    problem = Bilevel(validation_loss, validation_loss, search.weights, search.logits.values, 0.1)
    gradients = search.method.gradients(problem)[1]
    assert asked
    assert not any(asked)
    assert all(value.requires_grad and value.grad is None for value in search.weights)
    assert all(torch.equal(found, torch.ones_like(found)) for found in gradients if found is not None)


def test_the_rate_of_the_logits_follows_the_length_of_the_search() -> None:
    """Unless it is given."""
    assert SearchSettings(rounds=50).logits_rate(100) == pytest.approx(15 / 5000)
    assert SearchSettings(rounds=50, warmup_rounds=25).logits_rate(100) == pytest.approx(15 / 2500)
    assert SearchSettings(rounds=2).logits_rate(3) == 0.1
    assert SearchSettings(rounds=1000).logits_rate(1000) == 3e-4
    assert SearchSettings(rounds=2, logits_learning_rate=0.5).logits_rate(3) == 0.5


@pytest.mark.parametrize("name", ["gdas", "proxyless"])
def test_computing_again_changes_nothing_but_memory(directions: SearchSpace, correlated: Data, name: str) -> None:
    """Weights and logits are the same to the bit with and without."""
    states = []
    for recompute in (True, False):
        settings = SearchSettings(**QUICK, recompute=recompute)
        search = GradientSearch(directions, METHODS[name](), settings, *(part[:128] for part in correlated))
        search.round()
        states.append({key: value.detach().clone() for key, value in search._state.tensors().items()})
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


@pytest.mark.parametrize("name", ["gdas", "proxyless"])
def test_a_step_keeps_less_than_one_network(name: str) -> None:
    """Between forward and backward, of cells: in steps of weights and of logits, for every draw."""
    space = NasBench201(resolution=8, widths=(8, 16), cells=1)
    images = np.random.default_rng(0).standard_normal((64, 3, 8, 8)).astype(np.float32)
    search = GradientSearch(space, METHODS[name](), SearchSettings(batch_size=32), images, np.arange(64) % 10)
    batch = next(search._endless(np.random.default_rng(0)))

    def kept(run: Any) -> int:
        sizes: dict[int, int] = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            if not isinstance(tensor, torch.nn.Parameter):
                sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            output = run()  # noqa: F841  # what it holds must not be freed, or two tensors would share an address
            return sum(sizes.values())

    rng = np.random.default_rng(1)
    networks = [kept(lambda row=row: search.supernet(batch[0], row)) for row in space.sample(12, rng)]
    for learns in (False, True):
        for _ in range(6):
            relaxation = search.method.relax(search.logits, search.structure, rng, 0.1, learns=learns)
            frozen = search.weights if learns else []
            for value in frozen:
                value.requires_grad_(False)
            size = kept(lambda relaxation=relaxation: search.loss(batch, relaxation)[0])
            for value in frozen:
                value.requires_grad_(True)
            assert size <= 1.2 * np.mean(networks)
