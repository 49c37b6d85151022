"""The loop that all methods share: weights learn on one part of the samples, logits on the other.

Everything random in round r comes from `default_rng([seed, r, attempt])`, so that a search that is resumed after any
round ends with the same bits as one that was never interrupted (on a CPU, on as many threads).
"""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from search_spaces.gradient.cost_term import CostTerm
from search_spaces.gradient.derivation import Derivation
from search_spaces.gradient.learned_state import LearnedState
from search_spaces.gradient.masks import Masks
from search_spaces.gradient.method import Bilevel, Method, Relaxation, frozen
from search_spaces.gradient.relaxed_loss import Batch, RelaxedLoss
from search_spaces.gradient.relaxed_supernet import RelaxedSupernet
from search_spaces.gradient.search_notes import read_numbers
from search_spaces.gradient.search_settings import SearchSettings
from search_spaces.gradient.selection import MOST_SAMPLES, select
from search_spaces.gradient.stability import Stability, dominant_eigenvalue
from search_spaces.gradient.structure import Structure
from search_spaces.space import Genotype, SearchSpace
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.checkpoint import load_checkpoint, read_notes, save_checkpoint
from search_spaces.training.data import TrainingData
from search_spaces.training.loop import OnStep, TrainingError
from search_spaces.training.optimiser import Adam, weights_optimiser


