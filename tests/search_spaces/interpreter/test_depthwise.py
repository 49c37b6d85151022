"""The fast kernel gradient, against torch's own and finite differences."""

import pytest
import torch
from torch.nn import functional

from search_spaces.interpreter.depthwise import DepthwiseConvolution, gains

SHAPES = [
    ((2, 3, 8, 8), (5, 5), 1),
    ((2, 3, 8, 7), (5, 5), 2),
    ((3, 4, 9, 6), (3, 5), 1),
    ((3, 4, 2, 2), (5, 5), 1),
    ((3, 4, 1, 3), (7, 7), 2),
    ((2, 2, 6, 6), (4, 4), 1),
]


@pytest.mark.parametrize("shape, kernel, stride", SHAPES)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_gradients_are_those_of_torch(
    shape: tuple[int, ...], kernel: tuple[int, int], stride: int, layout: torch.memory_format
) -> None:
    """Outputs and both gradients, also where the image is smaller than the kernel, in both layouts."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(shape, generator=generator).contiguous(memory_format=layout).requires_grad_()
    weight = torch.randn((shape[1], 1, *kernel), generator=generator, requires_grad=True)
    pads = [size // 2 for size in kernel]
    ours = DepthwiseConvolution.apply(x, weight, [stride, stride], pads)
    peer = functional.conv2d(x, weight, None, stride, pads, groups=shape[1])
    torch.testing.assert_close(ours, peer)
    upstream = torch.randn(peer.shape, generator=generator)
    for got, wanted in zip(
        torch.autograd.grad(ours, (x, weight), upstream),
        torch.autograd.grad(peer, (x, weight), upstream),
        strict=True,
    ):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_first_and_second_derivatives_by_finite_differences() -> None:
    """The function and its gradient are differentiable, in float64."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn((2, 2, 4, 3), generator=generator, dtype=torch.float64, requires_grad=True)
    weight = torch.randn((2, 1, 5, 5), generator=generator, dtype=torch.float64, requires_grad=True)

    def function(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return DepthwiseConvolution.apply(a, b, [1, 1], [2, 2])

    assert torch.autograd.gradcheck(function, (x, weight))
    assert torch.autograd.gradgradcheck(function, (x, weight))


def test_small_kernels_on_large_planes_are_left_to_torch() -> None:
    """It is used where it was measured to be faster."""
    assert not gains(torch.zeros(2, 4, 8, 8), [3, 3])
    assert gains(torch.zeros(2, 4, 8, 8), [5, 5])
    assert gains(torch.zeros(2, 4, 2, 2), [3, 3])
    large = torch.zeros(2, 4, 16, 16)
    assert gains(large, [5, 5])
    assert not gains(large.contiguous(memory_format=torch.channels_last), [5, 5])
