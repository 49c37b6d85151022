"""Where networks were met, how noisy devices are, and whether they agree."""

from itertools import combinations
from typing import Annotated

import numpy as np
from fastapi import APIRouter, HTTPException
from fastapi import Path as InPath

from nas.service.access import READ, Looked, Store
from nas.service.schemas import Agreement, Encounter, Evaluation, Met, Noise, Round, Timing

router = APIRouter(tags=["pictures"])

Key = Annotated[str, InPath(pattern="^[0-9a-f]{64}$")]
MOST_DEVICES = 12
"""Of which each is compared with each other: those seen last."""
LEAST_NETWORKS = 3


@router.get("/jobs/{job_id}/rounds", dependencies=[READ])
def rounds(job_id: str, store: Store) -> list[Round]:
    """The rounds of a search that trains as it goes; none of another."""
    return [Round.model_validate(each) for each in store.rounds(job_id)]


@router.get("/jobs/{job_id}/networks/{key}", dependencies=[READ])
def evaluation(job_id: str, key: Key, store: Store, looked: Looked) -> Evaluation:
    """A job's evaluation of a network."""
    number = looked.evaluation_number(store.job(job_id).id, key)
    if number is None:
        raise HTTPException(404, f"job {job_id} has not evaluated a network {key}")
    return Evaluation.model_validate(store.evaluations(job_id, start=number, limit=1)[0])


@router.get("/architectures/{key}/encounters", dependencies=[READ])
def encounters(key: Key, looked: Looked) -> Met:
    """The jobs that evaluated a network, and what devices measured of it."""
    return Met(
        jobs=[Encounter.model_validate(each) for each in looked.encounters(key)],
        measured=[Timing.model_validate(each) for each in looked.timings(key)],
    )


@router.get("/devices/{fingerprint}/noise", dependencies=[READ])
def noise(fingerprint: Annotated[str, InPath(max_length=200)], looked: Looked) -> Noise:
    """The noise floor that the newest measurements of a device tell, oldest first."""
    found = looked.measured_by(fingerprint)
    told = [(at, float(statistics["noise"])) for at, _, _, statistics in found if statistics.get("noise") is not None]
    return Noise(measured=len(found), times=[at for at, _ in told], noise=[value for _, value in told])


@router.get("/agreements", dependencies=[READ])
def agreements(store: Store, looked: Looked, metric: str = "latency_ms") -> list[Agreement]:
    """How each two devices rank the networks that both measured."""
    from scipy import stats  # here, because a service starts without it

    found = []
    for first, second in combinations(store.devices()[:MOST_DEVICES], 2):
        rows = looked.common(metric, first.fingerprint, second.fingerprint)
        pairs = np.array([[x, y] for _, x, y in rows], np.float64).reshape(-1, 2)
        pairs = pairs[np.isfinite(pairs).all(axis=1)]
        varied = len(pairs) >= LEAST_NETWORKS and bool((np.ptp(pairs, axis=0) > 0).all())
        found.append(
            Agreement(
                first=first.fingerprint,
                second=second.fingerprint,
                metric=metric,
                networks=len(pairs),
                spearman=float(stats.spearmanr(pairs[:, 0], pairs[:, 1]).statistic) if varied else None,
            )
        )
    return found
