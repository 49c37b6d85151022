"""Jobs of differentiable search through the driver: budgets of a device, diagnostics, kills, and what is refused."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gradient_jobs import CELLS, NPU, SIZES, job

from nas.differentiable import rounds as gradient_rounds
from nas.driver import Driver, JobFailed
from nas.features.network_features import SpaceFeatures
from nas.jobspec.errors import JobSpecError
from nas.jobspec.load import parse_job
from nas.lease_owner import claim
from nas.prediction.predictor_store import PredictorStore
from nas.problem import prepare
from nas.progress import Silent
from predictors.registry import PREDICTORS
from search_spaces.gradient.cost_table import CostTable
from storage.records import JobStatus
from storage.store import ResultStore

DEVICES = {"npu": NPU}
LATENCY = "latency_ms@npu"


class Interrupting(Silent):
    """Progress whose listener stops the job behind a round or an evaluation; a kill leaves the store like that."""

    def __init__(self, *, rounds: int = -1, evaluations: int = -1) -> None:
        self._rounds, self._evaluations = rounds, evaluations

    def rounds(self, number: int, rounds: int, metrics: Any) -> None:
        """Stop here, unless it is a report of what was done before."""
        if number == self._rounds and metrics:
            raise KeyboardInterrupt

    def searching(self, evaluations: int, budget: int) -> None:
        """Stop here."""
        if evaluations == self._evaluations:
            raise KeyboardInterrupt


def drive(store: ResultStore, job_id: str, folder: Path, progress: Silent | None = None) -> None:
    """Run a stored job from where it stands."""
    found = store.job(job_id)
    problem = prepare(parse_job(found.spec))
    Driver(store, claim(store, found), problem, folder, progress or Silent()).run()


def begun(store: ResultStore, plain: dict[str, Any]) -> str:
    """A new job."""
    spec = parse_job(plain)
    return store.create_job(spec.name, spec.model_dump(mode="json")).id


def outcome(store: ResultStore, job_id: str) -> tuple[list[Any], list[Any]]:
    """Rounds and evaluations of a job, without times."""
    rounds = [
        (row.number, row.genotype, row.chances, {**row.metrics, "seconds": 0}, row.last) for row in store.rounds(job_id)
    ]
    return rounds, [(row.number, row.genotype, row.metrics, row.error) for row in store.evaluations(job_id)]


@pytest.mark.slow
def test_a_job_ends_as_if_it_had_not_been_stopped(
    cluster: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped with a round in the store that the checkpoint lacks, then in an evaluation: the end is the same.

    That the searches of all methods resume to the bit, `tests/search_spaces/gradient` shows; that all run as jobs,
    `tests/nas/cli/test_every_strategy.py`.
    """
    plain = job("gdas", cost={"metric": "macs", "target": 60_000.0})
    with ResultStore(f"sqlite:///{tmp_path}/nas.db") as store:
        whole, stopped = begun(store, plain), begun(store, plain)
        drive(store, whole, tmp_path / "whole")
        monkeypatch.setattr(gradient_rounds, "CHECKPOINT_SECONDS", 0.0)
        for progress in (Interrupting(rounds=3), Interrupting(evaluations=2)):
            with pytest.raises(KeyboardInterrupt):
                drive(store, stopped, tmp_path / "stopped", progress)
        drive(store, stopped, tmp_path / "stopped")
        rounds, evaluations = outcome(store, whole)
        assert outcome(store, stopped) == (rounds, evaluations)
        assert [row[0] for row in rounds] == [1, 2, 3, 4]
        assert [row[-1] for row in rounds] == [False, False, False, True]
        assert len(evaluations) == 4
        assert all(metrics["macs"] <= 60_000.0 for _, _, metrics, _ in evaluations)
        assert any(kind.kind == "search" for kind in store.artifacts(stopped))


