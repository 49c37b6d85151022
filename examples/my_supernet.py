"""A PyTorch supernet of your own, trained elsewhere: nas run examples/my_supernet.yaml --allow-code."""

import torch
from safetensors.torch import load_model
from torch.nn import Conv2d, Linear, Module, ModuleList, functional

from search_spaces.decision import Decision
from search_spaces.module_space import ModuleSpace


class Slim(Module):
    """The first `depth` convolutions, of each the first `width` channels."""

    def __init__(self, layers: ModuleList, width: int, depth: int) -> None:
        super().__init__()
        self.layers, self.width, self.depth = layers, width, depth

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits (N, 10) of images (N, 1, 8, 8)."""
        for conv in self.layers[1 : self.depth + 1]:
            x = functional.conv2d(x, conv.weight[: self.width, : x.shape[1]], conv.bias[: self.width], padding=1).relu()
        return functional.linear(x.amax((2, 3)), self.layers[0].weight[:, : self.width], self.layers[0].bias)


class MySupernet(ModuleSpace):
    """Convolutions, elastic in width and depth; `weights` is a safetensors file."""

    name, shape, input_name = "my_supernet", (1, 1, 8, 8), "image"

    def __init__(self, weights: str = "") -> None:
        super().__init__((Decision("width", (16, 24, 32, 48)), Decision("depth", (1, 2, 3))), {"weights": weights})
        self.net = ModuleList([Linear(48, 10), *(Conv2d(48 if i else 1, 48, 3) for i in range(3))])
        if weights:
            load_model(self.net, weights)

    def build(self, choices: dict[str, int]) -> Module:
        """The network of some choices."""
        return Slim(self.net, choices["width"], choices["depth"])
