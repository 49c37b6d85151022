"""Features of any network from the table of its operators, the same for all networks.

nn-Meter (L. Zhang et al., MobiSys 2021) predicts kernels one by one and adds them up; a cost that is linear in what a
kernel does can be added up first. So the features of a network are, for each kind of operator, how many there are, what
they multiply, and what they move; operators that a runtime may fuse with the one before are a kind of their own.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from predictors.errors import FeatureMismatch
from predictors.feature_set import FeatureSet, Group

Array = NDArray[np.float64]

SUBJECT = "graph"
COLUMNS = (
    "kernel",
    "groups",
    "input_channels",
    "input_values",
    "output_values",
    "macs",
    "bytes_moved",
    "position",
    "fusable",
)
"""What must be told of each operator; other columns are ignored."""

PRODUCTS = ("pointwise", "spatial", "depthwise", "grouped", "product")
OTHERS = ("fused", "arithmetic", "transcendental", "pool", "normalisation", "move", "other")
KINDS = (*PRODUCTS, *OTHERS, "view")
QUANTITIES = ("count", "macs", "moved")
SUMS = tuple(
    [f"{kind} {quantity}" for kind in KINDS[:-1] for quantity in QUANTITIES if quantity != "macs" or kind in PRODUCTS]
)
SHAPE = (
    "log macs",
    "log moved",
    "log nodes",
    "log macs per byte",
    "position of macs",
    "log channels",
    "share of depthwise",
)

_ARITHMETIC = ("Add", "Sub", "Mul", "Div", "Relu", "Clip", "LeakyRelu", "Abs", "Neg", "Min", "Max", "Where", "Sum")
_TRANSCENDENTAL = (
    *(
        "Sigmoid",
        "HardSigmoid",
        "HardSwish",
        "Swish",
        "Gelu",
        "Erf",
        "Tanh",
        "Exp",
        "Log",
        "Pow",
        "Sqrt",
        "Softplus",
        "Elu",
    ),
    *("Selu", "Mish", "Reciprocal", "PRelu"),
)
_POOL = (
    *("AveragePool", "MaxPool", "LpPool", "GlobalAveragePool", "GlobalMaxPool"),
    *("ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceL2"),
)
_NORMALISATION = (
    *("BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization"),
    *("RMSNormalization", "Softmax", "LogSoftmax"),
)
_MOVE = (
    *("Concat", "Transpose", "Slice", "Split", "Gather", "Pad", "Expand", "Tile", "Resize", "Cast", "DepthToSpace"),
    *("SpaceToDepth", "GatherElements", "ScatterND"),
)
VIEW = ("Reshape", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Dropout", "Shape", "Constant")
_KIND: dict[str, str] = {
    **dict.fromkeys(_ARITHMETIC, "arithmetic"),
    **dict.fromkeys(_TRANSCENDENTAL, "transcendental"),
    **dict.fromkeys(_POOL, "pool"),
    **dict.fromkeys(_NORMALISATION, "normalisation"),
    **dict.fromkeys(_MOVE, "move"),
    **dict.fromkeys(VIEW, "view"),
    **dict.fromkeys(("Gemm", "MatMul"), "product"),
    "Conv": "spatial",
}


def by_kind(values: Array, kinds: NDArray[np.intp], starts: NDArray[np.intp]) -> Array:
    """(n, kinds) sums of (N,) values of operators over each network's operators of a kind."""
    n = len(starts) - 1
    place = np.repeat(np.arange(n), np.diff(starts)) * len(KINDS) + kinds
    return np.bincount(place, values, n * len(KINDS)).reshape(n, len(KINDS)).astype(np.float64)