@pytest.mark.slow
def test_a_budget_of_a_device_is_kept_by_what_is_derived(cluster: None, tmp_path: Path) -> None:
    """Costs of decisions are learned from probes that the device measures, once for all jobs, and kept with the job."""
    plain = {
        **job("gdas", cost={"metric": LATENCY, "probes": 40}),
        "devices": DEVICES,
        "objectives": ["accuracy", {"metric": LATENCY, "bound": 0.027}],
    }
    with ResultStore(f"sqlite:///{tmp_path}/nas.db") as store:
        first = begun(store, plain)
        with pytest.raises(KeyboardInterrupt):
            drive(store, first, tmp_path, Interrupting(rounds=2))
        table = CostTable.read((tmp_path / first / "costs.json").read_text(), prepare(parse_job(plain)).space)
        assert table.metric == LATENCY
        assert len(table.genotypes) > 30
        drive(store, first, tmp_path)
        rows = store.evaluations(first)
        assert len(rows) == 4
        free = begun(store, {**plain, "strategy": {**plain["strategy"], "cost": None}})
        drive(store, free, tmp_path)
        last = store.rounds(first)[-1]
        space = prepare(parse_job(plain)).space
        key = space.key(space.genotype(last.genotype))
        derived = next(row for row in rows if row.architecture_key == key)
        assert derived.metrics[LATENCY] <= last.metrics["cost_derived"] <= 0.027
        assert "cost_derived" not in store.rounds(free)[-1].metrics
        (device,) = store.devices()
        keys = [row.architecture_key for row in rows]
        assert store.measurements(keys, device.fingerprint, LATENCY).keys() == set(keys)


@pytest.mark.slow
def test_a_budget_that_the_device_cannot_meet_fails_before_training(cluster: None, tmp_path: Path) -> None:
    """As soon as the probes have shown it, with the least that was found."""
    plain = {**job("gdas", cost={"metric": LATENCY, "target": 1e-4}), "devices": DEVICES}
    with ResultStore(f"sqlite:///{tmp_path}/nas.db") as store:
        name = begun(store, plain)
        with pytest.raises(JobFailed, match=r"a budget of 0.0001 is out of reach .* the least that was found is 0\."):
            drive(store, name, tmp_path)
        assert store.job(name).status is JobStatus.FAILED
        assert store.rounds(name) == []
        assert not store.artifacts(name, "supernet")


@pytest.mark.slow
def test_a_loss_that_is_no_number_fails_the_job_with_step_and_entropies(cluster: None, tmp_path: Path) -> None:
    """After the round was repeated once; the rounds before it stay in the store."""
    plain = job("darts", learning_rate=1e30, gradient_clip=None)
    with ResultStore(f"sqlite:///{tmp_path}/nas.db") as store:
        name = begun(store, plain)
        message = r"the loss became nan in step \d+ of round 1, and again after .*edge1_from_0 1\.\d+.*learning_rate"
        with pytest.raises(JobFailed, match=message):
            drive(store, name, tmp_path)
        assert "entropies of the decisions in nats" in str(store.job(name).error)


def problems(plain: dict[str, Any]) -> list[str]:
    """What is wrong with a job, a line each."""
    with pytest.raises(JobSpecError) as caught:
        parse_job(plain)
    return [str(problem) for problem in caught.value.problems]


def test_sections_that_do_not_agree_are_told() -> None:
    """A cost that nothing tells, a target that nothing gives, too few evaluations, no data to learn from."""
    plain = {
        **job("gdas", rounds=50, propose_every=5, cost={"metric": "latency_ms@raspi4"}),
        "objectives": ["macs"],
        "data": None,
        "supernet": None,
    }
    found = problems(plain)
    assert found == [
        "strategy.name: 'gdas' trains networks on data; give the job data and one of the objectives accuracy and loss",
        "strategy.cost.metric: nothing tells the cost 'latency_ms@raspi4': it is no metric of a device of this job, "
        "and there is no table or predictor; known: latency_ms@cpu, macs, params, peak_activation_bytes, bytes_moved, "
        "or give a table or a predictor; did you mean 'latency_ms@cpu'?",
        "strategy.cost.target: missing; give one, or the objective 'latency_ms@raspi4' a bound",
        "budget.evaluations: 4 evaluations are too few for the networks of 50 rounds, of which one is proposed every "
        "5; allowed: at least 10, or a larger strategy.propose_every",
    ]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cost": {"metric": "macs", "form": "weighted"}}, "strategy.cost: the form 'weighted' needs weight, got None"),
        ({"cost": {"metric": "macs", "probes": 2}}, "strategy.cost.probes: must be at least 8 (got 2)"),
        ({"cost": {"form": "budget"}}, "strategy.cost.metric: missing, and there is no default"),
        ({"warmup_rounds": 4}, "strategy: warmup_rounds must be less than rounds (4), got 4"),
        ({"partial": 4}, "strategy.partial: unknown key; allowed: "),
        ({"eigenvalue_ratio": 2.0}, "strategy.eigenvalue_ratio: must be at most 1.0 (got 2.0)"),
    ],
    ids=["form", "probes", "metric", "warm-up", "other-method", "ratio"],
)
def test_options_are_judged_before_any_work(options: dict[str, Any], message: str) -> None:
    """With their place in the file."""
    assert any(found.startswith(message) for found in problems(job("gdas", **options))), problems(
        job("gdas", **options)
    )


