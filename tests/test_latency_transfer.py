"""The comparison of predictors on a table: what it writes, and what bad input gets."""

import json
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All 256 architectures of a space of four decisions, on three devices; one measured few of them."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    rows = np.indices((4, 4, 4, 4)).reshape(4, -1).T.astype(np.int16)
    rng = np.random.default_rng(0)
    first = 5 + rows @ [1.0, 2.0, 0.5, 1.5]
    second = 3 + rows @ [1.1, 1.8, 0.6, 1.4]
    third = np.where(np.arange(256) < 30, first * 2, np.nan)
    values = np.stack([first, second, third], axis=1) * np.exp(0.02 * rng.normal(size=(256, 3)))
    values = np.c_[values, np.full(256, 7.0)]
    path = tmp_path / "table.npz"
    np.savez(
        path,
        genotypes=rows,
        decisions=np.array(["a", "b", "c", "d"]),
        options=np.array(["[0, 1, 2, 3]"] * 4),
        metrics=np.array(["latency_ms@one", "latency_ms@two", "energy_mj@few", "latency_ms@same"]),
        values=values,
        space=np.array("toy"),
    )
    return path


def compare(table: Path, *arguments: str) -> int:
    """Run the benchmark in this process."""
    import latency_transfer

    return latency_transfer.main(["--table", str(table), "--json", str(table.with_name("out.json")), *arguments])


def test_records_of_every_run_are_written(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record for each predictor, target and seed with the published keys; a source helps nobody to be random."""
    given = ("--sources", "latency_ms@two", "--targets", "latency_ms@one", "energy_mj@few", "--samples", "12")
    assert compare(table, *given, "--seeds", "2", "--source-samples", "40", "--predictors", "auto", "counts") == 0
    assert "latency_ms@one" in capsys.readouterr().out
    records = json.loads(table.with_name("out.json").read_text())
    keys = {"predictor", "target", "samples", "seed", "spearman", "kendall", "within_10", "coverage_90", "fit_s"}
    assert all(set(record) == keys for record in records)
    assert {(r["predictor"], r["target"], r["seed"]) for r in records} == {
        (kind, target, seed)
        for kind in ("auto", "counts")
        for target in ("latency_ms@one", "energy_mj@few")
        for seed in (0, 1)
    }
    assert min(r["spearman"] for r in records if r["predictor"] == "auto") > 0.9


def test_works_without_sources(table: Path) -> None:
    """What needs sources is passed over; random samples and hidden rows are options."""
    given = ("--targets", "latency_ms@one", "--samples", "20", "--seeds", "1", "--choose", "random", "--hidden", "0.5")
    assert compare(table, *given, "--predictors", "auto", "transfer", "gaussian_process") == 0
    records = json.loads(table.with_name("out.json").read_text())
    assert [record["predictor"] for record in records] == ["auto", "gaussian_process"]


@pytest.mark.parametrize(
    "arguments, words",
    [
        (("--targets", "latency_ms@none", "--samples", "20"), "known: latency_ms@one"),
        (("--targets", "latency_ms@one", "--samples", "20", "--sources", "x"), "no metric 'x'"),
        (("--targets", "energy_mj@few", "--samples", "31"), "30 networks measured"),
        (("--targets", "latency_ms@one", "--samples", "2"), "at least 4"),
        (("--targets", "latency_ms@same", "--samples", "20"), "target 'latency_ms@same', seed 0: all 20 values"),
        (("--targets", "latency_ms@one", "--samples", "20", "--sources", "latency_ms@same"), "nothing to learn"),
        (("--targets", "latency_ms@one", "--samples", "0"), "--samples must be at least 1"),
        (("--targets", "latency_ms@one", "--samples", "20", "--predictors", "oracle"), "known: auto"),
        (("--targets", "latency_ms@one", "--samples", "20", "--protocol", "help"), "knows nasbench201"),
        (("--targets", "latency_ms@one", "--samples", "20", "--hidden", "1"), "--hidden"),
    ],
    ids=["target", "source", "rows", "few", "constant", "constant source", "none", "kind", "protocol", "hidden"],
)
def test_bad_input_ends_with_code_2(
    table: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    """And says what was wrong and what is allowed."""
    assert compare(table, *arguments) == 2
    assert words in capsys.readouterr().err
