"""The comparison of predictors of accuracy on a table: what it writes, and what bad input gets."""

import json
from pathlib import Path

import numpy as np
import pytest

from search_spaces.families.nasbench201 import NasBench201

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
KEYS = {"predictor", "target", "labels", "seed", "kendall", "spearman", "mae", "coverage_90", "fit_s"}


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """300 cells with two accuracies that rise with convolutions, one known of few, and a constant."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    cells = NasBench201()
    rows = np.unique(cells.sample(400, np.random.default_rng(0)), axis=0)[:300]
    noise = np.random.default_rng(1).normal(size=(300, 2))
    good = np.isin(rows, (2, 3)).sum(axis=1) + (rows == 3).sum(axis=1)
    first = 0.94 - 0.3 * np.exp(-good / 3) + 0.002 * noise[:, 0]
    second = 0.70 - 0.5 * np.exp(-good / 4) + 0.004 * noise[:, 1]
    few = np.where(np.arange(300) < 12, first, np.nan)
    path = tmp_path / "table.npz"
    np.savez(
        path,
        genotypes=rows,
        decisions=np.array(cells.names),
        options=np.array([json.dumps(list(d.options)) for d in cells.decisions]),
        metrics=np.array(["accuracy@one", "accuracy@two", "accuracy@few", "accuracy@same"]),
        values=np.stack([first, second, few, np.full(300, 0.5)], axis=1),
        space=np.array("nasbench201"),
    )
    return path


def compare(table: Path, *arguments: str) -> int:
    """Run the benchmark in this process."""
    import accuracy_prediction

    return accuracy_prediction.main(["--table", str(table), "--json", str(table.with_name("out.json")), *arguments])


def test_records_of_every_run_are_written(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A record for each predictor, number of labels and seed; with the labels of another data set beside."""
    given = ("--target", "accuracy@one", "--labels", "10", "30", "--seeds", "2", "--predictors", "auto", "counts")
    assert compare(table, *given, "--sources", "accuracy@two:60", "--statistics", "params", "--unlabelled", "50") == 0
    assert "auto+sources" in capsys.readouterr().out
    records = json.loads(table.with_name("out.json").read_text())
    assert all(set(record) == KEYS for record in records)
    assert {(r["predictor"], r["labels"], r["seed"]) for r in records} == {
        (kind, labels, seed) for kind in ("auto", "counts", "auto+sources") for labels in (10, 30) for seed in (0, 1)
    }
    mean = {
        kind: np.mean([r["kendall"] for r in records if r["predictor"] == kind and r["labels"] == 10])
        for kind in ("auto", "auto+sources")
    }
    assert mean["auto"] > 0.5
    assert mean["auto+sources"] > mean["auto"]


def test_what_the_table_knows_may_be_a_feature(table: Path) -> None:
    """With the accuracy on other data as a feature of every network, eight labels order them better."""
    given = ("--target", "accuracy@one", "--labels", "8", "--seeds", "2", "--predictors", "auto")
    means = []
    for more in ((), ("--features", "accuracy@two")):
        assert compare(table, *given, *more) == 0
        means.append(np.mean([record["kendall"] for record in json.loads(table.with_name("out.json").read_text())]))
    assert means[1] > means[0]


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--target", "accuracy@one", "--labels", "3"), "--labels must be at least 8"),
        (("--target", "accuracy@few", "--labels", "16"), "12 values of 'accuracy@few'"),
        (("--target", "accuracy@same", "--labels", "16"), "nothing to rank"),
        (("--target", "accuracy@three"), "no metric 'accuracy@three'"),
        (("--target", "accuracy@one", "--predictors", "best"), "there is no predictor 'best'"),
        (("--target", "accuracy@one", "--labels", "16", "--seeds", "0"), "--seeds must be at least 1"),
        (("--target", "accuracy@one", "--labels", "16", "--sources", "accuracy@one:20"), "is the target"),
        (("--target", "accuracy@one", "--labels", "16", "--sources", "accuracy@two"), "METRIC:LABELS"),
        (("--target", "accuracy@one", "--labels", "16", "--sources", "accuracy@few:20"), "12 labels"),
        (("--target", "accuracy@one", "--features", "accuracy@one"), "is the target"),
        (
            ("--target", "accuracy@one", "--labels", "16", "--features", "accuracy@few"),
            "'accuracy@few' is nan in row 12",
        ),
        (("--target", "accuracy@one", "--labels", "16", "--statistics", "synflov"), "'synflov' is not known"),
        (("--target", "accuracy@one", "--labels", "16", "--statistics", "naswot"), "--images is needed"),
    ],
    ids=[
        "folds",
        "nan",
        "constant",
        "target",
        "predictor",
        "seeds",
        "itself",
        "form",
        "labels",
        "answer",
        "undefined",
        "score",
        "images",
    ],
)
def test_bad_input_is_told(
    table: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """One line that says what is wrong, before anything is fitted."""
    assert compare(table, *arguments) == 2
    assert message in capsys.readouterr().err
