"""All kinds of predictors by name."""

from predictors.auto import Auto
from predictors.boosting import Boosting
from predictors.counts import Counts
from predictors.errors import PredictorError
from predictors.gaussian_process import GaussianProcess
from predictors.graph import Graph
from predictors.lookup import Lookup
from predictors.mlp import Mlp
from predictors.predictor import Predictor
from predictors.transfer import Transfer

PREDICTORS: dict[str, type[Predictor]] = {
    kind.name: kind for kind in (Auto, Transfer, GaussianProcess, Counts, Boosting, Mlp, Lookup, Graph)
}
"""The first is the default."""


def predictor_kind(name: str) -> type[Predictor]:
    """The kind with a name.

    Raises:
        PredictorError: there is none; the message lists those that there are.
    """
    if name not in PREDICTORS:
        raise PredictorError(f"there is no predictor {name!r}; known: {', '.join(PREDICTORS)}")
    return PREDICTORS[name]
