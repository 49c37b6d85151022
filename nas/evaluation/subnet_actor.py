"""What runs on an evaluation actor: subnets of one supernet, evaluated and turned into ONNX models."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from numpy.typing import NDArray

from nas.evaluation.subnet import EvaluationData, Subnets
from search_spaces.registry import SPACES
from search_spaces.space import Genotype


@dataclass(frozen=True, slots=True)
class SpaceSpec:
    """How to make a search space elsewhere: its name and its settings."""

    name: str
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SubnetReport:
    """Metrics of one subnet, or why there are none, and the seconds it took."""

    metrics: Mapping[str, float]
    error: str | None
    seconds: float


class SubnetActor:
    """Evaluates genotypes on a supernet's weights.

    One thread each: actors run side by side, and a result does not depend on how many there are.

    Args:
        space: what the genotypes are of.
        weights: the supernet's tensors by name; None for random ones, when only timing is asked for.
        data: what accuracy is evaluated on; None when it is not asked for.
    """

    def __init__(
        self, space: SpaceSpec, weights: Mapping[str, NDArray[Any]] | None, data: EvaluationData | None
    ) -> None:
        torch.set_num_threads(1)
        self._subnets = Subnets(SPACES[space.name](**space.settings), weights, data)

    def ping(self) -> None:
        """Answer, so that the caller knows that the actor is there."""

    def evaluate(self, genotype: Genotype, accuracy: bool, model: bool) -> tuple[SubnetReport, bytes]:
        """Evaluate a genotype (d,); the model is empty unless asked for.

        The statistics of batch normalisation are measured for this subnet, so the model that is timed is the
        model that would be exported.
        """
        started = time.perf_counter()
        metrics: dict[str, float] = {}
        try:
            statistics = self._subnets.statistics(genotype)
            if accuracy:
                metrics["accuracy"] = self._subnets.accuracy(genotype, statistics)
            file = self._subnets.model(genotype, statistics, {}) if model else b""
        except (ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
            reason = f"{type(error).__name__}: {error}"
            return SubnetReport(metrics, reason, time.perf_counter() - started), b""
        return SubnetReport(metrics, None, time.perf_counter() - started), file
