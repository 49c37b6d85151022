"""Networks together with settings of what runs them."""

import numpy as np
import pytest

from search_spaces.decision import Decision
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.joint_space import JointSpace

NETWORKS = MobileNetV3(
    resolutions=(8,),
    widths=(8, 16),
    strides=(1, 2),
    activations=("relu", "h_swish"),
    squeeze_excite=(False, True),
    depths=(1, 2),
    expansions=(2, 3),
    kernels=(3, 5),
)
SETTINGS = [Decision("npu.rows", (16, 8, 32)), Decision("npu.dataflow", ("weight_stationary", "input_stationary"))]


@pytest.fixture(scope="module")
def space() -> JointSpace:
    """The networks with two settings of an accelerator."""
    return JointSpace(NETWORKS, SETTINGS)


def test_both_parts_are_decided(space: JointSpace) -> None:
    """A genotype says which network and which settings; its network is that of the space of networks."""
    rows = space.sample(40, np.random.default_rng(0))
    assert {space.chosen(row)["npu.rows"] for row in rows} == {8, 16, 32}
    for row in rows[:5]:
        network = space.network(row)
        assert NETWORKS.key(network) == NETWORKS.key(network, space.graph(row))
        assert space.choices(row) == NETWORKS.choices(network) | space.chosen(row)
        assert (space.genotype(space.choices(row)) == row).all()


def test_costs_are_those_of_the_networks(space: JointSpace) -> None:
    """Static costs do not depend on the settings."""
    rows = space.sample(20, np.random.default_rng(1))
    mine, theirs = space.costs(rows), NETWORKS.costs(rows[:, : len(NETWORKS.decisions)])
    assert all((mine[metric] == theirs[metric]).all() for metric in theirs)


def test_identity_has_both_parts(space: JointSpace) -> None:
    """The same network under other settings is another architecture, and the key is stable."""
    row = space.sample(1, np.random.default_rng(2))[0]
    other = row.copy()
    other[-1] = 1 - other[-1]
    assert space.key(row) == space.key(row, space.graph(row)) == JointSpace(NETWORKS, SETTINGS).key(row)
    assert len(space.key(row)) == 64
    assert len({space.key(row), space.key(other), NETWORKS.key(space.network(row))}) == 3


def test_extremes(space: JointSpace) -> None:
    """The largest network with the largest numbers, the smallest with the smallest; words at their first."""
    assert space.chosen(space.largest()) == {"npu.rows": 32, "npu.dataflow": "weight_stationary"}
    assert space.chosen(space.smallest()) == {"npu.rows": 8, "npu.dataflow": "weight_stationary"}
    assert (space.network(space.largest()) == NETWORKS.largest()).all()
    held = np.full(len(space.decisions), -1, np.int16)
    held[-1] = 1
    assert space.chosen(space.extreme(largest=True, held=held))["npu.dataflow"] == "input_stationary"
