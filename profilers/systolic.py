"""A systolic array with three buffers, in closed form."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

from profilers.analytic import (
    BUFFER_PJ_PER_BYTE,
    DRAM_PJ_PER_BYTE,
    AnalyticDevice,
    choice_problems,
    count_problems,
    number_problems,
    shared_problems,
)
from profilers.device import Fact
from profilers.errors import DeviceRefused
from profilers.layers import Layer, Product

DATAFLOWS = {
    "output_stationary": ("input", "weight", "output"),
    "weight_stationary": ("input", "output", "weight"),
    "input_stationary": ("weight", "output", "input"),
}
"""Dataflow -> what streams along the rows, what streams along the columns, and what stays in the array."""

MAX_SIDE = 65_536


class Mapping(NamedTuple):
    """How the products of a layer lie on the array: `spatial_rows` by `spatial_columns`, for `time` steps."""

    spatial_rows: int
    spatial_columns: int
    time: int
    row_folds: int
    column_folds: int

    @property
    def folds(self) -> int:
        """How often the array is filled."""
        return self.row_folds * self.column_folds


@dataclass(frozen=True, slots=True, kw_only=True)
class SystolicDevice(AnalyticDevice):
    """An array of `rows` by `columns` multipliers, and `vector_lanes` for operators that do not multiply.

    The array is SCALE-Sim's (Samajdar et al., arXiv 1811.02883, and its equations in A Systematic Methodology for
    Characterizing Scalability of DNN Accelerators using SCALE-Sim, ISPASS 2020). Layers run one after the other.

    **Cycles.** A product of (m, k) and (k, n) has spatial rows, spatial columns and time S_R, S_C, T = m, n, k when the
    output is stationary, k, n, m when the weight is, k, m, n when the input is. It is cut into folds of the array, and

        cycles = groups * (2 * rows + columns + T - 2) * ceil(S_R / rows) * ceil(S_C / columns)

    Groups follow each other, so a depthwise convolution fills one row or column of the array. Another operator takes
    operations / vector_lanes cycles.

    **Memory.** Half of each buffer holds what the array works on while the other half is filled, so computing and
    moving overlap: latency = max(cycles / clock, DRAM bytes / bandwidth) + overhead. What stays in the array passes
    DRAM once. What streams along the columns passes once for all row folds if what one column fold reads of it fits
    into its half, and once for each row fold otherwise; what streams along the rows likewise once or for each column
    fold, but it must fit as a whole, because the column folds are the outer loop. Sums that do not fit are read back
    and written again. With the row folds outside it is the other way round; the order that moves less is taken. An
    input of a convolution counts with its own size and not that of its im2col matrix. Nothing stays on the chip from
    layer to layer.

    **Energy** is that of `AnalyticDevice`; a buffer is accessed for each value that enters or leaves the array in each
    fold, and once for each byte from or to DRAM.

    Attributes:
        name: what a job calls the device.
        rows: of the array.
        columns: of the array.
        clock_mhz: one multiply-add of each multiplier in a cycle.
        dataflow: a key of `DATAFLOWS`.
        input_buffer_kib: holds inputs, in KiB.
        weight_buffer_kib: holds weights, or the right-hand matrix of a product of activations.
        output_buffer_kib: holds outputs and partial sums.
        bandwidth_gb_s: of DRAM, in 10^9 bytes per second.
        bytes_per_value: 1, 2 or 4; every weight, activation and partial sum takes as many. It changes no accuracy.
        vector_lanes: operations in a cycle; as many as columns if not given.
        overhead_us_per_op: added to each layer.
        energy_pj_per_mac: `analytic.MAC_PJ` of `bytes_per_value` if not given.
        buffer_pj_per_byte: energy of an access to a buffer.
        dram_pj_per_byte: energy of an access to DRAM.
        static_mw: power that is drawn all the time.
        batch: samples in one run; the size of the model's symbolic first axis.

    Raises:
        DeviceRefused: every problem is listed.
    """

    kind: ClassVar[str] = "systolic"
    searched: ClassVar[tuple[str, ...]] = (
        *("rows", "columns", "clock_mhz", "dataflow", "input_buffer_kib", "weight_buffer_kib", "output_buffer_kib"),
        *("bandwidth_gb_s", "bytes_per_value", "vector_lanes", "overhead_us_per_op", "energy_pj_per_mac"),
        *("buffer_pj_per_byte", "dram_pj_per_byte", "static_mw"),
    )

    name: str = "npu"
    rows: int
    columns: int
    clock_mhz: float
    dataflow: str = "weight_stationary"
    input_buffer_kib: float
    weight_buffer_kib: float
    output_buffer_kib: float
    bandwidth_gb_s: float
    bytes_per_value: int = 1
    vector_lanes: int | None = None
    overhead_us_per_op: float = 0.0
    energy_pj_per_mac: float | None = None
    buffer_pj_per_byte: float = BUFFER_PJ_PER_BYTE
    dram_pj_per_byte: float = DRAM_PJ_PER_BYTE
    static_mw: float = 0.0
    batch: int = 1

    def __post_init__(self) -> None:
        if problems := _problems(self) or list(_small_buffers(self)):
            raise DeviceRefused(problems)

    @property
    def lanes(self) -> int:
        """Operations of the vector unit in a cycle."""
        return self.columns if self.vector_lanes is None else self.vector_lanes

    @property
    def macs_per_s(self) -> float:
        """Every multiplier in every cycle."""
        return self.rows * self.columns * self.clock_mhz * 1e6

    @property
    def description(self) -> dict[str, Fact]:
        """All settings and the version of the formulas, as a JSON object."""
        return {**self.settings, "vector_lanes": self.lanes}

    def mapping(self, product: Product) -> Mapping:
        """How one group of a product lies on the array."""
        m, k, n = product.m, product.k, product.n
        spatial_rows, spatial_columns, time = {
            "output_stationary": (m, n, k),
            "weight_stationary": (k, n, m),
            "input_stationary": (k, m, n),
        }[self.dataflow]
        folds = -(-spatial_rows // self.rows), -(-spatial_columns // self.columns)
        return Mapping(spatial_rows, spatial_columns, time, *folds)

    def cycles(self, layer: Layer) -> int:
        """Cycles of a layer when nothing waits for memory."""
        if layer.product is None:
            return -(-layer.operations // self.lanes)
        placed = self.mapping(layer.product)
        return layer.product.groups * (2 * self.rows + self.columns + placed.time - 2) * placed.folds

    def dram_bytes(self, layer: Layer) -> int:
        """Bytes that a layer reads from DRAM and writes to it."""
        if layer.product is None or not layer.product.groups:
            return layer.values * self.bytes_per_value
        placed, groups = self.mapping(layer.product), layer.product.groups
        values = {"input": layer.input_values, "weight": layer.weight_values, "output": layer.output_values}
        sizes = {what: count * self.bytes_per_value for what, count in values.items()}
        along_rows, along_columns, stationary = DATAFLOWS[self.dataflow]
        step = placed.time * self.bytes_per_value
        # One group after the other is held; all of them are moved.
        rows_whole, columns_whole = sizes[along_rows] / groups, sizes[along_columns] / groups
        rows_slab = min(rows_whole, min(self.rows, placed.spatial_rows) * step)
        columns_slab = min(columns_whole, min(self.columns, placed.spatial_columns) * step)

        def moved(what: str, held: float, folds: int) -> int:
            passes = 1 if held <= getattr(self, f"{what}_buffer_kib") * 512 else folds
            return sizes[what] * (2 * passes - 1 if what == "output" else passes)

        columns_outside = moved(along_columns, columns_slab, placed.row_folds)
        columns_outside += moved(along_rows, rows_whole, placed.column_folds)
        rows_outside = moved(along_rows, rows_slab, placed.column_folds)
        rows_outside += moved(along_columns, columns_whole, placed.row_folds)
        return sizes[stationary] + min(columns_outside, rows_outside)

    def buffer_values(self, layer: Layer) -> int:
        """Values that enter or leave the array or the vector unit, so each is an access to a buffer."""
        if layer.product is None:
            return layer.values
        placed = self.mapping(layer.product)
        along_rows = placed.spatial_rows * placed.time * placed.column_folds
        along_columns = placed.spatial_columns * placed.time * placed.row_folds
        if DATAFLOWS[self.dataflow][1] == "output":  # sums of earlier folds are read back
            along_columns += placed.spatial_columns * placed.time * (placed.row_folds - 1)
        return layer.product.groups * (along_rows + along_columns + placed.spatial_rows * placed.spatial_columns)

    def compute_s(self, layer: Layer) -> float:
        """Seconds of a layer when nothing waits for memory."""
        return self.cycles(layer) / (self.clock_mhz * 1e6)

    def buffer_pj(self, layer: Layer) -> float:
        """Energy of a layer's accesses to the buffers, in pJ."""
        accesses = self.buffer_values(layer) * self.bytes_per_value + self.dram_bytes(layer)
        return accesses * self.buffer_pj_per_byte


