"""What jobs of a store have found out about accuracy, as labels for a predictor of others."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.features.accuracy_features import AccuracyFeatures
from nas.features.operators import graph_features
from nas.jobspec.space_code import space_recipe
from nas.jobspec.training import RecipeSpec, TrainSpec
from nas.objectives import deviation
from predictors.accuracy import Accuracy
from predictors.errors import PredictorError, TooFewSamples
from predictors.feature_set import FeatureSet, Group
from predictors.node_features import NODE_FEATURES, SUBJECT, SUMS
from predictors.predictor import Source
from predictors.scores import Scores
from search_spaces.genotypes import Population
from search_spaces.graph import Graph
from search_spaces.joint_space import JointSpace
from search_spaces.space import SearchSpace
from storage.records import Evaluation, Job

Array = NDArray[np.float64]

SMALL = 1e-6
"""Below which a sum of millions of MACs or bytes is nothing."""


@dataclass(frozen=True, slots=True)
class Labels:
    """What one job has evaluated, or a statistic of networks that nobody has.

    Attributes:
        job: its id, or the name of the statistic.
        data: a word for the data set.
        how: what was evaluated on, with which weights, and how networks were trained that had their own, as plain
            values; labels that differ in it do not mix.
        space: what the rows are of: networks, and the recipe of each where a job decided about it.
        rows: (n, d) distinct genotypes.
        values: (n,).
    """

    job: str
    data: str
    how: Mapping[str, Any]
    space: SearchSpace
    rows: Population
    values: Array

    @classmethod
    def of(cls, job: Job, evaluations: Sequence[Evaluation], metric: str, *, allow_code: bool = False) -> "Labels":
        """The labels of a job; what was predicted, failed or cut short is none.

        Raises:
            PredictorError: the job has none.
            ValueError: its space cannot be made.
        """
        space, training = _searched(job, allow_code=allow_code)
        good = [
            each
            for each in evaluations
            if each.error is None
            and each.stopped is None
            and np.isfinite(each.metrics.get(metric, np.nan))
            and not each.metrics.get(deviation(metric), 0.0) > 0
        ]
        if not good:
            raise PredictorError(f"job {job.id} has no network whose {metric} was evaluated; choose another job")
        known = set(space.names)
        rows = [space.genotype({k: v for k, v in each.genotype.items() if k in known}) for each in good]
        values = np.array([each.metrics[metric] for each in good])
        data = job.spec.get("data") or {}
        name = str(data.get("name") or Path(str(data.get("path"))).name.split(".")[0])
        word = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-_") or "data"
        how = {"data": data, "weights": "own" if training else "shared", **training}
        return cls(job.id, word, how, space, *_merged(np.stack(rows), values))


@dataclass(frozen=True, slots=True)
class FittedAccuracy:
    """What came of the labels.

    Attributes:
        predictor: for networks of the space of the first labels.
        values: (n,) labels that it learned from.
        universal: for any network.
        tested: scores on labels that were kept apart; None where none were.
    """

    predictor: Accuracy
    values: Array
    universal: Accuracy
    tested: Scores | None


def fit_accuracy(
    labels: Sequence[Labels], sources: Sequence[Labels] = (), *, tests: int = 0, seed: int = 0
) -> FittedAccuracy:
    """Learn from the labels of jobs.

    Args:
        labels: of one data set; those of the first one's space teach its predictor, all of them the universal one.
        sources: of other data sets or other weights, or statistics, which help.
        tests: how many labels are kept apart, only to see how good the predictor is.
        seed: of everything that is drawn.

    Raises:
        PredictorError: labels of several data sets that are not told apart, too few, or all the same.
    """
    first = labels[0]
    for other in labels[1:]:
        if other.how != first.how:
            raise PredictorError(
                f"the labels of jobs {first.job} and {other.job} do not mix: {_told(first, other)}, and "
                f"{_told(other, first)}; give {other.job} as a source (--source {other.job}), or leave it out"
            )
    made = AccuracyFeatures(first.space)
    digests = {id(each): AccuracyFeatures(each.space).features.digest for each in (*labels, *sources)}
    same = [each for each in labels if digests[id(each)] == made.features.digest]
    rows, y = _merged(np.concatenate([each.rows for each in same]), np.concatenate([each.values for each in same]))
    if len(y) < Accuracy.least_samples + tests:
        raise TooFewSamples(
            f"{len(y)} networks of space {first.space.name!r} were evaluated; a predictor needs "
            f"{Accuracy.least_samples}{f' beside the {tests} that are kept apart' if tests else ''}"
        )
    order = np.random.default_rng([seed, 34]).permutation(len(y))
    train, apart = order[tests:], order[:tests]
    x = made(rows)
    beside = [
        Source(each.job, made(each.rows), each.values) for each in sources if digests[id(each)] == made.features.digest
    ]
    predictor = Accuracy(made.features, seed=seed).fit(x[train], y[train], beside)
    tested = None
    if tests:
        mean = predictor.predict(x[apart]).mean
        tested = Scores.of(y[apart], mean, *predictor.interval(x[apart]))
    others = [each for each in labels if digests[id(each)] != made.features.digest]
    networks = [first.space.graph(row) for row in rows[train]]
    networks += [each.space.graph(row) for each in others for row in each.rows]
    nodes = whole_networks(networks)
    values = np.concatenate([y[train], *(each.values for each in others)])
    more = [Source(each.job, whole_networks([each.space.graph(row) for row in each.rows]), each.values)
            for each in sources]  # fmt: skip
    examples = np.concatenate([nodes, *(source.features for source in more)])
    universal = Accuracy(whole_features(examples), seed=seed).fit(nodes, values, more)
    return FittedAccuracy(predictor, y[train], universal, tested)


def whole_networks(networks: Sequence[Graph]) -> Array:
    """The (n, f) features of any networks, whose columns `whole_features` names: sums on a logarithmic scale."""
    found = graph_features(networks)
    counts = np.array([name.endswith("count") for name in SUMS])
    sums = found[:, : len(SUMS)]
    found[:, : len(SUMS)] = np.where(counts, np.log1p(sums), np.log(sums + SMALL))
    return found


def whole_features(examples: Array) -> FeatureSet:
    """What the columns are, with the usual sizes of (n, f) examples."""
    groups = (
        Group("sums", len(SUMS), slope=-1.0, bend=-1.0, counts=True),
        Group("shape", len(NODE_FEATURES.names) - len(SUMS), slope=-1.0, bend=-1.0),
    )
    return FeatureSet.of(SUBJECT, tuple(f"log {n}" if n in SUMS else n for n in NODE_FEATURES.names), groups, examples)


def _merged(rows: Population, values: Array) -> tuple[Population, Array]:
    """Rows in their order, each once, with the mean of its values."""
    unique, firsts, inverse = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    means = np.bincount(inverse.reshape(-1), values) / np.bincount(inverse.reshape(-1))
    order = np.argsort(firsts)
    return unique[order], means[order]


def _searched(job: Job, *, allow_code: bool) -> tuple[SearchSpace, dict[str, Any]]:
    """What a job searched, but for settings of devices; and how each network was trained, if each was."""
    spec = job.spec
    space = space_recipe(spec["space"], allow_code=allow_code).make()
    if (spec.get("accuracy") or {}).get("from") != "train":
        return space, {}
    train, decided = TrainSpec(**(spec.get("train") or {})).recipe, RecipeSpec(**(spec.get("recipe") or {}))
    training = {"train": train.model_dump(mode="json"), "recipe": decided.model_dump(mode="json", exclude_none=True)}
    decisions = decided.decisions(train)
    return JointSpace(space, [], decisions) if decisions else space, training


def _told(labels: Labels, other: Labels) -> str:
    """In what labels differ from others."""
    apart: dict[str, Any] = {}
    for name in dict.fromkeys((*labels.how, *other.how)):
        mine, theirs = labels.how.get(name), other.how.get(name)
        if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
            apart |= {f"{name}.{key}": mine.get(key) for key in (*mine, *theirs) if mine.get(key) != theirs.get(key)}
        elif mine != theirs:
            apart[name] = mine
    return f"{labels.job} has {', '.join(f'{name} {json.dumps(value)}' for name, value in apart.items())}"
