"""All kinds of predictors by name."""

from predictors.accuracy import Accuracy
from predictors.auto import Auto
from predictors.boosting import Boosting
from predictors.counts import Counts
from predictors.errors import PredictorError
from predictors.gaussian_process import GaussianProcess
from predictors.graph import Graph
from predictors.lookup import Lookup
from predictors.mlp import Mlp
from predictors.predictor import Predictor
from predictors.ranking_boosting import RankingBoosting
from predictors.ranking_ensemble import RankingEnsemble
from predictors.transfer import Transfer
from predictors.warped_process import ErrorProcess, RankingProcess

PREDICTORS: dict[str, type[Predictor]] = {
    kind.name: kind
    for kind in (
        Auto,
        Transfer,
        GaussianProcess,
        Counts,
        Boosting,
        Mlp,
        Lookup,
        Graph,
        Accuracy,
        RankingProcess,
        ErrorProcess,
        RankingBoosting,
        RankingEnsemble,
    )
}
"""The first is the default, for accuracies `accuracy`."""


def predictor_kind(name: str) -> type[Predictor]:
    """The kind with a name.

    Raises:
        PredictorError: there is none; the message lists those that there are.
    """
    if name not in PREDICTORS:
        raise PredictorError(f"there is no predictor {name!r}; known: {', '.join(PREDICTORS)}")
    return PREDICTORS[name]
