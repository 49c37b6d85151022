"""HAT's transformer latencies as a table that `latency_transfer.py` reads.

    python benchmarks/hat_table.py --csv ../shared/data/hat_latency.csv.gz --output hat.npz
    python benchmarks/latency_transfer.py --table hat.npz --targets latency_ms@cpu_xeon.wmt14ende --samples 20 \
        --hidden 0.1 --predictors auto ridge xgboost --json hat.json

The file (H. Wang et al., "HAT: Hardware-Aware Transformers", ACL 2020) has a line for each measured network: task,
device, ten numbers that describe it, and the time of its encoder and of its decoder in ms. A row of the table is what
those numbers say, a metric the sum of both times on one device for one task; lines that say the same of a network are
one row, with their mean.
"""

import argparse
import csv
import gzip
import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np

NUMBERS = (
    "encoder_embed_dim",
    "encoder_layer_num",
    "encoder_ffn_embed_dim_avg",
    "encoder_self_attention_heads_avg",
    "decoder_embed_dim",
    "decoder_layer_num",
    "decoder_ffn_embed_dim_avg",
    "decoder_self_attention_heads_avg",
    "decoder_ende_attention_heads_avg",
    "decoder_arbitrary_ende_attn_avg",
)
TIMES = ("latency_mean_encoder", "latency_mean_decoder")


def main(arguments: Sequence[str] | None = None) -> int:
    """Convert; returns the exit code, 2 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--csv", type=Path, required=True)
    parser.add_argument("--output", type=Path, required=True)
    given = parser.parse_args(arguments)
    try:
        with gzip.open(given.csv, "rt", newline="") as file:
            lines = list(csv.DictReader(file))
        missing = [name for name in ("task", "device", *NUMBERS, *TIMES) if not lines or name not in lines[0]]
        if missing:
            raise ValueError(f"{given.csv} has no column {', '.join(missing)}")
        described = np.array([[float(line[name]) for name in NUMBERS] for line in lines])
        times = np.array([sum(float(line[name]) for name in TIMES) for line in lines])
    except (OSError, EOFError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    metrics, column = np.unique([f"latency_ms@{line['device']}.{line['task']}" for line in lines], return_inverse=True)
    rows, row = np.unique(described, axis=0, return_inverse=True)
    place = row.reshape(-1) * len(metrics) + column.reshape(-1)
    size = len(rows) * len(metrics)
    count = np.bincount(place, minlength=size)
    total = np.bincount(place, times, size)
    values = np.where(count > 0, total / np.maximum(count, 1), np.nan).reshape(len(rows), len(metrics))
    options, genotypes = [], []
    for numbers in rows.T:
        known, index = np.unique(numbers, return_inverse=True)
        options.append(json.dumps(known.tolist()))
        genotypes.append(index.reshape(-1))
    np.savez(
        given.output,
        genotypes=np.stack(genotypes, axis=1).astype(np.int16),
        decisions=np.array(NUMBERS),
        options=np.array(options),
        metrics=metrics,
        values=values,
        space=np.array("hat"),
    )
    print(f"{given.output}: {len(rows)} networks of {len(lines)} lines; {', '.join(metrics)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
