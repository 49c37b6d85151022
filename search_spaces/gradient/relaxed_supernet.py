"""Relaxed networks that run with the shared weights of a supernet."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from search_spaces.gradient.mixing import Mixing, Paths
from search_spaces.graph import Graph
from search_spaces.supernet.supernet import Subnet, Supernet

CACHED_NETWORKS = 64


@dataclass(frozen=True, slots=True)
class Relaxed:
    """A relaxed network, ready to run.

    Attributes:
        subnet: how it runs.
        weights: decisions whose weights are its inputs, in order.
        chosen: decisions that were asked for by themselves.
    """

    subnet: Subnet
    weights: tuple[str, ...]
    chosen: frozenset[str]


class RelaxedSupernet:
    """The relaxed networks of a supernet; its weights are shared by all of them and by the plain subnets.

    Args:
        supernet: without experts, whose router reads one genotype and no mixture.
        recompute: whether candidates that go without weights, too, are computed again where their paths say so.

    Raises:
        ValueError: a supernet with experts.
    """

    def __init__(self, supernet: Supernet, *, recompute: bool = True) -> None:
        if supernet.settings.experts > 1:
            raise ValueError(f"experts must be 1 in differentiable search, got {supernet.settings.experts}")
        self.supernet, self.recompute = supernet, recompute
        self._networks: OrderedDict[tuple[Paths, torch.device], Relaxed] = OrderedDict()

    def network(self, paths: Paths) -> Relaxed:
        """The planned network; the last few are kept.

        Raises:
            GraphError: candidates whose shapes do not agree.
            ValueError: a network that needs a larger tensor than there is, or partial channels that cannot be.
        """
        key = (paths, self.supernet.device)
        if key in self._networks:
            self._networks.move_to_end(key)
            return self._networks[key]
        space = self.supernet.space
        pick = Mixing(space, paths)
        graph = pick.assemble()
        encoding = space.encode(space.canonical(space.largest()[None]))[0]  # unread without experts
        again = pick.groups if paths.again and (self.recompute or paths.weighed) else ()
        subnet = self.supernet.plan(graph, encoding, _still(graph, pick.still), again)
        found = Relaxed(subnet, tuple(pick.weights), frozenset(pick.chosen))
        self._networks[key] = found
        if len(self._networks) > CACHED_NETWORKS:
            self._networks.popitem(last=False)
        return found

    def __call__(
        self,
        x: Tensor,
        paths: Paths,
        weights: Mapping[str, Tensor],
        replaced: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """The output of a relaxed network, such as logits (N, classes); batch norms use the statistics of the batch.

        Args:
            x: a batch of inputs, as for `Supernet.forward`.
            paths: what is built.
            weights: for each decision with several candidates, or weighed ones, (k,) for its k built candidates.
            replaced: tensors in place of shared ones, by name, such as masked weights.

        Raises:
            ValueError: as `network`, inputs of the wrong shape, or a decision without weights.
        """
        network = self.network(paths)
        missing = [name for name in network.weights if name not in weights]
        if missing:
            raise ValueError(f"the relaxed network needs weights for {missing}, got them for {list(weights)}")
        others = [weights[name].reshape(1, -1) for name in network.weights]
        return self.supernet.run(network.subnet, x, *others, replaced=replaced)


def _still(graph: Graph, weighed: Mapping[str, str]) -> set[str]:
    """Nodes that only serve watched candidates: `weighed` has their products' names, and the candidates' own."""
    if not weighed:
        return set()
    makers = {output: node for node in graph.nodes for output in node.outputs}
    found: set[str] = set()
    stack = [value.name for value in graph.outputs]
    while stack:
        node = makers.get(stack.pop())
        if node is None or node.name in found:
            continue
        found.add(node.name)
        stack += [name for name in node.inputs if name != weighed.get(node.name)]
    return {node.name for node in graph.nodes} - found
