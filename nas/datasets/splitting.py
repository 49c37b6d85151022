"""Stratified choices: every class keeps its share."""

import numpy as np

from nas.datasets.raw import Labels

Rows = Labels  # positions in an array of samples, ascending


def split_rows(labels: Labels, validation: float, seed: int) -> tuple[Rows, Rows]:
    """Positions for training and for validation, disjoint and together everything.

    Each class gives the rounded `validation` share of its samples, at least one, and keeps at least one.

    Args:
        labels: (N,), each class present at least twice.
        validation: share in (0, 1).
        seed: the same seed makes the same split.

    Returns:
        Two ascending int64 arrays.
    """
    rng = np.random.default_rng([seed, 0])
    held_out = np.zeros(len(labels), dtype=bool)
    for members in _members(labels):
        take = min(max(round(validation * len(members)), 1), len(members) - 1)
        held_out[rng.permutation(members)[:take]] = True
    return np.flatnonzero(~held_out), np.flatnonzero(held_out)


def limit_rows(labels: Labels, limit: int, seed: int, least: int = 0) -> Rows:
    """At most `limit` positions of `labels`, every class with its share and with at least `least`.

    Args:
        labels: (N,).
        limit: at least `least` times the number of classes.
        seed: the same seed makes the same choice.
        least: samples that a class keeps at least, where it has them.

    Returns:
        An ascending int64 array; everything when there are no more than `limit`.
    """
    if len(labels) <= limit:
        return np.arange(len(labels))
    rng = np.random.default_rng([seed, 1])
    # Samples are ranked by how far into their class they stand: the first of each class come first,
    # then whoever is least advanced in its class, so any prefix keeps the shares.
    rank = np.empty(len(labels))
    for members in _members(labels):
        place = np.arange(len(members), dtype=float)
        advance = (place + rng.random()) / len(members)
        advance[:least] -= 1.0
        rank[rng.permutation(members)] = advance
    return np.sort(np.argsort(rank, kind="stable")[:limit])


def _members(labels: Labels) -> list[Rows]:
    """Positions of each class that occurs, in the order of the classes."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.flatnonzero(np.diff(labels[order])) + 1)
