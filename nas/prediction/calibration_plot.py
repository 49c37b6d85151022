"""How far predictions can be trusted, as a picture."""

from io import BytesIO

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray

from predictors.predictor import Predictor

Array = NDArray[np.float64]

LEVELS = np.linspace(0.1, 0.95, 18)
_BLUE, _GREY = "#0072B2", "#999999"


def calibration_png(title: str, metric: str, predictor: Predictor, measured: Array, held: Array, std: Array) -> bytes:
    """A PNG of two panels: predicted against measured, and how many measurements intervals of each level hold.

    Args:
        title: of the picture.
        metric: what is predicted, with its device.
        predictor: whose intervals are drawn.
        measured: (n,) values.
        held: (n,) what was predicted for each without it.
        std: (n,) deviations that were predicted, before calibration.
    """
    assert predictor.calibration is not None
    figure = Figure(figsize=(9.6, 4.4), layout="constrained")
    FigureCanvasAgg(figure)
    left, right = figure.subplots(1, 2)
    reach = predictor.calibration.reach(std, 0.9)
    left.errorbar(measured, held, yerr=reach, fmt="o", markersize=4, color=_BLUE, ecolor=_GREY, elinewidth=1)
    ends = [float(min(measured.min(), held.min())), float(max(measured.max(), held.max()))]
    left.plot(ends, ends, color=_GREY, linewidth=1)
    left.set_xlabel(f"{metric}, measured")
    left.set_ylabel("predicted without it, with its 90 % interval")
    errors = np.abs(measured - held)
    held_shares = [float((errors <= predictor.calibration.left_out(float(level))).mean()) for level in LEVELS]
    right.plot([0, 1], [0, 1], color=_GREY, linewidth=1)
    right.plot(LEVELS, held_shares, "o-", markersize=4, color=_BLUE)
    right.set_xlabel("level of the interval")
    right.set_ylabel("share of measurements in it")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.suptitle(title)
    file = BytesIO()
    figure.savefig(file, format="png", dpi=120)
    return file.getvalue()
