"""Depthwise convolution with a fast gradient of its kernel on CPUs.

oneDNN computes that gradient slowly for kernels larger than 3: 20 times the forward pass and more, which is most of
the time of a training step. It is a convolution itself, one small plane by one small plane: with every channel of
every sample as a group of its own, the output's gradient is the kernel that slides over the input.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

Pair = list[int]


class DepthwiseConvolution(torch.autograd.Function):
    """`apply(x, weight, strides, pads)`: (N, C, H, W) by (C, 1, kH, kW) -> (N, C, H', W')."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, strides: Pair, pads: Pair) -> Tensor:
        """Convolve, and keep what the gradients need."""
        ctx.save_for_backward(x, weight)
        ctx.strides, ctx.pads = strides, pads
        return torch.convolution(x, weight, None, strides, pads, [1, 1], False, [0, 0], x.shape[1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        """Gradients of input and kernel, themselves differentiable."""
        x, weight = ctx.saved_tensors
        need_x, need_weight, *_ = ctx.needs_input_grad
        for_x = for_weight = None
        if need_x:
            for_x, *_ = torch.ops.aten.convolution_backward(
                gradients[0], x, weight, None, ctx.strides, ctx.pads, [1, 1], False, [0, 0], x.shape[1],
                [True, False, False],
            )  # fmt: skip
        if need_weight:
            for_weight = _kernel_gradient(x, gradients[0], list(weight.shape[2:]), ctx.strides, ctx.pads)
        return for_x, for_weight, None, None


def gains(x: Tensor, kernel: Pair) -> bool:
    """Whether the function above beats torch's own: on CPUs, for large kernels and for planes smaller than one.

    With channels last, oneDNN's own is better than with channels first, and only small planes are worth the change
    of layout.
    """
    size, plane = max(kernel), min(x.shape[2:])
    if x.is_cuda or (size <= 3 and plane >= size):
        return False
    return plane <= 8 or size > 5 or x.is_contiguous()


def _kernel_gradient(x: Tensor, gradient: Tensor, kernel: Pair, strides: Pair, pads: Pair) -> Tensor:
    n, channels, height, width = x.shape
    # where an image is small, the outer taps of a kernel only ever see padding
    idle = [
        max(0, pad - size + 1) if 2 * pad + 1 == k else 0
        for k, pad, size in zip(kernel, pads, x.shape[2:], strict=True)
    ]
    planes = torch.convolution(
        x.reshape(1, n * channels, height, width),
        gradient.reshape(n * channels, 1, *gradient.shape[2:]),
        None, [1, 1], [pad - unused for pad, unused in zip(pads, idle, strict=True)], strides, False, [0, 0],
        n * channels,
    )  # fmt: skip
    taps = [k - 2 * unused for k, unused in zip(kernel, idle, strict=True)]
    total = planes.view(n, channels, *planes.shape[2:]).sum(0)[:, None, : taps[0], : taps[1]]
    return functional.pad(total, [idle[1], idle[1], idle[0], idle[0]]) if any(idle) else total
