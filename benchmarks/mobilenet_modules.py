"""The elastic MobileNetV3's networks as ordinary torch modules: the peer that the graph interpreter is held against.

Written by hand from the paper's description, without the graph. Modules carry the names of the space's parameters,
so that a subnet's tensors load with `load_state_dict`.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn


def _divisible(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * channels else rounded


def _act(kind: str) -> nn.Module:
    return nn.ReLU(inplace=True) if kind == "relu" else nn.Hardswish(inplace=True)


class ConvNorm(nn.Module):
    """Convolution, batch norm, activation."""

    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, groups: int, act: str | None) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outputs)
        self.act = None if act is None else _act(act)

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, outputs, H', W')."""
        x = self.bn(self.conv(x))
        return x if self.act is None else self.act(x)


class Gate(nn.Module):
    """Squeeze and excitation."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        reduced = _divisible(channels // 4)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.reduce = nn.Conv2d(channels, reduced, 1)
        self.relu = nn.ReLU(inplace=True)
        self.expand = nn.Conv2d(reduced, channels, 1)
        self.sigmoid = nn.Hardsigmoid(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H, W)."""
        return x * self.sigmoid(self.expand(self.relu(self.reduce(self.pool(x)))))


class Block(nn.Module):
    """Inverted residual."""

    def __init__(
        self, inputs: int, width: int, kernel: int, expansion: float, stride: int, act: str, gate: bool
    ) -> None:
        super().__init__()
        inner = _divisible(round(inputs * expansion))
        self.expand = ConvNorm(inputs, inner, 1, 1, 1, act) if expansion != 1 else None
        self.depthwise = ConvNorm(inner, inner, kernel, stride, inner, act)
        self.gate = Gate(inner) if gate else None
        self.project = ConvNorm(inner, width, 1, 1, 1, None)
        self.shortcut = stride == 1 and inputs == width

    def forward(self, x: Tensor) -> Tensor:
        """(N, inputs, H, W) -> (N, width, H', W')."""
        y = x if self.expand is None else self.expand(x)
        y = self.depthwise(y)
        if self.gate is not None:
            y = self.gate(y)
        y = self.project(y)
        return y + x if self.shortcut else y


class MobileNet(nn.Module):
    """One network of the space.

    Args:
        settings: of `search_spaces.families.mobilenet_v3.MobileNetV3`.
        choices: decision name to option.
    """

    def __init__(self, settings: Mapping[str, Any], choices: Mapping[str, Any]) -> None:
        super().__init__()
        scale = settings["width_multiplier"]
        stem = _divisible(settings["stem_width"] * scale)
        self.stem = ConvNorm(settings["channels"], stem, 3, settings["stem_stride"], 1, "h_swish")
        self.first = Block(stem, stem, 3, 1, 1, "relu", False)
        inputs, deepest = stem, max(settings["depths"])
        for stage, width in enumerate(settings["widths"]):
            blocks = nn.Module()
            for layer in range(choices[f"depth{stage}"]):
                column = stage * deepest + layer
                block = Block(
                    inputs,
                    _divisible(width * scale),
                    choices[f"kernel{column}"],
                    choices[f"expand{column}"],
                    settings["strides"][stage] if layer == 0 else 1,
                    settings["activations"][stage],
                    settings["squeeze_excite"][stage],
                )
                blocks.add_module(f"block{layer}", block)
                inputs = _divisible(width * scale)
            self.add_module(f"stage{stage}", blocks)
        self.stages = len(settings["widths"])
        final, features = _divisible(settings["final_width"] * scale), _divisible(settings["feature_width"] * scale)
        self.final = ConvNorm(inputs, final, 1, 1, 1, "h_swish")
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.feature = nn.Linear(final, features, bias=False)
        self.feature_act = nn.Hardswish(inplace=True)
        self.logits = nn.Linear(features, settings["classes"])

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, classes)."""
        x = self.first(self.stem(x))
        for stage in range(self.stages):
            for block in self.get_submodule(f"stage{stage}").children():
                x = block(x)
        x = torch.flatten(self.pool(self.final(x)), 1)
        return self.logits(self.feature_act(self.feature(x)))
