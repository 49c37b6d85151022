"""Candidates are measured, then trained, then answered; measuring and training are made up here."""

from typing import Any

import numpy as np
import pytest

from nas.evaluation.evaluator import Evaluated, Request
from nas.trials.evaluator import TrainingEvaluator
from nas.trials.trainings import Work
from search_spaces.decision import Decision
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.joint_space import JointSpace
from search_spaces.training.network_settings import NetworkSettings
from storage.records import Training, TrainingStatus

SPACE = MobileNetV3(
    classes=4, channels=1, resolutions=[8], widths=[8], strides=[1], activations=["relu"], squeeze_excite=[False]
)
CURVE = {"epoch": [1, 2], "accuracy": [0.5, 0.75], "loss": [2.0, 1.0], "seconds": [1.0, 1.0]}


class Measuring:
    """Gives every candidate a latency, but for those whose key begins with `x`."""

    def __init__(self, log: list[str]) -> None:
        self.log, self.waiting = log, list[Request]()

    def submit(self, requests: Any) -> None:
        """Queue."""
        self.waiting += requests

    def wait(self) -> list[Evaluated]:
        """One at a time."""
        if not self.waiting:
            return []
        key = self.waiting.pop(0).key
        self.log.append(f"measured {key}")
        if key.startswith("x"):
            return [Evaluated(key, error="device cpu: too slow")]
        return [Evaluated(key, {"latency_ms@cpu": 2.0}, seconds=1.0)]

    def close(self) -> None:
        """Noted."""
        self.log.append("measuring closed")


class Trained:
    """Ends one training at a time, in the way that the key says."""

    def __init__(self, log: list[str]) -> None:
        self.log, self.works, self.taken = log, list[Work](), list[Work]()

    def submit(self, works: list[Work]) -> None:
        """Queue."""
        self.works += works

    def wait(self) -> list[Training]:
        """The next end."""
        if not self.works:
            return []
        work = self.works.pop(0)
        self.taken.append(work)
        assert work.known["latency_ms@cpu"] == 2.0
        assert work.known["macs"] > 0
        self.log.append(f"trained {work.key}")
        status = {"f": TrainingStatus.FAILED, "s": TrainingStatus.STOPPED}.get(work.key[0], TrainingStatus.FINISHED)
        cause = None if status is TrainingStatus.FINISHED else "because"
        return [Training(work.key, {}, 2, status, {} if status is TrainingStatus.FAILED else CURVE, 2.0, 0.0, cause)]

    def close(self) -> None:
        """Noted."""
        self.log.append("trainings closed")


def requests(*keys: str) -> list[Request]:
    """For candidates with these keys."""
    return [Request(key, row) for key, row in zip(keys, SPACE.sample(len(keys), np.random.default_rng(0)), strict=True)]


def test_every_candidate_is_answered() -> None:
    """With what it does when it is trained, when it was stopped, or with what went wrong."""
    log: list[str] = []
    evaluator = TrainingEvaluator(Measuring(log), Trained(log), SPACE, NetworkSettings(), alone=True)  # type: ignore[arg-type]
    evaluator.submit(requests("good", "stopped", "failed", "x"))
    answers = {answer.key: answer for _ in range(4) for answer in evaluator.wait()}
    assert evaluator.wait() == []
    assert answers["good"].metrics == {
        "latency_ms@cpu": 2.0, "accuracy": 0.75, "loss": 1.0, "accuracy@trained": 0.75, "loss@trained": 1.0,
    }  # fmt: skip
    assert (answers["good"].error, answers["good"].stopped, answers["good"].seconds) == (None, None, 3.0)
    assert answers["stopped"].metrics == {"latency_ms@cpu": 2.0, "accuracy": 0.75, "loss": 1.0}
    assert (answers["stopped"].error, answers["stopped"].stopped) == (None, "because")
    assert answers["failed"].error == "because"
    assert answers["x"].error == "device cpu: too slow"
    evaluator.close()
    assert log[-2:] == ["trainings closed", "measuring closed"]


@pytest.mark.parametrize("alone", [True, False])
def test_nothing_is_measured_beside_a_training_on_the_same_machine(alone: bool) -> None:
    """What comes while networks are trained waits, or is measured at once where the device is elsewhere."""
    log: list[str] = []
    evaluator = TrainingEvaluator(Measuring(log), Trained(log), SPACE, NetworkSettings(), alone=alone)  # type: ignore[arg-type]
    evaluator.submit(requests("a", "b"))
    evaluator.wait()
    evaluator.submit(requests("c"))
    while evaluator.wait():
        pass
    late = ["trained b", "measured c", "trained c"] if alone else ["measured c", "trained b", "trained c"]
    assert log == ["measured a", "measured b", "trained a", *late]


def test_candidates_decide_about_their_training() -> None:
    """Each is trained with the recipe that its genotype says, as a plain network; settings of devices are no recipe."""
    log: list[str] = []
    trainings = Trained(log)
    recipe = [Decision("recipe.ema", (0.0, 0.9)), Decision("recipe.epochs", (4, 8))]
    space = JointSpace(SPACE, [Decision("cpu.threads", (1, 2))], recipe)
    assert space.largest()[-3:].tolist() == [1, 0, 0]
    evaluator = TrainingEvaluator(Measuring(log), trainings, space, NetworkSettings(flip=True), alone=True)  # type: ignore[arg-type]
    row = SPACE.largest()
    rows = [np.array([*row, *more], np.int16) for more in ((1, 1, 0), (0, 0, 1))]
    evaluator.submit([Request("a", rows[0]), Request("b", rows[1])])
    evaluator.wait()
    first, second = trainings.taken[0], trainings.works[0]
    assert (first.key, first.settings.ema, first.settings.epochs, first.settings.flip) == ("a", 0.9, 4, True)
    assert (second.key, second.settings.ema, second.settings.epochs) == ("b", 0.0, 8)
    np.testing.assert_array_equal(second.genotype, row)
    assert space.key(np.array([*row, 0, 0, 0], np.int16)) != space.key(np.array([*row, 0, 0, 1], np.int16))
