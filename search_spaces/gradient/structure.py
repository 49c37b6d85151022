"""Which decisions of a space choose among candidates, and which set an attribute."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from search_spaces.covering import activate
from search_spaces.gradient.mixing import Mixing, Paths
from search_spaces.space import Genotype, SearchSpace


class Structure:
    """The kinds of a space's decisions, found by assembling the network in which every candidate is built.

    A *structural* decision is asked for with candidates (`pick.op`) and can be mixed. An *attribute* (kernel, width,
    depth) is asked for by itself: networks are built for one option of it at a time.

    Attributes:
        structural: (d,) bool.
        norms: names of the scales and biases of all batch norms.
        identity: for each decision (n,) bool, whether an option hands its input on unchanged in some place.

    Raises:
        GraphError: candidates whose shapes do not agree.
        ValueError: a space whose networks are modules of its own, which cannot be mixed.
    """

    def __init__(self, space: SearchSpace) -> None:
        if not space.trained_here:
            raise ValueError(
                f"space {space.name!r} brings its networks and weights with it; differentiable search needs a space "
                "that assembles graphs"
            )
        self.space, self.norms = space, set[str]()
        operators: dict[str, set[object]] = {}
        chosen: set[str] = set()
        everything = tuple([tuple(range(len(decision.options))) for decision in space.decisions])
        row = space.largest()
        for column in (-1, *range(len(space.decisions))):
            if column >= 0:
                if space.names[column] in operators or space.names[column] in chosen:
                    continue
                row = space.largest()
                activate(space, row, column)
            pick = Mixing(space, Paths(tuple(map(int, row)), everything, tuple([()] * len(everything))))
            nodes = pick.assemble().nodes
            self.norms.update(name for node in nodes if node.op == "BatchNormalization" for name in node.inputs[1:3])
            chosen |= pick.chosen
            for name, options in pick.operators.items():
                operators.setdefault(name, set()).update(options)
        self.structural: NDArray[np.bool_] = np.array([name in operators for name in space.names])
        self.identity = tuple(
            [
                np.array([option in operators.get(decision.name, ()) for option in decision.options])
                for decision in space.decisions
            ]
        )

    @cached_property
    def attributes(self) -> tuple[int, ...]:
        """The columns of decisions that cannot be mixed."""
        return tuple([int(column) for column in np.flatnonzero(~self.structural)])

    @cached_property
    def operators(self) -> tuple[int, ...]:
        """The columns of decisions that can."""
        return tuple([int(column) for column in np.flatnonzero(self.structural)])

    def skip_share(self, genotype: Genotype) -> float:
        """The share of identities among the structural decisions of a (d,) genotype that can be one; 0 of none.

        Inactive decisions do not count.
        """
        active = self.space.active(genotype[None])[0]
        found = [
            self.identity[column][genotype[column]]
            for column in self.operators
            if active[column] and self.identity[column].any()
        ]
        return float(np.mean(found)) if found else 0.0

    def paths(
        self,
        row: Genotype,
        built: dict[int, tuple[int, ...]] | None = None,
        watched: dict[int, tuple[int, ...]] | None = None,
        *,
        weighed: bool = True,
        partial: int = 1,
        again: bool = False,
    ) -> Paths:
        """What a relaxed network holds.

        Args:
            row: (d,) the option of each decision; inactive ones too, for candidates beside the chosen may need them.
            built: the options of structural decisions by column; by default the row's alone.
            watched: of those, the options that run without gradients.
            weighed: whether candidates are multiplied by weights.
            partial: as `Paths` says.
            again: as `Paths` says.
        """
        built, watched = built or {}, watched or {}
        columns = range(len(row))
        return Paths(
            tuple([0 if self.structural[column] else int(row[column]) for column in columns]),
            tuple([built.get(column, (int(row[column]),)) if self.structural[column] else () for column in columns]),
            tuple([watched.get(column, ()) for column in columns]),
            weighed,
            partial,
            again,
        )
