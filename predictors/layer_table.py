"""What the layers of any network take by a table of layers that were measured on a device.

A layer that is in the table takes what was measured, without what timing it takes. One that is not is priced by the
layers of its kind that are, by a line through their multiply-adds and bytes, as nn-Meter (L. Zhang et al., MobiSys
2021) prices kernels, and how far such lines are off is told as well. What a runtime fuses into the one before costs
nothing.
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
from predictors.node_features import KINDS, VIEW, by_kind, kinds_of, named

Array = NDArray[np.float64]
Key = tuple[str, int, int, int, int, int, int, int]

SUBJECT = "layers"
UNSURE = "unsure ms"
COLUMNS = (
    *("kernel", "stride", "groups", "input_channels", "output_channels", "places", "input_values", "macs"),
    *("bytes_moved", "fusable"),
)
"""What must be told of each operator; other columns are ignored."""
BLOCK = 8
"""Runtimes pad channels to multiples of this, so layers of such sizes are one."""
SPREAD = 0.3
"""Relative error of the line of a kind, as it is weighed against the line of all kinds, which it is near."""
FREEDOM = 3.0
"""How far prices of a kind may be from those of all kinds, relatively: the line of few layers, or of layers that are
alike, is near the other one in what they do not tell."""
FEWEST = 5
"""Layers as which the errors of all kinds count beside those of one kind."""
SMALLEST_MS = 1e-6
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
        told = [(layer, ms) for layer, ms in zip(map(_read, layers), layers.values(), strict=True) if layer]
        if not told:
            raise PredictorError("no layer of the table tells its shapes; were they measured by this service?")
        self.timing = _timing(told)
        known = [(layer, max(ms - self.timing, 0.0)) for layer, ms in told]
        same: dict[Key, list[float]] = {}
        for layer, ms in known:
            same.setdefault(_key(*layer[:8]), []).append(ms)
        self._times = {key: float(np.mean(times)) for key, times in same.items()}
        sizes = np.array([(layer.kernel, layer.groups, layer.input_channels) for layer, _ in known], np.float64)
        kernel, groups, channels = sizes.T
        ops = np.array([layer.op for layer, _ in known])
        kinds = kinds_of(ops, kernel, groups, channels, np.zeros(len(known)))
        work = np.array([(1.0, layer.macs / 1e6, layer.moved / 1e6) for layer, _ in known])
        times = np.array([ms for _, ms in known])
        common = _line(work, times, np.zeros(0))
        of_kind = [kinds == kind for kind in range(len(KINDS))]
        self._lines = np.stack([_line(work[own], times[own], common) for own in of_kind])
        off = np.square((work * self._lines[kinds]).sum(axis=1) - times) / np.maximum(times, SMALLEST_MS)
        everywhere = float(off.sum() / times.sum()) if times.any() else 0.0
        usual = FEWEST * float(times.mean())
        sums, weights = (np.bincount(kinds, each, len(KINDS)) for each in (off, times))
        self._errors = np.sqrt((sums + usual * everywhere) / np.maximum(weights + usual, SMALLEST_MS))

    def __call__(
        self, operators: NDArray[np.str_], numbers: Array, starts: NDArray[np.intp], columns: Sequence[str]
    ) -> Array:
        """Return (n, f) features: the ms that the layers of n networks take, by kind, and the usual error of prices.

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
        price = (work * self._lines[kinds]).sum(axis=1)
        alone = (told["fusable"] == 0) & (kinds != KINDS.index("view"))
        measured = self._measured(operators, told)
        priced = np.isnan(measured)
        taken = by_kind(np.where(alone, np.where(priced, price, measured), 0.0), kinds, starts)[:, :-1]
        unsure = by_kind(np.where(alone & priced, price * self._errors[kinds], 0.0), kinds, starts).sum(axis=1)
        return np.concatenate([taken, unsure[:, None]], axis=1)

    def _measured(self, operators: NDArray[np.str_], told: Mapping[str, Array]) -> Array:
        """(N,) what was measured of each operator, NaN where it was not; each distinct layer is looked up once."""
        names, codes = np.unique(operators, return_inverse=True)
        sizes = np.stack([codes.ravel(), *(told[name].round() for name in COLUMNS[:7])], axis=1).astype(np.int64)
        distinct, which = np.unique(sizes, axis=0, return_inverse=True)
        keys = [_key(str(names[op]), *row) for op, *row in distinct.tolist()]
        found: Array = np.array([self._times.get(key, np.nan) for key in keys])[which.ravel()]
        return found


def _feature_set() -> FeatureSet:
    names = (*(f"{kind} ms" for kind in KINDS[:-1]), UNSURE)
    f = len(names)
    groups = Group(SUBJECT, f - 1, counts=True), Group(UNSURE, 1)
    return FeatureSet(SUBJECT, names, groups, np.zeros(f), np.ones(f), np.arange(f) < f - 1)


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


def _timing(layers: Sequence[tuple[_Layer, float]]) -> float:
    """What it takes to time a layer, which is in the time of each: a view of other data does nothing beside."""
    views = [ms for layer, ms in layers if layer.op in VIEW]
    return min(float(np.median(views)), min(ms for _, ms in layers)) if views else 0.0


def _line(work: Array, times: Array, common: Array) -> Array:
    """(3,) ms for a layer, a million MACs and a megabyte, none negative, with relative errors; near common ones."""
    if not len(times):
        return common
    weights = 1.0 / np.maximum(times, 1e-2 * max(float(times.mean()), 1e-12))
    design, told = work * weights[:, None] / SPREAD, times * weights / SPREAD
    if len(common):
        alone = 1.0 / np.maximum(np.sqrt(np.mean((work * weights[:, None]) ** 2, axis=0)), 1e-12)
        freedom = FREEDOM * np.maximum(common, 0.1 * alone)
        design, told = np.concatenate([design, np.diag(1.0 / freedom)]), np.concatenate([told, common / freedom])
    found: Array = nnls(design, told)[0]
    return found


def _shape(text: str) -> tuple[int, ...]:
    return tuple(int(size) for size in text.split(",") if size)


def _channels(shape: tuple[int, ...]) -> int:
    """The second axis of images, the last one of everything else."""
    return shape[1] if len(shape) == 4 else shape[-1] if shape else 1
