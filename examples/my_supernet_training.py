"""Stands for whatever trained your supernet: writes the weights that examples/my_supernet.yaml searches in.

python examples/my_supernet_training.py
"""

import numpy as np
import torch
from my_supernet import MySupernet
from safetensors.torch import save_model
from torch.nn import functional

from nas.datasets.load import load_dataset

torch.manual_seed(0)
rng, space, data = np.random.default_rng(0), MySupernet(), load_dataset("digits").train
optimiser = torch.optim.Adam(space.net.parameters(), 3e-3)
for _ in range(600):
    rows = rng.integers(0, len(data), 128)
    optimiser.zero_grad()
    logits = space.module(space.sample(1, rng)[0])(torch.from_numpy(data.inputs(rows)))
    functional.cross_entropy(logits, torch.from_numpy(data.labels[rows])).backward()
    optimiser.step()
save_model(space.net, "my_supernet.safetensors")
