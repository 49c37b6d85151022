"""An evaluator that trains every candidate alone, after its latency was measured."""

from collections.abc import Sequence

from nas.evaluation.evaluator import Evaluated, Evaluator, Request
from nas.jobspec.metric_names import LEARNED
from nas.jobspec.training import RECIPE
from nas.trials.trainings import Trainings, Work, trained
from search_spaces.costs.static import costs
from search_spaces.joint_space import JointSpace
from search_spaces.space import Genotype, SearchSpace
from search_spaces.training.network_settings import NetworkSettings
from storage.records import Training, TrainingStatus


class TrainingEvaluator:
    """Answers with what trained networks do.

    A candidate is timed first, so that it is known what it has to learn to be worth its time when its training may be
    cut short.

    Args:
        measuring: what measures candidates, and scores none.
        trainings: what trains them.
        space: what candidates are of.
        settings: the recipe, but for what candidates decide about it.
        alone: whether nothing may be measured while a network is trained, because both happen on this machine.
    """

    def __init__(
        self, measuring: Evaluator, trainings: Trainings, space: SearchSpace, settings: NetworkSettings, *, alone: bool
    ) -> None:
        self._measuring, self._trainings, self._alone = measuring, trainings, alone
        self._space, self._settings = space, settings
        self._waiting: list[Request] = []
        self._training: dict[str, Evaluated] = {}

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        self._waiting += requests

    def wait(self) -> list[Evaluated]:
        """Block until at least one request is answered; empty when none is outstanding.

        Raises:
            RuntimeError: a device is gone, or trials cannot be run at all.
        """
        done: list[Evaluated] = []
        while not done and (self._waiting or self._training):
            if self._waiting and not (self._alone and self._training):
                done += self._measured()
            done += [self._learned(training) for training in self._trainings.wait()]
        return done

    def close(self) -> None:
        """Let go of all actors."""
        self._trainings.close()
        self._measuring.close()

    def _measured(self) -> list[Evaluated]:
        """Measure what waits, and hand it on to be trained; what cannot be measured is answered at once."""
        requests, self._waiting = {request.key: request for request in self._waiting}, []
        self._measuring.submit(list(requests.values()))
        failed, works = [], []
        while answers := self._measuring.wait():
            for answer in answers:
                if answer.error is not None:
                    failed.append(answer)
                    continue
                genotype, settings = self._split(requests[answer.key].genotype)
                static = costs(self._space.graph(requests[answer.key].genotype))
                works.append(Work(answer.key, genotype, settings, {**static, **answer.metrics}))
                self._training[answer.key] = answer
        self._trainings.submit(works)
        return failed

    def _split(self, genotype: Genotype) -> tuple[Genotype, NetworkSettings]:
        """The genotype of the network, and its recipe with what was decided about it."""
        space = self._space
        if not isinstance(space, JointSpace):
            return genotype, self._settings
        chosen = space.chosen(genotype).items()
        decided = {name.removeprefix(RECIPE): option for name, option in chosen if name.startswith(RECIPE)}
        return space.network(genotype), self._settings.decided(decided)

    def _learned(self, training: Training) -> Evaluated:
        answer = self._training.pop(training.architecture_key)
        answer.seconds += training.seconds
        if training.status is TrainingStatus.FAILED:
            answer.error = training.cause
            return answer
        last = {metric: float(training.curve[metric][-1]) for metric in LEARNED}
        answer.metrics |= last
        if training.status is TrainingStatus.STOPPED:
            answer.stopped = training.cause
        else:
            answer.metrics |= {trained(metric): value for metric, value in last.items()}
        return answer
