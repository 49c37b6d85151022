"""The predictors beside the store: what they predict, and how far they can be trusted."""

from typing import TYPE_CHECKING

import numpy as np
from fastapi import APIRouter

from nas.service.access import READ, Settings
from nas.service.schemas import LeftOut, Predictor, Predictors

if TYPE_CHECKING:
    from nas.prediction.predictor_store import Entry
    from predictors.file import Stored

router = APIRouter(prefix="/predictors", tags=["pictures"])

MOST = 100
LEVELS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95)


@router.get("", dependencies=[READ])
def predictors(settings: Settings) -> Predictors:
    """All predictors, by device, metric and what they are for."""
    from nas.prediction.predictor_store import PredictorStore  # here, because its models take seconds to import
    from predictors.errors import PredictorError

    store = PredictorStore(settings.folder)
    found, broken = [], []
    for entry in store.entries()[:MOST]:
        try:
            found.append(_told(entry, store.load(entry.device, entry.metric, entry.subject)))
        except (PredictorError, OSError) as error:
            broken.append(f"{entry.path.name}: {str(error).replace(str(settings.folder), '...')}")
    return Predictors(predictors=found, broken=broken)


def _told(entry: "Entry", stored: "Stored") -> Predictor:
    from predictors.predictor import LEVEL

    predictor, about = stored.predictor, stored.about
    calibration = predictor.calibration
    assert calibration is not None, entry  # a file holds a predictor that was fitted
    given = about.get("left_out") or {}
    reach = calibration.reach(np.array(given.get("deviation", ()), np.float64), LEVEL)
    measured, predicted = given.get("measured", ()), given.get("predicted", ())
    rows = zip(measured, predicted, reach.tolist(), given.get("choices") or [{}] * len(measured), strict=True)
    return Predictor(
        device=entry.device,
        metric=entry.metric,
        subject=entry.subject,
        kind=predictor.name,
        samples=predictor.samples,
        sources=list(predictor.sources),
        scores={} if predictor.scores is None else predictor.scores._asdict(),
        tested=about.get("tested") or {},
        fitted=about.get("fitted"),
        left_out=[
            LeftOut(measured=y, predicted=mean, low=mean - r, high=mean + r, choices=choices)
            for y, mean, r, choices in rows
        ],
        coverage=[
            {"level": level, "share": float((calibration.errors <= calibration.left_out(level)).mean())}
            for level in LEVELS
        ],
    )