def _problems(device: SystolicDevice) -> list[str]:
    """Everything that is wrong with a single field."""
    problems = [
        *shared_problems(device),
        *count_problems("rows", device.rows, MAX_SIDE),
        *count_problems("columns", device.columns, MAX_SIDE),
        *choice_problems("dataflow", device.dataflow, tuple(DATAFLOWS)),
        *number_problems("buffer_pj_per_byte", device.buffer_pj_per_byte, zero=True),
    ]
    if device.vector_lanes is not None:
        problems += count_problems("vector_lanes", device.vector_lanes, MAX_SIDE)
    for key in ("clock_mhz", "input_buffer_kib", "weight_buffer_kib", "output_buffer_kib"):
        problems += number_problems(key, getattr(device, key))
    return problems


def _small_buffers(device: SystolicDevice) -> Iterator[str]:
    """Buffers whose half does not hold what the array takes at once: a full array, or a value a row or column."""
    rows, columns = device.rows, device.columns
    taken = ((rows, f"{rows} rows"), (columns, f"{columns} columns"), (rows * columns, f"{rows} x {columns} values"))
    for what, (values, shown) in zip(DATAFLOWS[device.dataflow], taken, strict=True):
        key = f"{what}_buffer_kib"
        least = 2 * values * device.bytes_per_value / 1024
        if getattr(device, key) < least:
            yield (
                f"{key} must be at least {least:g}, twice {shown} of {device.bytes_per_value} bytes, to hold one tile "
                f"and the next with dataflow {device.dataflow} (got {getattr(device, key)!r})"
            )
