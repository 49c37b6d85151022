"""Predictors of accuracy: scales, stacking, and what else is known of networks."""

import numpy as np
import pytest
from scipy import stats

from predictors.accuracy import Accuracy, stacked
from predictors.errors import PredictorError
from predictors.feature_set import FeatureSet, Group
from predictors.file import from_bytes, to_bytes
from predictors.predictor import Source
from predictors.warping import Warp

RNG = np.random.default_rng(0)


def networks(n: int, seed: int) -> np.ndarray:
    """(n, 8) counts."""
    return np.random.default_rng([seed, 1]).integers(0, 6, (n, 8)).astype(np.float64)


def accuracy(x: np.ndarray) -> np.ndarray:
    """Most are good, a few fail."""
    work = x @ np.array([3.0, 2.0, 1.0, 0.5, 0.0, 0.0, 1.0, 0.5]) + x[:, 0] * x[:, 1] / 2
    return 0.94 - 0.5 * np.exp(-work / 6) - 0.3 * (x[:, 0] + x[:, 1] < 2)


def features() -> FeatureSet:
    """Eight counts."""
    names = tuple(f"operator {i}" for i in range(8))
    return FeatureSet.of("toy", names, (Group("counts", 8, -1.0, -1.0, counts=True),), networks(300, 9))


@pytest.mark.parametrize("make", [Warp.normal_scores, Warp.log_error], ids=["normal_scores", "log_error"])
def test_scales_are_monotone_and_invertible(make: object) -> None:
    """There and back, inside the samples and beyond; the scores of the samples are standard."""
    y = 1.0 - RNG.gamma(1.0, 0.1, 80)
    warp = make(y)  # type: ignore[operator]
    scores = warp.forward(y)
    assert abs(scores.mean()) < 0.05
    assert 0.8 < scores.std() < 1.05
    wide = np.linspace(y.min() - 0.05, y.max() + 0.01, 500)
    np.testing.assert_allclose(warp.inverse(warp.forward(wide)), wide, atol=1e-9)
    assert (np.diff(warp.forward(wide)) > 0).all()
    again = Warp.restored(warp.state())
    np.testing.assert_array_equal(again.forward(wide), warp.forward(wide))


def test_normal_scores_are_those_of_the_ranks() -> None:
    """Ties share a score; the scale does not change when the values do but their order does not."""
    y = np.array([0.1, 0.5, 0.5, 0.9])
    expected = stats.norm.ppf([0.125, 0.5, 0.5, 0.875])
    np.testing.assert_allclose(Warp.normal_scores(y).forward(y), expected, atol=1e-12)
    squared = Warp.normal_scores(y**2).forward(y**2)
    np.testing.assert_allclose(squared, expected, atol=1e-12)


def test_stacking_finds_who_knows() -> None:
    """With many samples the good member leads; with few the expected weights do."""
    truth = RNG.normal(size=400)
    held = {
        "ranking_process": truth + RNG.normal(size=400),
        "ranking_boosting": truth + 0.1 * RNG.normal(size=400),
        "error_process": RNG.normal(size=400),
    }
    shares = stacked(held, truth)
    assert shares["ranking_boosting"] > 0.9
    assert sum(shares.values()) == pytest.approx(1.0)
    few = stacked({name: each[:3] * 0 + truth[:3] for name, each in held.items()}, truth[:3])
    assert few["ranking_process"] > few["ranking_boosting"] > few["error_process"]


def test_other_labels_help_and_are_kept() -> None:
    """Labels of another data set lift the ranks that six labels give, and a file keeps what they said."""
    x, test, elsewhere = networks(8, 1), networks(400, 2), networks(150, 3)
    other = Source("other", elsewhere, 2.0 * accuracy(elsewhere) - 1.2)
    alone, helped = (Accuracy(features()).fit(x, accuracy(x), sources) for sources in ([], [other]))
    taus = [stats.kendalltau(each.predict(test).mean, accuracy(test)).statistic for each in (alone, helped)]
    assert taus[1] > taus[0] + 0.03
    assert helped.sources == ("other",)
    again = from_bytes(to_bytes(helped)).predictor
    np.testing.assert_allclose(again.predict(test).mean, helped.predict(test).mean, rtol=1e-9)


def test_a_source_that_is_a_feature_already_changes_nothing() -> None:
    """As the MACs of networks without labels, where MACs are a feature: few labels are not drawn towards it."""
    x, test, elsewhere = networks(12, 1), networks(50, 2), networks(100, 3)
    copies = [Source("macs", elsewhere, np.exp(elsewhere[:, 4])), Source("fewer", elsewhere, -elsewhere[:, 0])]
    alone, beside = (Accuracy(features()).fit(x, accuracy(x), sources) for sources in ([], copies))
    np.testing.assert_array_equal(alone.predict(test).mean, beside.predict(test).mean)
    again = from_bytes(to_bytes(beside)).predictor
    np.testing.assert_allclose(again.predict(test).mean, beside.predict(test).mean, rtol=1e-9)
    few = Source("few", elsewhere[:6], elsewhere[:6, 4] + np.arange(6) / 10)  # an order that many have by chance
    assert Accuracy(features()).fit(x, accuracy(x), [few])._told.names == ("few",)


def test_a_source_that_says_nothing_is_refused() -> None:
    """Undefined or constant values of a source have a clear message with its name."""
    x = networks(20, 1)
    for bad, message in (
        (np.full(20, 3.0), "all 20 values for source 'synflow' are 3"),
        (np.full(20, np.nan), "value 0 for source 'synflow' is nan"),
    ):
        with pytest.raises(PredictorError, match=message):
            Accuracy(features()).fit(x, accuracy(x), [Source("synflow", x, bad)])
