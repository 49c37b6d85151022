"""Pooling under torch with ONNX's semantics: uneven pads, dilated averages, windows that reach over the edge."""

import math
import operator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.graph import Node
from search_spaces.interpreter.torch_inputs import Function, Values, refuse, shape_of, torch_padding

_MAX_POOL = {1: functional.max_pool1d, 2: functional.max_pool2d, 3: functional.max_pool3d}
_AVERAGE_POOL = {1: functional.avg_pool1d, 2: functional.avg_pool2d, 3: functional.avg_pool3d}


class _Window:
    """The sliding window of a pooling node, ready for torch.

    `padding` is ONNX's own; `overhang` is what `ceil_mode` lets the last window reach beyond it. Torch pads
    symmetrically and by at most half a window; whatever else there is (`explicit`) is padded beforehand.
    """

    def __init__(self, node: Node, shape: tuple[int, ...]) -> None:
        refuse(node, "auto_pad", "storage_order")
        attributes, rank = node.attributes, len(shape) - 2
        self.rank = rank
        self.kernel = list(attributes["kernel_shape"])
        self.strides = list(attributes.get("strides") or [1] * rank)
        self.dilations = list(attributes.get("dilations") or [1] * rank)
        pads = list(attributes.get("pads") or [0] * (2 * rank))
        self.begins = pads[:rank]
        self.padding = torch_padding(pads)
        self.overhang = [0] * (2 * rank)
        if attributes.get("ceil_mode", 0):
            for axis in range(rank):
                reach = (
                    shape[2 + axis] + pads[axis] + pads[rank + axis] - self.dilations[axis] * (self.kernel[axis] - 1)
                )
                self.overhang[2 * (rank - 1 - axis) + 1] = -(reach - 1) % self.strides[axis]
        halves = [size // 2 for size in self.kernel]
        self.explicit = self.begins != pads[rank:] or any(self.overhang) or any(map(operator.gt, self.begins, halves))


def max_pool(node: Node, values: Values) -> tuple[Function, int]:
    """`MaxPool` with one output."""
    w = _Window(node, shape_of(values))
    pool, zeros = _MAX_POOL[w.rank], [0] * w.rank
    if not w.explicit:
        return partial(_pool_max, pool, w.kernel, w.strides, w.begins, w.dilations), 1
    padding = [a + b for a, b in zip(w.padding, w.overhang, strict=True)]
    inner = partial(_pool_max, pool, w.kernel, w.strides, zeros, w.dilations)
    return lambda x: inner(functional.pad(x, padding, value=-math.inf)), 1


def _pool_max(
    pool: Function, kernel: list[int], strides: list[int], pads: list[int], dilations: list[int], x: Tensor
) -> Any:
    return pool(x, kernel, strides, pads, dilations)


def average_pool(node: Node, values: Values) -> tuple[Function, int]:
    """`AveragePool`; padding counts only where `count_include_pad` says so, what `ceil_mode` adds never does."""
    w = _Window(node, shape_of(values))
    pool, counted = _AVERAGE_POOL[w.rank], bool(node.attributes.get("count_include_pad", 0))
    if not w.explicit and set(w.dilations) == {1}:
        return lambda x: pool(x, w.kernel, w.strides, w.begins, False, counted), 1

    def mean(x: Tensor) -> Tensor:
        """Sums over windows, divided by how many of their entries count."""
        ones = torch.ones_like(x[:1, :1])
        ones = functional.pad(functional.pad(ones, w.padding, value=float(counted)), w.overhang)
        padded = functional.pad(functional.pad(x, w.padding), w.overhang)
        return _window_sums(padded, w) / _window_sums(ones, w)

    return mean, 1


def _window_sums(x: Tensor, w: _Window) -> Tensor:
    rank, channels = w.rank, x.shape[1]
    kernel = x.new_ones((channels, 1, *w.kernel))
    return torch.convolution(x, kernel, None, w.strides, [0] * rank, w.dilations, False, [0] * rank, channels)
