"""The rounds of a differentiable search as a picture: whether it converges, and whether it collapses."""

from collections.abc import Sequence
from io import BytesIO

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from storage.records import Round

PANELS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("loss in nats", ("loss", "validation_loss")),
    ("generalisation gap in nats", ("gap",)),
    ("share of skips", ("skip_share",)),
    ("entropy in nats", ()),
    ("cost", ("cost_expected", "cost_derived")),
    ("multiplier", ("cost_multiplier",)),
    ("dominant eigenvalue", ("eigenvalue",)),
)
"""What is drawn side by side where a search has it; the entropies are those of every decision."""

ENTROPY = "entropy/"
NAMED = 8
"""Decisions that are told apart in the legend; more share one colour."""


def rounds_png(title: str, rounds: Sequence[Round]) -> bytes:
    """A PNG with a panel for each kind of metric that the rounds have, over the rounds.

    Args:
        title: of the picture.
        rounds: at least one.
    """
    curves = {panel: _curves(panel, names, rounds) for panel, names in PANELS}
    drawn = {panel: lines for panel, lines in curves.items() if lines}
    columns = min(3, len(drawn))
    height = -(-len(drawn) // columns)
    figure = Figure(figsize=(4.6 * columns, 3.4 * height), layout="constrained")
    FigureCanvasAgg(figure)
    places = figure.subplots(height, columns, squeeze=False).ravel()
    for axes, (panel, lines) in zip(places, drawn.items(), strict=False):
        _draw(axes, panel, lines, np.array([row.number for row in rounds]))
    for axes in places[len(drawn) :]:
        axes.set_axis_off()
    figure.suptitle(title)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()


def _curves(panel: str, names: Sequence[str], rounds: Sequence[Round]) -> dict[str, NDArray[np.float64]]:
    """Label -> (n,) values of the metrics of a panel that some round has, NaN where one has it not."""
    found = dict.fromkeys(name for row in rounds for name in row.metrics)
    wanted = [name for name in names if name in found] or [
        name for name in found if not names and name.startswith(ENTROPY)
    ]
    return {name.removeprefix(ENTROPY): np.array([row.metrics.get(name, np.nan) for row in rounds]) for name in wanted}


def _draw(axes: Axes, panel: str, lines: dict[str, NDArray[np.float64]], rounds: NDArray[np.int64]) -> None:
    many = len(lines) > NAMED
    for label, values in lines.items():
        style = {"color": "#0072B2", "alpha": 0.4, "linewidth": 0.8} if many else {"linewidth": 1.4}
        axes.plot(rounds, values, label=label, marker="." if len(rounds) < 20 else None, **style)
    if many:
        axes.plot(rounds, np.nanmean(np.stack(list(lines.values())), axis=0), color="#D55E00", label="mean")
        axes.legend(handles=[axes.lines[-1]], fontsize="small")
    elif len(lines) > 1:
        axes.legend(fontsize="small")
    axes.set_title(panel, fontsize="medium")
    axes.set_xlabel("round")
    axes.grid(alpha=0.3)
