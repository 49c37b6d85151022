"""The trade-off as a picture."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from nas.objectives import Objective

# Okabe and Ito's palette, safe for colour-blind readers.
_GREY, _BLUE, _ORANGE = "#999999", "#0072B2", "#D55E00"


def front_png(
    title: str, objectives: Sequence[Objective], values: NDArray[np.float64], front: NDArray[np.intp], knee: int | None
) -> bytes:
    """A PNG of the front: one panel for each pair of objectives, dominated points grey, bounds dashed.

    Args:
        title: of the picture.
        objectives: the m objectives; with one, its value over the evaluations is drawn.
        values: (n, m) metric values, NaN rows where an evaluation failed.
        front: indices of the points on the front.
        knee: index of the point that is offered as the balanced choice.
    """
    count = len(objectives)
    pairs = [(x, y) for y in range(count) for x in range(y + 1, count)] or [(-1, 0)]
    figure = Figure(figsize=(5.2 * len(pairs), 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    for axes, (x, y) in zip(figure.subplots(1, len(pairs), squeeze=False)[0], pairs, strict=True):
        horizontal = np.arange(len(values)) if x < 0 else values[:, x]
        _scatter(axes, horizontal, values[:, y], front, knee)
        axes.set_xlabel("evaluation" if x < 0 else objectives[x].metric)
        axes.set_ylabel(objectives[y].metric)
        if x >= 0 and objectives[x].bound is not None:
            axes.axvline(objectives[x].bound, color=_ORANGE, linestyle="--", linewidth=1)
        if objectives[y].bound is not None:
            axes.axhline(objectives[y].bound, color=_ORANGE, linestyle="--", linewidth=1)
    figure.suptitle(title)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()


def _scatter(
    axes: Axes, x: NDArray[np.generic], y: NDArray[np.float64], front: NDArray[np.intp], knee: int | None
) -> None:
    axes.scatter(x, y, s=14, color=_GREY, alpha=0.6, label="evaluated", linewidths=0)
    axes.scatter(x[front], y[front], s=34, color=_BLUE, label="front", zorder=3)
    if knee is not None:
        axes.scatter(x[[knee]], y[[knee]], s=120, facecolors="none", edgecolors=_ORANGE, label="knee", zorder=4)
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")
