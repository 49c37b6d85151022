"""Sorting the channels of a supernet by importance, so that narrower networks take the channels that matter most.

Once-for-All does so before widths become elastic (Cai et al., arXiv 1908.09791): a channel is worth the L1 norm of
the weights that read it. Here it is done for any space: `channel_axes` tells which axes of a graph are
one channel axis, and as the networks of a space share their tensors, what is one axis in any of them is one in all.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from search_spaces.covering import covering_genotypes
from search_spaces.space import Population, SearchSpace
from search_spaces.supernet.channel_axes import Axis, AxisGroup, axis_groups
from search_spaces.supernet.phases import PhaseNetworks
from search_spaces.supernet.supernet import Supernet

State = Mapping[Tensor, Mapping[str, Tensor]]
"""Tensors by name, of each tensor that is learned."""

SAMPLED = 200


@torch.no_grad()
def order_channels(supernet: Supernet, state: State, earlier: Sequence[PhaseNetworks]) -> None:
    """Sort the channels of every elastic channel axis, the most important first, in weights and optimiser state.

    The largest network computes the same function afterwards, and so do the networks of the `earlier` phases: channels
    stay on their side of each width that these have. Such widths are looked up in networks that show every option and
    in `SAMPLED` random ones of each phase.

    Args:
        supernet: the shared tensors, changed in place.
        state: what an optimiser keeps of these tensors; what it has for each of their entries moves along.
        earlier: phases that were trained.
    """
    space, rng = supernet.space, np.random.default_rng(0)
    covering = covering_genotypes(space, rng)
    trained = [space.largest()[None]]
    for phase in earlier:
        trained += [phase.restrict(covering), space.sample(SAMPLED, rng, held=phase.held)]
    kept = _sizes(space, np.unique(np.concatenate(trained), axis=0))
    for group in elastic_channels(supernet, covering):
        importance = torch.stack([_norms(supernet, axis) for axis in sorted(group.readers)]).sum(0)
        borders = {0, len(importance)}.union(*[kept.get(axis, ()) for axis in group.axes])
        order = torch.cat(
            [
                first + importance[first:last].argsort(descending=True, stable=True)
                for first, last in pairwise(sorted(borders))
            ]
        )
        for name, axis in group.axes:
            for tensor in supernet.stored(name):
                for each in (tensor, *state.get(tensor, {}).values()):
                    if each.shape == tensor.shape:
                        each.copy_(each.index_select(axis, order))


def elastic_channels(supernet: Supernet, population: Population) -> list[AxisGroup]:
    """The groups of axes of shared tensors that are one channel axis whose size differs between networks.

    What is one axis, or is fixed, in any network of the population is so in all. Left out are axes that are fixed,
    that nothing reads, that differ in size in the supernet, or whose networks do not take the leading entries.

    Args:
        supernet: the shared tensors.
        population: (n, d) genotypes that show all that the space can vary.
    """
    space = supernet.space
    sizes = _sizes(space, population)
    elastic = {axis for axis, found in sizes.items() if len(found) > 1}
    if not elastic:
        return []
    owners: dict[Axis, AxisGroup] = {}
    for genotype in population:
        graph = space.graph(genotype)
        learned = {axis for axis in sizes if axis[0] in graph.parameters and graph.parameters[axis[0]].trainable}
        for found in axis_groups(graph):
            group = AxisGroup(found.axes & learned, found.readers & learned, found.fixed)
            for known in {id(owners[axis]): owners[axis] for axis in group.axes if axis in owners}.values():
                group.add(known)
            owners.update(dict.fromkeys(group.axes, group))
    groups = {id(group): group for group in owners.values() if group.axes & elastic}.values()
    return [group for group in groups if _sortable(group, supernet)]


def _sortable(group: AxisGroup, supernet: Supernet) -> bool:
    sizes = {supernet.stored(name)[0].shape[axis] for name, axis in group.axes}
    leading = not any(supernet.centred(name, axis) for name, axis in group.axes)
    return not group.fixed and bool(group.readers) and leading and len(sizes) == 1


def _sizes(space: SearchSpace, population: Population) -> Mapping[Axis, set[int]]:
    """The sizes that each axis of a parameter has in some networks."""
    sizes: dict[Axis, set[int]] = {}
    for genotype in population:
        for name, value in space.graph(genotype).parameters.items():
            for axis, size in enumerate(value.shape):
                sizes.setdefault((name, axis), set()).add(size)
    return sizes


def _norms(supernet: Supernet, axis: Axis) -> Tensor:
    """The L1 norm of each entry of a parameter along an axis, all its experts together, (size,) float64."""
    tensors = torch.stack(supernet.stored(axis[0])).double().abs()
    return tensors.movedim(axis[1] + 1, 0).flatten(1).sum(1)
