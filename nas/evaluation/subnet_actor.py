"""What runs on an evaluation actor: networks of one space, evaluated and turned into ONNX models."""

import time
from collections.abc import Mapping
from dataclasses import dataclass

import torch

from nas.evaluation.onnx_network import OnnxNetwork, quantised
from nas.evaluation.scores import INT8, EvaluationData, scores
from nas.evaluation.subnet import subnets
from search_spaces.recipe import SpaceRecipe
from search_spaces.space import Genotype
from search_spaces.supernet.weights import SupernetWeights


@dataclass(frozen=True, slots=True)
class SubnetReport:
    """Metrics of one subnet, or why there are none, and the seconds it took."""

    metrics: Mapping[str, float]
    error: str | None
    seconds: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be found out about a subnet: scores as it is and in 8-bit integers, and the model of either kind."""

    scores: bool = False
    int8_scores: bool = False
    model: bool = False
    int8_model: bool = False

    def __bool__(self) -> bool:
        """Whether anything is."""
        return self.scores or self.int8_scores or self.model or self.int8_model


class SubnetActor:
    """Evaluates genotypes with trained weights.

    One thread each: actors run side by side, and a result does not depend on how many there are.

    Args:
        space: what the genotypes are of.
        weights: the trained supernet's; None for random ones, when only timing is asked for, or where they come with
            the space.
        data: what networks are scored and calibrated on; None when that is not asked for.
    """

    def __init__(self, space: SpaceRecipe, weights: SupernetWeights | None, data: EvaluationData | None) -> None:
        torch.set_num_threads(1)
        self._subnets = subnets(space.make(), weights, data)
        self._data = data

    def ping(self) -> None:
        """Answer, so that the caller knows that the actor is there."""

    def evaluate(self, genotype: Genotype, wanted: Wanted) -> tuple[SubnetReport, bytes, bytes]:
        """Evaluate a genotype (d,); the models, in fp32 and in int8, are empty unless asked for.

        The statistics of batch normalisation are measured for this subnet, so the model that is timed is the
        model that would be exported.
        """
        started = time.perf_counter()
        metrics: dict[str, float] = {}
        try:
            network = self._subnets.network(genotype)
            if wanted.scores:
                assert self._data is not None, "scores need data"
                metrics.update(scores(network, self._data))
            file = network.model({}) if wanted.model or wanted.int8_scores or wanted.int8_model else b""
            integers = b""
            if wanted.int8_scores or wanted.int8_model:
                assert self._data is not None, "calibration needs data"
                integers = quantised(file, self._data)
            if wanted.int8_scores:
                assert self._data is not None
                found = scores(OnnxNetwork(integers, threads=1), self._data)
                metrics |= {f"{name}@{INT8}": value for name, value in found.items()}
        except (ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
            reason = f"{type(error).__name__}: {error}"
            return SubnetReport(metrics, reason, time.perf_counter() - started), b"", b""
        return SubnetReport(metrics, None, time.perf_counter() - started), file, integers