OWN = """
from search_spaces.decision import Decision
from search_spaces.graph import Graph
from search_spaces.layers import conv_norm, global_pool, linear
from search_spaces.space import SearchSpace


class Own(SearchSpace):
    name = "own"

    def __init__(self, classes=10, channels=1):
        self.classes, self.shape = classes, (1, channels, 8, 8)
        super().__init__((Decision("op", ("wide", "narrow")),), {"classes": classes, "channels": channels})

    def assemble(self, pick):
        g = Graph(self.name)
        x = g.input("image", self.shape)
        x = pick.op("op", {
            "wide": lambda: conv_norm(g, x, "wide", 16, 3),
            "narrow": lambda: conv_norm(g, x, "narrow", 8, 3),
        })
        g.output(linear(g, global_pool(g, x, "pool"), "logits", self.classes))
        return g
"""


@pytest.mark.parametrize("name", ["darts", "gdas"])
def test_candidates_of_different_shapes_are_refused(name: str, tmp_path: Path) -> None:
    """With the shapes, before anything is made."""
    (tmp_path / "own.py").write_text(OWN)
    plain = {**job(name), "space": {"path": str(tmp_path / "own.py"), "name": "own"}}
    message = (
        r"candidates of decision 'op' must have one shape to be mixed, got 'wide' \(1, 16, 8, 8\), 'narrow' \(1, 8"
    )
    with pytest.raises(ValueError, match=message):
        prepare(parse_job(plain, allow_code=True), allow_code=True)


@pytest.mark.parametrize("name", ["darts", "pc_darts", "sharp_darts", "dass"])
def test_spaces_without_operators_to_mix_are_refused(name: str) -> None:
    """By the methods that mix them, with the methods that would do."""
    with pytest.raises(ValueError, match=rf"strategy '{name}': .*mobilenet_v3"):
        prepare(parse_job({**job(name), "space": SIZES}))


def test_batches_that_the_data_do_not_fill_are_refused() -> None:
    """With the sizes."""
    with pytest.raises(ValueError, match=r"strategy 'gdas': batch_size 200 is more than the 120 of 240"):
        prepare(parse_job(job("gdas", batch_size=200)))


def test_a_budget_that_no_network_meets_is_refused_before_work() -> None:
    """Where the graphs tell the cost; the message has the least."""
    with pytest.raises(ValueError, match=r"strategy 'darts': a budget of 10 is out of reach .* least .* is \d+"):
        prepare(parse_job(job("darts", cost={"metric": "macs", "target": 10.0})))


def write_table(path: Path, space: Any, metric: str, values: np.ndarray) -> None:
    """A table of all networks of a space."""
    np.savez(
        path,
        genotypes=space.enumerate(),
        decisions=np.array(space.names),
        options=np.array([json.dumps(list(decision.options)) for decision in space.decisions]),
        metrics=np.array([metric]),
        values=values[:, None],
        space=np.array(space.name),
    )


def test_costs_of_a_table_are_known_to_the_bit(tmp_path: Path) -> None:
    """What is derived within a budget costs that in the table; a row without a value is estimated with a reserve."""
    space = prepare(parse_job(job("gdas"))).space
    values = np.random.default_rng(0).uniform(1, 9, space.size())
    values[7] = math.nan
    write_table(tmp_path / "costs.npz", space, "latency_ms@board", values)
    cost = {"metric": "latency_ms@board", "table": str(tmp_path / "costs.npz"), "target": 2.0}
    problem = prepare(parse_job(job("gdas", cost=cost)))
    assert problem.known_costs is not None
    assert problem.gradient_options is not None
    predicted = problem.known_costs.cost(space, 1.0).predict(space.enumerate())
    known = np.isfinite(values)
    np.testing.assert_array_equal(predicted[known], values[known])
    assert predicted[7] == pytest.approx(
        problem.known_costs.cost(space).predict(space.enumerate()[7:8])[0] + problem.known_costs.error
    )
    again = CostTable.read(problem.known_costs.text(), space)
    np.testing.assert_array_equal(again.cost(space, 1.0).predict(space.enumerate()), predicted)


