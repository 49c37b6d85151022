"""Measurements that a job is spared, and those that it is not."""

from collections.abc import Sequence

import numpy as np
import pytest

from nas.evaluation.evaluator import Evaluated, Request
from nas.evaluation.learned_metric import FIRST, Guess, LearnedMetric
from nas.evaluation.predicting_evaluator import BESIDE, SHARE, PredictingEvaluator
from nas.features.network_features import SpaceFeatures
from nas.finalists import worth_measuring
from nas.front import front, hypervolume
from nas.jobspec.errors import JobSpecError
from nas.jobspec.load import parse_job
from nas.objectives import Objective, deviation, losses
from predictors.auto import Auto
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.genotypes import Population
from search_spaces.space import SearchSpace

LATENCY = "latency_ms@cpu"
OBJECTIVES = (
    Objective(metric="accuracy", direction="max"),
    Objective(metric=LATENCY, direction="min", bound=1.2),
)


def truth(space: SearchSpace, rows: Population) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and latency of made-up networks: both rise with the work, with noise of their own."""
    macs, moved = (space.costs(rows)[metric] / 1e6 for metric in ("macs", "bytes_moved"))
    seeds = [np.random.default_rng([*row.tolist(), 5]) for row in rows]
    noise = np.array([rng.normal(size=2) for rng in seeds])
    return 0.9 - 0.3 / (1 + macs / 20) + 0.01 * noise[:, 0], (0.1 + 0.01 * macs + 0.02 * moved) * np.exp(
        0.02 * noise[:, 1]
    )


class Bench:
    """An evaluator that knows the truth at once and counts what it measures."""

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.measured: list[str] = []
        self.scored: list[str] = []
        self.closed = False
        self._done: list[Evaluated] = []

    def submit(self, requests: Sequence[Request]) -> None:
        """Answer."""
        for request in requests:
            accuracy, latency = (float(part[0]) for part in truth(self.space, request.genotype[None]))
            if LATENCY not in request.known:
                self.measured.append(request.key)
            if "accuracy" not in request.known:
                self.scored.append(request.key)
            self._done.append(Evaluated(request.key, {"accuracy": accuracy, LATENCY: latency, **request.known}))

    def wait(self) -> list[Evaluated]:
        """What is answered."""
        done, self._done = self._done[:3], self._done[3:]
        return done

    def close(self) -> None:
        """Say so."""
        self.closed = True


def requests(rows: Population) -> list[Request]:
    """One for each row."""
    return [Request(str(place), row) for place, row in enumerate(rows)]


def run(source: str, rows: Population, space: SearchSpace) -> tuple[dict[str, Evaluated], Bench, PredictingEvaluator]:
    """Evaluate rows in batches of eight."""
    bench = Bench(space)
    evaluator = PredictingEvaluator(bench, space, OBJECTIVES, {LATENCY: source})
    found: dict[str, Evaluated] = {}
    each = requests(rows)
    for start in range(0, len(each), 8):
        evaluator.submit(each[start : start + 8])
        while answers := evaluator.wait():
            found |= {answer.key: answer for answer in answers}
    evaluator.close()
    assert bench.closed
    return found, bench, evaluator


@pytest.fixture(scope="module")
def space() -> NasBench201:
    """A small cell space."""
    return NasBench201(resolution=8, cells=1)


@pytest.fixture(scope="module")
def rows(space: NasBench201) -> Population:
    """240 distinct networks in random order."""
    found = np.unique(space.sample(600, np.random.default_rng(0)), axis=0)
    return np.random.default_rng(1).permutation(found)[:240]


@pytest.mark.parametrize("source", ["auto", "predict"])
def test_few_are_measured_and_the_front_is_found(source: str, space: NasBench201, rows: Population) -> None:
    """Each is answered once and scored once; with the finalists few are measured, and their front is within 2 %."""
    found, bench, evaluator = run(source, rows, space)
    assert len(found) == len(rows)
    assert len(bench.scored) == len(set(bench.scored)) == len(rows)
    assert len(set(bench.measured)) == len(bench.measured)
    accuracy, latency = truth(space, rows)
    told = np.array([found[str(place)].metrics[deviation(LATENCY)] > 0 for place in range(len(rows))])
    heard = np.array([found[str(place)].metrics[LATENCY] for place in range(len(rows))])
    assert {str(place) for place in np.flatnonzero(~told)} == set(bench.measured)
    assert (heard[~told] == latency[~told]).all()
    while True:
        everything = losses(OBJECTIVES, {"accuracy": accuracy, LATENCY: heard})
        best = front(everything, np.maximum(heard - 1.2, 0.0))
        new = best[worth_measuring(everything[best], told[best])]
        if not len(new):
            break
        for place in new:
            evaluator.learn(rows[place], {"accuracy": accuracy[place], LATENCY: latency[place]})
        told[new] = False
        heard = np.where(told, evaluator.predicted(rows, [{}] * len(rows))[LATENCY], latency)
    assert FIRST <= (~told).sum() <= len(rows) / 5
    corner, true = np.array([-0.55, 1.2]), losses(OBJECTIVES, {"accuracy": accuracy, LATENCY: latency})
    assert hypervolume(true[~told], corner) >= 0.98 * hypervolume(true, corner)


@pytest.mark.parametrize(
    "std, accuracy, measured",
    [(0.2, 0.8, True), (0.001, 0.8, False), (0.2, 0.3, False), (0.2, 0.9, True)],
    ids=["open", "sure to join", "sure not to join", "sure to join but not where"],
)
def test_auto_measures_what_is_open(
    space: NasBench201, rows: Population, monkeypatch: pytest.MonkeyPatch, std: float, accuracy: float, measured: bool
) -> None:
    """Measured is whose interval leaves open what it adds to the front, and nobody else."""
    known = [(0.6, 0.4), (0.7, 0.6), (0.85, 1.0), *[(0.5, 1.1)] * 13]
    history = [(row, {"accuracy": a, LATENCY: t}) for row, (a, t) in zip(rows, known, strict=False)]
    bench = Bench(space)
    evaluator = PredictingEvaluator(bench, space, OBJECTIVES, {LATENCY: "auto"}, history=history)
    told = Guess(0.7, std, 0.7 - 1.645 * std, 0.7 + 1.645 * std)
    monkeypatch.setattr(LearnedMetric, "guesses", lambda self, rows, known: [np.full(len(rows), v) for v in told])
    evaluator.submit([Request("a", rows[50], {"accuracy": accuracy})])
    (answer,) = evaluator.wait()
    assert bench.measured == (["a"] if measured else [])
    assert (answer.metrics[deviation(LATENCY)] == 0) == measured


def test_noise_does_not_have_all_measured(
    space: NasBench201, rows: Population, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where every network looks as if it may be the best, few of many are measured, also when a job goes on."""
    told = Guess(0.5, 0.5, 1e-6, 1.0)
    monkeypatch.setattr(LearnedMetric, "guesses", lambda self, rows, known: [np.full(len(rows), v) for v in told])
    found, bench, _ = run("auto", rows, space)
    most = BESIDE * FIRST + SHARE * len(rows)
    assert most - 2 <= len(bench.measured) <= most + 1
    again = Bench(space)
    history = [(row, found[str(place)].metrics) for place, row in enumerate(rows)]
    evaluator = PredictingEvaluator(again, space, OBJECTIVES, {LATENCY: "auto"}, history=history)
    evaluator.submit(requests(rows)[:20])
    while evaluator.wait():
        pass
    assert len(bench.measured) + len(again.measured) <= BESIDE * FIRST + SHARE * (len(rows) + 20) + 1