def node_features(
    operators: NDArray[np.str_], numbers: Array, starts: NDArray[np.intp], columns: Sequence[str]
) -> Array:
    """Return (n, f) features of n networks, the columns of `NODE_FEATURES`.

    Args:
        operators: (N,) names of ONNX operators, the networks one after the other.
        numbers: (N, c) what is known of each.
        starts: (n + 1,) where each network begins, and N.
        columns: names of the c columns, those of `COLUMNS` among them.

    Raises:
        FeatureMismatch: columns are missing, shapes do not fit, numbers are negative or not finite.
    """
    told = named(operators, numbers, starts, columns, COLUMNS)
    n = len(starts) - 1
    owner = np.repeat(np.arange(n), np.diff(starts))
    kinds = kinds_of(operators, told["kernel"], told["groups"], told["input_channels"], told["fusable"])

    sums = {
        "count": by_kind(np.ones(len(operators)), kinds, starts),
        "macs": by_kind(told["macs"] / 1e6, kinds, starts),
        "moved": by_kind(told["bytes_moved"] / 1e6, kinds, starts),
    }
    found = [sums[name.rsplit(" ", 1)[1]][:, KINDS.index(name.rsplit(" ", 1)[0])] for name in SUMS]
    macs, moved = sums["macs"].sum(axis=1), sums["moved"].sum(axis=1)
    nodes = np.maximum(np.diff(starts), 1)
    place = np.bincount(owner, told["position"] * told["macs"] / 1e6, n) / np.maximum(macs, 1e-12)
    channels = np.bincount(owner, told["input_channels"], n) / nodes
    depthwise = sums["macs"][:, KINDS.index("depthwise")] / np.maximum(macs, 1e-12)
    small = 1e-6
    shape = [
        *(np.log(macs + small), np.log(moved + small), np.log(nodes), np.log((macs + small) / (moved + small))),
        *(place, np.log(channels + 1.0), depthwise),
    ]
    return np.stack([*found, *shape], axis=1)


def named(
    operators: NDArray[np.str_],
    numbers: Array,
    starts: NDArray[np.intp],
    columns: Sequence[str],
    needed: Sequence[str],
) -> dict[str, Array]:
    """The columns of a node table by name; arguments as of `node_features`, `needed` being columns that must be there.

    Raises:
        FeatureMismatch: columns are missing, shapes do not fit, numbers are negative or not finite.
    """
    missing = [name for name in needed if name not in columns]
    if missing:
        raise FeatureMismatch(f"a node table needs {', '.join(needed)} (missing: {', '.join(missing)})")
    if numbers.shape != (len(operators), len(columns)) or starts[0] != 0 or starts[-1] != len(operators):
        raise FeatureMismatch(f"{len(operators)} operators need numbers of shape ({len(operators)}, {len(columns)})")
    if not np.isfinite(numbers).all() or (numbers < 0).any():
        raise FeatureMismatch("a node table holds numbers that are negative or not finite")
    return {name: numbers[:, place] for place, name in enumerate(columns)}


def kinds_of(
    operators: NDArray[np.str_], kernel: Array, groups: Array, channels: Array, fusable: Array
) -> NDArray[np.intp]:
    """The (N,) kind of each operator, a place in `KINDS`.

    Args:
        operators: (N,) names of ONNX operators.
        kernel: (N,) areas.
        groups: (N,) of convolutions.
        channels: (N,) of inputs.
        fusable: (N,) whether a runtime may run it with the one before.
    """
    names, inverse = np.unique(operators, return_inverse=True)
    kinds = np.array([KINDS.index(_KIND.get(str(name), "other")) for name in names], np.intp)[inverse.reshape(-1)]
    conv = kinds == KINDS.index("spatial")
    kinds[conv & (kernel <= 1)] = KINDS.index("pointwise")
    kinds[conv & (groups > 1)] = KINDS.index("grouped")
    kinds[conv & (groups > 1) & (groups >= channels)] = KINDS.index("depthwise")
    kinds[(fusable > 0) & ~conv] = KINDS.index("fused")
    return kinds


def _feature_set() -> FeatureSet:
    """The columns; their usual sizes are those of image networks of 10 to 1,000 million MACs."""
    names = (*SUMS, *SHAPE)
    groups = (Group("sums", len(SUMS), 0.0, None, counts=True), Group("shape", len(SHAPE), -2.0, -2.0))
    usual = {"count": 20.0, "macs": 50.0, "moved": 5.0}
    sums = np.array([usual[name.rsplit(" ", 1)[1]] for name in SUMS])
    centre = np.concatenate([sums, [4.0, 2.5, 4.5, 1.5, 0.5, 4.5, 0.1]])
    spread = np.concatenate([sums, [1.5, 1.2, 0.5, 1.0, 0.2, 0.8, 0.1]])
    rising = np.array([True] * len(SUMS) + [False] * len(SHAPE))
    return FeatureSet(SUBJECT, names, groups, centre, spread, rising)


NODE_FEATURES = _feature_set()
