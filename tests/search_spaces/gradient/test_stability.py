"""Early stops: the eigenvalue is the Hessian's, and a search that stops goes back to the round that counts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.search import GradientSearch
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.gradient.stability import Stability, dominant_eigenvalue
from search_spaces.space import SearchSpace

Data = tuple[np.ndarray, np.ndarray]


@pytest.mark.parametrize("sign", [1, -1], ids=["positive", "negative"])
def test_the_eigenvalue_is_that_of_torchs_hessian(sign: int) -> None:
    """Of a function of two vectors, the largest in size, and the logits stay as they were."""
    logits = [torch.nn.Parameter(torch.randn(size, generator=torch.Generator().manual_seed(size))) for size in (3, 4)]
    kept = [value.detach().clone() for value in logits]
    mix = torch.randn(7, 7, generator=torch.Generator().manual_seed(0))

    def loss(*values: torch.Tensor) -> torch.Tensor:
        return sign * torch.logsumexp(mix @ torch.cat(values), 0)

    blocks = torch.autograd.functional.hessian(loss, tuple(kept))
    eigenvalues = torch.linalg.eigvalsh(torch.cat([torch.cat(row, 1) for row in blocks]))
    expected = eigenvalues[eigenvalues.abs().argmax()].item()
    found = dominant_eigenvalue(lambda: loss(*logits), logits, np.random.default_rng(0))
    assert found == pytest.approx(expected, rel=0.05)
    assert all(torch.equal(*pair) for pair in zip(kept, logits, strict=True))


def test_logits_without_influence_count_as_zeros() -> None:
    """A loss that depends on none has the eigenvalue 0."""
    logits = [torch.nn.Parameter(torch.ones(2)), torch.nn.Parameter(torch.ones(3))]
    assert dominant_eigenvalue(lambda: torch.ones(()), logits, np.random.default_rng(0)) == 0
    found = dominant_eigenvalue(lambda: 3 * logits[0].square().sum(), logits, np.random.default_rng(0))
    assert found == pytest.approx(6, rel=1e-3)


def test_a_search_goes_back_one_window_when_the_eigenvalue_grows() -> None:
    """Means of two rounds: 1 is less than 0.75 of 2, and the logits are those of two rounds ago."""
    stability = Stability(SearchSettings(eigenvalue_ratio=0.75, eigenvalue_window=2))
    backs = []
    for number, eigenvalue in enumerate([1.0, 1.0, 1.2, 1.3, 2.7]):
        backs.append(stability.observe([torch.tensor([float(number)])], 0.0, eigenvalue))
    assert backs[:4] == [None] * 4
    assert stability.stopped
    assert [value.tolist() for value in backs[4]] == [[2.0]]


def test_a_search_with_too_many_skips_goes_back_one_round(directions: SearchSpace) -> None:
    """The first round has nothing to go back to."""
    for shares, expected in (([0.5], None), ([0.2, 0.5], 0.0)):
        stability = Stability(SearchSettings(skip_limit=0.4))
        backs = [stability.observe([torch.tensor([float(i)])], share, None) for i, share in enumerate(shares)]
        assert stability.stopped
        assert (None if backs[-1] is None else backs[-1][0].item()) == expected


@pytest.mark.parametrize("name", ["darts", "gdas"])
def test_searches_that_watch_the_eigenvalue_resume_to_the_bit(
    directions: SearchSpace, correlated: Data, tmp_path: Path, name: str
) -> None:
    """Eigenvalues and earlier logits are part of the state; the search stops in the same round with the same logits."""
    settings = SearchSettings(
        rounds=8, batch_size=32, logits_learning_rate=0.3, eigenvalue_ratio=1.0, eigenvalue_window=1, seed=1
    )
    data = tuple(part[:128] for part in correlated)
    whole = GradientSearch(directions, METHODS[name](), settings, *data)
    metrics, path = [], tmp_path / "search.safetensors"
    while not whole.finished:
        if whole.rounds == 1:
            whole.save(path)
        metrics.append(whole.round())
    assert 1 < whole.rounds < 8
    assert [each["eigenvalue"] for each in metrics] == whole.stability.eigenvalues
    resumed = GradientSearch(directions, METHODS[name](), settings, *data)
    resumed.load(path)
    while not resumed.finished:
        again = resumed.round()
    assert {**again, "seconds": 0} == {**metrics[-1], "seconds": 0}
    assert again["skip_share"] == metrics[-2]["skip_share"]
    assert again["entropy"] == metrics[-2]["entropy"]
    resumed.save(path)
    finished = GradientSearch(directions, METHODS[name](), settings, *data)
    finished.load(path)
    assert finished.finished
