"""The torch interpreter of a graph: plan once, then run with any tensors, with autograd.

A plan is a flat list of steps (function, argument slots, result slot, slots that die); a run walks it. That costs
about as much as ordinary torch modules, so one graph definition trains, calibrates and evaluates.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from operator import itemgetter
from typing import Literal

import torch
from torch import Tensor

from search_spaces.graph import Graph
from search_spaces.interpreter.recomputation import Step, free_dead, joined_groups
from search_spaces.interpreter.torch_inputs import Function
from search_spaces.interpreter.torch_operators import TORCH_OPERATORS


class Calibration:
    """Population statistics of every batch norm of one network, gathered batch by batch.

    While it is filled the network runs with batch statistics, as in training. Means and variances over all
    batches are exact: batches are joined by the law of total variance (Chan, Golub and LeVeque 1979), in
    float64. The variance is the biased one, as batch normalisation itself uses.
    """

    def __init__(self) -> None:
        self._moments: dict[tuple[str, str], tuple[int, Tensor, Tensor]] = {}

    def add(self, names: tuple[str, str], count: int, mean: Tensor, variance: Tensor) -> None:
        """Join a batch of `count` values per channel with its mean (C,) and biased variance (C,)."""
        mean, squares = mean.double(), variance.double() * count
        if names in self._moments:
            known, known_mean, known_squares = self._moments[names]
            difference, total = mean - known_mean, known + count
            squares = known_squares + squares + difference.square() * (known * count / total)
            mean = known_mean + difference * (count / total)
            count = total
        self._moments[names] = (count, mean, squares)

    def statistics(self) -> dict[str, Tensor]:
        """Mean and variance of each batch norm under its parameters' names, each (C,) float32."""
        found: dict[str, Tensor] = {}
        for (mean_name, variance_name), (count, mean, squares) in self._moments.items():
            found[mean_name], found[variance_name] = mean.float(), (squares / count).float()
        return found


BatchNorm = Literal["batch", "stored"] | Calibration


