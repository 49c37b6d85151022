"""The benchmarks of differentiable search on something tiny: a table and images that were made up, and a small cell."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.families.nasbench201 import NasBench201

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
SPACE = {"resolution": 8, "widths": [4], "cells": 1, "nodes": 3}


def run(name: str, monkeypatch: pytest.MonkeyPatch, *arguments: object) -> None:
    """Run a benchmark in this process."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    importlib.import_module(name).main()


@pytest.fixture
def inputs(tmp_path: Path) -> dict[str, Any]:
    """A table of all networks of the space, in which the first costs least, and 128 images of noise."""
    space = NasBench201(**SPACE)
    rows = space.enumerate()
    cost = np.arange(len(rows)) + 1.0
    np.savez(
        tmp_path / "table.npz",
        genotypes=rows,
        decisions=np.array(space.names),
        options=np.array([json.dumps(list(decision.options)) for decision in space.decisions]),
        metrics=np.array(["accuracy@here", "latency_ms@here"]),
        values=np.stack([cost / len(rows), cost], axis=1),
        space=np.array("nasbench201"),
    )
    rng = np.random.default_rng(0)
    parts = {
        f"{part}_{what}": values
        for part in ("train", "test")
        for what, values in (
            ("images", rng.integers(0, 256, (128, 8, 8, 3), np.uint8)),
            ("labels", rng.integers(0, 10, 128)),
        )
    }
    np.savez(tmp_path / "images.npz", **parts)
    return {"--table": tmp_path / "table.npz", "--images": tmp_path / "images.npz", "--json": tmp_path / "out.json"}


def test_quality_is_looked_up_and_budgets_are_kept(
    inputs: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ranks and costs are the table's; with the budget, what every search derives costs no more than that."""
    given = [part for pair in inputs.items() for part in pair]
    settings = ("--space", json.dumps(SPACE), "--recipe", json.dumps({"batch_size": 16, "shift": 0}))
    limits = ("--accuracy", "accuracy@here", "--latency", "latency_ms@here", "--cpu-minutes", 0.001, "--seeds", 0)
    run("gradient_quality", monkeypatch, *given, *settings, *limits, "--methods", "gdas", "darts")
    runs = json.loads(inputs["--json"].read_text())["runs"]
    assert [(each["method"], each["budget"] is None) for each in runs] == [
        ("gdas", True), ("darts", True), ("random search", True),
        ("gdas", False), ("darts", False), ("random search", False),
    ]  # fmt: skip
    for each in runs:
        assert each["rank"] == 125 - round(each["latency"]) + 1
        assert each["accuracy"] == pytest.approx(each["latency"] / 125)
        assert each["budget"] is None or each["latency"] <= each["budget"] == pytest.approx(
            np.percentile(range(1, 126), 30)
        )
    shown = capsys.readouterr().out
    assert "mean of the space" in shown
    assert "1 of 1" in shown


def test_a_random_draw_costs_no_more_than_one_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The mixing method takes more; without NNI that is said."""
    monkeypatch.setitem(sys.modules, "nni", None)
    space = ("--space", json.dumps({"resolution": 16, "widths": [8, 16], "cells": 1}))
    few = ("--steps", 2, "--batch", 48, "--networks", 8, "--methods", "darts", "gdas", "proxyless")
    run("gradient_memory", monkeypatch, *space, *few, "--json", tmp_path / "out.json")
    rows = {row["name"]: row for row in json.loads((tmp_path / "out.json").read_text())["rows"]}
    assert rows["gdas"]["of_one"] <= 1.2
    assert rows["proxyless"]["of_one"] <= 1.2
    assert rows["darts"]["of_one"] > 2
    assert "NNI's DARTS is not shown: it cannot be imported here" in capsys.readouterr().out


def test_the_peak_is_what_torch_held_at_most(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two tensors of 4 MB at once, of three that are made."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    peak_memory = importlib.import_module("peak_memory")

    def work() -> None:
        first = torch.ones(1_000_000)
        second = first + 1
        del first
        _ = second + 1

    assert peak_memory.peak_bytes(work) == pytest.approx(8e6, rel=0.01)
