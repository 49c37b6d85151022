"""Which decisions matter: the share of a metric's variance that each explains by itself."""

from collections.abc import Sequence

import numpy as np
from fastapi import APIRouter
from numpy.typing import NDArray

from nas.service.access import READ, Store
from nas.service.schemas import Importance
from storage.records import Evaluation

router = APIRouter(prefix="/jobs", tags=["pictures"])

MOST_EVALUATIONS = 2000
"""Of which it is judged: the newest."""


@router.get("/{job_id}/importance", dependencies=[READ])
def importance(job_id: str, store: Store) -> list[Importance]:
    """The decisions of a job, the most important first, judged by its newest evaluations that did not fail."""
    job = store.job(job_id)
    start = max(0, job.evaluated - MOST_EVALUATIONS)
    found = [each for each in store.evaluations(job_id, start=start, limit=MOST_EVALUATIONS) if each.error is None]
    return shares(found, [given["metric"] for given in job.spec["objectives"]])


def shares(evaluations: Sequence[Evaluation], metrics: Sequence[str]) -> list[Importance]:
    """Each decision's share of the variance of each metric: epsilon squared of a one-way analysis of variance.

    Unlike the plain ratio it does not grow with the number of options (T. L. Kelley, "An unbiased correlation ratio
    measure", PNAS 21, 1935). A decision that is not active counts as an option of its own; what decisions explain only
    together is in no share.
    """
    names = list(dict.fromkeys(name for each in evaluations for name in each.genotype))
    values = {
        metric: np.array([each.metrics.get(metric, np.nan) for each in evaluations], np.float64) for metric in metrics
    }
    rows = []
    for name in names:
        options = [repr(each.genotype.get(name)) for each in evaluations]
        _, groups = np.unique(np.array(options), return_inverse=True)
        told = {metric: _share(groups, given) for metric, given in values.items()}
        rows.append(Importance(decision=name, shares=told))
    return sorted(rows, key=lambda row: -sum(share or 0.0 for share in row.shares.values()))


def _share(groups: NDArray[np.intp], values: NDArray[np.float64]) -> float | None:
    """Epsilon squared of (n,) values in (n,) groups, at least 0; None where it is not defined."""
    good = np.isfinite(values)
    y, (_, group) = values[good], np.unique(groups[good], return_inverse=True)
    n, k = len(y), int(group.max()) + 1 if good.any() else 0
    if n <= k or not np.ptp(y):
        return None
    total = float(((y - y.mean()) ** 2).sum())
    counts = np.bincount(group)
    means = np.bincount(group, y) / counts
    within = float(((y - means[group]) ** 2).sum())
    return max(0.0, 1.0 - (within / (n - k)) / (total / (n - 1)))
