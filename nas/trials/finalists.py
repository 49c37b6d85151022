"""Which networks of an ended search are trained alone, and their training."""

from nas.jobspec.metric_names import LEARNED
from nas.problem import Problem
from nas.results import Results
from nas.strategies.ranking import best
from nas.trials.trainings import Trainings, Work
from storage.records import Evaluation, Training


def finalists(results: Results, networks: int | str) -> list[Evaluation]:
    """The evaluations that are chosen.

    Args:
        results: of the search.
        networks: `front`, `knee`, or a number: so many of the best by rank and, within a rank, distance from others.
    """
    if networks == "front":
        return [results.evaluations[index] for index in results.front]
    if networks == "knee":
        return [] if results.knee is None else [results.evaluations[results.knee]]
    assert isinstance(networks, int)
    chosen = best(results.losses, results.violations, len(results.evaluations))
    sound = [index for index in chosen if results.violations[index] <= 0 and not results.evaluations[index].stopped]
    return [results.evaluations[index] for index in sound[:networks]]


def train_finalists(problem: Problem, results: Results, trainings: Trainings) -> list[Training]:
    """Train what the job chooses; how each training ended, in that order."""
    spec = problem.spec.train
    assert spec is not None
    works = [
        Work(
            evaluation.architecture_key,
            problem.network(evaluation.genotype),
            spec.recipe,
            evaluation.metrics,
            {f"{metric}@supernet": evaluation.metrics[metric] for metric in LEARNED if metric in evaluation.metrics},
        )
        for evaluation in finalists(results, "front" if spec.networks is None else spec.networks)
    ]
    trainings.submit(works)
    ended: list[Training] = []
    while more := trainings.wait():
        ended += more
    return ended