@pytest.mark.parametrize(
    ("cost", "message"),
    [
        ({"table": "none.npz"}, "there is no such file"),
        ({"metric": "latency_ms@other"}, "no metric 'latency_ms@other'; known: latency_ms@board"),
        ({"target": 0.5}, "a budget of 0.5 is out of reach"),
    ],
    ids=["file", "metric", "budget"],
)
def test_tables_that_do_not_tell_are_refused(cost: dict[str, Any], message: str, tmp_path: Path) -> None:
    """Before any work."""
    space = prepare(parse_job(job("gdas"))).space
    write_table(tmp_path / "costs.npz", space, "latency_ms@board", np.linspace(1, 2, space.size()))
    given = {"metric": "latency_ms@board", "target": 1.5, "table": "costs.npz", **cost}
    with pytest.raises(ValueError, match=message):
        prepare(parse_job(job("gdas", cost=given), folder=tmp_path))


def test_a_table_of_another_space_is_refused(tmp_path: Path) -> None:
    """With the decision that differs."""
    plain = job("gdas")
    space = prepare(parse_job(plain)).space
    write_table(tmp_path / "costs.npz", space, "latency_ms@board", np.ones(space.size()))
    cost = {"metric": "latency_ms@board", "target": 2.0, "table": str(tmp_path / "costs.npz")}
    fewer = {**CELLS, "operations": ["none", "skip_connect", "nor_conv_1x1"]}
    with pytest.raises(ValueError, match=r"strategy\.cost\.table: .* of which 'edge1_from_0' has .*avg_pool_3x3"):
        prepare(parse_job({**job("gdas", cost=cost), "space": fewer}))


def test_a_predictor_tells_costs(tmp_path: Path) -> None:
    """That was fitted on some networks of the space; one of another metric or space, or no such file, is refused."""
    space = prepare(parse_job(job("gdas"))).space
    features, rows = SpaceFeatures(space), space.sample(60, np.random.default_rng(0))
    macs = space.costs(rows, ["macs"])["macs"]
    predictor = PREDICTORS["counts"](features.features)
    predictor.fit(features(rows), macs / 1e5)
    path = PredictorStore(tmp_path).save(predictor, "board", "latency_ms", {})
    cost = {"metric": "latency_ms@board", "predictor": str(path), "target": 0.7}
    problem = prepare(parse_job(job("gdas", cost=cost)))
    assert problem.known_costs is not None
    everything = space.enumerate()[::97]
    found = problem.known_costs.cost(space).predict(everything)
    np.testing.assert_array_equal(found, predictor.predict(features(everything)).mean)
    assert np.corrcoef(found, space.costs(everything, ["macs"])["macs"])[0, 1] > 0.95
    fewer = {**CELLS, "operations": ["none", "skip_connect", "nor_conv_1x1"]}
    for change, space_section, message in (
        ({"metric": "latency_ms@other"}, CELLS, "predicts latency_ms@board, and the cost is latency_ms@other"),
        ({"predictor": str(tmp_path / "none")}, CELLS, r"strategy\.cost\.predictor: .*No such file"),
        ({"table": "t.npz"}, CELLS, "given by a table and by a predictor"),
        ({}, fewer, r"strategy\.cost\.predictor: "),
    ):
        with pytest.raises(ValueError, match=message):
            prepare(parse_job({**job("gdas", cost={**cost, **change}), "space": space_section}))


def test_damaged_tables_of_costs_are_refused() -> None:
    """What a job's folder holds is not trusted."""
    space = prepare(parse_job(job("gdas"))).space
    table = CostTable.fit(space, "macs", space.enumerate()[:50], np.arange(50.0))
    plain = json.loads(table.text())
    for change in ({"options": [1.0]}, {"genotypes": [[99] * 6] * 50}, {"costs": "many"}, {"error": None}):
        with pytest.raises(ValueError, match=r"table of costs|option index 99"):
            CostTable.read(json.dumps({**plain, **change}), space)
