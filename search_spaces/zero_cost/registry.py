"""All zero-cost scores by name."""

from search_spaces.zero_cost.fisher import Fisher
from search_spaces.zero_cost.grad_norm import GradNorm
from search_spaces.zero_cost.grasp import Grasp
from search_spaces.zero_cost.jacov import Jacov
from search_spaces.zero_cost.naswot import Naswot
from search_spaces.zero_cost.score import ZeroCostScore
from search_spaces.zero_cost.snip import Snip
from search_spaces.zero_cost.static import Macs, Params
from search_spaces.zero_cost.synflow import Synflow
from search_spaces.zero_cost.zen import Zen
from search_spaces.zero_cost.zico import Zico

ZERO_COST: dict[str, ZeroCostScore] = {
    score.name: score
    for score in (
        Synflow(),
        Naswot(),
        Jacov(),
        Zico(),
        Zen(),
        Snip(),
        Grasp(),
        Fisher(),
        GradNorm(),
        Params(),
        Macs(),
    )
}


def zero_cost_score(name: str) -> ZeroCostScore:
    """The score with a name.

    Raises:
        ValueError: there is none; the message lists those that there are.
    """
    if name not in ZERO_COST:
        raise ValueError(f"there is no zero-cost score {name!r}; known: {', '.join(ZERO_COST)}")
    return ZERO_COST[name]