class TorchGraph:
    """A graph made ready to run under torch.

    Args:
        graph: the network; it is read once and not kept.
        device: where its constants live.
        still: names of nodes that run without gradients, whatever they read.
        again: groups of names of nodes. What is computed inside a group is not kept for the backward pass but computed
            again there (Chen et al., arXiv 1604.06174), if only one of its values is read outside.

    Raises:
        GraphError: an attribute the interpreter does not support.
        ValueError: an operator without a torch function; the known ones are named.
    """

    def __init__(
        self,
        graph: Graph,
        device: torch.device | str = "cpu",
        *,
        still: Collection[str] = frozenset(),
        again: Sequence[Collection[str]] = (),
    ) -> None:
        parameters = graph.parameters.values()
        self.name = graph.name
        self.learned = tuple([value.name for value in parameters if value.trainable])
        self.measured = tuple([value.name for value in parameters if not value.trainable])
        self.inputs = tuple([value.name for value in graph.inputs])
        self._constants: list[Tensor | None] = [
            torch.as_tensor(value.data, device=device) for value in graph.constants.values()
        ]
        self._constants.append(None)  # the slot of optional inputs that are left out
        names = [*self.learned, *self.measured, *graph.constants, "", *self.inputs]
        slots = {name: index for index, name in enumerate(names)}
        self.norms: list[tuple[str, str, str]] = []  # names of mean, variance and scale of each batch norm
        self._norms: list[tuple[int, float]] = []
        self._still: list[int] = []
        group = {name: index for index, nodes in enumerate(again) for name in nodes}
        self._groups: list[int] = []  # of each step the group, -1 for none
        self._steps = self._plan(graph, slots, still, group)
        self._results = tuple([slots[value.name] for value in graph.outputs])
        self._slots = len(slots)
        self._first = len(names) - len(self.inputs)
        if not again:
            free_dead(self._steps, self._first, keep=self._results)
        self._modes: dict[str, list[Step]] = {}

    def run(
        self, tensors: Mapping[str, Tensor], inputs: Sequence[Tensor], *, batch_norm: BatchNorm = "stored"
    ) -> tuple[Tensor, ...]:
        """The graph's outputs.

        Args:
            tensors: parameters by name; batch-norm statistics are needed for `stored` only.
            inputs: the graph's inputs in order, with any batch size.
            batch_norm: `batch` normalises with the statistics of this batch (training), `stored` with those
                in `tensors` (evaluation), a `Calibration` as `batch` and gathers them.

        Raises:
            ValueError: a parameter is missing, or the number of inputs is not the graph's.
        """
        if len(inputs) != len(self.inputs):
            raise ValueError(f"graph {self.name!r} takes {len(self.inputs)} inputs {self.inputs}, got {len(inputs)}")
        try:
            slots: list[Tensor | None] = [tensors[name] for name in self.learned]
            slots += (
                [tensors[name] for name in self.measured] if batch_norm == "stored" else [None] * len(self.measured)
            )
        except KeyError as error:
            what = "statistics or parameter" if batch_norm == "stored" else "parameter"
            raise ValueError(f"graph {self.name!r} has the {what} {error} and no tensor was given for it") from error
        slots += self._constants
        slots += inputs
        slots += [None] * (self._slots - len(slots))
        for function, arguments, result, dead in self._mode(batch_norm):
            slots[result] = function(*[slots[slot] for slot in arguments])
            for slot in dead:
                slots[slot] = None
        return tuple([slots[slot] for slot in self._results])  # type: ignore[misc]  # every output was computed

    def _plan(
        self, graph: Graph, slots: dict[str, int], still: Collection[str], group: Mapping[str, int]
    ) -> list[Step]:
        steps: list[Step] = []
        values = graph.values
        for node in graph.nodes:
            if node.name in still:
                self._still.append(len(steps))
            arguments = tuple([slots[name] for name in node.inputs])
            if node.op == "BatchNormalization":
                self.norms.append((node.inputs[3], node.inputs[4], node.inputs[1]))
                self._norms.append((len(steps), node.attributes.get("epsilon", 1e-5)))
                function: Function = _unset
            else:
                builder = TORCH_OPERATORS.get(node.op)
                if builder is None:
                    known = ", ".join(TORCH_OPERATORS)
                    raise ValueError(f"node {node.name!r}: operator {node.op!r} has no torch function; known: {known}")
                function, used = builder(node, [values.get(name) for name in node.inputs])
                arguments = arguments[:used]
            result = slots[node.outputs[0]] = len(slots)
            if len(node.outputs) == 1:
                steps.append((function, arguments, result, ()))
                self._groups.append(group.get(node.name, -1))
                continue
            # several outputs: a tuple in a slot of its own, then one step to take each part
            slots[f"{node.name} outputs"] = slots.pop(node.outputs[0])
            steps.append((function, arguments, result, ()))
            for index, name in enumerate(node.outputs):
                slots[name] = len(slots)
                steps.append((itemgetter(index), (result,), slots[name], ()))
            self._groups += [group.get(node.name, -1)] * (len(steps) - len(self._groups))
        return steps

    def _mode(self, batch_norm: BatchNorm) -> list[Step]:
        """The steps with the batch norms of this mode in place."""
        if isinstance(batch_norm, Calibration):
            return self._with_norms(lambda epsilon, names: _calibrating_norm(epsilon, names, batch_norm))
        if batch_norm not in self._modes:
            if batch_norm not in _NORMS:
                raise ValueError(f"batch_norm {batch_norm!r} is not known; known: {', '.join(_NORMS)}, a Calibration")
            self._modes[batch_norm] = self._with_norms(lambda epsilon, names: _NORMS[batch_norm](epsilon))
        return self._modes[batch_norm]

    def _with_norms(self, make: Callable[[float, tuple[str, str]], Function]) -> list[Step]:
        steps = list(self._steps)
        for (index, epsilon), (mean, variance, _) in zip(self._norms, self.norms, strict=True):
            _, arguments, result, dead = steps[index]
            steps[index] = (make(epsilon, (mean, variance)), arguments, result, dead)
        for index in self._still:
            function, arguments, result, dead = steps[index]
            steps[index] = (torch.no_grad()(function), arguments, result, dead)
        if max(self._groups, default=-1) < 0:
            return steps
        joined = joined_groups(steps, self._groups, self._results)
        free_dead(joined, self._first, keep=self._results)
        return joined


def _unset(*tensors: Tensor) -> Tensor:
    raise AssertionError("a batch norm is given its function when it is run")


def _batch_norm(epsilon: float) -> Function:
    """Normalise with this batch's statistics."""

    def normalise(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor | None, variance: Tensor | None) -> Tensor:
        return torch.batch_norm(x, scale, bias, None, None, True, 0.0, epsilon, True)

    return normalise


def _stored_norm(epsilon: float) -> Function:
    """Normalise with the given statistics."""

    def normalise(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor) -> Tensor:
        return torch.batch_norm(x, scale, bias, mean, variance, False, 0.0, epsilon, True)

    return normalise


def _calibrating_norm(epsilon: float, names: tuple[str, str], calibration: Calibration) -> Function:
    """Normalise with this batch's statistics and hand them to the calibration."""

    def normalise(x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor | None, variance: Tensor | None) -> Tensor:
        count = x.numel() // x.shape[1]
        if count < 2:
            raise ValueError(f"statistics {names[0]!r} need at least 2 values a channel, got {count}: give more images")
        # with momentum 1 torch leaves the batch's own mean and unbiased variance in these
        mean, variance = torch.zeros_like(scale), torch.zeros_like(scale)
        y = torch.batch_norm(x, scale, bias, mean, variance, True, 1.0, epsilon, True)
        calibration.add(names, count, mean, variance * ((count - 1) / count))
        return y

    return normalise


_NORMS: dict[str, Callable[[float], Function]] = {"batch": _batch_norm, "stored": _stored_norm}
