"""Small spaces and their peers, for the tests of supernets and training."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest
import torch

from search_spaces.families.mobilenet_v3 import MobileNetV3

MODULES = Path(__file__).parents[2] / "benchmarks" / "mobilenet_modules.py"


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks are slower on several threads, and far slower where other processes compute as well."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def small_space() -> MobileNetV3:
    """Two stages on 8 px grey images, or 6 px; networks of 10,000 parameters."""
    return MobileNetV3(
        classes=4,
        channels=1,
        resolutions=(6, 8),
        widths=(8, 16),
        strides=(1, 2),
        activations=("relu", "h_swish"),
        squeeze_excite=(False, True),
        depths=(1, 2),
        expansions=(2, 3),
        kernels=(3, 5),
        stem_width=8,
        stem_stride=1,
        final_width=32,
        feature_width=32,
    )


@pytest.fixture(scope="session")
def torch_modules() -> ModuleType:
    """The same networks as ordinary torch modules, written by hand beside the benchmark."""
    specification = importlib.util.spec_from_file_location("mobilenet_modules", MODULES)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
