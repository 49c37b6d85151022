"""Benchmarks of predictors: what they read, and what bad input gets."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from nas.table import Table

BENCHMARKS = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def benchmarks(monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder of the benchmarks is where modules are looked for."""
    monkeypatch.syspath_prepend(BENCHMARKS)


def lines(count: int) -> list[dict[str, object]]:
    """Transformers on two devices; more layers and wider ones take longer."""
    import hat_table

    rng = np.random.default_rng(0)
    found = []
    for place in range(count):
        numbers = dict.fromkeys(hat_table.NUMBERS, 6.0)
        numbers |= {"decoder_layer_num": float(rng.integers(1, 7)), "encoder_embed_dim": float(rng.choice([512, 640]))}
        numbers |= {"decoder_ffn_embed_dim_avg": float(rng.integers(4, 25) * 128)}
        decoder = numbers["decoder_layer_num"] * (10 + numbers["decoder_ffn_embed_dim_avg"] / 256)
        times = {"latency_mean_encoder": numbers["encoder_embed_dim"] / 16, "latency_mean_decoder": decoder}
        found.append({"task": "wmt", "device": ("one", "two")[place % 2], **numbers, **times})
    return found


def write(path: Path, rows: list[dict[str, object]]) -> Path:
    """A compressed CSV file."""
    with gzip.open(path, "wt") as file:
        file.write("\n".join([",".join(rows[0]), *(",".join(map(str, row.values())) for row in rows)]))
    return path


def test_transformer_latencies_are_a_table(tmp_path: Path) -> None:
    """Every line is found again in the table, and 20 of its networks tell the ranks of the others."""
    import hat_table
    import latency_transfer

    rows = lines(300)
    table = tmp_path / "hat.npz"
    assert hat_table.main(["--csv", str(write(tmp_path / "hat.csv.gz", rows)), "--output", str(table)]) == 0
    read = Table.load(table)
    for row in rows[:20]:
        options = [decision.options for decision in read.space.decisions]
        place = np.array([[each.index(row[name]) for each, name in zip(options, hat_table.NUMBERS, strict=True)]])
        value = read.lookup(place.astype(np.int16), [f"latency_ms@{row['device']}.wmt"])
        expected = row["latency_mean_encoder"] + row["latency_mean_decoder"]  # type: ignore[operator]
        assert value[f"latency_ms@{row['device']}.wmt"][0] == pytest.approx(expected)
    out = tmp_path / "out.json"
    given = ["--table", str(table), "--targets", "latency_ms@one.wmt", "--samples", "20", "--seeds", "1"]
    kinds = ("auto", "ridge", "xgboost")
    assert latency_transfer.main([*given, "--hidden", "0.2", "--predictors", *kinds, "--json", str(out)]) == 0
    records = {record["predictor"]: record for record in json.loads(out.read_text())}
    assert records["auto"]["spearman"] > 0.95
    assert records["auto"]["coverage_90"] is not None
    assert records["ridge"]["coverage_90"] is None
    assert records["xgboost"]["coverage_90"] is None


def test_files_that_are_no_transformer_latencies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """End with code 2, and say what is missing."""
    import hat_table

    rows = [{key: value for key, value in row.items() if key != "device"} for row in lines(3)]
    for path, words in (
        (write(tmp_path / "less.csv.gz", rows), "no column device"),
        (tmp_path / "none.csv.gz", "none.csv.gz"),
    ):
        assert hat_table.main(["--csv", str(path), "--output", str(tmp_path / "out.npz")]) == 2
        assert words in capsys.readouterr().err
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize(
    "job, words",
    [
        ("objectives: [macs, params]", "needs one objective latency_ms@DEVICE (got macs, params)"),
        ("objectives: [macs, latency_ms@npu]", "npu"),
    ],
    ids=["nothing measured", "no device"],
)
def test_jobs_that_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str], job: str, words: str) -> None:
    """Are refused before anything runs."""
    import predicted_job

    file = tmp_path / "job.yaml"
    file.write_text(f"name: small\nspace: nasbench201\n{job}\nstrategy: random\nbudget: {{evaluations: 2}}\n")
    assert predicted_job.main(["--job", str(file), "--json", str(tmp_path / "out.json")]) == 2
    assert words in capsys.readouterr().err
