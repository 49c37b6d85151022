"""What the columns of a feature array mean, so that a predictor knows its own features from those of another space."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from predictors.errors import FeatureMismatch, PredictorError

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Group:
    """Features that lie side by side and belong together.

    Attributes:
        name: what they are.
        size: how many.
        slope: logarithm of the variance that a linear function of the group is expected to explain, 0 being all of it.
        bend: the same for what is not linear in it; None where only linear functions are expected.
        counts: whether they count operators and their costs, so that a metric is nearly a weighted sum of them.
    """

    name: str
    size: int
    slope: float = 0.0
    bend: float | None = None
    counts: bool = False


@dataclass(frozen=True)
class FeatureSet:
    """The columns of (n, f) features.

    Attributes:
        subject: what the rows describe, such as the name of a search space.
        names: f names.
        groups: whose sizes add up to f, in the order of the columns.
        centre: (f,) expected mean of each column over whatever may be asked about.
        spread: (f,) expected deviation; 0 for a column that never changes, which is ignored.
        rising: (f,) whether more of the feature, all else being equal, must not lower the metric.

    Raises:
        PredictorError: sizes that do not fit each other, names given twice, numbers that are not finite.
    """

    subject: str
    names: tuple[str, ...]
    groups: tuple[Group, ...]
    centre: Array
    spread: Array
    rising: NDArray[np.bool_]

    def __post_init__(self) -> None:
        f = len(self.names)
        sizes = {
            "groups": sum(group.size for group in self.groups),
            "centre": len(self.centre),
            "spread": len(self.spread),
            "rising": len(self.rising),
        }
        for what, size in sizes.items():
            if size != f:
                raise PredictorError(f"{f} features are named, but {what} are for {size}")
        if not f:
            raise PredictorError(f"features of {self.subject!r} have no column")
        if len(set(self.names)) != f:
            raise PredictorError(f"features of {self.subject!r} have a name twice")
        if not (np.isfinite(self.centre).all() and np.isfinite(self.spread).all() and (self.spread >= 0).all()):
            raise PredictorError(f"centre and spread of the features of {self.subject!r} must be finite, no spread < 0")

    @classmethod
    def of(
        cls,
        subject: str,
        names: tuple[str, ...],
        groups: tuple[Group, ...],
        examples: Array,
        rising: NDArray[np.bool_] | None = None,
    ) -> "FeatureSet":
        """Take centre and spread from (m, f) examples."""
        spread = examples.std(axis=0)
        spread[spread < 1e-9 * np.maximum(1.0, np.abs(examples).max(axis=0, initial=0.0))] = 0.0
        none = np.zeros(len(names), np.bool_)
        return cls(subject, names, groups, examples.mean(axis=0), spread, none if rising is None else rising)

    def beside(self, other: "FeatureSet") -> "FeatureSet":
        """These columns and then those of another set, about the same subject."""
        return FeatureSet(
            self.subject,
            (*self.names, *other.names),
            (*self.groups, *other.groups),
            np.concatenate([self.centre, other.centre]),
            np.concatenate([self.spread, other.spread]),
            np.concatenate([self.rising, other.rising]),
        )

    def scaled(self, features: Array) -> Array:
        """Return (n, f) features with mean 0 and deviation 1."""
        scaled: Array = (features - self.centre) * np.divide(
            1.0, self.spread, out=np.zeros_like(self.spread), where=self.spread > 0
        )
        return scaled

    @property
    def columns(self) -> tuple[slice, ...]:
        """The columns of each group."""
        ends = np.cumsum([0, *(group.size for group in self.groups)]).tolist()
        return tuple(slice(first, last) for first, last in pairwise(ends))

    @property
    def counted(self) -> NDArray[np.intp]:
        """Columns of the groups that count operators and costs; all of them where there is no such group."""
        chosen = [np.arange(c.start, c.stop) for c, g in zip(self.columns, self.groups, strict=True) if g.counts]
        return np.concatenate(chosen) if chosen else np.arange(len(self.names))

    def check(self, features: object, *, least: int = 0) -> Array:
        """Return an array of features as float64.

        Raises:
            FeatureMismatch: not (n, f), or values that are not finite; the first is named.
        """
        try:
            given = np.asarray(features, np.float64)
        except (TypeError, ValueError) as error:
            raise FeatureMismatch(f"features must be an array of numbers ({error})") from error
        if given.ndim != 2 or given.shape[1] != len(self.names):
            raise FeatureMismatch(
                f"features of {self.subject!r} must have shape (n, {len(self.names)}) (got {given.shape}); "
                "are they of another space?"
            )
        if not np.isfinite(given).all():
            row, column = (int(place) for place in np.argwhere(~np.isfinite(given))[0])
            raise FeatureMismatch(f"row {row}, feature {self.names[column]!r} is {given[row, column]}")
        return given

    def require(self, other: "FeatureSet") -> None:
        """Check that other features are these.

        Raises:
            FeatureMismatch: another subject, or other columns; the first difference is named.
        """
        if other.subject != self.subject:
            raise FeatureMismatch(f"the predictor is for {self.subject!r}, but the features are of {other.subject!r}")
        if other.names != self.names:
            mine, theirs = set(self.names), set(other.names)
            odd = sorted(mine ^ theirs)
            what = f"{odd[0]!r} is in one of them only" if odd else "their order differs"
            raise FeatureMismatch(f"the features of {self.subject!r} are others than those of the predictor: {what}")

    @cached_property
    def digest(self) -> str:
        """SHA-256 of subject, names and groups, 64 hex digits."""
        plain = self.to_plain()
        text = json.dumps([plain["subject"], plain["names"], plain["groups"]])
        return hashlib.sha256(text.encode()).hexdigest()

    def to_plain(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "subject": self.subject,
            "names": list(self.names),
            "groups": [[g.name, g.size, g.slope, g.bend, g.counts] for g in self.groups],
            "centre": self.centre.tolist(),
            "spread": self.spread.tolist(),
            "rising": self.rising.tolist(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "FeatureSet":
        """From what `to_plain` gives.

        Raises:
            PredictorError: parts are missing or do not fit.
        """
        try:
            return cls(
                str(plain["subject"]),
                tuple(str(name) for name in plain["names"]),
                tuple(Group(str(g[0]), int(g[1]), float(g[2]), _maybe(g[3]), bool(g[4])) for g in plain["groups"]),
                np.array(plain["centre"], np.float64),
                np.array(plain["spread"], np.float64),
                np.array(plain["rising"], np.bool_),
            )
        except (KeyError, IndexError, TypeError) as error:
            raise PredictorError(f"this does not describe features: {error!r}") from error


def _maybe(value: Any) -> float | None:
    return None if value is None else float(value)
