"""NNI's DARTS on the cells of NAS-Bench-201, as a peer: its mixed layer, and the two steps of its loop.

NNI 3.0 is from 2023 and not among our dependencies; with recent versions of torch it imports with warnings:

    pip install --no-deps nni==3.0 pytorch-lightning lightning-utilities torchmetrics schema colorama json_tricks \
        prettytable cloudpickle responses typeguard==2.13.3
"""

import warnings
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional


class Zero(nn.Module):
    """No connection, as NNI's users write it."""

    def forward(self, x: Tensor) -> Tensor:
        """Zeros of the same shape."""
        return x * 0


def _conv(width: int, kernel: int) -> nn.Module:
    return nn.Sequential(
        nn.ReLU(), nn.Conv2d(width, width, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(width, affine=False)
    )


OPERATIONS: dict[str, Callable[[int], nn.Module]] = {
    "none": lambda width: Zero(),
    "skip_connect": lambda width: nn.Identity(),
    "nor_conv_1x1": lambda width: _conv(width, 1),
    "nor_conv_3x3": lambda width: _conv(width, 3),
    "avg_pool_3x3": lambda width: nn.AvgPool2d(3, 1, 1, count_include_pad=False),
}


class Cell(nn.Module):
    """A cell whose edges are NNI's mixed layers; all cells share the logits."""

    def __init__(self, width: int, alphas: Sequence[nn.Parameter], mixed: type[nn.Module]) -> None:
        super().__init__()
        softmax = nn.Softmax(-1)
        self.edges = nn.ModuleList(
            [
                mixed([make(width) for make in OPERATIONS.values()], alpha, softmax, f"edge{index}")
                for index, alpha in enumerate(alphas)
            ]
        )

    def forward(self, x: Tensor) -> Tensor:
        """Sums of edges, node by node."""
        nodes, edges = [x], iter(self.edges)
        for _ in range(3):
            nodes.append(torch.stack([next(edges)(node) for node in nodes]).sum(0))
        return nodes[-1]


class Network(nn.Module):
    """Stem, stages of cells with a residual reduction between them, and the classifier."""

    def __init__(
        self, alphas: Sequence[nn.Parameter], mixed: type[nn.Module], widths: Sequence[int], cells: int
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]))
        self.stages = nn.ModuleList()
        self.main, self.shortcut = nn.ModuleList(), nn.ModuleList()
        for before, width in zip((widths[0], *widths), widths, strict=False):
            self.stages.append(nn.Sequential(*[Cell(width, alphas, mixed) for _ in range(cells)]))
            halves = (nn.ReLU(), nn.Conv2d(before, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width))
            whole = (nn.ReLU(), nn.Conv2d(width, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
            self.main.append(nn.Sequential(*halves, *whole) if before != width else nn.Identity())
            self.shortcut.append(
                nn.Sequential(nn.AvgPool2d(2), nn.Conv2d(before, width, 1, bias=False)) if before != width else Zero()
            )
        self.head = nn.Sequential(nn.BatchNorm2d(widths[-1]), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.classifier = nn.Linear(widths[-1], 10)

    def forward(self, x: Tensor) -> Tensor:
        """Logits (N, 10)."""
        x = self.stem(x)
        for index, stage in enumerate(self.stages):
            x = stage(self.main[index](x) + self.shortcut[index](x) if index else x)
        return self.classifier(self.head(x))  # type: ignore[no-any-return]  # torch's call


def nni_round(
    widths: Sequence[int], cells: int, batches: Sequence[tuple[Tensor, Tensor]], device: str
) -> Callable[[], None]:
    """A round of NNI's DARTS: for each pair of batches a step of the logits and one of the weights.

    Raises:
        ImportError: NNI, or something that it needs, is not installed.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nni.mutable.frozen import frozen_context
        from nni.nas.oneshot.pytorch.supermodule.differentiable import DifferentiableMixedLayer

    torch.manual_seed(0)
    alphas = [nn.Parameter(1e-3 * torch.randn(len(OPERATIONS), device=device)) for _ in range(6)]
    with frozen_context(
        {f"edge{index}": 0 for index in range(len(alphas))}
    ):  # its layers ask for a choice to begin with
        network = Network(alphas, DifferentiableMixedLayer, widths, cells).to(device)
    own = {id(alpha) for alpha in alphas}
    weights = [value for value in network.parameters() if id(value) not in own]
    optimiser = torch.optim.SGD(weights, 0.025, 0.9, weight_decay=3e-4, nesterov=True)
    logits = torch.optim.Adam(alphas, 3e-3, (0.5, 0.999), weight_decay=1e-3)

    def run() -> None:
        for training, validation in zip(batches[::2], batches[1::2], strict=True):
            for which, (x, y) in ((logits, validation), (optimiser, training)):
                which.zero_grad()
                functional.cross_entropy(network(x), y).backward()
                if which is optimiser:
                    nn.utils.clip_grad_norm_(weights, 5.0)
                which.step()

    return run
