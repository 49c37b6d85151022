"""What differentiable search finds on a table of stand-alone trainings, beside random search of the same time.

    python benchmarks/gradient_quality.py --table ../shared/data/nb201.npz --accuracy accuracy@cifar10 \
        --latency latency_ms@raspi4 --images ../shared/data/cifar10_subset_12k.npz --cpu-minutes 3 --seeds 0 1 2

Every method trains a relaxed network of the table's space on the training images for the given processor minutes, once
for each seed; then the network that it stands for is looked up in the table, of which it knew nothing. Its rank counts
the networks with a higher accuracy. Two things stand beside: the mean of the space, which is what drawing one network
gives, and random search: networks are drawn and trained alone, one after the other, for as long, and the one of the
best validation accuracy counts.

With --latency, methods are run once more with the budget at a percentile of the table's latencies as the limit, and
what the networks of the runs without it cost is reported, too.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table as Shown
from supernet_ranking import load
from torch.nn import functional

from nas.table import Table
from search_spaces.gradient.cost_settings import CostSettings
from search_spaces.gradient.cost_table import CostTable
from search_spaces.gradient.cost_term import CostTerm
from search_spaces.gradient.registry import METHODS
from search_spaces.gradient.search import GradientSearch
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.registry import SPACES
from search_spaces.space import Genotype, SearchSpace
from search_spaces.supernet.evaluation import evaluate
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.optimiser import weights_optimiser

RECIPE = {"batch_size": 64, "learning_rate": 0.1, "shift": 4, "flip": True}
FEWEST = 4
TIMED_STEPS = 6

Data = dict[str, torch.Tensor]


def rounds_within(space: SearchSpace, method: str, recipe: dict[str, Any], data: Data, seconds: float) -> int:
    """Rounds that fit into so many processor seconds, by the time of some steps of a search of its own."""
    share = recipe.get("weights_share", 0.5)
    size = recipe["batch_size"]
    count = int(np.ceil(TIMED_STEPS * size / min(share, 1 - share)))
    settings = SearchSettings(**{**recipe, "rounds": 3})
    search = GradientSearch(
        space, METHODS[method](), settings, data["train_images"][:count], data["train_labels"][:count]
    )
    search.round()
    started = time.process_time()
    search.round()
    step = (time.process_time() - started) / search.steps
    steps = int(len(data["train_images"]) * share) // size
    return max(FEWEST, int(seconds / (step * steps)))


def searched(
    space: SearchSpace,
    method: str,
    recipe: dict[str, Any],
    data: Data,
    seconds: float,
    warmup: float,
    term: CostTerm | None,
) -> tuple[GradientSearch, dict[str, Any]]:
    """A search that took about so long, and what is to say of it."""
    rounds = rounds_within(space, method, recipe, data, seconds)
    settings = SearchSettings(**recipe, rounds=rounds, warmup_rounds=int(warmup * rounds))
    search = GradientSearch(space, METHODS[method](), settings, data["train_images"], data["train_labels"], term=term)
    started, metrics = time.process_time(), {}
    while not search.finished:
        metrics = search.round()
    return search, {
        "rounds": search.rounds,
        "cpu_seconds": time.process_time() - started,
        "skip_share": metrics["skip_share"],
        "entropy": metrics["entropy"],
        "validation_accuracy": metrics.get("validation_accuracy"),
    }


def random_search(
    space: SearchSpace, recipe: dict[str, Any], data: Data, seconds: float, seed: int, budget: Any = None
) -> tuple[Genotype, dict[str, Any]]:
    """The best of random networks that are trained alone for a pass over half of the images, tested on the others."""
    rng, started, tried = np.random.default_rng([seed, 7]), time.process_time(), 0
    order = rng.permutation(len(data["train_images"]))
    train, held = np.split(order, 2)
    images, labels = data["train_images"], data["train_labels"]
    best: tuple[float, Genotype] | None = None
    settings = SearchSettings(**{**recipe, "seed": seed})
    while time.process_time() - started < seconds:
        genotype = space.sample(1, rng)[0]
        if budget is not None and budget(genotype[None])[0] > 0:
            continue
        net = Supernet(space, seed, genotypes=genotype[None])
        optimiser = weights_optimiser(net, settings)
        for batch in np.array_split(rng.permutation(train), len(train) // settings.batch_size):
            loss = functional.cross_entropy(net(images[batch], genotype), labels[batch])
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 5.0)
            optimiser.step()
        found = evaluate(net, genotype[None], [images[train[:512]]], images[held[:2000]], labels[held[:2000]])
        accuracy, tried = float(found["accuracy"][0]), tried + 1
        if best is None or accuracy > best[0]:
            best = (accuracy, genotype)
    assert best is not None
    return best[1], {
        "trained": tried,
        "cpu_seconds": time.process_time() - started,
        "validation_accuracy": best[0],
    }


def main() -> None:
    """Search, look up, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--accuracy", required=True, help="metric of the table")
    parser.add_argument("--latency", help="metric of the table; methods are run with a budget, too")
    parser.add_argument("--percentile", type=float, default=30.0, help="of the latencies, the budget")
    parser.add_argument("--images", type=Path, required=True)
    parser.add_argument("--space", type=json.loads, default={"widths": [8, 16, 32], "cells": 1}, help="settings, JSON")
    parser.add_argument("--recipe", type=json.loads, default={}, help="settings of the search, JSON")
    parser.add_argument(
        "--methods", nargs="+", default=[name for name in METHODS if name not in ("single_path", "dass")]
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--cpu-minutes", type=float, default=15.0)
    parser.add_argument("--warmup", type=float, default=0.2, help="share of the rounds in which logits stay")
    parser.add_argument("--only-budget", action="store_true", help="leave the runs without a budget out")
    parser.add_argument("--no-random", action="store_true", help="leave random search out")
    parser.add_argument("--train", type=int, default=None, help="so many of the training images")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()

    torch.set_num_threads(1)
    table, data = Table.load(given.table), load(given.images)
    data = {name: part[: given.train] if name.startswith("train") else part for name, part in data.items()}
    space = SPACES[table.space_name](**given.space)
    accuracies = table.column(given.accuracy)
    seconds, records = 60 * given.cpu_minutes, []
    budgets: list[float | None] = [None]
    costs = None
    if given.latency:
        latencies = table.column(given.latency)
        known = np.isfinite(latencies)
        costs = CostTable.fit(space, given.latency, table.genotypes[known], latencies[known])
        budgets.append(float(np.percentile(latencies[known], given.percentile)))
        budgets = budgets[given.only_budget :]
    elif given.only_budget:
        parser.error("--only-budget needs --latency")
    for seed in given.seeds:
        for limit in budgets:
            for name in given.methods if given.no_random else (*given.methods, "random search"):
                recipe = {**RECIPE, **given.recipe, "seed": seed}
                term = None
                if limit is not None and costs is not None:
                    term = CostTerm(space, costs.cost(space, 1.0), CostSettings(form="budget", target=limit))
                if name == "random search":
                    over = (
                        None if term is None else lambda rows, term=term, limit=limit: term.cost.predict(rows) - limit
                    )
                    genotype, said = random_search(space, recipe, data, seconds, seed, over)
                else:
                    search, said = searched(space, name, recipe, data, seconds, given.warmup, term)
                    genotype = search.derive()
                    said["most_probable"] = looked_up(table, given, search.derivation(search.logits))["accuracy"]
                record = {"method": name, "seed": seed, "budget": limit, **looked_up(table, given, genotype), **said}
                record["genotype"] = dict(space.choices(genotype))
                records.append(record)
                print({key: value for key, value in record.items() if key != "genotype"}, flush=True)
                if given.json:
                    given.json.write_text(
                        json.dumps({"space": space.settings, "recipe": recipe, "runs": records}, indent=2)
                    )
    known = np.isfinite(accuracies)
    average = {
        "accuracy": float(accuracies[known].mean()),
        "of": int(known.sum()),
        "best": float(accuracies[known].max()),
    }
    for limit in budgets:
        _show(records, limit, given, average)


def looked_up(table: Table, given: argparse.Namespace, genotype: Genotype) -> dict[str, Any]:
    """What the table says of a network; None where it says nothing."""
    accuracies = table.column(given.accuracy)
    (row,) = table.rows(genotype[None])
    accuracy = float(accuracies[row]) if row >= 0 else np.nan
    found: dict[str, Any] = {
        "accuracy": accuracy if np.isfinite(accuracy) else None,
        "rank": int((accuracies > accuracy).sum()) + 1 if np.isfinite(accuracy) else None,
    }
    if given.latency:
        found["latency"] = float(table.column(given.latency)[row]) if row >= 0 else None
    return found


def _show(
    records: list[dict[str, Any]], limit: float | None, given: argparse.Namespace, average: dict[str, Any]
) -> None:
    title = f"{given.accuracy} of what {given.cpu_minutes:g} CPU minutes derive, {len(given.seeds)} seeds"
    shown = Shown(title=title if limit is None else f"{title}, {given.latency} at most {limit:.4g}")
    for column in (
        "method",
        "accuracy",
        "of each seed",
        "most probable",
        "rank",
        "skips",
        "latency",
        "met",
        "rounds",
        "CPU s",
    ):
        shown.add_column(column, justify="left" if column == "method" else "right")
    for name in dict.fromkeys(record["method"] for record in records):
        runs = [record for record in records if record["method"] == name and record["budget"] == limit]
        each = [np.nan if run["accuracy"] is None else run["accuracy"] for run in runs]
        probable = [
            np.nan if run["most_probable"] is None else run["most_probable"] for run in runs if "most_probable" in run
        ]
        skips = [run["skip_share"] for run in runs if "skip_share" in run]
        latency = [run["latency"] for run in runs if run.get("latency") is not None]
        met = "-" if limit is None or not latency else f"{sum(value <= limit for value in latency)} of {len(runs)}"
        shown.add_row(
            name,
            f"{np.mean(each):.4f}",
            " ".join(f"{value:.4f}" for value in each),
            f"{np.mean(probable):.4f}" if probable else "-",
            f"{np.median([np.nan if run['rank'] is None else run['rank'] for run in runs]):.0f}",
            f"{np.mean(skips):.2f}" if skips else "-",
            f"{np.mean(latency):.4g}" if latency else "-",
            met,
            f"{np.mean([run.get('rounds', run.get('trained')) for run in runs]):.0f}",
            f"{np.mean([run['cpu_seconds'] for run in runs]):.0f}",
        )
    shown.add_row("mean of the space", f"{average['accuracy']:.4f}", *["-"] * 8)
    Console(width=140).print(shown)
    print(f"{average['of']} networks, the best has {average['best']:.4f}")


if __name__ == "__main__":
    main()
