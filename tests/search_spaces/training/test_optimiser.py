"""The optimisers of weights beside torch's, and the process that they run in."""

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.training.optimiser import Adam, Lion, Optimiser, Sgd

TORCH = {
    "sgd": (Sgd, {}, torch.optim.SGD, {}),
    "momentum": (Sgd, {"momentum": 0.9}, torch.optim.SGD, {"momentum": 0.9, "nesterov": True}),
    "adam": (Adam, {"betas": (0.5, 0.9)}, torch.optim.Adam, {"betas": (0.5, 0.9)}),
    "adamw": (Adam, {"decoupled": True}, torch.optim.AdamW, {}),
}


@pytest.mark.parametrize("name", TORCH)
def test_steps_are_those_of_torch(name: str) -> None:
    """Two groups, rates that change, and a tensor that gets its first gradient late."""
    kind, options, reference, reference_options = TORCH[name]
    generator = torch.Generator().manual_seed(0)
    values = [torch.randn(shape, generator=generator) for shape in ((3, 4), (5,), (2, 2))]

    def groups() -> list[dict[str, Any]]:
        first, *others = [torch.nn.Parameter(value.clone()) for value in values]
        return [{"params": [first], "weight_decay": 0.1}, {"params": others, "weight_decay": 0.0}]

    own: Optimiser = kind(groups(), 0.1, **options)
    theirs = reference(groups(), lr=0.1, foreach=False, **reference_options)
    for step in range(5):
        for group, other in zip(own.param_groups, theirs.param_groups, strict=True):
            group["lr"] = other["lr"] = 0.1 / (step + 1)
            for place, (tensor, copy) in enumerate(zip(group["params"], other["params"], strict=True)):
                if step >= 2 * place:
                    tensor.grad = torch.randn(tensor.shape, generator=generator)
                    copy.grad = tensor.grad.clone()
        own.step()
        theirs.step()
        for group, other in zip(own.param_groups, theirs.param_groups, strict=True):
            torch.testing.assert_close(group["params"], other["params"], rtol=1e-5, atol=1e-6)
    own.zero_grad()
    assert all(tensor.grad is None for group in own.param_groups for tensor in group["params"])


def test_lion_takes_the_steps_of_the_paper() -> None:
    """Algorithm 2 of arXiv 2302.06675, written out for a few steps."""
    rng = np.random.default_rng(0)
    weight, momentum, rate, decay = rng.standard_normal(5), np.zeros(5), 0.01, 0.1
    parameter = torch.nn.Parameter(torch.from_numpy(weight.copy()))
    optimiser = Lion([{"params": [parameter], "weight_decay": decay}], lr=rate, betas=(0.9, 0.99))
    for _ in range(6):
        gradient = rng.standard_normal(5)
        parameter.grad = torch.from_numpy(gradient.copy())
        optimiser.step()
        update = np.sign(0.9 * momentum + (1 - 0.9) * gradient)
        momentum = 0.99 * momentum + (1 - 0.99) * gradient
        weight = weight - rate * (update + decay * weight)
        np.testing.assert_allclose(parameter.detach().numpy(), weight, rtol=1e-12)
    np.testing.assert_allclose(optimiser.state[parameter]["exp_avg"].numpy(), momentum, rtol=1e-12)


TRAIN = """
import sys
import numpy as np
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import SupernetTrainer
space = MobileNetV3(resolutions=[8], widths=[8], strides=[1], activations=["relu"], squeeze_excite=[False],
                    depths=[1], stem_width=8, final_width=8, feature_width=8)
rng = np.random.default_rng(0)
images, labels = rng.normal(size=(16, 3, 8, 8)).astype(np.float32), rng.integers(0, 10, 16)
SupernetTrainer(space, TrainingSettings(epochs=1, warmup_epochs=0, batch_size=8), images, labels).train_epoch()
assert "torch._dynamo" not in sys.modules
"""


def test_training_leaves_the_compiler_of_torch_alone() -> None:
    """Nothing is compiled, and importing it takes longer than a short training."""
    subprocess.run([sys.executable, "-c", TRAIN], check=True)
