"""Jobs that tests submit."""

from typing import Any

#: Ends within a second: nothing of it is trained or timed.
STATIC_JOB: dict[str, Any] = {
    "name": "digits",
    "space": {
        "name": "mobilenet_v3", "resolutions": [8], "widths": [8, 16], "strides": [1, 2], "stem_stride": 1,
        "activations": ["relu", "h_swish"], "squeeze_excite": [False, True], "depths": [1, 2], "expansions": [2, 3],
        "stem_width": 8, "final_width": 32, "feature_width": 32,
    },
    "objectives": ["macs", "params"],
    "strategy": "random",
    "budget": {"evaluations": 12},
}  # fmt: skip

#: Trains a supernet for a moment and times its subnets.
TRAINED_JOB: dict[str, Any] = {
    **STATIC_JOB,
    "data": {"name": "digits", "limit": 400},
    "supernet": {"epochs": 1, "warmup_epochs": 0},
    "objectives": ["accuracy", "latency_ms@cpu"],
    "budget": {"evaluations": 6},
    "measuring": {"max_runs": 60, "drift": 1, "replicate": 1},  # no series is repeated where others load the machine
}
