"""Which trainings go on: Ray Tune's ASHA, for several objectives at once, and what learning curves say."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.jobspec.training import HalvingSpec
from nas.strategies.ranking import ranks
from nas.tune import ASHAScheduler

NEVER = 10**9
Losses = Callable[[str, dict[str, Any]], NDArray[np.float64]]
"""Key of a network and the metrics of an epoch -> (m,) losses."""
Prospects = Callable[[str, dict[str, Any]], str | None]
"""Key of a network and a result -> why it need not go on, None where it should."""
Stretch = Callable[[str], float]
"""Key of a network -> the epochs of its training, as a multiple of those that rungs are counted in."""


class Halving(ASHAScheduler):  # type: ignore[misc]  # ray ships no types
    """Asynchronous successive halving (Li et al., arXiv 1810.05934) whose rungs rank by dominance.

    With one objective it is Ray Tune's. With several, a training goes on from a rung when less than one in `reduction`
    of those that reached it are in a better rank of non-dominated sorting (as MO-ASHA does: Schmucker et al., arXiv
    2106.12639); one that no other dominates at its rung is never stopped.

    Where recipes decide about epochs, rungs lie at the same share of every training: the rate of a short one has fallen
    when that of a long one is still high, so that after as many epochs the one would always look better.

    Args:
        settings: rungs; None to stop nothing by them.
        losses: of the objectives.
        prospects: asked after each epoch; None to stop nothing by it.
        stretch: how long trainings are; by default all alike.

    Attributes:
        causes: key -> why it was stopped.
    """

    def __init__(
        self,
        settings: HalvingSpec | None,
        losses: Losses,
        prospects: Prospects | None,
        stretch: Stretch = lambda key: 1.0,
    ) -> None:
        grace, reduction = (settings.grace_epochs, settings.reduction) if settings else (NEVER, 2.0)
        super().__init__(
            time_attr="epoch", metric="score", mode="max", max_t=NEVER, grace_period=grace, reduction_factor=reduction,
            stop_last_trials=False,
        )  # fmt: skip
        self._grace, self._reduction = grace, reduction
        self._losses, self._prospects, self._stretch = losses, prospects, stretch
        self._rungs: dict[int, dict[str, NDArray[np.float64]]] = {}
        self.causes: dict[str, str] = {}

    def on_trial_result(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> str:
        """Whether a trial goes on after an epoch."""
        if "epoch" not in result:
            return str(self.CONTINUE)
        key, losses = trial.config["key"], self._losses(trial.config["key"], result)
        done = result["epoch"] / self._stretch(key)
        if len(losses) == 1:
            score = {**result, "epoch": done, "score": -float(losses[0])}
            stop = super().on_trial_result(tune_controller, trial, score) == self.STOP
        else:
            stop = self._behind(key, done, losses)
        if stop:
            self.causes[key] = f"behind others after epoch {result['epoch']}"
        elif self._prospects is not None and (cause := self._prospects(key, result)) is not None:
            self.causes[key] = cause
            stop = True
        return str(self.STOP if stop else self.CONTINUE)

    def on_trial_complete(self, tune_controller: Any, trial: Any, result: dict[str, Any]) -> None:
        """A trial came to its end; its last rung counts for others."""
        if "epoch" in result and trial.trial_id in self._trial_info:
            self.on_trial_result(tune_controller, trial, result)
        self.on_trial_remove(tune_controller, trial)

    def on_trial_remove(self, tune_controller: Any, trial: Any) -> None:
        """A trial is gone."""
        self._trial_info.pop(trial.trial_id, None)

    def _behind(self, key: str, epoch: float, losses: NDArray[np.float64]) -> bool:
        """Whether a training reached a new rung and does not go on from it."""
        rung = self._grace
        while rung * self._reduction <= epoch:
            rung = int(np.ceil(rung * self._reduction))
        if epoch < rung:
            return False
        others = self._rungs.setdefault(rung, {})
        if key in others:
            return False
        others[key] = losses
        rank = ranks(np.stack(list(others.values())), np.zeros(len(others)))
        return bool((rank < rank[-1]).sum() >= max(1.0, len(others) / self._reduction))

    def __getstate__(self) -> dict[str, Any]:
        """Nothing, in a file of Ray Tune that nobody reads."""
        return {}


def replayed(scheduler: Halving, key: str, curves: Sequence[dict[str, Any]]) -> None:
    """Tell a scheduler of a training that ended before it was made.

    Args:
        scheduler: a fresh one, or one that was told of others.
        key: the network.
        curves: for each epoch its result.
    """
    trial = _Past(key)
    scheduler.on_trial_add(None, trial)
    for result in curves:
        scheduler.on_trial_result(None, trial, result)
    scheduler.on_trial_remove(None, trial)
    scheduler.causes.pop(key, None)


class _Past:
    """A trial of an earlier process."""

    def __init__(self, key: str) -> None:
        self.trial_id, self.config = f"past-{key}", {"key": key}
