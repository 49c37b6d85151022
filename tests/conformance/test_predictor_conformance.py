"""What every kind of predictor must do; runs over the registry."""

import json
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load, save
from scipy.stats import spearmanr

from predictors.errors import FeatureMismatch, NotFitted, PredictorError, PredictorFileError, TooFewSamples
from predictors.feature_set import FeatureSet, Group
from predictors.file import from_bytes, to_bytes
from predictors.predictor import Predictor, Source
from predictors.registry import PREDICTORS

Array = NDArray[np.float64]

NAMES = ("conv", "pool", "add", "macs", "a", "b", "c")
WEIGHTS = np.array([3.0, 1.0, 0.5, 2.0, 0.0, 0.0, 0.0])

pytestmark = pytest.mark.parametrize("name", PREDICTORS)

FOR_UNLIKE = ("graph", "lookup")
"""Kinds that are asked about other spaces: their intervals are those of networks unlike all that were measured."""


def networks(n: int, seed: int) -> Array:
    """(n, 7): four counts, three choices."""
    rng = np.random.default_rng([seed, 11])
    counts = rng.integers(0, 9, (n, 4)).astype(np.float64)
    return np.concatenate([counts, (rng.random((n, 3)) < 0.5).astype(np.float64)], axis=1)


def cost(x: Array, noise: float = 0.2, seed: int = 0) -> Array:
    """A weighted sum of the counts and an overhead, with noise."""
    return 10.0 + x @ WEIGHTS + noise * np.random.default_rng([seed, 12]).normal(size=len(x))


def feature_set(subject: str = "toy", names: tuple[str, ...] = NAMES) -> FeatureSet:
    """Four counts and three choices."""
    groups = (Group("counts", 4, 0.0, -2.0, counts=True), Group("choices", 3, -3.0))
    rising = np.array([True] * 4 + [False] * 3)
    return FeatureSet.of(subject, names, groups, networks(500, seed=99), rising)


def sources() -> list[Source]:
    """Two other devices, one with few measurements and one with many."""
    few, many = networks(20, seed=5), networks(150, seed=6)
    return [Source("few", few, 2 * cost(few)), Source("many", many, cost(many) + 0.5 * many[:, 0])]


@cache
def fitted(name: str, n: int = 40, seed: int = 0) -> Predictor:
    """A predictor that has seen n networks."""
    x = networks(n, seed)
    return PREDICTORS[name](feature_set(), seed=seed).fit(x, cost(x), sources())


def test_predicts_what_it_has_not_seen(name: str) -> None:
    """Ranks of a weighted sum of counts are found from 60 samples, and the mean is close."""
    test = networks(300, seed=1)
    guess = fitted(name, 60).predict(test)
    assert guess.mean.shape == guess.std.shape == (300,)
    assert np.isfinite(guess.mean).all()
    assert (guess.std > 0).all()
    assert spearmanr(guess.mean, cost(test, noise=0.0)).statistic > 0.9
    assert np.mean(np.abs(guess.mean / cost(test, noise=0.0) - 1)) < 0.1


def test_intervals_cover_what_they_say(name: str) -> None:
    """Over several training sets, 90 % intervals hold 80 to 99 % of new measurements, and wider ones more."""
    held, wider = [], []
    for seed in range(6):
        predictor, test = fitted(name, 30, seed), networks(200, seed=100 + seed)
        measured = cost(test, seed=200 + seed)
        for level, found in ((0.9, held), (0.5, wider)):
            low, high = predictor.interval(test, level)
            assert (low < high).all()
            found.append(((low <= measured) & (measured <= high)).mean())
    assert 0.80 <= np.mean(held) <= (1.0 if name in FOR_UNLIKE else 0.99)
    assert np.mean(wider) < np.mean(held)


def test_same_seed_same_predictor(name: str) -> None:
    """Nothing is drawn that the seed does not decide."""
    test = networks(50, seed=1)
    first, second = (fitted(name).predict(test) for _ in range(2))
    np.testing.assert_array_equal(first.mean, second.mean)
    np.testing.assert_array_equal(first.std, second.std)


def test_rows_do_not_influence_each_other(name: str) -> None:
    """A prediction does not depend on what else is asked."""
    predictor, test = fitted(name), networks(50, seed=1)
    np.testing.assert_allclose(predictor.predict(test).mean[:3], predictor.predict(test[:3]).mean, rtol=1e-6)
    assert predictor.predict(test[:0]).mean.shape == (0,)


def test_inputs_are_left_alone(name: str) -> None:
    """Neither fitting nor predicting changes the arrays of the caller."""
    x, y, test = networks(40, 0), cost(networks(40, 0)), networks(10, 1)
    copies = x.copy(), y.copy(), test.copy()
    PREDICTORS[name](feature_set()).fit(x, y, sources()).predict(test)
    for given, copy in zip((x, y, test), copies, strict=True):
        np.testing.assert_array_equal(given, copy)


def test_negative_values_are_allowed(name: str) -> None:
    """Not only latency: what may be negative is predicted as well."""
    x, test = networks(60, 0), networks(100, 1)
    if name in ("lookup", "graph"):
        pytest.skip("made of prices, which are not negative")
    guess = PREDICTORS[name](feature_set()).fit(x, cost(x) - 30.0, sources()).predict(test)
    assert spearmanr(guess.mean, cost(test, noise=0.0)).statistic > 0.9


