"""What is recorded of trainings, told by trials that are made up here and not run by Ray."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nas.jobspec.load import parse_job
from nas.jobspec.training import CurvesSpec
from nas.problem import Problem, prepare
from nas.progress import Silent
from nas.trials.feed import Report
from nas.trials.trainings import Trainings, Work, checkpoint_file, weights_file
from search_spaces.training.network_settings import NetworkSettings
from storage.records import Architecture, Lease, Outcome, TrainingStatus
from storage.store import ResultStore

JOB: dict[str, Any] = {
    "name": "trained",
    "space": {"name": "mobilenet_v3", "resolutions": [8], "widths": [8], "strides": [1], "stem_stride": 1,
              "activations": ["relu"], "squeeze_excite": [False], "depths": [1, 2]},
    "data": {"name": "digits", "limit": 200},
    "train": {"epochs": 3, "halving": {"grace_epochs": 2}},
    "objectives": ["accuracy", "macs"],
    "strategy": "random",
    "budget": {"evaluations": 4},
}  # fmt: skip
KEYS = [digit * 64 for digit in "abcd"]


@pytest.fixture(scope="module")
def problem() -> Problem:
    """The job made concrete."""
    return prepare(parse_job(JOB))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ResultStore]:
    """An empty store."""
    with ResultStore(f"sqlite:///{tmp_path}/nas.db") as opened:
        yield opened


@pytest.fixture
def lease(store: ResultStore) -> Lease:
    """A job that has evaluated four networks."""
    lease = store.claim(store.create_job("trained", {}).id, "me")
    store.add_proposals(lease, 0, [Architecture(key, "mobilenet_v3", {"n": key[0]}) for key in KEYS])
    store.add_evaluations(lease, [Outcome(key, {"accuracy": 0.5, "macs": 1.0}) for key in KEYS])
    return lease


class Here(Trainings):
    """Trials that say what a test puts in their mouths."""

    def _begin(self) -> None:
        self.alive = True

    def say(self, key: str, epoch: int = 0, accuracy: float = 0.5, done: bool = False, **more: Any) -> None:
        """A trial's result, as Ray Tune hands it on: its scheduler is asked first."""
        result = {"epoch": epoch, "accuracy": accuracy, "loss": 1.0, "seconds": 2.0, "done": done, **more}
        if epoch and not done:
            trial = type("Trial", (), {"trial_id": key, "config": {"key": key}})()
            result["done"] = self._halving.on_trial_result(None, trial, result) == "STOP"
        self._reports.put(Report(key, result))


def trainings(store: ResultStore, lease: Lease, problem: Problem, folder: Path) -> Here:
    """A fresh one, as after a restart."""
    return Here(store, lease, problem, None, folder, "cpu", Silent())


def work(problem: Problem, key: str, macs: float = 1.0, epochs: int = 3) -> Work:
    """A network to train."""
    settings = NetworkSettings(epochs=epochs)
    return Work(key, problem.space.smallest(), settings, {"macs": macs}, {"accuracy@supernet": 0.5})


def test_an_end_is_recorded_once(store: ResultStore, lease: Lease, problem: Problem, tmp_path: Path) -> None:
    """With metrics, file and curve; a restart answers at once, and another recipe begins anew beside it."""
    first = trainings(store, lease, problem, tmp_path)
    first.submit([work(problem, KEYS[0])])
    path = weights_file(tmp_path, KEYS[0])
    first.say(KEYS[0], 1, 0.25)
    first.say(KEYS[0], 1, 0.25)  # told again after a worker was lost
    first.say(KEYS[0], 2, 0.5)
    path.write_bytes(b"weights")
    checkpoint_file(path).write_bytes(b"state")
    first.say(KEYS[0], 3, 0.75, done=True)
    (ended,) = first.wait()
    assert first.wait() == []
    assert (ended.status, ended.seconds, ended.saved_seconds) == (TrainingStatus.FINISHED, 6.0, 0.0)
    assert ended.curve["accuracy"] == [0.25, 0.5, 0.75]
    assert store.evaluations(lease.job_id)[0].metrics == {
        "accuracy": 0.5, "macs": 1.0, "accuracy@supernet": 0.5, "accuracy@trained": 0.75, "loss@trained": 1.0,
    }  # fmt: skip
    (artifact,) = store.artifacts(lease.job_id, "trained")
    assert artifact.metadata["architecture_key"] == KEYS[0]
    assert path.exists()
    assert not checkpoint_file(path).exists()

    again = trainings(store, lease, problem, tmp_path)
    again.submit([work(problem, KEYS[0])])
    (known,) = again.wait()
    assert known.curve == ended.curve
    assert not hasattr(again, "alive")
    checkpoint_file(path).write_bytes(b"state of another recipe")
    again.submit([work(problem, KEYS[0], epochs=5)])
    (begun,) = store.trainings(lease.job_id)
    assert (begun.status, begun.epochs, begun.curve) == (TrainingStatus.RUNNING, 5, {})
    assert path.exists()
    assert not checkpoint_file(path).exists()


