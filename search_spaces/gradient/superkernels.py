"""Decisions whose options are nested parts of the same tensors, run as one network with soft masks."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from search_spaces.covering import activate
from search_spaces.gradient.structure import Structure
from search_spaces.space import Genotype
from search_spaces.supernet.supernet import Index, Supernet

ROWS = 3


@dataclass(frozen=True, slots=True)
class Superkernel:
    """A decision about a nested part.

    Attributes:
        order: (n,) its options from the smallest to the largest.
        shells: by the name of a parameter (n, *shape): what each option adds to the one before it, as zeros and ones.
    """

    order: tuple[int, ...]
    shells: dict[str, Tensor]


class Superkernels:
    """The nested decisions of a space: kernels, expansions, heads, but not depths and resolutions.

    A decision is nested when each of its options has the same operators, slices of the parameters of the next larger
    option, and nothing that normalises over what is sliced away, whatever the other decisions are (a few random
    networks are tried). Then the largest network with zeros outside a slice computes what the smaller one computes.

    Attributes:
        found: by the column of the decision.
    """

    def __init__(self, supernet: Supernet, structure: Structure) -> None:
        self.supernet, self.structure = supernet, structure
        self.found: dict[int, Superkernel] = {}
        for column in structure.attributes:
            options = structure.space.decisions[column].options
            if len(options) > 1 and all(type(option) in (int, float) for option in options):
                superkernel = self._superkernel(column, tuple(np.argsort(options).tolist()))
                if superkernel is not None:
                    self.found[column] = superkernel

    def strengths(self, column: int) -> Tensor:
        """(n - 1,) of each larger option the root mean square of the weights it adds, by that of the smallest's."""
        shells = self.found[column].shells
        names = [name for name in shells if self.supernet.roles[name] == "weight"]
        squares = sum((shells[name] * self.supernet.shared[name].detach().square()).flatten(1).sum(1) for name in names)
        counts = sum(shells[name].flatten(1).sum(1) for name in names)
        size = torch.sqrt(torch.as_tensor(squares / counts))
        return size[1:] / size[0]

    def factors(self, gates: dict[int, Tensor]) -> dict[str, Tensor]:
        """What parameters are multiplied by, by name; `gates` (n,) say how much of each option's part is there."""
        factors: dict[str, Tensor] = {}
        for column, gate in gates.items():
            for name, shells in self.found[column].shells.items():
                factor = torch.tensordot(gate, shells, 1)
                factors[name] = factors[name] * factor if name in factors else factor
        return factors

    def _superkernel(self, column: int, order: tuple[int, ...]) -> Superkernel | None:
        space = self.structure.space
        rows = [space.largest(), *space.sample(ROWS, np.random.default_rng(0))]
        boxes = [self._boxes(rows[0], column, option) for option in order]
        affected = [name for name in boxes[-1][1] if len({str(each[1].get(name)) for each in boxes}) > 1]
        weighed = [name for name in affected if self.supernet.roles[name] == "weight"]
        if not weighed or any(each[0] != boxes[-1][0] for each in boxes):
            return None
        masks = {name: torch.stack([self._mask(name, each[1][name]) for each in boxes]) for name in affected}
        if any((mask[1:] < mask[:-1]).any() for mask in masks.values()):
            return None
        for row in rows[1:]:
            others = [self._boxes(row, column, option) for option in order]
            largest = others[-1][1]
            for place, (operators, part) in enumerate(others):
                if operators != others[-1][0]:
                    return None
                for name, box in part.items():
                    whole = self._mask(name, largest[name])
                    expected = whole * masks[name][place] if name in masks else whole
                    if not torch.equal(self._mask(name, box), expected):
                        return None
        shells = {name: torch.cat([mask[:1], mask[1:] - mask[:-1]]) for name, mask in masks.items()}
        return Superkernel(order, {name: shells[name] for name in affected})

    def _boxes(self, row: Genotype, column: int, option: int) -> tuple[list[object], dict[str, Index | None]]:
        """The operators of a network, with the parameters that they normalise whole, and where its tensors lie."""
        space = self.structure.space
        row = row.copy()
        activate(space, row, column)
        row[column] = option
        graph = space.graph(space.canonical(row[None])[0])
        operators: list[object] = [
            (node.name, node.op, graph.parameters[node.inputs[1]].shape if node.op == "LayerNormalization" else None)
            for node in graph.nodes
        ]
        plan = self.supernet.plan(graph, space.encode(space.canonical(row[None]))[0])
        return operators, dict(plan.slices)

    def _mask(self, name: str, box: Index | None) -> Tensor:
        mask = torch.zeros_like(self.supernet.shared[name].detach())
        mask[() if box is None else box] = 1
        return mask
