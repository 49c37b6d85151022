"""What the runs of a comparison say: medians and quartiles, evaluations to a goal, tests against random, a plot."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu

Array = NDArray[np.float64]

GOALS = (0.90, 0.95, 0.99)


class Curve(NamedTuple):
    """The runs of one search.

    Attributes:
        name: of the strategy or peer.
        peer: whether it is a peer.
        volumes: (seeds, moments) hypervolumes; one that ended early keeps its last.
        evaluations: (seeds,) distinct evaluations that were made.
        seconds: (seeds,) that the search itself took.
    """

    name: str
    peer: bool
    volumes: Array
    evaluations: NDArray[np.intp]
    seconds: Array


def table(curves: Sequence[Curve], moments: Sequence[int], shown: Sequence[int]) -> str:
    """Hypervolume at some moments: median and quartiles; the search's own time."""
    places = [list(moments).index(moment) for moment in shown]
    lines = [f"{'hypervolume':<24}" + "".join(f"{f'@{moment}':>24}" for moment in shown) + f"{'ms/eval':>10}"]
    for curve in curves:
        low, middle, high = np.quantile(curve.volumes[:, places], (0.25, 0.5, 0.75), axis=0)
        cells = "".join(f"{f'{m:.4f} [{a:.4f} {b:.4f}]':>24}" for a, m, b in zip(low, middle, high, strict=True))
        pace = 1e3 * float(np.median(curve.seconds / np.maximum(curve.evaluations, 1)))
        ended = curve.evaluations.min() < moments[-1]
        note = f"  ended after {curve.evaluations.min()}" if ended else ""
        lines.append(f"{_label(curve):<24}{cells}{pace:>10.1f}{note}")
    return "\n".join(lines)


def goals(curves: Sequence[Curve], moments: Sequence[int]) -> str:
    """Median evaluations until a share of the full hypervolume is reached."""
    lines = [f"{'evaluations to reach':<24}" + "".join(f"{f'{goal:.0%}':>12}" for goal in GOALS)]
    for curve in curves:
        cells = []
        for goal in GOALS:
            reached = curve.volumes >= goal
            firsts = np.where(reached.any(axis=1), np.array(moments)[reached.argmax(axis=1)], np.inf)
            middle = float(np.median(firsts))
            cells.append(f"{middle:>12.0f}" if np.isfinite(middle) else f"{f'> {moments[-1]}':>12}")
        lines.append(f"{_label(curve):<24}" + "".join(cells))
    return "\n".join(lines)


def against_random(curves: Sequence[Curve], baseline: Curve, moments: Sequence[int], shown: Sequence[int]) -> str:
    """Relative improvement of the mean over random's and the p of a two-sided Mann-Whitney test."""
    places = [list(moments).index(moment) for moment in shown]
    lines = [f"{'against random':<24}" + "".join(f"{f'@{moment}':>24}" for moment in shown)]
    for curve in curves:
        if curve is baseline:
            continue
        cells = []
        for place in places:
            ours, theirs = curve.volumes[:, place], baseline.volumes[:, place]
            gain = ours.mean() / theirs.mean() - 1 if theirs.mean() else float("inf")
            p = float(mannwhitneyu(ours, theirs, alternative="two-sided").pvalue) if np.ptp([*ours, *theirs]) else 1.0
            cells.append(f"{f'{gain:+.2%} p={p:.1e}':>24}")
        lines.append(f"{_label(curve):<24}" + "".join(cells))
    return "\n".join(lines)


def plot(curves: Sequence[Curve], moments: Sequence[int], title: str, known: bool, path: Path) -> None:
    """Draw the distance to the full hypervolume against evaluations: medians, and quartiles shaded."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 5), layout="constrained")
    for curve in curves:
        low, middle, high = np.quantile(np.maximum(1 - curve.volumes, 1e-6), (0.25, 0.5, 0.75), axis=0)
        (line,) = axes.plot(moments, middle, "--" if curve.peer else "-", label=_label(curve))
        axes.fill_between(moments, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
    axes.set_yscale("log")
    axes.set_xlabel("distinct evaluations")
    axes.set_ylabel("1 - hypervolume, the true front's being 1" if known else "1 - hypervolume, the best found being 1")
    axes.set_title(title, fontsize="medium")
    axes.legend(fontsize="small", ncols=2)
    figure.savefig(path)
    pyplot.close(figure)


def _label(curve: Curve) -> str:
    return f"({curve.name})" if curve.peer else curve.name
