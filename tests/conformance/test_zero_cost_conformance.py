"""What every zero-cost score must do; runs over the registry."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.families.transformer_lm import TransformerLM
from search_spaces.graph import Graph
from search_spaces.zero_cost.needs import NEEDS
from search_spaces.zero_cost.network import Batch
from search_spaces.zero_cost.registry import ZERO_COST, zero_cost_score
from search_spaces.zero_cost.scoring import Scored, zero_cost_scores

pytestmark = pytest.mark.parametrize("name", ZERO_COST)

SMALL = NasBench201(resolution=8, cells=1, widths=(4, 8))
DEAD = [0, 0, 0, 0, 0, 0]
LIVE = [3, 1, 2, 3, 0, 4]


def cell(row: list[int]) -> Graph:
    """A small network of cells."""
    return SMALL.graph(np.array(row, np.int16))


def block() -> Graph:
    """A small network with depthwise convolutions, squeeze-and-excitation and hard swish."""
    space = MobileNetV3(
        resolutions=[8], widths=[8, 16], strides=[1, 2], stem_stride=1, activations=["relu", "h_swish"],
        squeeze_excite=[False, True], depths=[1, 2], expansions=[2, 3], stem_width=8, final_width=32, feature_width=32,
        channels=3,
    )  # fmt: skip
    return space.graph(space.largest())


def images(n: int = 8, size: int = 8, seed: int = 0) -> Batch:
    """Random images with random labels."""
    generator = torch.Generator().manual_seed(seed)
    return Batch(torch.randn(n, 3, size, size, generator=generator), torch.randint(0, 10, (n,), generator=generator))


def scored(name: str, graph: Graph, batch: Batch | None = None, seed: int = 0) -> Scored:
    """One score of one network."""
    return zero_cost_scores(graph, [name], images() if batch is None else batch, seed)[name]


@pytest.mark.parametrize("make", [lambda: cell(LIVE), block], ids=["cell", "block"])
def test_a_number_for_any_graph(name: str, make: Callable[[], Graph]) -> None:
    """Cells and blocks of depthwise convolutions alike, with the seconds that it took."""
    found = scored(name, make())
    assert found.cause is None
    assert math.isfinite(found.value)
    assert 0 < found.seconds < 60


def test_same_seed_same_value(name: str) -> None:
    """The value is that of the seed, in float32 to the last bit, and another seed draws other weights."""
    first, second = (scored(name, cell(LIVE), seed=3).value for _ in range(2))
    assert first == second
    if name not in ("params", "macs"):
        assert scored(name, cell(LIVE), seed=4).value != first


def test_other_scores_beside_it_change_nothing(name: str) -> None:
    """Scores that are asked for together are those that are asked for alone."""
    together = zero_cost_scores(cell(LIVE), list(ZERO_COST), images(), 0)
    assert together[name].value == scored(name, cell(LIVE)).value


def test_a_network_without_a_path_has_a_value_or_a_cause(name: str) -> None:
    """Nothing reaches the output of a cell of zeros: what then has no value says why, and nothing is raised."""
    found = scored(name, cell(DEAD))
    assert math.isnan(found.value) == (found.cause is not None)
    if name in ("naswot", "jacov", "zen"):
        assert found.cause


def test_images_of_another_size_are_resized(name: str) -> None:
    """The network takes 8x8 pixels, the data have 12x12."""
    assert math.isfinite(scored(name, cell(LIVE), images(size=12)).value)


def test_tokens_have_a_value_or_a_cause(name: str) -> None:
    """A language model is scored, or it is said why it is not."""
    space = TransformerLM(vocabulary=11, length=8, window=4, chunk=4)
    tokens = torch.randint(0, 11, (4, 8), generator=torch.Generator().manual_seed(0))
    found = scored(name, space.graph(space.smallest()), Batch(tokens, tokens.roll(-1, 1)))
    assert math.isnan(found.value) == (found.cause is not None)
    if name in ("params", "macs", "snip", "grad_norm", "grasp", "zico", "synflow", "fisher"):
        assert found.cause is None, found.cause


def test_values_that_are_not_finite_are_missing(name: str) -> None:
    """Images that are not finite give no infinite score; what looks at no data is as before."""
    batch = images()
    batch.inputs[0] = math.inf
    found = scored(name, cell(LIVE), batch)
    assert math.isnan(found.value) == (found.cause is not None)
    assert (found.cause is None) == (NEEDS[name] == "nothing")


def test_data_are_asked_for(name: str) -> None:
    """A score that needs data says so before it begins; one that does not goes without."""
    if NEEDS[name] == "nothing":
        assert zero_cost_scores(cell(LIVE), [name], None, 0)[name].cause is None
        return
    with pytest.raises(ValueError, match=rf"{name}.*needs {NEEDS[name]}"):
        zero_cost_scores(cell(LIVE), [name], None, 0)
    with pytest.raises(ValueError, match=r"at least .* samples"):
        zero_cost_scores(cell(LIVE), [name], images(1), 0)


def test_says_what_it_is(name: str) -> None:
    """Each names its paper, and is listed where jobs are judged; an unknown one is told with those that there are."""
    import sys

    module = sys.modules[type(ZERO_COST[name]).__module__]
    assert "20" in (module.__doc__ or "")
    assert zero_cost_score(name).name == name
    assert list(NEEDS) == list(ZERO_COST)
    with pytest.raises(ValueError, match=rf"'{name}x'; known: synflow"):
        zero_cost_score(f"{name}x")
