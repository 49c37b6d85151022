"""The archive of a `map_elites` search: the strategy's own grid, told what the search was told."""

import numpy as np
from fastapi import APIRouter

from nas.objectives import Objective, losses, violations
from nas.service.access import READ, Store
from nas.service.points import columns
from nas.service.schemas import Archive, Elite
from nas.strategies.archive import Archive as Grid
from nas.strategies.map_elites import MapElitesOptions
from storage.looking import Looking
from storage.store import ResultStore

router = APIRouter(prefix="/jobs", tags=["pictures"])


@router.get("/{job_id}/archive", dependencies=[READ])
def archive(job_id: str, store: Store) -> Archive | None:
    """The best network of each kind; null for a job of another strategy."""
    return archive_of(store, job_id)


def archive_of(store: ResultStore, job_id: str) -> Archive | None:
    """What `archive` answers, of a store that is open."""
    spec = store.job(job_id).spec
    if spec.get("strategy", {}).get("name") != MapElitesOptions().name:
        return None
    options = MapElitesOptions.model_validate(spec["strategy"])
    objectives = [Objective(**given) for given in spec["objectives"]]
    metrics = [objective.metric for objective in objectives]
    table = columns(Looking(store).points(job_id, metrics), metrics)
    values = dict(zip(metrics, np.where(table[1] == 0, table[2:], np.nan), strict=True))
    lost, broken = losses(objectives, values), violations(objectives, values)
    grid = Grid(options.quality, options.descriptors_of(len(objectives)), options.bins)
    grid.observe(lost, broken)
    places = list(grid.elites.values())
    return Archive(
        quality=metrics[options.quality],
        direction=objectives[options.quality].direction,
        descriptors=[metrics[index] for index in grid.descriptors],
        bins=grid.bins,
        edges=[
            objectives[index].values(edges).tolist() for index, edges in zip(grid.descriptors, grid.edges, strict=True)
        ],
        elites=[
            Elite(
                number=int(table[0, place]),
                cell=cell,
                feasible=bool(broken[place] <= 0),
                metrics={metric: float(values[metric][place]) for metric in metrics},
            )
            for place, cell in zip(places, grid.cells(list(grid.elites)).tolist(), strict=True)
        ],
    )
