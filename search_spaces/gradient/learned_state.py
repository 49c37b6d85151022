"""All tensors of a differentiable search by name, to keep and to put back."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from search_spaces.gradient.logits import Logits
from search_spaces.gradient.masks import Masks
from search_spaces.gradient.stability import Stability
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.optimiser import OPTIMISER_STATE, Optimiser

Shapes = dict[str, tuple[int, ...]]


class LearnedState:
    """What is learned, what its optimisers keep of it, and the logits of earlier rounds.

    Args:
        supernet: with its weights.
        masks: with their scores, if there are any.
        logits: of the decisions.
        optimiser: of weights and scores.
        logits_optimiser: of the logits.
        kind: of the first optimiser, as settings name it.
        stability: that keeps earlier logits.
    """

    def __init__(
        self,
        supernet: Supernet,
        masks: Masks | None,
        logits: Logits,
        optimiser: Optimiser,
        logits_optimiser: Optimiser,
        kind: str,
        stability: Stability,
    ) -> None:
        self.supernet, self.logits, self.stability = supernet, logits, stability
        self._scores = {} if masks is None else masks.scores
        self._optimiser, self._logits_optimiser, self._kind = optimiser, logits_optimiser, kind

    def tensors(self) -> dict[str, Tensor]:
        """The tensors themselves."""
        found: dict[str, Tensor] = {}
        for kind, name, value, optimiser, keys in self._learned():
            found[f"{kind}/{name}"] = value
            state = optimiser.state.get(value, {})
            found.update({f"{kind} optimiser/{name}/{key}": state[key] for key in keys if key in state})
        for place, values in enumerate(self.stability.past):
            found.update({f"past {place}/{name}": each for name, each in zip(self._names, values, strict=True)})
        return found

    def shapes(self) -> tuple[Shapes, Shapes]:
        """Of the tensors that are always there, and of those that may be."""
        required = {f"{kind}/{name}": tuple(value.shape) for kind, name, value, _, _ in self._learned()}
        optional = {
            f"{kind} optimiser/{name}/{key}": () if key == "step" else tuple(value.shape)
            for kind, name, value, _, keys in self._learned()
            for key in keys
        }
        for place in range(self.stability.past.maxlen or 0):
            for name, value in zip(self._names, self.logits.values, strict=True):
                optional[f"past {place}/{name}"] = tuple(value.shape)
        return required, optional

    @torch.no_grad()
    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Put copies back; what optimisers have and `tensors` lack is forgotten."""
        for kind, name, value, optimiser, keys in self._learned():
            value.copy_(tensors[f"{kind}/{name}"])
            parts = {key: f"{kind} optimiser/{name}/{key}" for key in keys}
            kept = {key: tensors[part].clone() for key, part in parts.items() if part in tensors}
            optimiser.state.pop(value, None)
            if kept:
                optimiser.state[value] = {key: tensor.to(value.device) for key, tensor in kept.items()}
        self.stability.past.clear()
        for place in range(self.stability.past.maxlen or 0):
            found = [tensors.get(f"past {place}/{name}") for name in self._names]
            values = [each.to(self.supernet.device).clone() for each in found if each is not None]
            if len(values) == len(found):
                self.stability.past.append(values)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(self.logits.space.names)

    def _learned(self) -> Iterator[tuple[str, str, nn.Parameter, Optimiser, tuple[str, ...]]]:
        """All that is learned: its kind, name and tensor, what moves it and what that keeps of it."""
        for name, value in self.supernet.shared.items():
            yield "weights", name, value, self._optimiser, OPTIMISER_STATE[self._kind]
        for name, value in self._scores.items():
            yield "scores", name, value, self._optimiser, OPTIMISER_STATE[self._kind]
        for name, value in zip(self._names, self.logits.values, strict=True):
            yield "logits", name, value, self._logits_optimiser, OPTIMISER_STATE["adamw"]
