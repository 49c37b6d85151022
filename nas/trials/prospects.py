"""Whether a training can still join the front."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.jobspec.metric_names import LEARNED
from nas.jobspec.training import CurvesSpec
from nas.objectives import Objective
from nas.trials.learning_curves import Curve, LearningCurves


class Prospects:
    """Compares the best that a training may come to with what has been found.

    Args:
        settings: when it is sure enough.
        objectives: the m objectives.
        samples: on which accuracy is measured.
    """

    def __init__(self, settings: CurvesSpec, objectives: Sequence[Objective], samples: int) -> None:
        self._objectives, self._confidence = objectives, settings.confidence
        self._curves = LearningCurves(settings.confidence, settings.after, samples)
        self._found: NDArray[np.float64] = np.zeros((0, len(objectives)))

    def add(self, metrics: Mapping[str, float], curve: Curve) -> None:
        """Take in a training that came to its end, with all metrics of the objectives."""
        self._curves.add(curve)
        if self._broken(metrics) is None:
            self._found = np.vstack([self._found, self._losses(metrics)])

    def why_not(self, known: Mapping[str, float], result: Mapping[str, Any], epochs: int) -> str | None:
        """Why a training cannot join the front any more; None where it may.

        Args:
            known: metrics of the network that are no matter of training.
            result: `epoch` and learned metrics.
            epochs: of the whole training.
        """
        asked = [objective.metric for objective in self._objectives if objective.metric in LEARNED]
        fixed = {name: value for name, value in known.items() if name not in LEARNED}
        if (broken := self._broken(fixed)) is not None:
            return f"its {broken} breaks the bound"
        best = {metric: self._curves.best(metric, result["epoch"], epochs, result[metric]) for metric in asked}
        sure = {metric: value for metric, value in best.items() if value is not None}
        if len(sure) < len(asked):
            return None
        hopes = {**fixed, **sure}
        told = " and ".join(f"{metric} {value:.4g}" for metric, value in sure.items())
        if (broken := self._broken(hopes)) is not None:
            return f"at best {told} to be expected ({self._confidence:.0%}), which breaks the bound"
        if (self._found <= self._losses(hopes)).all(axis=1).any():
            return f"at best {told} to be expected ({self._confidence:.0%}), and another is better in everything"
        return None

    def _losses(self, metrics: Mapping[str, float]) -> NDArray[np.float64]:
        return np.array([float(o.losses(metrics[o.metric])) for o in self._objectives])

    def _broken(self, metrics: Mapping[str, float]) -> str | None:
        """The first metric whose bound does not hold; those that are not known are passed over."""
        known = [o for o in self._objectives if o.metric in metrics]
        return next((o.metric for o in known if float(o.violations(metrics[o.metric])) > 0), None)
