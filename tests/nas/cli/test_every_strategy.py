"""Every registered strategy runs a job file through `nas run`, and is listed with its options."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner, Result

from nas.cli.main import app
from nas.strategies.registry import GRADIENT, STRATEGIES

EVALUATIONS = 12
SMALL: dict[str, dict[str, Any]] = {
    "nsga2": {"population": 6},
    "regularized_evolution": {"population": 6, "sample": 3},
    "local_search": {"first": 6},
    "map_elites": {"first": 6, "bins": 4},
    "mcts": {"first": 6, "leaf": 4},
    "bayesian": {"first": 6},
    "predictor_assisted": {"first": 6, "generations": 2, "children": 20},
    "bandit": {"first": 6, "block": 3},
    "reinforce": {"first": 6, "block": 3},
    **{
        name: {"rounds": 3, "propose_every": 2, "logits_learning_rate": 0.05, "cost": {"metric": "macs"}}
        for name in GRADIENT
    },
}
"""Options with which the first points are over before the budget is."""
CELLS = {"name": "nasbench201", "resolution": 8, "widths": [4, 8], "cells": 1}
SPACES: dict[str, dict[str, Any]] = {
    **dict.fromkeys(GRADIENT - {"single_path"}, CELLS),
    "dass": {**CELLS, "operations": ["none", "skip_connect", "nor_conv_1x1", "sparse_sep_conv_3x3"]},
}
"""Where operators are decided about; all others search sizes."""


LEARNING: dict[str, Any] = {
    "data": {"name": "digits", "limit": 600},
    "supernet": {"epochs": 1, "warmup_epochs": 0.5, "recalibration_samples": 64},
    "objectives": ["accuracy", {"metric": "macs", "bound": 150_000}],
}
STATIC: dict[str, Any] = {
    "objectives": [{"metric": "params", "direction": "max"}, {"metric": "macs", "bound": 150_000}]
}
"""What gradient strategies need, and what the others do as well with: an evaluation is the same to all of them."""


def job(name: str) -> dict[str, Any]:
    """A job some of whose networks are too large for the bound."""
    return {
        "name": name,
        "space": SPACES.get(name)
        or {
            "name": "mobilenet_v3",
            "resolutions": [8],
            "widths": [8],
            "strides": [1],
            "activations": ["relu"],
            "squeeze_excite": [False],
            "depths": [1, 2],
            "expansions": [1, 2, 3],
            "kernels": [3, 5],
            "stem_width": 8,
            "final_width": 8,
            "feature_width": 8,
        },
        **(LEARNING if name in GRADIENT else STATIC),
        "strategy": {"name": name, **SMALL.get(name, {})},
        "budget": {"evaluations": EVALUATIONS},
        "execution": {"workers": 1, "batch": 3},
    }


def nas(*arguments: object) -> Result:
    """Run the command in this process."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.mark.slow
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_job_that_names_a_strategy_runs(name: str, cluster: None, tmp_path: Path) -> None:
    """The whole budget is evaluated, every architecture once and within the bound, and the front is shown."""
    path, store = tmp_path / "job.yaml", f"sqlite:///{tmp_path}/nas.db"
    path.write_text(yaml.safe_dump(job(name)))
    result = nas("run", path, "--store", store)
    assert result.exit_code == 0, result.output
    assert "front of" in result.stdout
    shown = json.loads(nas("show", "latest", "--store", store, "--json").stdout)
    rows = shown["evaluations"]
    assert len(rows) == len({row["key"] for row in rows}) == EVALUATIONS
    assert all(row["macs"] <= 150_000 for row in rows)
    if name in GRADIENT:
        assert all(0 <= row["accuracy"] <= 1 for row in rows)
        assert [each["round"] for each in shown["rounds"]] == [1, 2, 3]
        told = {"loss", "gap", "validation_loss", "skip_share", "entropy", "cost_multiplier", "cost_derived"}
        assert told | {f"entropy/{decision}" for decision in rows[0]["genotype"]} <= shown["rounds"][-1].keys()
        assert rows[-1]["macs"] <= 150_000 >= shown["rounds"][-1]["cost_derived"] > 0
        assert any(entry["kind"] == "search" for entry in shown["artifacts"])
        picture = tmp_path / "rounds.png"
        assert nas("show", "latest", "--store", store, "--plot", picture).exit_code == 0
        assert picture.read_bytes().startswith(b"\x89PNG")
    else:
        assert shown["rounds"] == []


def test_strategies_are_listed_with_their_options() -> None:
    """With --json every option has its type, default and description; the table names them."""
    rows = json.loads(nas("strategies", "--json").stdout)
    assert [row["name"] for row in rows] == list(STRATEGIES)
    for row in rows:
        assert row["summary"]
        fields = STRATEGIES[row["name"]].options_type.model_fields
        assert set(row["options"]) == set(fields) - {"name"}
        assert all(option["description"] for option in row["options"].values())
    table = nas("strategies")
    assert table.exit_code == 0
    assert all(name in table.stdout for name in STRATEGIES)
