"""What runs on an evaluation actor: networks of one space, evaluated and turned into ONNX models."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch

from nas.evaluation.hopeless import Hope
from nas.evaluation.onnx_network import OnnxNetwork, quantised
from nas.evaluation.scores import INT8, EvaluationData, scores, scores_while
from nas.evaluation.subnet import Subnets, subnets
from nas.evaluation.zero_cost_data import ZeroCostData
from nas.jobspec.metric_names import ZERO_COST
from search_spaces.recipe import SpaceRecipe
from search_spaces.space import Genotype
from search_spaces.supernet.weights import SupernetWeights
from search_spaces.zero_cost.errors import Undefined
from search_spaces.zero_cost.scoring import zero_cost_scores

SAVED = "saved_seconds"
"""The metric of an evaluation that was cut short: about how much longer it would have taken."""


@dataclass(frozen=True, slots=True)
class SubnetReport:
    """Metrics of one subnet, or why there are none, the seconds it took, and why it was cut short if it was."""

    metrics: Mapping[str, float]
    error: str | None
    seconds: float
    stopped: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be found out about a subnet: scores as it is and in 8-bit integers, models, zero-cost scores.

    A network that lacks one of `zero_cost` has failed; one of `hints` may be missing.
    """

    scores: bool = False
    int8_scores: bool = False
    model: bool = False
    int8_model: bool = False
    zero_cost: tuple[str, ...] = ()
    hints: tuple[str, ...] = ()
    hope: Hope | None = None

    def __bool__(self) -> bool:
        """Whether anything is."""
        return self.scores or self.int8_scores or self.model or self.int8_model or bool(self.zero_cost or self.hints)


class SubnetActor:
    """Evaluates genotypes with trained weights.

    One thread each: actors run side by side, and a result does not depend on how many there are.

    Args:
        space: what the genotypes are of.
        weights: the trained supernet's; None for random ones, when only timing is asked for, or where they come with
            the space.
        data: what networks are scored and calibrated on; None when that is not asked for.
        zero_cost: what zero-cost scores look at; None when they are not asked for.
    """

    def __init__(
        self,
        space: SpaceRecipe,
        weights: SupernetWeights | None,
        data: EvaluationData | None,
        zero_cost: ZeroCostData | None = None,
    ) -> None:
        torch.set_num_threads(1)
        self._space, self._weights = space.make(), weights
        self._data, self._zero_cost = data, zero_cost

    @cached_property
    def _subnets(self) -> Subnets:
        return subnets(self._space, self._weights, self._data)

    def ping(self) -> None:
        """Answer, so that the caller knows that the actor is there."""

    def evaluate(self, genotype: Genotype, wanted: Wanted) -> tuple[SubnetReport, bytes, bytes]:
        """Evaluate a genotype (d,); the models, in fp32 and in int8, are empty unless asked for.

        The statistics of batch normalisation are measured for this subnet, so the model that is timed is the
        model that would be exported.
        """
        started = time.perf_counter()
        metrics: dict[str, float] = {}
        file = integers = b""
        try:
            if wanted.zero_cost or wanted.hints:
                metrics.update(self._cheap(genotype, wanted.zero_cost, wanted.hints))
            if wanted == Wanted(zero_cost=wanted.zero_cost, hints=wanted.hints):
                return SubnetReport(metrics, None, time.perf_counter() - started), file, integers
            network = self._subnets.network(genotype)
            if wanted.scores:
                assert self._data is not None, "scores need data"
                began = time.perf_counter()
                found, share = scores_while(network, self._data, wanted.hope)
                metrics.update(found)
                if share < 1:
                    assert wanted.hope is not None
                    saved = (time.perf_counter() - began) * (1 - share) / share
                    metrics[SAVED] = saved
                    reason = (
                        f"accuracy stays below {wanted.hope.least:g} with a confidence of {wanted.hope.confidence:g}, "
                        f"by {share:.0%} of the validation samples"
                    )
                    return SubnetReport(metrics, None, time.perf_counter() - started, reason), file, integers
            file = network.model({}) if wanted.model or wanted.int8_scores or wanted.int8_model else b""
            if wanted.int8_scores or wanted.int8_model:
                assert self._data is not None, "calibration needs data"
                integers = quantised(file, self._data)
            if wanted.int8_scores:
                assert self._data is not None
                quantised_scores = scores(OnnxNetwork(integers, threads=1), self._data)
                metrics |= {f"{name}@{INT8}": value for name, value in quantised_scores.items()}
        except (ValueError, RuntimeError, ArithmeticError, MemoryError) as error:
            reason = f"{type(error).__name__}: {error}"
            return SubnetReport(metrics, reason, time.perf_counter() - started), b"", b""
        return SubnetReport(metrics, None, time.perf_counter() - started), file, integers

    def _cheap(self, genotype: Genotype, names: tuple[str, ...], hints: tuple[str, ...]) -> dict[str, float]:
        """Zero-cost scores and their seconds as metrics; hints that are not defined are left out.

        Raises:
            Undefined: the network lacks one of the names; says why.
        """
        assert self._zero_cost is not None, "zero-cost scores need a seed"
        asked = (*names, *hints)
        found = zero_cost_scores(self._space.graph(genotype), asked, self._zero_cost.batch, self._zero_cost.seed)
        for name in names:
            if (cause := found[name].cause) is not None:
                raise Undefined(f"{ZERO_COST}{name}: {cause}")
        metrics = {f"{ZERO_COST}{name}": scored.value for name, scored in found.items() if scored.cause is None}
        return metrics | {f"{ZERO_COST}{name} seconds": scored.seconds for name, scored in found.items()}
