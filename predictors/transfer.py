"""A new device from a few measurements and what other devices measured.

H. Lee et al., "HELP", NeurIPS 2021; Y. Akhauri and M. Abdelfattah, "MultiPredict", 2023, and "NASFLAT", MLSys 2024,
learn an embedding of the hardware over hours. Here the sources' predicted values are features like others: a device is
a weighted sum of other devices plus what operators and paths explain beyond them. The embedding is the device's place
along the principal components of the sources, and everything about it is integrated out in closed form.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from predictors.averaged_process import AveragedProcess, Guess
from predictors.choosing import choose
from predictors.errors import PredictorError
from predictors.feature_parts import parts_of
from predictors.kernels import Part
from predictors.predictor import Predictor, Source, State, digest
from predictors.source_models import SourceModels

Array = NDArray[np.float64]

BEST = 3
"""Sources that are singled out as the best correlated."""
DIMENSIONS = 8
"""Of the embedding at most."""
SLOPE, SLOPE_OF_BEST, SLOPE_OF_EMBEDDING = 0.0, 0.0, -2.0
BEND = -3.0
EXAMPLES = 2000
LEAST_VARIANCE = 1e-4
"""Of an axis of the embedding, in units of the first."""


class Transfer(Predictor):
    """Predictions of source predictors beside the features, in a Gaussian process averaged over its settings."""

    name = "transfer"
    _learned: Sequence[tuple[str, str]] = ()

    def choose(
        self,
        pool: Array,
        n: int,
        *,
        sources: Sequence[Source] = (),
        known: Array | None = None,
    ) -> NDArray[np.intp]:
        """Return n rows of the candidates (p, f): those that tell most beside what the sources tell."""
        if not sources:
            return super().choose(pool, n, known=known)
        checked = self.features.check(pool)
        self._learn([self._checked(source) for source in sources])
        parts = self._parts[: len(self.features.groups) + 1]  # which sources are best is not known yet
        beside = None if known is None else self._inputs(self.features.check(known))
        return choose(parts, self._inputs(checked), n, seed=self.seed, known=beside)

    def _fit(self, x: Array, y: Array, sources: Sequence[Source]) -> None:
        if not sources:
            raise PredictorError(f"{self.name!r} needs at least one source device (got none)")
        self._learn(sources)
        scaled = (self._models(x) - self._centre) / self._spread
        related = [abs(stats.spearmanr(column, y).statistic) if np.ptp(column) > 0 else 0.0 for column in scaled.T]
        self._best = np.sort(np.argsort(-np.array(related), kind="stable")[: min(BEST, len(sources))])
        self._process = AveragedProcess(self._parts, self.seed).fit(self._inputs(x), y)

    def _learn(self, sources: Sequence[Source]) -> None:
        """Fit the source predictors and the embedding, unless that is done."""
        known = [(source.name, digest(source.features, source.values)) for source in sources]
        if known == self._learned:
            return
        self._models = SourceModels(self.features, parts_of(self.features), self.seed)
        self._models.fit([(source.features, source.values) for source in sources])
        examples = np.concatenate([source.features for source in sources])
        if len(examples) > EXAMPLES:
            chosen = np.random.default_rng([self.seed, 5]).choice(len(examples), EXAMPLES, replace=False)
            examples = examples[chosen]
        told = self._models(examples)
        self._centre, self._spread = told.mean(axis=0), np.maximum(told.std(axis=0), 1e-12 * np.abs(told).max(axis=0))
        standard = (told - self._centre) / self._spread
        values, vectors = np.linalg.eigh(standard.T @ standard / len(standard))
        kept = np.argsort(-values, kind="stable")[: min(DIMENSIONS, len(sources))]
        kept = kept[values[kept] > LEAST_VARIANCE * values.max()]
        self._axes = vectors[:, kept] / np.sqrt(values[kept])
        self._best = np.arange(0)
        self._learned = known

    @property
    def _parts(self) -> tuple[Part, ...]:
        parts = parts_of(self.features)
        start = parts[-1].columns.stop
        sizes = (len(self._centre), len(self._best), self._axes.shape[1])
        ends = start + np.cumsum([0, *sizes])
        slopes, bends = (SLOPE, SLOPE_OF_BEST, SLOPE_OF_EMBEDDING), (BEND, None, None)
        more = zip(ends[:-1].tolist(), ends[1:].tolist(), slopes, bends, strict=True)
        return (*parts, *(Part(slice(first, last), slope, bend, (2.0,)) for first, last, slope, bend in more))

    def _inputs(self, x: Array) -> Array:
        told = (self._models(x) - self._centre) / self._spread
        return np.concatenate([self.features.scaled(x), told, told[:, self._best], told @ self._axes], axis=1)

    def _guess(self, x: Array) -> Guess:
        return self._process.predict(self._inputs(x))

    def _held_out(self, x: Array, y: Array, sources: Sequence[Source]) -> Guess:
        held = self._process.held_out()
        return held if len(held.mean) == len(y) else super()._held_out(x, y, sources)

    def _beginner(self) -> Self:
        other = super()._beginner()
        for name in ("_models", "_centre", "_spread", "_axes", "_learned"):  # the sources stay what they are
            setattr(other, name, getattr(self, name))
        return other

    def _state(self) -> State:
        arrays = {f"models.{key}": value for key, value in self._models.state().items()}
        arrays |= {f"process.{key}": value for key, value in self._process.state().items()}
        arrays |= {"centre": self._centre, "spread": self._spread, "axes": self._axes}
        return State(arrays | {"best": self._best.astype(np.int64)}, {})

    def _restore(self, arrays: Mapping[str, NDArray[Any]], settings: Mapping[str, Any]) -> None:
        self._centre, self._spread, self._axes = arrays["centre"], arrays["spread"], arrays["axes"]
        self._best = arrays["best"].astype(np.intp)
        self._models = SourceModels(self.features, parts_of(self.features), self.seed).restore(
            _under(arrays, "models.")
        )
        self._process = AveragedProcess(self._parts, self.seed).restore(_under(arrays, "process."))


def _under(arrays: Mapping[str, NDArray[Any]], start: str) -> dict[str, NDArray[Any]]:
    return {key.removeprefix(start): value for key, value in arrays.items() if key.startswith(start)}
