"""What the layers of any network take by a table of layers that were measured on a device.

A layer that is in the table takes what was measured. One that is not is priced by the layers of its kind that are, by a
line through their multiply-adds and bytes, as nn-Meter (L. Zhang et al., MobiSys 2021) prices kernels; and one whose
operator the runtime never ran alone, because it fuses it into the one before, costs nothing.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from predictors.errors import PredictorError
from predictors.feature_set import FeatureSet, Group
from predictors.node_features import KINDS, by_kind, kinds_of, named

Array = NDArray[np.float64]
Key = tuple[str, int, int, int, int, int, int, int]

SUBJECT = "layers"
COLUMNS = (
    *("kernel", "stride", "groups", "input_channels", "output_channels", "places", "input_values", "macs"),
    *("bytes_moved", "fusable"),
)
"""What must be told of each operator; other columns are ignored."""
BLOCK = 8
"""Runtimes pad channels to multiples of this, so layers of such sizes are one."""
FEWEST = 5
"""Layers of a kind that a line is drawn through; where there are fewer, through those of all kinds."""
LARGEST = 100_000

_VALUE = re.compile(r"([a-z0-9]+)\[([0-9,]*)\]")
_BYTES = {"double": 8, "int64": 8, "uint64": 8, "float16": 2, "bfloat16": 2, "int8": 1, "uint8": 1, "bool": 1}
_PREFIX = re.compile(r"^(?:.*\.)?(?:Fused|QLinear|Q(?=Gemm|Attention))?")
_POOLS = ("AveragePool", "MaxPool", "GlobalAveragePool", "GlobalMaxPool", "ReduceMean", "ReduceSum")
_PRODUCTS = ("Gemm", "MatMul")


class _Layer(NamedTuple):
    """What a signature says: its operator without the runtime's own names, its sizes and its cost."""

    op: str
    kernel: int
    stride: int
    groups: int
    input_channels: int
    output_channels: int
    places: int
    input_values: int
    macs: float
    moved: float


class LayerTable:
    """Layers and what they take on one device.

    Args:
        layers: signature (operator, attributes, types and shapes, as `nas profile --layers` keeps them) -> ms. Layers
            that say nothing of shapes, and those that a runtime adds by itself, only help to price all kinds.

    Raises:
        PredictorError: no layer, too many, or times that are negative or not finite.
    """

    def __init__(self, layers: Mapping[str, float]) -> None:
        if not 0 < len(layers) <= LARGEST:
            raise PredictorError(f"a table of layers holds 1 to {LARGEST} of them (got {len(layers)})")
        bad = [signature for signature, ms in layers.items() if not (math.isfinite(ms) and ms >= 0)]
        if bad:
            raise PredictorError(f"layer {bad[0][:100]!r} takes {layers[bad[0]]} ms; it must be a number from 0")
        self.layers = dict(layers)
        known = [(layer, ms) for layer, ms in zip(map(_read, layers), layers.values(), strict=True) if layer]
        if not known:
            raise PredictorError("no layer of the table tells its shapes; were they measured by this service?")
        same: dict[Key, list[float]] = {}
        for layer, ms in known:
            same.setdefault(_key(*layer[:8]), []).append(ms)
        self._times = {key: float(np.mean(times)) for key, times in same.items()}
        self._ops = {layer.op for layer, _ in known}
        sizes = np.array([(layer.kernel, layer.groups, layer.input_channels) for layer, _ in known], np.float64)
        kernel, groups, channels = sizes.T
        ops = np.array([layer.op for layer, _ in known])
        kinds = kinds_of(ops, kernel, groups, channels, np.zeros(len(known)))
        work = np.array([(1.0, layer.macs / 1e6, layer.moved / 1e6) for layer, _ in known])
        times = np.array([ms for _, ms in known])
        everything = _line(work, times)
        self._lines = np.stack(
            [
                _line(work[kinds == k], times[kinds == k]) if (kinds == k).sum() >= FEWEST else everything
                for k in range(len(KINDS))
            ]
        )

    def __call__(
        self, operators: NDArray[np.str_], numbers: Array, starts: NDArray[np.intp], columns: Sequence[str]
    ) -> Array:
        """Return the (n, f) ms that the layers of n networks take, by kind.

        Args:
            operators: (N,) names of ONNX operators, the networks one after the other.
            numbers: (N, c) what is known of each.
            starts: (n + 1,) where each network begins, and N.
            columns: names of the c columns, those of `COLUMNS` among them.

        Raises:
            FeatureMismatch: columns are missing, shapes do not fit, numbers are negative or not finite.
        """
        told = named(operators, numbers, starts, columns, COLUMNS)
        kinds = kinds_of(operators, told["kernel"], told["groups"], told["input_channels"], told["fusable"])
        work = np.stack([np.ones(len(kinds)), told["macs"] / 1e6, told["bytes_moved"] / 1e6], axis=1)
        taken = (work * self._lines[kinds]).sum(axis=1)
        alone = np.isin(operators, list(self._ops)) | ~told["fusable"].astype(np.bool_)
        taken = np.where(alone & (kinds != KINDS.index("view")), self._known(operators, told, taken), 0.0)
        return by_kind(taken, kinds, starts)[:, :-1]

    def _known(self, operators: NDArray[np.str_], told: Mapping[str, Array], priced: Array) -> Array:
        """(N,) what was measured of each operator, else its price; each distinct layer is looked up once."""
        names, codes = np.unique(operators, return_inverse=True)
        sizes = np.stack([codes.ravel(), *(told[name].round() for name in COLUMNS[:7])], axis=1).astype(np.int64)
        distinct, which = np.unique(sizes, axis=0, return_inverse=True)
        keys = [_key(str(names[op]), *row) for op, *row in distinct.tolist()]
        times = np.array([self._times.get(key, np.nan) for key in keys])[which.ravel()]
        return np.where(np.isnan(times), priced, times)


