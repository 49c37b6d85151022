"""Layers that are there only in networks that are deep enough."""

from collections.abc import Sequence

from search_spaces.decision import Condition


def reached(depth: str, depths: Sequence[int], layer: int) -> tuple[Condition, ...]:
    """When a decision of a layer matters: nothing to ask where every depth has that layer.

    Args:
        depth: the name of the decision about the depth.
        depths: its options, in layers.
        layer: from 0.
    """
    deep = tuple(option for option in depths if option > layer)
    return () if len(deep) == len(depths) else (Condition(depth, deep),)
