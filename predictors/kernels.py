"""Covariances of networks from groups of their features."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Part(NamedTuple):
    """Columns that share a linear function and a smooth one.

    Attributes:
        columns: of the features.
        slope: expected logarithm of the variance of the linear function.
        bend: of the smooth one; None for none.
        lengths: possible lengthscales of the smooth one, for features whose mean square is 1.
    """

    columns: slice
    slope: float
    bend: float | None
    lengths: tuple[float, ...] = (1.0, 3.0)


class Term(NamedTuple):
    """A covariance that is scaled by an amplitude: Matern-5/2, or linear where the length is 0."""

    part: int
    columns: slice
    length: float


def terms_of(parts: Sequence[Part]) -> tuple[Term, ...]:
    """The terms of all parts, of each the linear one first."""
    return tuple(
        Term(place, part.columns, length)
        for place, part in enumerate(parts)
        for length in (0.0, *(part.lengths if part.bend is not None else ()))
    )


def covariances(terms: Sequence[Term], a: Array, b: Array) -> Array:
    """Return (terms, n, k) covariances of (n, f) and (k, f) features."""
    found = np.empty((len(terms), len(a), len(b)))
    squared = np.zeros(0)
    for place, term in enumerate(terms):
        if not term.length:
            first, second = a[:, term.columns], b[:, term.columns]
            size = max(first.shape[1], 1)
            found[place] = first @ second.T / size
            if place + 1 < len(terms) and terms[place + 1].part == term.part:
                lengths = (first * first).sum(axis=1)[:, None] + (second * second).sum(axis=1)
                squared = np.maximum(lengths / size - 2 * found[place], 0.0)
        else:
            found[place] = matern(squared, term.length)
    return found


def variances(terms: Sequence[Term], a: Array) -> Array:
    """Return (terms, n), the covariance of each row with itself."""
    found = np.ones((len(terms), len(a)))
    for place, term in enumerate(terms):
        if not term.length:
            part = a[:, term.columns]
            found[place] = (part * part).sum(axis=1) / max(part.shape[1], 1)
    return found


def matern(squared: Array, length: float) -> Array:
    """The Matern-5/2 correlation of squared distances, shape kept, at a length."""
    r = np.sqrt(squared)
    r *= np.sqrt(5.0) / length
    polynomial: Array = r * (1.0 / 3.0)
    polynomial += 1.0
    polynomial *= r
    polynomial += 1.0
    np.negative(r, out=r)
    polynomial *= np.exp(r, out=r)
    return polynomial
