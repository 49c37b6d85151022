"""Predictors against scikit-learn, against chance, and on published measurements."""

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import DotProduct, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.model_selection import LeaveOneOut, cross_val_predict

from nas.features.network_features import SpaceFeatures
from nas.table import Table
from predictors.auto import Auto
from predictors.averaged_process import AveragedProcess
from predictors.calibration import Calibration
from predictors.choosing import choose
from predictors.counts import PENALTIES, _press
from predictors.errors import PredictorError
from predictors.kernels import Part
from predictors.node_features import NODE_FEATURES
from predictors.predictor import Source


def test_left_out_errors_are_those_of_scikit_learn() -> None:
    """The closed form of ridge regression agrees with fitting again without each sample, for every penalty."""
    rng = np.random.default_rng(0)
    z = rng.normal(size=(15, 4))
    y = z @ [1.0, 2.0, 0.0, -1.0] + 3.0 + rng.normal(size=15)
    for place, penalty in enumerate(PENALTIES):
        others = cross_val_predict(Ridge(alpha=penalty), z, y, cv=LeaveOneOut())
        # The closed form keeps the mean of all samples; scikit-learn takes that of those that are left.
        rough = 0.3 if penalty > 10 else 0.05
        np.testing.assert_allclose(_press(z[None], y)[0, place], y - others, rtol=rough, atol=rough)


def test_one_linear_part_is_a_bayesian_line() -> None:
    """With a linear part alone, predictions are close to those of scikit-learn's process with tuned settings."""
    rng = np.random.default_rng(1)
    x = rng.normal(size=(40, 3))
    y = 10.0 + x @ [2.0, -1.0, 0.5] + 0.1 * rng.normal(size=40)
    own = AveragedProcess([Part(slice(0, 3), 0.0, None)]).fit(x, y)
    test = rng.normal(size=(50, 3))
    other = GaussianProcessRegressor(DotProduct() + WhiteKernel(), normalize_y=True, random_state=0).fit(x, y)
    mean, std = other.predict(test, return_std=True)
    np.testing.assert_allclose(own.predict(test).mean, mean, atol=0.1)
    assert 0.5 < np.mean(own.predict(test).std) / np.mean(np.hypot(std, 0.1)) < 2.0
    np.testing.assert_allclose(own.mean(test), own.predict(test).mean, atol=0.05)


def test_one_wild_value_bends_little() -> None:
    """A timing that went wrong is moved to where it is believable."""
    rng = np.random.default_rng(2)
    x = rng.normal(size=(20, 3))
    y = 10.0 + x @ [2.0, -1.0, 0.5] + 0.1 * rng.normal(size=20)
    y[7] = 60.0
    test = rng.normal(size=(50, 3))
    mean = AveragedProcess([Part(slice(0, 3), 0.0, None)]).fit(x, y).predict(test).mean
    least = np.linalg.lstsq(np.c_[np.ones(20), x], y, rcond=None)[0]
    truth = 10.0 + test @ [2.0, -1.0, 0.5]
    assert np.abs(mean - truth).mean() < 0.7 * np.abs(np.c_[np.ones(50), test] @ least - truth).mean()


@pytest.mark.parametrize("n", [10, 20, 100, 1000])
def test_calibration_of_exchangeable_residuals(n: int) -> None:
    """Whatever the scale of the deviations, 90 % intervals hold 85 to 96 % on average."""
    rng = np.random.default_rng(n)
    shares = []
    for _ in range(200):
        errors, new = 3.0 * rng.normal(size=n), 3.0 * rng.normal(size=500)
        shares.append((np.abs(new) <= Calibration(errors, np.ones(n)).reach(np.ones(500), 0.9)).mean())
    assert 0.85 <= np.mean(shares) <= 0.96
    with pytest.raises(PredictorError, match="finite"):
        Calibration(np.array([np.nan]), np.ones(1))
    with pytest.raises(PredictorError, match="above 0"):
        Calibration(np.ones(2), np.array([1.0, 0.0]))


def test_chosen_networks_tell_more_than_random_ones() -> None:
    """The variance that is left over the candidates is lower than for any of 20 random choices."""
    rng = np.random.default_rng(3)
    pool = rng.normal(size=(300, 6)) * [3.0, 1.0, 1.0, 1.0, 0.3, 0.1]
    parts = [Part(slice(0, 6), 0.0, -2.0)]

    def left(rows: np.ndarray) -> float:
        process = AveragedProcess(parts)
        everything = process.prior(pool, pool) + 5.0
        seen = everything[np.ix_(rows, rows)] + 0.05 * np.eye(len(rows))
        explained = everything[:, rows] @ np.linalg.solve(seen, everything[rows])
        return float(np.trace(everything - explained))

    chosen = left(choose(parts, pool, 12))
    assert all(chosen < left(rng.choice(300, 12, replace=False)) for _ in range(20))


def test_published_devices(shared_data: Path) -> None:
    """Twenty measurements of a Titan RTX and a Raspberry Pi 4, and what other devices say, rank 15,625 networks."""
    table = Table.load(shared_data / "nb201.npz")
    made = SpaceFeatures(table.space)
    rows = np.random.default_rng(0).choice(len(table), 2000, replace=False)
    x = made(table.genotypes[rows])
    sources = [
        Source(name, x[:16], table.column(f"latency_ms@{name}")[rows[:16]])
        for name in ("pixel3", "1080ti_1", "gold_6240")
    ]
    for device, least in (("titan_rtx_256", 0.99), ("raspi4", 0.85)):
        y = table.column(f"latency_ms@{device}")[rows]
        predictor = Auto(made.features)
        chosen = predictor.choose(x, 20, sources=sources)
        predictor.fit(x[chosen], y[chosen], sources)
        assert spearmanr(predictor.predict(x).mean, y).statistic > least


def test_node_features_are_described() -> None:
    """The universal features have a digest that changes when a column does."""
    assert len(NODE_FEATURES.digest) == 64
    assert sum(group.size for group in NODE_FEATURES.groups) == len(NODE_FEATURES.names)