def test_predict_measures_the_first_only(space: NasBench201, rows: Population) -> None:
    """What comes after has predicted values close to the truth."""
    found, bench, _ = run("predict", rows, space)
    assert len(bench.measured) == FIRST
    _, latency = truth(space, rows)
    told = np.array([found[str(place)].metrics[LATENCY] for place in range(len(rows))])
    assert np.median(np.abs(told / latency - 1)) < 0.1


def test_a_large_batch_is_not_measured_as_a_whole(space: NasBench201, rows: Population) -> None:
    """What comes with the first networks waits for them, and is predicted; failures are made up for."""

    class Failing(Bench):
        """Breaks at every third network."""

        def wait(self) -> list[Evaluated]:
            """What is answered."""
            answers = super().wait()
            for answer in answers:
                answer.error = "it broke" if int(answer.key) % 3 == 0 and answer.key in self.measured else None
            return answers

    bench = Failing(space)
    evaluator = PredictingEvaluator(bench, space, OBJECTIVES, {LATENCY: "predict"})
    evaluator.submit(requests(rows)[:100])
    found: dict[str, Evaluated] = {}
    while answers := evaluator.wait():
        found |= {answer.key: answer for answer in answers}
    assert len(found) == 100
    assert sum(each.metrics.get(deviation(LATENCY)) == 0 for each in found.values()) == FIRST
    assert len(bench.measured) <= 2 * FIRST


