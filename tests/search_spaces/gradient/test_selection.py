"""What a finished search derives: of networks that are about as probable, the one that the shared weights like best."""

from typing import Any

import numpy as np
import torch

from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.search import GradientSearch
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.gradient.selection import select
from search_spaces.space import SearchSpace
from search_spaces.supernet.evaluation import evaluate

Data = tuple[np.ndarray, np.ndarray]
LEARNED: dict[str, Any] = {
    "rounds": 6,
    "batch_size": 32,
    "optimiser": "adamw",
    "learning_rate": 0.02,
    "logits_learning_rate": 1e-6,
    "seed": 1,
}


def ended(space: SearchSpace, method: str, data: Data, candidates: int) -> GradientSearch:
    """Weights that have learned, and logits that have not, so that nothing but the weights tells networks apart."""
    search = GradientSearch(space, METHODS[method](), SearchSettings(**LEARNED, candidates=candidates), *data)
    while not search.finished:
        search.round()
    return search


def test_the_weights_tell_networks_apart_of_which_the_logits_know_nothing(
    directions: SearchSpace, correlated: Data
) -> None:
    """With all 32 as candidates, what fits the data is found, and is what an evaluation of all of them says."""
    search = ended(directions, "gdas", correlated, 32)
    assert directions.choices(search.derive()) == {"first": "row", "second": "column", "kernel": 3}
    population = directions.enumerate()
    images, labels = search.data.images, search.data.labels
    losses = evaluate(search.supernet, population, [images[:512]], images, labels)["loss"]
    assert population[losses.argmin()].tolist() == search.derive().tolist()
    alone = ended(directions, "gdas", correlated, 1)
    assert alone.derive().tolist() == alone.derivation(alone.logits).tolist()


def test_masked_weights_are_judged_with_their_masks_and_stay_as_they_are(
    sparse_directions: SearchSpace, correlated: Data
) -> None:
    """Of DASS: the best is that of a supernet whose weights are zero where they do not count."""
    search = ended(sparse_directions, "dass", correlated, 1)
    assert search.masks is not None
    shared, population = search.supernet.shared, sparse_directions.enumerate()
    images, labels = search.data.images[:256], search.data.labels[:256]
    before = {name: value.detach().clone() for name, value in shared.items()}
    found = select(search.supernet, population, images, images, labels, search.masks)
    assert all(torch.equal(before[name], value) for name, value in shared.items())
    with torch.no_grad():
        for name, value in search.masks.masked().items():
            shared[name].copy_(value)
    losses = evaluate(search.supernet, population, [images], images, labels)["loss"]
    assert found.tolist() == population[losses.argmin()].tolist()


def test_networks_that_are_far_less_probable_are_no_rivals(directions: SearchSpace, correlated: Data) -> None:
    """What the logits are sure of, weights do not overrule."""
    search = GradientSearch(directions, METHODS["gdas"](), SearchSettings(**LEARNED, candidates=32), *correlated)
    while search.rounds < LEARNED["rounds"] - 1:
        search.round()
    with torch.no_grad():
        for value in search.logits.values:
            value.zero_()
            value[0] = 10
    search.round()
    assert search.derive().tolist() == [0, 0, 0]
