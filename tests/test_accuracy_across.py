"""The comparison of accuracies across spaces: what it writes, and what bad input gets."""

import json
from pathlib import Path

import numpy as np
import pytest

from search_spaces.families.nasbench201 import NasBench201

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def write(path: Path, seed: int, space: str = "nasbench201") -> Path:
    """A table of 40 cells whose accuracy rises with their MACs."""
    cells = NasBench201()
    rows = np.unique(cells.sample(80, np.random.default_rng(seed)), axis=0)[:40]
    macs = cells.costs(rows, ["macs"])["macs"] / 1e8
    np.savez(
        path,
        genotypes=rows,
        decisions=np.array(cells.names),
        options=np.array([json.dumps(list(d.options)) for d in cells.decisions]),
        metrics=np.array(["accuracy@toy"]),
        values=(0.95 - 0.3 * np.exp(-macs))[:, None],
        space=np.array(space),
    )
    return path


def compare(folder: Path, *arguments: str, space: str = "nasbench201") -> int:
    """Run the benchmark in this process."""
    import accuracy_across

    tables = write(folder / "here.npz", 1, space), write(folder / "there.npz", 2)
    given = ("--table", str(tables[0]), "--target", "accuracy@toy", "--source-table", str(tables[1]))
    return accuracy_across.main(
        [*given, "--source", "accuracy@toy", "--json", str(folder / "out.json"), "--seeds", "1", *arguments]
    )


def test_what_is_alike_is_known_without_a_label(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where source and target follow the same law, the order is found without labels and stays with a few."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    assert compare(tmp_path, "--labels", "0", "8") == 0
    records = {(r["labels"], r["predictor"]): r["spearman"] for r in json.loads((tmp_path / "out.json").read_text())}
    assert set(records) == {(0, "across"), (8, "alone"), (8, "across")}
    assert records[0, "across"] > 0.9
    assert records[8, "across"] > 0.8


def test_bad_input_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Numbers of labels that cannot be, and networks that nobody can build."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    for arguments, message in (
        (("--labels", "3"), "--labels must be 0 or 5 to 998"),
        (("--labels", "39"), "the table has 40 values"),
        (("--labels", "0", "--source-labels", "2"), "--source-labels 5"),
        (("--labels", "0", "--source", "loss"), "no metric 'loss'"),
    ):
        assert compare(tmp_path, *arguments) == 2
        assert message in capsys.readouterr().err
    assert compare(tmp_path, "--labels", "0", space="toy") == 2
    assert "cannot be built" in capsys.readouterr().err