def _feature_set() -> FeatureSet:
    names = tuple(f"{kind} ms" for kind in KINDS[:-1])
    f = len(names)
    return FeatureSet(SUBJECT, names, (Group(SUBJECT, f, counts=True),), np.zeros(f), np.ones(f), np.ones(f, np.bool_))


LAYER_FEATURES = _feature_set()
"""The columns of what a table tells."""


def _read(signature: str) -> _Layer | None:
    """What a signature says; None where it does not tell shapes or is nothing that a network asks for."""
    head, arrow, tail = signature.partition(" -> ")
    op = _PREFIX.sub("", head.split(" ", 1)[0])
    given, made = _VALUE.findall(head), _VALUE.findall(tail)
    if not arrow or not given or not made or op.startswith("Reorder") or "Quantize" in op:
        return None
    shapes = [_shape(text) for _, text in given]
    moved = sum(_BYTES.get(kind, 4) * math.prod(_shape(text)) for kind, text in (*given, *made))
    x, out = shapes[0], _shape(made[0][1])
    attributes = dict(part.split("=", 1) for part in head.split(" ")[1:] if "=" in part)
    places, channels = math.prod(out) // max(_channels(out), 1), _channels(out)
    groups, macs = 1, 0.0
    if op == "Conv":
        weight = next((shape for shape in shapes[1:] if len(shape) == len(x)), None)
        if weight is None or len(x) < 3:
            return None
        groups = int(attributes.get("group", "1"))
        macs = float(math.prod(out) * math.prod(weight[1:]))
    elif op in _PRODUCTS and x:
        macs = float(math.prod(out) * x[-1])
        if not any(len(shape) > 1 for shape in shapes[1:]):  # a matrix that was packed before is not told
            moved += _BYTES.get(given[0][0], 4) * x[-1] * channels
    kernel = (
        math.prod(int(size) for size in attributes["kernel_shape"].split(",")) if "kernel_shape" in attributes else 1
    )
    stride = int(attributes["strides"].split(",")[0]) if "strides" in attributes else 1
    return _Layer(op, kernel, stride, groups, _channels(x), channels, places, math.prod(x), macs, float(moved))


def _key(
    op: str, kernel: int, stride: int, groups: int, inputs: int, outputs: int, places: int, values: int, *_: object
) -> Key:
    """What layers have in common that take the same."""
    one_each = groups > 1 and groups >= inputs
    read = -(-values // max(inputs, 1)) if op in _POOLS else 0
    return op, kernel, stride, -1 if one_each else groups, -(-inputs // BLOCK), -(-outputs // BLOCK), places, read


def _line(work: Array, times: Array) -> Array:
    """(3,) ms for a layer, for a million MACs and for a megabyte, none negative, with relative errors."""
    weights = 1.0 / np.maximum(times, 1e-2 * max(float(times.mean()), 1e-12))
    found: Array = nnls(work * weights[:, None], times * weights)[0]
    return found


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(",") if size)


def _channels(shape: tuple[int, ...]) -> int:
    """The second axis of images, the last one of everything else."""
    return shape[1] if len(shape) == 4 else shape[-1] if shape else 1
