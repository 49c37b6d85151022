"""The comparison of searches on a table: what it writes, and what bad input gets."""

import json
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"
OBJECTIVES = ("--objectives", "accuracy:max", "latency_ms@here:min")


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All 64 architectures of a space of three decisions; some accuracies are missing."""
    monkeypatch.syspath_prepend(BENCHMARKS)
    rows = np.indices((4, 4, 4)).reshape(3, -1).T.astype(np.int16)
    accuracy = 1 - 1 / (1 + rows.sum(axis=1))
    values = np.stack([np.where(rows[:, 0] + rows[:, 1] == 6, np.nan, accuracy), rows @ [1.0, 2.0, 0.5]], axis=1)
    path = tmp_path / "table.npz"
    np.savez(
        path,
        genotypes=rows,
        decisions=np.array(["a", "b", "c"]),
        options=np.array(["[0, 1, 2, 3]"] * 3),
        metrics=np.array(["accuracy", "latency_ms@here"]),
        values=values,
        space=np.array("toy"),
    )
    return path


def compare(table: Path, *arguments: str) -> int:
    """Run the benchmark in this process."""
    import search_quality

    given = ["--table", str(table), "--json", str(table.with_name("out.json")), "--processes", "1", *arguments]
    if "--objectives" not in arguments:
        given += OBJECTIVES
    return search_quality.main(given)


def test_records_of_every_run_are_written(table: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Hypervolumes rise to 1 when the whole table is evaluated; failed evaluations are said and harmless."""
    pytest.importorskip("matplotlib")
    strategies = ("--strategies", "nsga2:population=6", "local_search")
    assert compare(table, *strategies, "--peers", "one_edge_local_search", "--budget", "64", "--seeds", "2") == 0
    said = capsys.readouterr().out
    assert "6.2% of the evaluations fail" in said
    records = json.loads(table.with_name("out.json").read_text())
    assert {(r["name"], r["peer"]) for r in records} == {
        ("nsga2:population=6", False),
        ("local_search", False),
        ("one_edge_local_search", True),
        ("random", True),
    }
    assert {record["seed"] for record in records} == {0, 1}
    for name in ("nsga2:population=6", "random"):
        run = [r["hypervolume"] for r in records if (r["name"], r["seed"]) == (name, 0)]
        assert run == sorted(run)
        assert run[-1] == pytest.approx(1)
    assert table.with_name("out.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("--objectives", "energy:min"), "'energy' is not a metric of the tables; known: accuracy, latency_ms@here"),
        (("--objectives", "accuracy"), "must be METRIC:min or METRIC:max (got 'accuracy')"),
        (("--objectives", "accuracy:max", "accuracy:max"), "given twice"),
        (("--budget", "4", "--batch", "5"), "--budget must be at least one batch of 5 (got 4)"),
        (("--budget", "65"), "--budget 65 is more than the 64 architectures there are"),
        (("--strategies", "nsga3"), "nsga3"),
        (("--strategies", "nsga2:population=1"), "greater than or equal to 2"),
        (("--strategies", "nsga2:colour=1"), "colour"),
        (("--strategies", "nsga2:population"), "must be OPTION=VALUE (got 'population')"),
        (("--peers", "hope"), "unknown peer 'hope'; known: random"),
        (("--seeds", "0"), "--seeds must be at least 1 (got 0)"),
    ],
)
def test_bad_input_is_refused_before_any_search(
    table: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    """Exit code 2 and one message; nothing is written."""
    few = () if "--peers" in arguments else ("--peers", "random")
    few += () if "--strategies" in arguments else ("--strategies",)
    few += () if "--budget" in arguments else ("--budget", "20")
    assert compare(table, *arguments, *few) == 2
    assert message in capsys.readouterr().err
    assert not table.with_name("out.json").exists()
