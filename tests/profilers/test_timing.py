"""When the warm-up ends and when enough runs are taken, on a clock that the test drives."""

import gc
import itertools

import numpy as np
import pytest
from scipy import stats

from profilers.measurement import median_interval, summarise
from profilers.timing import Timing, TimingRule, take_timing


def timed(times_ms: list[float], rule: TimingRule) -> Timing:
    """Take runs that last the given times; the last one repeats."""
    durations = itertools.chain(times_ms, itertools.repeat(times_ms[-1]))
    now = 0

    def run() -> None:
        nonlocal now
        now += round(next(durations) * 1e6)

    return take_timing(run, rule, lambda: now)


def test_steady_runs_need_one_warm_up_run() -> None:
    """Only the first run is left out when the others agree, and no more runs are taken than are needed."""
    seen = timed([9.0, 1.0], TimingRule(min_runs=50))
    assert (seen.warmup_runs, seen.settled) == (1, True)
    np.testing.assert_array_equal(seen.samples_ms, np.ones(50))


def test_slow_start_is_left_out() -> None:
    """Runs that get faster belong to the warm-up until a window is no slower than the next."""
    seen = timed([9, 8, 8, 8, 4, 4, 4, 2, 2, 2, 1], TimingRule(min_runs=50))
    assert seen.settled
    assert seen.warmup_runs == 10
    assert seen.samples_ms.max() == 1.0


def test_warm_up_is_given_up() -> None:
    """Times that fall for ever end the warm-up at its cap, and it is said."""
    seen = timed([0.8**run * 1000 for run in range(60)], TimingRule(min_runs=10, max_warmup_runs=20, max_runs=10))
    assert not seen.settled
    assert seen.warmup_runs + 6 <= 20
    assert seen.samples_ms.size == 10


def test_noise_takes_more_runs() -> None:
    """Noisy runs go on to the largest number, quiet ones stop early."""
    noise = list(np.random.default_rng(0).uniform(1, 3, 500))
    assert timed(noise, TimingRule(min_runs=50, max_runs=200, tolerance=0.001)).samples_ms.size == 200
    assert 50 < timed(noise, TimingRule(min_runs=50, max_runs=500, tolerance=0.06)).samples_ms.size < 500


def test_time_cap_holds_above_the_least_number() -> None:
    """A slow model gets its least number of runs and no more."""
    noise = list(np.random.default_rng(0).uniform(1000, 3000, 500))
    assert timed(noise, TimingRule(min_runs=50, max_timed_s=1)).samples_ms.size == 50


def test_garbage_collector_rests() -> None:
    """The collector is off during runs and on again afterwards, after an error as well."""
    seen = []

    def run() -> None:
        seen.append(gc.isenabled())
        if len(seen) == 20:
            raise OSError("broken")

    with pytest.raises(OSError, match="broken"):
        take_timing(run, TimingRule())
    assert not any(seen)
    assert gc.isenabled()


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"min_runs": 5}, "min_runs must be at least two warm-up windows"),
        ({"max_runs": 29}, "max_runs must be at least min_runs, 30"),
        ({"max_warmup_runs": 6}, "max_warmup_runs must be at least 7"),
        ({"warmup_window": 0}, "warmup_window must be at least 1"),
        ({"tolerance": 0}, "tolerance must be a positive number"),
    ],
)
def test_impossible_rules(settings: dict[str, int], message: str) -> None:
    """A rule that cannot be followed is refused."""
    with pytest.raises(ValueError, match=message):
        TimingRule(**settings)


@pytest.mark.parametrize("count", [6, 7, 30, 50, 51, 400])
def test_interval_of_the_median_covers_as_promised(count: int) -> None:
    """The order statistics enclose the median with about 95 % by the binomial distribution (SciPy)."""
    samples = np.arange(1.0, count + 1)
    width = median_interval(samples) * np.median(samples) * 2
    low = (count - 1 - width) / 2
    covered = stats.binom.cdf(count - 1 - low, count, 0.5) - stats.binom.cdf(low, count, 0.5)
    assert 0.93 <= covered <= 0.99


def test_summary_agrees_with_numpy() -> None:
    """The figures of a measurement are the usual quantiles, and its samples cannot be changed."""
    samples = np.random.default_rng(0).gamma(5, 1, 200)
    seen = summarise(samples, device="cpu", fingerprint="f", tolerance=0.1, settled=True, warmup_runs=1, session_ms=2.0)
    assert seen.median_ms == np.median(samples)
    assert seen.p90_ms == np.quantile(samples, 0.9)
    assert seen.spread == pytest.approx(stats.iqr(samples) / np.median(samples))
    assert seen.stable
    assert "samples_ms" not in seen.summary()
    with pytest.raises(ValueError, match="read-only"):
        seen.samples_ms[0] = 0


@pytest.mark.parametrize("samples", [[], [1.0, np.nan], [0.0], [[1.0]], [-1.0], [np.inf]])
def test_impossible_samples(samples: list[float]) -> None:
    """Times are positive numbers."""
    with pytest.raises(ValueError, match="positive times"):
        summarise(samples, device="c", fingerprint="f", tolerance=1, settled=True, warmup_runs=1, session_ms=1)