class GradientSearch:
    """Advances a differentiable search round by round.

    Args:
        space: what can be built.
        method: how it is searched.
        settings: the recipe.
        images: (N, C, H, W) float32, normalised; or tokens (N, T) where the networks take whole numbers.
        labels: (N,) whole numbers; for tokens (N, T), the token that follows each.
        term: what the logits pay for a cost of the device; by default nothing.
        device: where to search.

    Attributes:
        supernet: the shared weights, of which `weights` learn.
        logits: what is known of the decisions.
        masks: of sparse weights, where the method learns any.
        groups: of channels whose norms the weights pay for, where the method has any.
        stability: whether it ended early.
        rounds: how many are done.

    Raises:
        GraphError: candidates of a decision whose shapes do not agree.
        ValueError: a space that the method cannot search, images and labels that do not fit each other, augmentation
            that does not fit the images, or no full batch for weights or logits.
    """

    def __init__(
        self,
        space: SearchSpace,
        method: Method,
        settings: SearchSettings,
        images: NDArray[np.generic] | Tensor,
        labels: NDArray[np.integer[Any]] | Tensor,
        *,
        term: CostTerm | None = None,
        device: torch.device | str = "cpu",
    ) -> None:
        self.space, self.method, self.settings, self.device = space, method, settings, torch.device(device)
        self.structure = Structure(space)
        self.term = term
        method.check(self.structure)
        self.data = TrainingData(space, settings, images, labels, device)
        order = np.random.default_rng([settings.seed]).permutation(len(self.data.images))
        self._halves = np.split(order, [round(len(order) * settings.weights_share)])
        for rows, whose in zip(self._halves, ("weights", "logits"), strict=True):
            if len(rows) < settings.batch_size:
                raise ValueError(
                    f"batch_size {settings.batch_size} is more than the {len(rows)} of {len(order)} training samples "
                    f"from which {whose} learn; lower it or change weights_share ({settings.weights_share:g})"
                )
        self.supernet = Supernet(space, settings.seed).to(device)
        for name, value in self.supernet.shared.items():
            value.requires_grad_(method.learned_norms or name not in self.structure.norms)
        self.masks = None if method.density is None else Masks(self.supernet, method.density)
        self.weights = [value for value in self.supernet.shared.values() if value.requires_grad]
        self.relaxed = RelaxedSupernet(self.supernet, recompute=settings.recompute)
        self.loss = RelaxedLoss(self.relaxed, self.structure, self.masks, settings)
        self.logits = method.logits(self.supernet, self.structure, settings.seed)
        self.groups = method.groups(self.logits)
        if self.groups is not None and term is None:
            raise ValueError(f"surrogate {self.groups.norm!r} stands for a cost, and this search pays for none")
        first = method.relax(self.logits, self.structure, np.random.default_rng(0), 0.0, learns=True)
        self.relaxed.network(first.paths)  # what cannot be built is refused now
        scores = [] if self.masks is None else list(self.masks.scores.values())
        self.optimiser = weights_optimiser(self.supernet, settings, scores)
        self.weights += scores
        decay = method.decay if settings.logits_weight_decay is None else settings.logits_weight_decay
        self.steps = len(self._halves[0]) // settings.batch_size
        group = {"params": self.logits.values, "weight_decay": decay}
        self.logits_optimiser = Adam([group], settings.logits_rate(self.steps), method.betas)
        self.stability = Stability(settings)
        self.derivation = Derivation(space, None if term is None else term.budget)
        self._state = LearnedState(
            self.supernet,
            self.masks,
            self.logits,
            self.optimiser,
            self.logits_optimiser,
            settings.optimiser,
            self.stability,
        )
        self.rounds = 0
        self._selected: Genotype | None = None

    @property
    def finished(self) -> bool:
        """Whether all rounds are done, or the search ended early to keep from collapsing."""
        return self.stability.stopped or self.rounds >= self.settings.rounds

    def derive(self) -> Genotype:
        """The (d,) most probable genotype now; of a finished search the best of `candidates` by the shared weights."""
        if not self.finished:
            return self.derivation(self.logits)
        if self._selected is None:
            candidates = self.derivation.rivals(self.logits, self.settings.candidates)
            images, labels = self.data.images, self.data.labels
            seen, held = [torch.from_numpy(rows[:MOST_SAMPLES]).to(self.device) for rows in self._halves]
            self._selected = select(self.supernet, candidates, images[seen], images[held], labels[held], self.masks)
        return self._selected

    def round(self, on_step: OnStep | None = None) -> dict[str, float]:
        """Advance one round; one that meets a loss that is not finite is done once again with other draws.

        A round that ends the search early puts the logits back to those of the round that counts.

        Returns:
            `loss` and `accuracy` of the relaxed networks on the weights' samples; behind the warm-up
            `validation_loss`, `validation_accuracy` and `gap` (validation loss less training loss) on the logits';
            `entropy/NAME` of each decision in nats and `entropy`, their mean as a share of the largest possible;
            `skip_share` of the derived network; `learning_rate` of the last step; `seconds`; with a term what
            `CostTerm.metrics` says; where it is watched, `eigenvalue`.

        Raises:
            TrainingError: the loss is not finite in the second attempt either; the state is that before the round.
            ValueError: the search is finished.
        """
        if self.finished:
            raise ValueError(f"this search is finished after {self.rounds} of {self.settings.rounds} rounds")
        start = time.perf_counter()
        kept = {name: value.detach().clone() for name, value in self._state.tensors().items()}
        numbers = (self.loss.baseline, self._multiplier)
        for attempt in range(2):
            try:
                metrics = self._advance(np.random.default_rng([self.settings.seed, self.rounds, attempt]), on_step)
                break
            except TrainingError:
                self._state.restore(kept)
                self.loss.baseline, self._multiplier = numbers
                if attempt:
                    raise
        self.rounds += 1
        self._watch(metrics)
        derived, entropies = self.derive(), self.logits.entropies()
        free = [
            entropies[decision.name] / math.log(len(decision.options))
            for decision in self.space.decisions
            if len(decision.options) > 1
        ]
        metrics |= {
            "skip_share": self.structure.skip_share(derived),
            "entropy": float(np.mean(free)) if free else 0.0,
            "seconds": time.perf_counter() - start,
        }
        if self.term is not None:
            metrics |= self.term.metrics(self.logits, derived)
        return metrics | {f"entropy/{name}": value for name, value in entropies.items()}

    def _watch(self, metrics: dict[str, float]) -> None:
        """See whether the search is to end here, behind the warm-up."""
        if self.rounds <= self.settings.warmup_rounds:
            return
        eigenvalue = None
        if self.settings.eigenvalue_ratio is not None:
            eigenvalue = metrics["eigenvalue"] = self._eigenvalue()
        share = self.structure.skip_share(self.derivation(self.logits))
        back = self.stability.observe(self.logits.values, share, eigenvalue)
        if back is not None:
            with torch.no_grad():
                for value, earlier in zip(self.logits.values, back, strict=True):
                    value.copy_(earlier)

    def _eigenvalue(self) -> float:
        """Of the Hessian of the loss of one batch of the logits' samples, with the same draws every time."""
        rows = torch.from_numpy(self._halves[1][: self.settings.batch_size]).to(self.device)
        batch = (self.data.images[rows], self.data.labels[rows])
        progress = (self.rounds - 1) / max(1, self.settings.rounds - 1)

        def loss() -> Tensor:
            draws = np.random.default_rng([self.settings.seed, self.rounds, 2])
            return self.loss(batch, self.method.relax(self.logits, self.structure, draws, progress, learns=True))[0]

        with frozen(self.weights):
            draws = np.random.default_rng([self.settings.seed, self.rounds, 3])
            return dominant_eigenvalue(loss, self.logits.values, draws)

    def save(self, path: Path) -> None:
        """Write weights, logits, optimiser states and round; `load` goes on from there."""
        save_checkpoint(path, self._state.tensors(), self._notes())

    def load(self, path: Path) -> None:
        """Go on from a checkpoint of the same space, method, settings and amount of data.

        Raises:
            CheckpointError: no sound checkpoint, or one of another search; nothing is changed then.
        """
        numbers = read_numbers(path, read_notes(path), self._notes(), self.settings.rounds)
        self._state.restore(load_checkpoint(path, *self._state.shapes()).tensors)
        self._selected = None
        self.rounds, self.loss.baseline, self._multiplier = numbers.rounds, numbers.baseline, numbers.multiplier
        self.stability.eigenvalues, self.stability.stopped = numbers.eigenvalues, numbers.stopped

    @property
    def _multiplier(self) -> float:
        return 0.0 if self.term is None else self.term.multiplier

    @_multiplier.setter
    def _multiplier(self, value: float) -> None:
        if self.term is not None:
            self.term.multiplier = value

    def _notes(self) -> dict[str, Any]:
        return {
            "space": self.space.name,
            "settings": self.space.settings,
            "method": {"name": self.method.name, **self.method.model_dump(mode="json")},
            "search": self.settings.model_dump(mode="json"),
            "samples": list(self.data.images.shape),
            "rounds": self.rounds,
            "cost": None if self.term is None else self.term.notes(),
            "baseline": self.loss.baseline,
            "multiplier": self._multiplier,
            "eigenvalues": self.stability.eigenvalues,
            "stopped": self.stability.stopped,
        }

    def _advance(self, rng: np.random.Generator, on_step: OnStep | None) -> dict[str, float]:
        """All steps of a round."""
        sums, counted, rate = np.zeros(4), 0, 0.0
        progress = self.rounds / max(1, self.settings.rounds - 1)
        learns = self.rounds >= self.settings.warmup_rounds
        validation = self._endless(rng)
        for step, batch in enumerate(self.data.batches(rng, self._halves[0])):
            rate = self.settings.learning_rate * self.method.rate(
                (self.rounds * self.steps + step) / (self.settings.rounds * self.steps)
            )
            if learns:
                sums[2:] += self._learn(batch, next(validation), progress, rate, rng, step)
            sums[:2] += self._train(batch, progress, rate, rng, step)
            counted += batch[1].numel()
            if on_step is not None:
                on_step(step + 1, self.steps, sums[0] / (step + 1))
        metrics = {"loss": sums[0] / self.steps, "accuracy": sums[1] / counted, "learning_rate": rate}
        if learns:
            metrics |= {"validation_loss": sums[2] / self.steps, "validation_accuracy": sums[3] / counted}
            metrics["gap"] = metrics["validation_loss"] - metrics["loss"]
        return {name: float(value) for name, value in metrics.items()}

    def _endless(self, rng: np.random.Generator) -> Iterator[Batch]:
        """Batches of the logits' samples, as many as are asked for."""
        own = np.random.default_rng(rng.integers(2**63))
        while True:
            yield from self.data.batches(own, self._halves[1])

    def _train(
        self, batch: Batch, progress: float, rate: float, rng: np.random.Generator, step: int
    ) -> tuple[float, int]:
        """A step of the weights; returns the loss and how many were right."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        with torch.no_grad():
            relaxation = self.method.relax(self.logits, self.structure, rng, progress, learns=False)
        loss, correct = self.loss(batch, relaxation)
        value = self._finite(loss, step)
        if self.groups is not None and self.term is not None:
            loss = loss + self.term.pressure(value, self.logits) * self.groups(self.logits, self.term.cost)
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        if self.settings.gradient_clip is not None:
            torch.nn.utils.clip_grad_norm_(self.weights, self.settings.gradient_clip)
        self.optimiser.step()
        return value, correct

    def _learn(
        self, training: Batch, validation: Batch, progress: float, rate: float, rng: np.random.Generator, step: int
    ) -> tuple[float, int]:
        """A step of the logits; returns the validation loss and how many were right."""
        seed, found = int(rng.integers(2**63)), [math.nan, 0]

        def relax() -> Relaxation:  # with the same draws whenever it is asked
            return self.method.relax(self.logits, self.structure, np.random.default_rng(seed), progress, learns=True)

        def validation_loss() -> Tensor:
            relaxation = relax()
            loss, found[1] = self.loss(validation, relaxation)
            found[0] = loss.item()
            loss = loss + self.loss.score(self.logits, relaxation, found[0])
            return loss if self.term is None else self.term(loss, self.logits)

        logits = self.logits.values
        problem = Bilevel(lambda: self.loss(training, relax())[0], validation_loss, self.weights, logits, rate)
        before = [value.detach().clone() for value in logits]
        loss, gradients = self.method.gradients(problem)
        self._finite(loss, step)
        for value, gradient in zip(logits, gradients, strict=True):
            value.grad = gradient
        self.logits_optimiser.step()
        self.method.settle(before, self.logits, relax())
        if self.term is not None:
            self.term.update(self.logits)
        self.loss.observe(found[0])
        return found[0], int(found[1])

    def _finite(self, loss: Tensor, step: int) -> float:
        value = loss.item()
        if not math.isfinite(value):
            entropies = ", ".join(f"{name} {value:.3g}" for name, value in self.logits.entropies().items())
            raise TrainingError(
                f"the loss became {value} in step {step + 1} of round {self.rounds + 1}, and again after the round was "
                f"repeated from the last good state; entropies of the decisions in nats: {entropies}; lower "
                "learning_rate or logits_learning_rate, or set gradient_clip"
            )
        return value
