"""Partial channel connections (Xu et al., PC-DARTS, arXiv 1907.05737)."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import numpy as np

from search_spaces.decision import Option
from search_spaces.graph import Graph, Value


class PartialChannels:
    """Candidates of one decision that see one in K channels of what they read; the other channels go around them.

    The candidates are built twice: first whole, which shows what they read, and then, with the first attempt taken
    back, from the leading channels. So their weights are the leading slices of the shared ones. What goes around is
    pooled (2x2, maximum) where candidates halve the image, then both are laid side by side and shuffled.

    Args:
        graph: the graph under assembly, before the candidates.
    """

    def __init__(self, graph: Graph) -> None:
        self._graph, self._nodes = graph, len(graph.nodes)
        self._before = (dict(graph.parameters), dict(graph.constants), dict(graph.values))

    @contextmanager
    def narrow(
        self, decision: str, name: str, partial: int, live: Mapping[Option, Value]
    ) -> Iterator[Callable[[Value], Value]]:
        """While candidates are built again, the value that they read is its leading channels.

        Args:
            decision: for messages.
            name: of the place, for nodes.
            partial: K.
            live: the candidates of the first attempt that are not zero.

        Yields:
            What to put each new candidate through.

        Raises:
            ValueError: they do not read one image, or do not keep its channels, or K does not divide them.
        """
        x = self._read(decision, live)
        channels = x.shape[1]
        if any(value.shape[1] != channels for value in live.values()) or channels % partial:
            found = {option: value.shape[1] for option, value in live.items()}
            raise ValueError(
                f"partial channels need candidates that keep the channels of what they read, a multiple of {partial}; "
                f"those of decision {decision!r} read {channels} and make {found}"
            )
        graph, self._name, self._partial = self._graph, name, partial
        del graph.nodes[self._nodes :]
        graph.parameters, graph.constants, graph.values = self._before
        part = self._slice(x, "part", 0, channels // partial)
        self._rest = self._slice(x, "rest", channels // partial, channels)
        whole = (x.name, x.shape)
        x.name, x.shape = part.name, part.shape
        try:
            yield lambda value: part if value is x else value
        finally:
            x.name, x.shape = whole

    def joined(self, total: Value) -> Value:
        """The weighed sum beside the channels that went around it, shuffled: (1, C, H, W)."""
        graph, rest, name = self._graph, self._rest, self._name
        if rest.shape[2:] != total.shape[2:]:
            rest = graph.add("MaxPool", rest, name=f"{name}.around", kernel_shape=[2, 2], strides=[2, 2])
        y = graph.add("Concat", total, rest, name=f"{name}.side_by_side", axis=1)
        _, channels, height, width = y.shape
        groups = graph.constant(
            f"{name}.groups", np.array([-1, self._partial, channels // self._partial, height, width])
        )
        flat = graph.constant(f"{name}.flat", np.array([-1, channels, height, width]))
        y = graph.add("Reshape", y, groups, name=f"{name}.grouped")
        y = graph.add("Transpose", y, name=f"{name}.transposed", perm=[0, 2, 1, 3, 4])
        return graph.add("Reshape", y, flat, name=f"{name}.shuffled")

    def _read(self, decision: str, live: Mapping[Option, Value]) -> Value:
        """The one value that the candidates of the first attempt read or are."""
        graph, nodes = self._graph, self._graph.nodes[self._nodes :]
        made = {output for node in nodes for output in node.outputs}
        read = {name for node in nodes for name in node.inputs} | {value.name for value in live.values()}
        found = sorted(read - made - graph.parameters.keys() - graph.constants.keys() - {""})
        if len(found) != 1 or len(graph.values[found[0]].shape) != 4:
            shapes = {name: graph.values[name].shape for name in found}
            raise ValueError(
                f"partial channels need candidates that read one image (1, C, H, W); those of decision {decision!r} "
                f"read {shapes}"
            )
        return graph.values[found[0]]

    def _slice(self, x: Value, what: str, start: int, end: int) -> Value:
        name = f"{self._name}.{what}"
        bounds = {key: np.array([number]) for key, number in (("starts", start), ("ends", end), ("axes", 1))}
        constants = [self._graph.constant(f"{name}.{key}", data) for key, data in bounds.items()]
        return self._graph.add("Slice", x, *constants, name=name)