def test_what_is_behind_is_stopped_and_says_so(
    store: ResultStore, lease: Lease, problem: Problem, tmp_path: Path
) -> None:
    """With what that saved; it has no file, no trained metrics, and it is no trained network after a restart."""
    first = trainings(store, lease, problem, tmp_path)
    first.submit([work(problem, key, macs) for key, macs in zip(KEYS, (1.0, 2.0, 3.0, 4.0), strict=True)])
    for key, accuracy in zip(KEYS, (0.5, 0.6, 0.55, 0.7), strict=True):
        first.say(key, 1, accuracy / 2)
        first.say(key, 2, accuracy)
    (stopped,) = first.wait()
    assert (stopped.architecture_key, stopped.status) == (KEYS[2], TrainingStatus.STOPPED)
    assert (stopped.seconds, stopped.saved_seconds) == (4.0, 2.0)
    assert stopped.cause == "behind others after epoch 2"
    first.say(KEYS[3], failure="ValueError: no")
    first.say(KEYS[2], 3, 0.9, done=True)  # was under way when it was stopped
    (failed,) = first.wait()
    assert (failed.architecture_key, failed.status) == (KEYS[3], TrainingStatus.FAILED)
    assert failed.cause == "ValueError: no"
    assert not any("accuracy@trained" in row.metrics for row in store.evaluations(lease.job_id))

    again = trainings(store, lease, problem, tmp_path)
    again.submit([work(problem, KEYS[2], 3.0), work(problem, KEYS[0])])
    assert [ended.cause for ended in again.wait()] == ["behind others after epoch 2"]
    again.say(KEYS[0], 3, 0.5, done=True)
    weights_file(tmp_path, KEYS[0]).write_bytes(b"weights")
    (ended,) = again.wait()
    assert ended.curve["epoch"] == [1, 2, 3]
    assert ended.curve["accuracy"][:2] == [0.25, 0.5]


def test_weights_on_another_machine_are_an_error(
    store: ResultStore, lease: Lease, problem: Problem, tmp_path: Path
) -> None:
    """It is said what to do, and nothing is recorded as finished."""
    first = trainings(store, lease, problem, tmp_path)
    first.submit([work(problem, KEYS[0])])
    first.say(KEYS[0], 3, 0.5, done=True)
    with pytest.raises(RuntimeError, match="set NAS_ARTIFACTS to one that all nodes of the cluster share"):
        first.wait()
    assert [each.status for each in store.trainings(lease.job_id)] == [TrainingStatus.RUNNING]


def test_trials_that_end_by_themselves_are_an_error(
    store: ResultStore, lease: Lease, problem: Problem, tmp_path: Path
) -> None:
    """Nobody waits for ever; a lost trial is a failed training."""
    broken = trainings(store, lease, problem, tmp_path)
    broken.submit([work(problem, KEYS[0]), work(problem, KEYS[1])])
    broken._reports.put(Report(KEYS[1], lost="the actor died"))
    assert [ended.cause for ended in broken.wait()] == ["the actor died"]
    with pytest.raises(RuntimeError, match="the trials of Ray Tune have ended"):
        broken.wait()
    broken.close()


def test_learning_curves_stop_what_has_no_prospects(
    store: ResultStore, lease: Lease, problem: Problem, tmp_path: Path
) -> None:
    """The reason is kept with the saved time, and after a restart of a search that trains, the curves are known."""
    curves = problem.spec.train.model_copy(update={"halving": None, "curves": CurvesSpec(after=4)})  # type: ignore[union-attr]
    accuracy = problem.spec.accuracy.model_copy(update={"source": "train"})
    spec = problem.spec.model_copy(update={"train": curves, "accuracy": accuracy})
    searching = replace(problem, spec=spec)
    known = [digit * 64 for digit in "0123"]
    store.add_proposals(lease, 1, [Architecture(key, "mobilenet_v3", {"n": key[0]}) for key in known])
    first = trainings(store, lease, searching, tmp_path)
    first.submit([work(problem, key, macs) for key, macs in zip(known, (5.0, 4.0, 3.0, 2.0), strict=True)])
    for key, error in zip(known, (0.2, 0.4, 0.6, 0.8), strict=True):
        first.say(key, 1, 1 - error)
        first.say(key, 2, 1 - error / 2)
        weights_file(tmp_path, key).write_bytes(b"weights")
        first.say(key, 3, 1 - error / 4, done=True)
    assert [ended.status for _ in known for ended in first.wait()] == [TrainingStatus.FINISHED] * 4
    rows = {key: {"accuracy": 1 - error / 4, "macs": macs} for key, error, macs in zip(
        known, (0.2, 0.4, 0.6, 0.8), (5.0, 4.0, 3.0, 2.0), strict=True)}  # fmt: skip
    store.add_evaluations(lease, [Outcome(key, row) for key, row in rows.items()])

    for process in (first, trainings(store, lease, searching, tmp_path)):
        key = KEYS[0] if process is first else KEYS[1]
        process.submit([work(problem, key, macs=6.0)])
        process.say(key, 1, 0.5)
        (stopped,) = process.wait()
        assert stopped.status is TrainingStatus.STOPPED
        assert stopped.saved_seconds == 4.0
        assert stopped.cause is not None
        assert stopped.cause.startswith("at best accuracy 0.87")
    first.submit([work(problem, KEYS[2], macs=1.0)])
    first.say(KEYS[2], 1, 0.5)
    first.say(KEYS[2], 3, 0.9, done=True)
    weights_file(tmp_path, KEYS[2]).write_bytes(b"weights")
    assert [ended.status for ended in first.wait()] == [TrainingStatus.FINISHED]
