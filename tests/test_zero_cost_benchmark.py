"""The comparison of zero-cost scores on a table: what it writes, and what bad input gets."""

import json
from pathlib import Path

import numpy as np
import pytest

from nas.table import Table
from search_spaces.families.nasbench201 import NasBench201

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


def write(path: Path, space: str) -> Path:
    """A table of 30 random cells whose target is the number of convolutions."""
    cells = NasBench201()
    rows = np.unique(cells.sample(60, np.random.default_rng(0)), axis=0)[:30]
    values = np.isin(rows, (2, 3)).sum(axis=1, keepdims=True).astype(np.float64)
    values[3] = np.nan
    np.savez(
        path,
        genotypes=rows,
        decisions=np.array(cells.names),
        options=np.array([json.dumps(list(d.options)) for d in cells.decisions]),
        metrics=np.array(["accuracy@toy"]),
        values=values,
        space=np.array(space),
    )
    return path


def compare(table: Path, *arguments: str) -> int:
    """Run the benchmark in this process."""
    import zero_cost

    return zero_cost.main(["--table", str(table), "--json", str(table.with_name("out.json")), *arguments])


def test_scores_are_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A record for each score; MACs and parameters follow the number of convolutions, and no data are needed."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    table = write(tmp_path / "table.npz", "nasbench201")
    given = ("--target", "accuracy@toy", "--networks", "20", "--scores", "macs", "params", "synflow")
    assert compare(table, *given) == 0
    records = {record["score"]: record for record in json.loads((tmp_path / "out.json").read_text())}
    assert records["params"]["spearman"] > 0.5
    assert {record["networks"] for record in records.values()} == {20}
    assert 0 < records["macs"]["seconds_median"] <= records["synflow"]["seconds_most"]
    assert "spearman" in capsys.readouterr().out


def test_scores_are_written_as_a_table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows that were scored, with their own metric and the scores beside it."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    table, scored = write(tmp_path / "table.npz", "nasbench201"), tmp_path / "scored.npz"
    given = ("--target", "accuracy@toy", "--networks", "20", "--scores", "macs", "zen", "--scored", str(scored))
    assert compare(table, *given) == 0
    whole, part = Table.load(table), Table.load(scored)
    assert part.metrics == ("accuracy@toy", "zero_cost@macs", "zero_cost@zen")
    assert len(part) == 20
    same = whole.rows(part.genotypes)
    np.testing.assert_array_equal(part.column("accuracy@toy"), whole.column("accuracy@toy")[same])
    np.testing.assert_array_equal(part.column("zero_cost@macs"), whole.space.costs(part.genotypes)["macs"])
    assert np.isfinite(part.column("zero_cost@zen")).all()


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--scores", "naswot"), "--images is needed for naswot"),
        (("--scores", "nawsot"), "there is no zero-cost score 'nawsot'"),
        (("--scores", "macs", "--networks", "30"), "is known of 29"),
        (("--scores", "macs", "--target", "accuracy"), "no metric 'accuracy'"),
        (("--scores", "macs", "--networks", "1"), "at least 2"),
    ],
    ids=["data", "name", "rows", "target", "one"],
)
def test_bad_input_is_told(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    """One line that says what is wrong, before anything is scored."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    table = write(tmp_path / "table.npz", "nasbench201")
    assert compare(table, "--target", "accuracy@toy", "--networks", "20", *arguments) == 2
    assert message in capsys.readouterr().err


def test_networks_that_nobody_can_build(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table of an unknown space has no networks to score."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    table = write(tmp_path / "table.npz", "toy")
    assert compare(table, "--target", "accuracy@toy", "--networks", "20", "--scores", "macs") == 2
    assert "cannot be built" in capsys.readouterr().err
