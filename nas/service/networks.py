"""Networks as the graphs that they are: operators, how they are connected, and what each costs."""

import threading
from collections import OrderedDict
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Request
from fastapi import Path as InPath

from nas.jobspec.errors import JobSpecError
from nas.jobspec.job_recipe import job_data, job_recipe
from nas.jobspec.load import parse_job
from nas.service.access import READ, Looked, Store
from nas.service.schemas import Network
from nas.service.settings import ServiceSettings
from search_spaces.costs.static import METRICS, combine, node_costs
from search_spaces.folding import fold
from search_spaces.graph import Graph
from search_spaces.space import SearchSpace
from storage.records import Job
from storage.store import ResultStore

router = APIRouter(prefix="/jobs", tags=["pictures"])

_SPACES = 8
MOST_NODES = 5000


class NotDrawn(ValueError):
    """A network cannot be built here; the message says why."""


class Networks:
    """Builds networks of jobs; the spaces of the jobs that were asked for last are kept.

    Spaces that jobs bring as code are not run where requests are answered.

    Args:
        store: whose jobs.
        settings: of the service.
    """

    def __init__(self, store: ResultStore, settings: ServiceSettings) -> None:
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        self._spaces: OrderedDict[str, SearchSpace] = OrderedDict()

    def graph(self, job: Job, choices: dict[str, Any], key: str) -> Graph:
        """The network of a job that choices, some of which may be about devices, describe.

        Raises:
            NotDrawn: the space is code, or builds another network now.
        """
        space = self._space(job)
        genotype = space.genotype({name: option for name, option in choices.items() if name in space.names})
        graph = space.graph(genotype)
        if (found := space.key(genotype, graph)) != key and set(choices) <= set(space.names):
            raise NotDrawn(f"the space builds another network now, {found[:12]}; its data or its settings have changed")
        return graph

    def _space(self, job: Job) -> SearchSpace:
        if job.spec.get("space", {}).get("path"):
            raise NotDrawn("its space is code that the job brought, which is not run to answer requests")
        with self._lock:
            if job.id not in self._spaces:
                self._spaces[job.id] = self._made(job)
                while len(self._spaces) > _SPACES:
                    self._spaces.popitem(last=False)
            self._spaces.move_to_end(job.id)
            return self._spaces[job.id]

    def _made(self, job: Job) -> SearchSpace:
        try:
            spec = parse_job(job.spec, source=f"the stored spec of job {job.id}")
            return job_recipe(spec, job_data(spec), allow_code=False).make()
        except JobSpecError as error:
            raise NotDrawn(str(error)) from error
        except (ValueError, OSError) as error:
            raise NotDrawn(f"its space cannot be made: {error}") from error


def described(graph: Graph) -> Network:
    """A graph as plain values, with batch norm folded: what each node reads is told by places of earlier nodes."""
    steps = fold(graph)
    _, rows = node_costs(graph)
    places = {name: place for place, step in enumerate(steps) for name in step.outputs}
    nodes = []
    for step, row in zip(steps[:MOST_NODES], rows.tolist(), strict=False):
        stage, _, rest = step.node.name.partition(".")
        block, _, _ = rest.partition(".")
        nodes.append(
            {
                "name": step.node.name,
                "op": step.node.op,
                "stage": stage,
                "block": block if "." in rest else "",
                "reads": sorted({places[name] for name in step.node.inputs if name in places}),
                "shape": list(graph.values[step.outputs[0]].shape),
                **dict(zip(METRICS, row, strict=True)),
            }
        )
    return Network(
        inputs=[{"name": value.name, "shape": list(value.shape), "dtype": value.dtype} for value in graph.inputs],
        costs=dict(zip(METRICS, combine(rows).tolist(), strict=True)),
        nodes=nodes,
        left_out=max(0, len(steps) - MOST_NODES),
    )


@router.get("/{job_id}/networks/{key}/graph", dependencies=[READ])
def network(
    job_id: str, key: Annotated[str, InPath(pattern="^[0-9a-f]{64}$")], request: Request, store: Store, looked: Looked
) -> Network:
    """The graph of a network that a job evaluated, node by node; 409 where it cannot be built here."""
    job = store.job(job_id)
    number = looked.evaluation_number(job_id, key)
    if number is None:
        raise HTTPException(404, f"job {job_id} has not evaluated a network {key}")
    networks: Networks = request.app.state.networks
    choices = store.evaluations(job_id, start=number, limit=1)[0].genotype
    try:
        return described(networks.graph(job, choices, key))
    except NotDrawn as error:
        raise HTTPException(409, f"this network is not drawn: {error}") from None
