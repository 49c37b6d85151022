"""A training ends when even its best is worse than what is there, in all objectives, or breaks a bound."""

import pytest

from nas.jobspec.training import CurvesSpec
from nas.objectives import Objective
from nas.trials.prospects import Prospects

OBJECTIVES = [
    Objective(metric="accuracy", direction="max", bound=0.5),
    Objective(metric="macs", direction="min", bound=100),
]


@pytest.fixture
def prospects() -> Prospects:
    """Five trainings that halved their error in the second of two epochs; 0.9 at 50 MACs is the best of them."""
    found = Prospects(CurvesSpec(confidence=0.95, after=5), OBJECTIVES, samples=10**8)
    for error, macs in ((0.2, 50), (0.3, 60), (0.4, 40), (0.5, 45), (0.6, 20)):
        curve = {"epoch": [1, 2], "accuracy": [1 - error, 1 - error / 2], "loss": [1.0, 1.0]}
        found.add({"accuracy": 1 - error / 2, "macs": macs}, curve)
    return found


@pytest.mark.parametrize(
    ("accuracy", "macs", "why"),
    [
        (0.7, 55.0, "at best accuracy 0.85 to be expected (95%), and another is better in everything"),
        (0.7, 49.0, None),  # nobody has 0.85 with so few MACs
        (0.9, 99.0, None),  # it may come to 0.95
        (0.9, 101.0, "its macs breaks the bound"),
        (0.0, 10.0, None),  # 0.5 is allowed, and nobody is smaller
        (-0.2, 10.0, "at best accuracy 0.4 to be expected (95%), which breaks the bound"),
    ],
)
def test_who_goes_on(prospects: Prospects, accuracy: float, macs: float, why: str | None) -> None:
    """Worse in everything, or out of bounds, with what is known of the network."""
    result = {"epoch": 1, "accuracy": accuracy, "loss": 1.0}
    found = prospects.why_not({"macs": macs, "accuracy": 0.99}, result, 2)
    assert (found or "").startswith(why or "")
    assert (found is None) == (why is None)


def test_nothing_is_known_in_the_beginning() -> None:
    """But a bound that the network itself breaks."""
    fresh = Prospects(CurvesSpec(), OBJECTIVES, samples=100)
    result = {"epoch": 1, "accuracy": 0.1, "loss": 1.0}
    assert fresh.why_not({"macs": 50.0}, result, 2) is None
    assert fresh.why_not({"macs": 101.0}, result, 2) == "its macs breaks the bound"


def test_what_breaks_a_bound_is_better_than_nobody() -> None:
    """A network that is out of bounds does not stop others, though its curve is learned from."""
    found = Prospects(CurvesSpec(after=4), OBJECTIVES, samples=10**8)
    for error in (0.2, 0.3, 0.4, 0.5):
        curve = {"epoch": [1, 2], "accuracy": [1 - error, 1 - error / 2], "loss": [1.0, 1.0]}
        found.add({"accuracy": 1 - error / 2, "macs": 1000.0}, curve)
    assert found.why_not({"macs": 99.0}, {"epoch": 1, "accuracy": 0.5, "loss": 1.0}, 2) is None
