"""How fast results are kept and found again, beside Optuna's storages in the same run.

Three tables: evaluations that do nothing, proposed, stored and told one batch after the other by the search loop of a
job, for a second; the same of Optuna's RDB storage, one trial after the other; and the front of a job among a million
stored evaluations, beside Optuna's `best_trials` among ten thousand trials that are held in memory.

    python benchmarks/service.py [--store URL ...] [--rows 1000000] [--json FILE]

A store that is named must be empty and is filled. Without one, a new SQLite file is used.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from rich.console import Console
from rich.table import Table

from nas.evaluation.evaluator import Evaluated, Request
from nas.objectives import Objective
from nas.search import Pace, Search
from nas.strategies.registry import STRATEGIES, create
from search_spaces.decision import Decision
from search_spaces.graph import Graph
from search_spaces.layers import linear
from search_spaces.space import Pick, SearchSpace
from storage.records import Architecture, Outcome
from storage.store import ResultStore

OBJECTIVES = [Objective(metric="accuracy", direction="max"), Objective(metric="macs", direction="min")]


class Layers(SearchSpace):
    """Networks of one to four linear layers, so small that the space itself costs next to nothing."""

    name = "layers"

    def __init__(self) -> None:
        decisions = [Decision(f"width{layer}", tuple(range(8, 72))) for layer in range(4)]
        super().__init__(decisions, {})

    def assemble(self, pick: Pick) -> Graph:
        """Four layers."""
        g = Graph(self.name)
        x = g.input("features", (1, 16))
        for layer in range(4):
            x = linear(g, x, f"layer{layer}", pick(f"width{layer}"))
        g.output(x)
        return g


class Nothing:
    """An evaluator that answers at once."""

    def __init__(self) -> None:
        self._waiting: list[Request] = []
        self._rng = np.random.default_rng(0)

    def submit(self, requests: Sequence[Request]) -> None:
        """Queue requests."""
        self._waiting += requests

    def wait(self) -> list[Evaluated]:
        """Answer all of them."""
        done, self._waiting = self._waiting, []
        return [Evaluated(request.key, {"accuracy": float(self._rng.random())}) for request in done]

    def close(self) -> None:
        """Nothing to let go of."""


def told(url: str, batch: int, evaluations: int) -> float:
    """Evaluations in a second of wall time, proposed, stored, told."""
    space = Layers()
    with ResultStore(url) as store:
        spec = {"objectives": [objective.model_dump() for objective in OBJECTIVES]}
        lease = store.claim(store.create_job("benchmark", spec).id, "benchmark")
        strategy = create(STRATEGIES["random"].options_type.model_validate({"name": "random"}), space, 2, 0)
        search = Search(
            store=store,
            lease=lease,
            space=space,
            strategy=strategy,
            objectives=OBJECTIVES,
            evaluator=Nothing(),
            pace=Pace(evaluations, batch),
        )
        started = time.perf_counter()
        search.run()
        return evaluations / (time.perf_counter() - started)


def optuna_told(url: str, trials: int) -> float:
    """Trials in a second of wall time, asked, stored and told, random as well."""
    study = optuna.create_study(
        storage=url, sampler=optuna.samplers.RandomSampler(0), directions=["maximize", "minimize"]
    )
    started = time.perf_counter()
    for _ in range(trials):
        trial = study.ask()
        widths = [trial.suggest_int(f"width{layer}", 8, 71) for layer in range(4)]
        study.tell(trial, [0.5, float(sum(widths))])
    return trials / (time.perf_counter() - started)


def fill(store: ResultStore, rows: int) -> str:
    """A job with so many evaluations on a cloud whose front has some hundred points."""
    rng = np.random.default_rng(0)
    spec = {"objectives": [objective.model_dump() for objective in OBJECTIVES]}
    lease = store.claim(store.create_job("many", spec).id, "benchmark", lease_seconds=86_400)
    angles, radii = rng.random(rows) * np.pi / 2, 1 - rng.random(rows) * 0.5
    points = np.column_stack([1 - radii * np.cos(angles), 1 - radii * np.sin(angles)])
    for start in range(0, rows, 5000):
        batch = range(start, min(start + 5000, rows))
        keys = [sha256(str(row).encode()).hexdigest() for row in batch]
        store.add_proposals(
            lease, start, [Architecture(key, "many", {"row": row}) for key, row in zip(keys, batch, strict=True)]
        )
        values = points[batch.start : batch.stop].tolist()
        store.add_evaluations(
            lease,
            [
                Outcome(key, {"accuracy": -first, "macs": second}, losses=[first, second])
                for key, (first, second) in zip(keys, values, strict=True)
            ],
        )
    return lease.job_id


def seconds(ask: Any, times: int) -> float:
    """Median wall seconds."""
    found = []
    for _ in range(times):
        started = time.perf_counter()
        ask()
        found.append(time.perf_counter() - started)
    return statistics.median(found)


def optuna_front(trials: int) -> float:
    """Seconds that `best_trials` takes among finished trials in memory."""
    rng = np.random.default_rng(0)
    study = optuna.create_study(directions=["maximize", "minimize"])
    study.add_trials([optuna.create_trial(values=rng.random(2).tolist()) for _ in range(trials)])
    return seconds(lambda: study.best_trials, 3)


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--store", action="append", default=[])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--evaluations", type=int, default=2000)
    parser.add_argument("--optuna-trials", type=int, default=100)
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    records: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        peer = optuna_told(f"sqlite:///{folder}/optuna.db", given.optuna_trials)
        peer_front = optuna_front(10_000)
        for url in given.store or [f"sqlite:///{folder}/nas.db"]:
            for batch in (1, 8, 32):
                rate = told(url, batch, given.evaluations)
                record = {"store": url.partition(":")[0], "what": f"told in batches of {batch}, per s"}
                records.append({**record, "ours": rate, "optuna": peer, "ratio": rate / peer})
            with ResultStore(url) as store:
                job = fill(store, given.rows)
                size = len(store.front(job))
                ours = seconds(lambda store=store, job=job: store.front(job), 9)
                ask = f"SELECT * FROM front WHERE job_id = '{job}'"  # noqa: S608 - our own job

                def query(store: ResultStore = store, ask: str = ask) -> list[Any]:
                    with store.query(ask) as (_, rows):
                        return list(rows)

                by_sql = seconds(query, 9)
            record = {"store": url.partition(":")[0]}
            for what, took in (("front", ours), ("front by SQL", by_sql)):
                label = f"{what}, {size} of {given.rows:,}, ms (optuna: of 10,000)"
                records.append(
                    {
                        **record,
                        "what": label,
                        "ours": 1e3 * took,
                        "optuna": 1e3 * peer_front,
                        "ratio": peer_front / took,
                    }
                )
    table = Table(title="kept and found again")
    for name in records[0]:
        table.add_column(name, justify="left" if name in ("store", "what") else "right")
    for record in records:
        table.add_row(*[f"{value:,.1f}" if isinstance(value, float) else value for value in record.values()])
    Console(width=140).print(table)
    if given.json:
        given.json.write_text(json.dumps(records, indent=2))


if __name__ == "__main__":
    main()
