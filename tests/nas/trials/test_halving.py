"""Which trainings go on: against Ray Tune's own scheduler, and for several objectives by the definition."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nas.jobspec.training import HalvingSpec
from nas.trials.halving import Halving, replayed
from nas.tune import ASHAScheduler

RUNGS = HalvingSpec(grace_epochs=1, reduction=3)


def trial(key: str) -> Any:
    """As much of a trial as schedulers look at."""
    return SimpleNamespace(trial_id=key, config={"key": key})


def accuracy_alone(key: str, metrics: dict[str, Any]) -> NDArray[np.float64]:
    """One objective."""
    return np.array([-metrics["accuracy"]])


def accuracy_and_macs(key: str, metrics: dict[str, Any]) -> NDArray[np.float64]:
    """Two; a network's MACs are in its name."""
    return np.array([-metrics["accuracy"], float(key)])


@pytest.mark.parametrize("seed", range(3))
def test_with_one_objective_it_is_ray_tunes(seed: int) -> None:
    """The same decisions for random curves that are told in a random order."""
    ours, theirs = Halving(RUNGS, accuracy_alone, None), ASHAScheduler(
        time_attr="epoch", metric="accuracy", mode="max", max_t=10**9, grace_period=1, reduction_factor=3,
        stop_last_trials=False,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    trials = [trial(str(index)) for index in range(30)]
    for each in trials:
        ours.on_trial_add(None, each)
        theirs.on_trial_add(None, each)
    epochs, going, stopped = dict.fromkeys(range(30), 0), set(range(30)), 0
    while going:
        index = int(rng.choice(sorted(going)))
        epochs[index] += 1
        result = {"epoch": epochs[index], "accuracy": float(rng.random())}
        decision = ours.on_trial_result(None, trials[index], result)
        assert decision == theirs.on_trial_result(None, trials[index], result)
        if decision == "STOP" or epochs[index] == 12:
            stopped += decision == "STOP"
            going.remove(index)
    assert 10 < stopped < 30
    assert len(ours.causes) == stopped


def test_what_nothing_dominates_goes_on() -> None:
    """Small networks learn less and go on; one that is larger and worse than others ends at its rung."""
    halving = Halving(RUNGS, accuracy_and_macs, None)
    for key, accuracy in (("9", 0.9), ("5", 0.7), ("1", 0.3)):
        assert halving.on_trial_result(None, trial(key), {"epoch": 1, "accuracy": accuracy}) == "CONTINUE"
    assert halving.on_trial_result(None, trial("6"), {"epoch": 1, "accuracy": 0.6}) == "STOP"
    assert halving.causes == {"6": "behind others after epoch 1"}
    assert halving.on_trial_result(None, trial("6.5"), {"epoch": 1, "accuracy": 0.8}) == "CONTINUE"
    assert halving.on_trial_result(None, trial("9"), {"epoch": 2, "accuracy": 0.0}) == "CONTINUE"  # between rungs
    assert halving.on_trial_result(None, trial("5"), {"epoch": 3, "accuracy": 0.8}) == "CONTINUE"
    assert halving.on_trial_result(None, trial("9"), {"epoch": 3, "accuracy": 0.7}) == "STOP"


def test_one_in_so_many_goes_on() -> None:
    """Of those on a rung, fewer than one in three may be in better ranks."""
    halving = Halving(RUNGS, accuracy_and_macs, None)
    for rank in range(4):  # each dominates the one before
        assert halving.on_trial_result(None, trial(str(9 - rank)), {"epoch": 1, "accuracy": 0.1 * rank}) == "CONTINUE"
    assert halving.on_trial_result(None, trial("6.1"), {"epoch": 1, "accuracy": 0.29}) == "CONTINUE"  # one of five
    assert halving.on_trial_result(None, trial("6.2"), {"epoch": 1, "accuracy": 0.285}) == "STOP"  # two of six


def test_rungs_lie_at_the_same_share_of_every_training() -> None:
    """A long training is not compared with a short one whose rate has fallen already."""
    long = {"long": 2.0}
    for objectives in (accuracy_alone, lambda key, metrics: np.array([-metrics["accuracy"], 1.0])):
        rungs = HalvingSpec(grace_epochs=2, reduction=2)
        halving = Halving(rungs, objectives, None, lambda key: long.get(key, 1.0))
        for name in ("first", "second"):
            halving.on_trial_add(None, trial(name))
            halving.on_trial_result(None, trial(name), {"epoch": 2, "accuracy": 0.5})
        halving.on_trial_add(None, trial("long"))
        for epoch in (1, 2, 3):  # two of its epochs are one of the others
            assert halving.on_trial_result(None, trial("long"), {"epoch": epoch, "accuracy": 0.1}) == "CONTINUE"
        assert halving.on_trial_result(None, trial("long"), {"epoch": 4, "accuracy": 0.1}) == "STOP"
        assert halving.causes == {"long": "behind others after epoch 4"}


def test_what_ended_before_counts() -> None:
    """A scheduler that was told of earlier trainings decides as one that saw them; without rungs none is stopped."""
    past = [{"epoch": epoch, "accuracy": 0.1 * epoch} for epoch in (1, 2, 3)]
    halving = Halving(RUNGS, accuracy_and_macs, None)
    replayed(halving, "5", past)
    assert halving.causes == {}
    assert halving.on_trial_result(None, trial("6"), {"epoch": 3, "accuracy": 0.2}) == "STOP"
    assert halving.on_trial_result(None, trial("7"), {"epoch": 1, "accuracy": 0.05}) == "STOP"
    free = Halving(None, accuracy_and_macs, None)
    replayed(free, "5", past)
    assert free.on_trial_result(None, trial("6"), {"epoch": 3, "accuracy": 0.2}) == "CONTINUE"


def test_prospects_are_asked_after_the_rungs() -> None:
    """What has none ends, and says why; a result without an epoch, of a trial that failed, is no matter of ours."""
    halving = Halving(None, accuracy_alone, lambda key, result: "too slow" if result["epoch"] > 1 else None)
    one = trial("1")
    halving.on_trial_add(None, one)
    assert halving.on_trial_result(None, one, {"epoch": 1, "accuracy": 0.5}) == "CONTINUE"
    assert halving.on_trial_result(None, one, {"epoch": 2, "accuracy": 0.5}) == "STOP"
    assert halving.causes == {"1": "too slow"}
    assert halving.on_trial_result(None, one, {"failure": "no memory", "done": True}) == "CONTINUE"
    halving.on_trial_complete(None, one, {"epoch": 3, "accuracy": 0.6})
    halving.on_trial_remove(None, one)