def test_known_values_and_history_are_used(space: NasBench201, rows: Population) -> None:
    """What another job measured is no guess, and a job that goes on predicts at once."""
    accuracy, latency = truth(space, rows)
    history = [
        (row, {"accuracy": a, LATENCY: t, deviation(LATENCY): 0.0})
        for row, a, t in zip(rows[:40], accuracy, latency, strict=False)
    ]
    bench = Bench(space)
    evaluator = PredictingEvaluator(bench, space, OBJECTIVES, {LATENCY: "predict"}, history=history)
    evaluator.submit([Request("a", rows[50]), Request("b", rows[51], {LATENCY: 7.0})])
    found = {answer.key: answer for answer in evaluator.wait()}
    assert bench.measured == []
    assert found["a"].metrics[deviation(LATENCY)] > 0
    assert (found["b"].metrics[LATENCY], found["b"].metrics[deviation(LATENCY)]) == (7.0, 0.0)
    assert evaluator.wait() == []


def test_the_past_is_fitted_once(space: NasBench201, rows: Population, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is predicted then is what was after learning it value by value, values that are all alike first."""
    values = [1.0] * 18 + truth(space, rows[18:31])[1].tolist()
    learned, recalled = (LearnedMetric(SpaceFeatures(space), Auto, priced=space) for _ in range(2))
    for row, value in zip(rows, values, strict=False):
        learned.learn(row, {}, value)
    fits: list[int] = []
    fit = Auto.fit
    monkeypatch.setattr(Auto, "fit", lambda self, x, y, *more: fits.append(len(y)) or fit(self, x, y, *more))
    recalled.recall([(row, {}, value) for row, value in zip(rows, values, strict=False)])
    assert fits == [learned._samples]
    for one, other in zip(learned.guesses(rows[:50], [{}] * 50), recalled.guesses(rows[:50], [{}] * 50), strict=True):
        np.testing.assert_array_equal(one, other)


def test_predictions_of_the_past_are_no_measurements(space: NasBench201, rows: Population) -> None:
    """A history of predictions alone teaches nothing."""
    history = [(row, {"accuracy": 0.5, LATENCY: 1.0, deviation(LATENCY): 0.1}) for row in rows[:40]]
    bench = Bench(space)
    evaluator = PredictingEvaluator(bench, space, OBJECTIVES, {LATENCY: "auto"}, history=history)
    evaluator.submit([Request("a", rows[50])])
    evaluator.wait()
    assert bench.measured == ["a"]


JOB = {
    "name": "t",
    "space": {"name": "nasbench201"},
    "strategy": {"name": "random"},
    "budget": {"evaluations": 4},
    "devices": {"cpu": {"kind": "host"}, "npu": {"kind": "roofline", "peak_macs_per_s": 1e9, "bandwidth_gb_s": 1.0}},
}


def test_job_says_where_a_metric_comes_from() -> None:
    """The key is `from`, it survives storing, and measuring is the default that is not written."""
    spec = parse_job({**JOB, "objectives": [{"metric": LATENCY, "from": "auto"}, "macs"]}, source="job")
    assert [o.source for o in spec.objectives] == ["auto", "measure"]
    stored = spec.model_dump(mode="json")
    assert stored["objectives"][0]["from"] == "auto"
    assert "from" not in stored["objectives"][1]
    assert parse_job(stored, source="job") == spec


@pytest.mark.parametrize(
    "objective, words",
    [
        ({"metric": LATENCY, "from": "guess"}, "'measure', 'predict' or 'auto'"),
        ({"metric": "macs", "from": "auto"}, "for metrics of devices"),
        ({"metric": "latency_ms@npu", "from": "predict"}, "computed"),
    ],
    ids=["unknown", "static", "computed"],
)
def test_sources_that_make_no_sense(objective: dict[str, str], words: str) -> None:
    """Told with their place before any work starts."""
    with pytest.raises(JobSpecError, match=rf"objectives\[0\].*{words}"):
        parse_job({**JOB, "objectives": [objective]}, source="job")
