"""What evaluates the networks of a job: measures them, predicts, cuts short or trains, as the job says."""

from nas.evaluation.cutting_evaluator import CuttingEvaluator
from nas.evaluation.evaluator import Evaluator, RayEvaluator
from nas.evaluation.scores import EvaluationData
from nas.evaluation.zero_cost_data import ZeroCostData
from nas.job_devices import JobDevices
from nas.jobspec.metric_names import ZERO_COST
from nas.objectives import deviation
from nas.problem import Problem
from search_spaces.joint_space import JointSpace
from search_spaces.supernet.weights import SupernetWeights
from storage.store import ResultStore


def measuring_evaluator(problem: Problem, weights: SupernetWeights | None, devices: JobDevices) -> RayEvaluator:
    """What measures networks, and scores them with shared weights unless all of them are trained.

    Args:
        problem: what is searched.
        weights: of the supernet; None where there is none.
        devices: what was asked of the devices.
    """
    spec, data = problem.spec, None
    hints = [name for name in spec.accuracy.zero_cost if name not in spec.zero_cost]
    if problem.dataset is not None and spec.supernet is not None and not spec.trains_in_search:
        stops = spec.accuracy.stop_confidence is not None
        data = EvaluationData.of(problem.dataset, spec.supernet.recalibration_samples, shuffled=stops)
    return RayEvaluator(
        problem.recipe,
        scored=spec.wants_scores and not spec.trains_in_search,
        scored_in_int8=spec.wants_int8_scores,
        weights=None if spec.trains_in_search else weights,
        data=data,
        devices=devices.sections,
        precisions=devices.precisions,
        zero_cost=spec.zero_cost,
        hints=hints,
        zero_cost_data=ZeroCostData.of(problem.dataset, spec.seed) if spec.zero_cost or hints else None,
        stop_confidence=spec.accuracy.stop_confidence,
        joint=problem.searched if isinstance(problem.searched, JointSpace) else None,
        workers=spec.execution.workers,
        timing=spec.measuring.timing,
        watch=spec.measuring.watch,
        timing_waits=spec.execution.timing_waits,
    )


def sparing_evaluator(problem: Problem, measuring: Evaluator, store: ResultStore, job_id: str) -> Evaluator:
    """What cuts evaluations short or predicts metrics where the job allows that, and has the rest measured.

    Args:
        problem: what is searched.
        measuring: what measures networks.
        store: where the job's evaluations are, from which it goes on.
        job_id: the job.
    """
    spec, space = problem.spec, problem.searched
    sources, stops = spec.predicted, spec.accuracy.stop_confidence is not None
    if not (sources or stops):
        return measuring
    history = [
        (space.genotype(each.genotype), each.metrics)
        for each in store.evaluations(job_id)
        if not each.error and not each.stopped
    ]
    if stops:
        exact = [
            (genotype, metrics)
            for genotype, metrics in history
            if all(metrics.get(deviation(metric), 0.0) == 0 for metric in sources)
        ]
        measuring = CuttingEvaluator(measuring, space, spec.objectives, history=exact)
    if not sources:
        return measuring
    from nas.evaluation.predicting_evaluator import PredictingEvaluator  # with the predictors, which take long

    hints = [ZERO_COST + name for name in spec.accuracy.zero_cost]
    return PredictingEvaluator(measuring, space, spec.objectives, sources, hints=hints, seed=spec.seed, history=history)
