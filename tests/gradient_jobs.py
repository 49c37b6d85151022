"""Small jobs of differentiable search on digits."""

from typing import Any

CELLS = {"name": "nasbench201", "resolution": 8, "widths": [4, 8], "cells": 1}
SIZES = {
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
}
SPARSE = {**CELLS, "operations": ["none", "skip_connect", "nor_conv_1x1", "sparse_sep_conv_3x3"]}
NPU = {
    "kind": "systolic",
    "rows": 8,
    "columns": 8,
    "clock_mhz": 100,
    "dataflow": "weight_stationary",
    "input_buffer_kib": 64,
    "weight_buffer_kib": 64,
    "output_buffer_kib": 64,
    "bandwidth_gb_s": 0.5,
}


def job(method: str, **options: Any) -> dict[str, Any]:
    """A job whose rounds take a fraction of a second."""
    return {
        "name": method,
        "seed": 1,
        "space": {"single_path": SIZES, "dass": SPARSE}.get(method, CELLS),
        "data": {"name": "digits", "limit": 300},
        "supernet": {"epochs": 1, "warmup_epochs": 0.5, "batch_size": 32, "recalibration_samples": 64},
        "objectives": ["accuracy", "macs"],
        "strategy": {
            "name": method,
            "rounds": 4,
            "propose_every": 2,
            "batch_size": 32,
            "logits_learning_rate": 0.1,
            **options,
        },
        "budget": {"evaluations": 4},
        "execution": {"workers": 1, "batch": 1},
    }
