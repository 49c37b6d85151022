"""Expected hypervolume improvement and the Gaussian process behind it, against others' code and against sampling."""

import moocore
import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, DotProduct, Matern, WhiteKernel

from nas.strategies.acquisition import Boxes, at_nodes, thinned
from nas.strategies.gaussian import GaussianProcess
from nas.strategies.surrogate import Surrogate, Warping


@pytest.mark.parametrize("m", [1, 2, 3, 4])
def test_boxes_fill_exactly_what_the_front_leaves(m: int) -> None:
    """A candidate without deviation gains what moocore says it adds to the hypervolume."""
    rng = np.random.default_rng(m)
    points, candidates = rng.random((12, m)), rng.random((30, m)) * 1.2 - 0.1
    reference = np.full(m, 0.9)

    def volume(rows: np.ndarray) -> float:
        inside = rows[(rows < reference).all(axis=1)]
        if m == 1:
            return float(0.9 - inside.min()) if len(inside) else 0.0
        return float(moocore.hypervolume(inside, ref=reference)) if len(inside) else 0.0

    expected = [volume(np.concatenate([points, row[None]])) - volume(points) for row in candidates]
    samples = np.stack([at_nodes(column, np.zeros(30)) for column in candidates.T])
    np.testing.assert_allclose(Boxes(points, reference).improvement(samples), expected, atol=1e-12)
    assert (Boxes(points[:0], reference).improvement(samples) >= np.array(expected) - 1e-12).all()


@pytest.mark.parametrize("m", [2, 3])
def test_the_expectation_is_that_of_many_samples(m: int) -> None:
    """Quadrature against 4,000 draws from each candidate's normal distribution, within five standard errors and 3 %."""
    rng = np.random.default_rng(m)
    points, reference = rng.random((8, m)), np.ones(m)
    mean, deviation = rng.random((6, m)), rng.uniform(0.05, 0.3, (6, m))
    samples = np.stack([at_nodes(mean[:, axis], deviation[:, axis]) for axis in range(m)])
    found = Boxes(points, reference).improvement(samples)
    before = moocore.hypervolume(points, ref=reference)
    for row in range(6):
        draws = rng.normal(mean[row], deviation[row], (4000, m))
        gains = np.zeros(4000)
        inside = np.flatnonzero((draws < reference).all(axis=1))
        gains[inside] = [moocore.hypervolume(np.vstack([points, draws[i]]), ref=reference) - before for i in inside]
        assert abs(found[row] - gains.mean()) <= 5 * gains.std() / np.sqrt(4000) + 0.03 * found[row]


def test_a_large_front_is_thinned_to_its_corners_and_a_spread() -> None:
    """The best of each objective stay."""
    points = np.stack([np.linspace(0, 1, 500), 1 - np.linspace(0, 1, 500) ** 2], axis=1)
    kept = thinned(points, 20)
    assert len(kept) == 20
    assert kept[:, 0].min() == 0
    assert kept[:, 1].min() == 0
    assert np.diff(np.sort(kept[:, 0])).max() < 0.15


def test_the_process_predicts_as_scikit_learn_does() -> None:
    """The same kernel and settings give the same mean and deviation."""
    rng = np.random.default_rng(0)
    x, new = rng.normal(size=(25, 3)), rng.normal(size=(7, 3))
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    y = np.sin(x[:, 0]) + x[:, 1]
    y = (y - y.mean()) / y.std()
    settings = np.log([1.7, 0.4, 0.8, 0.01])
    ours = GaussianProcess((3,), settings).fit(x, y)
    kernel = ConstantKernel(0.8) * Matern(1.7 * np.sqrt(3), nu=2.5) + ConstantKernel(0.4 / 3) * DotProduct(0.0, "fixed")
    theirs = GaussianProcessRegressor(kernel + WhiteKernel(0.01), optimizer=None, alpha=1e-8).fit(x, y)
    mean, deviation = theirs.predict(new, return_std=True)
    found, spread = ours.predict(new)
    np.testing.assert_allclose(found, mean, atol=1e-6)
    np.testing.assert_allclose(spread**2, deviation**2 - 0.01, atol=1e-6)
    np.testing.assert_allclose(ours.mean(new), found)
    assert ours.noise == pytest.approx(0.1)
    assert ours.evidence(x, y) < GaussianProcess((3,), settings).tuned(x, y, 10).evidence(x, y)


def test_a_warping_spreads_what_lies_near_the_best() -> None:
    """It is inverted exactly, and the smaller the shift the wider the best end."""
    losses = np.array([-0.94, -0.93, -0.5, -0.1])
    for shift in (0.03, 1.0):
        warping = Warping(losses, shift)
        np.testing.assert_allclose(warping.inverse(warping(losses)), losses)
        np.testing.assert_allclose(
            warping.slope(losses[1:3]) / 0.84,
            (warping(losses[1:3] + 1e-6) - warping(losses[1:3])) / 1e-6,
            rtol=1e-3,
        )
    assert np.diff(Warping(losses, 0.03)(losses))[0] > 5 * np.diff(Warping(losses, 1.0)(losses))[0]


def test_a_surrogate_finds_the_concave_scale_itself() -> None:
    """Losses that are exponential in the features are learned on a logarithmic scale, constant ones are no trouble."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 2))
    losses = np.exp(2 * x[:, 0])
    new = rng.normal(size=(40, 2)) * 0.7
    model = Surrogate.tuned((2,), x, losses, 20).fit(x, losses)
    error = np.log(np.maximum(model.warping.inverse(model.mean(new)), 1e-3)) - 2 * new[:, 0]
    assert np.median(np.abs(error)) < 0.3
    flat = Surrogate.tuned((2,), x, np.ones(60), 5).fit(x, np.ones(60))
    np.testing.assert_allclose(flat.warping.inverse(flat.mean(new)), 1.0)
