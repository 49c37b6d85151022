"""Smaller convolution kernels as learned linear maps of larger ones (Cai et al., Once-for-All, arXiv 1908.09791).

A kernel of 5x5 inside one of 7x7 is the centre of that, multiplied by a 25x25 matrix that all channels of the layer
share; one of 3x3 is the centre of that 5x5 kernel, multiplied by a 9x9 matrix, and so on. The matrices begin as the
identity, so that at first a smaller kernel is the plain centre.
"""

import math
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor
from torch.nn import functional

from search_spaces.graph import Shape

Chain = tuple[tuple[str, Shape], ...]


def matrix_name(kernel: str, size: Shape) -> str:
    """Name of the matrix that makes a kernel of this spatial size, such as `stem.conv.weight@3x3`."""
    return f"{kernel}@{'x'.join(map(str, size))}"


def first_matrix(size: Shape) -> Tensor:
    """The identity, (k, k) for a kernel of k taps."""
    return torch.eye(math.prod(size))


def chains(kernel: str, full: Shape, sizes: Iterable[Shape]) -> dict[Shape, Chain]:
    """For each spatial size smaller than the `full` one, the matrices that lead there, the largest first.

    Each size is made of the smallest one that it lies in.
    """
    found: dict[Shape, Chain] = {full: ()}
    for size in sorted(sizes, key=_taps, reverse=True):
        if size not in found:
            around = min((known for known in found if _inside(size, known)), key=_taps)
            found[size] = (*found[around], (matrix_name(kernel, size), size))
    return {size: chain for size, chain in found.items() if chain}


def transform(kernel: Tensor, chain: Chain, matrices: Mapping[str, Tensor]) -> Tensor:
    """The kernel (C, C', *size) at the end of a chain, from one (C, C', *larger)."""
    for name, size in chain:
        flat = functional.linear(_centre(kernel, size).flatten(2), matrices[name])
        kernel = flat.view(*kernel.shape[:2], *size)
    return kernel


def _taps(size: Shape) -> tuple[int, Shape]:
    return math.prod(size), size


def _inside(size: Shape, other: Shape) -> bool:
    return all(mine <= theirs for mine, theirs in zip(size, other, strict=True))


def _centre(kernel: Tensor, size: Shape) -> Tensor:
    for axis, length in enumerate(size, 2):
        kernel = kernel.narrow(axis, (kernel.shape[axis] - length) // 2, length)
    return kernel