def test_file_and_back(name: str) -> None:
    """A file holds everything: predictions, intervals, scores, features, the training set's hash, what was added."""
    predictor, test = fitted(name), networks(30, seed=1)
    content = to_bytes(predictor, {"metric": "latency_ms@toy"})
    again, about = from_bytes(content)
    assert about == {"metric": "latency_ms@toy"}
    np.testing.assert_allclose(again.predict(test).mean, predictor.predict(test).mean, rtol=1e-9)
    np.testing.assert_allclose(again.interval(test, 0.8), predictor.interval(test, 0.8), rtol=1e-6)
    assert (again.name, again.samples, again.training) == (name, 40, predictor.training)
    assert again.scores == predictor.scores
    assert again.features.digest == predictor.features.digest
    assert header_of(to_bytes(again, about)) == header_of(content)
    assert b"pickle" not in content


def test_tampered_file_is_refused(name: str) -> None:
    """One changed number, one changed word, half a file, no file: none is read."""
    content = to_bytes(fitted(name), {})
    arrays, header = load(content), header_of(content)
    changed = {key: value.copy() for key, value in arrays.items()}
    changed["calibration"] = changed["calibration"] * 0.5
    for other in (save(changed, header), save(arrays, header | {"about": '{"metric": "x"}'})):
        with pytest.raises(PredictorFileError, match="checksum"):
            from_bytes(other)
    for broken in (content[:-5], content[:50], b"", b"PK\x03\x04" + content, save(arrays, {})):
        with pytest.raises(PredictorFileError):
            from_bytes(broken)


def test_other_version_is_refused(name: str) -> None:
    """A file of another version says so, and what to do."""
    content = to_bytes(fitted(name), {})
    with pytest.raises(PredictorFileError, match=r"version '99'.*fit it again"):
        from_bytes(save(load(content), header_of(content) | {"version": "99"}))


def test_too_few_samples(name: str) -> None:
    """Fewer measurements than the kind needs are refused with both numbers; as many as it needs are enough."""
    least = PREDICTORS[name].least_samples
    x = networks(least, 3)
    with pytest.raises(TooFewSamples, match=rf"at least {least} .*got {least - 1}"):
        PREDICTORS[name](feature_set()).fit(x[:-1], cost(x[:-1]), sources())
    guess = PREDICTORS[name](feature_set()).fit(x, cost(x), sources()).predict(networks(20, 1))
    assert np.isfinite(guess.mean).all()
    assert np.isfinite(guess.std).all()


def test_constant_and_missing_values(name: str) -> None:
    """Values that say nothing, or are not there, are refused."""
    x = networks(40, 0)
    y = cost(x)
    with pytest.raises(PredictorError, match="nothing to learn"):
        PREDICTORS[name](feature_set()).fit(x, np.full(40, 7.0), sources())
    for bad in (np.nan, np.inf):
        y[3] = bad
        with pytest.raises(PredictorError, match="value 3"):
            PREDICTORS[name](feature_set()).fit(x, y, sources())
    with pytest.raises(PredictorError, match="one value for each of 40"):
        PREDICTORS[name](feature_set()).fit(x, y[:-1], sources())


def test_features_that_are_not_its_own(name: str) -> None:
    """Another number of columns, a value that is not finite, and the features of another space are refused."""
    predictor, x = fitted(name), networks(5, 1)
    with pytest.raises(FeatureMismatch, match="another space"):
        predictor.predict(x[:, :-1])
    with pytest.raises(FeatureMismatch, match="shape"):
        predictor.predict(x[0])
    x[2, 1] = np.nan
    with pytest.raises(FeatureMismatch, match="row 2, feature 'pool'"):
        predictor.predict(x)
    with pytest.raises(FeatureMismatch, match=r"'toy'.*'other'"):
        predictor.features.require(feature_set("other"))
    with pytest.raises(FeatureMismatch, match="in one of them only"):
        predictor.features.require(feature_set(names=(*NAMES[:-1], "d")))


def test_unfitted_predictor_says_so(name: str) -> None:
    """Nothing is guessed, told or written before there was a measurement."""
    predictor, x = PREDICTORS[name](feature_set()), networks(5, 1)
    for ask in (lambda: predictor.predict(x), lambda: predictor.interval(x), lambda: to_bytes(predictor)):
        with pytest.raises(NotFitted, match=name):
            ask()


def test_level_outside_its_range(name: str) -> None:
    """Intervals of probability 0 or 1 do not exist."""
    predictor, x = fitted(name), networks(5, 1)
    for level in (0.0, 1.0, -1.0, float("nan")):
        with pytest.raises(PredictorError, match="level"):
            predictor.interval(x, level)


def test_chosen_samples_are_distinct_and_better_than_none(name: str) -> None:
    """As many as asked for, none twice, the same for the same seed; more than there are is refused."""
    pool = networks(120, 1)
    predictor = PREDICTORS[name](feature_set(), seed=4)
    rows = predictor.choose(pool, 20, sources=sources())
    assert len(set(rows.tolist())) == 20
    np.testing.assert_array_equal(rows, PREDICTORS[name](feature_set(), seed=4).choose(pool, 20, sources=sources()))
    guess = predictor.fit(pool[rows], cost(pool[rows]), sources()).predict(pool)
    assert spearmanr(guess.mean, cost(pool, noise=0.0)).statistic > 0.8
    more = predictor.choose(pool, 5, sources=sources(), known=pool[rows])
    assert not set(more.tolist()) & set(rows.tolist())
    with pytest.raises(PredictorError, match="120"):
        predictor.choose(pool, 121)


def header_of(content: bytes) -> dict[str, str]:
    """The text of a safetensors file."""
    size = int.from_bytes(content[:8], "little")
    found: dict[str, str] = json.loads(content[8 : 8 + size])["__metadata__"]
    return found
