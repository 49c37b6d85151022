"""Differentiable search as a strategy: it proposes what a relaxed network, trained round by round, stands for."""

from dataclasses import dataclass
from typing import Any, Literal, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from nas.strategies.base import StaticViolation, Strategy, StrategyOptions
from nas.strategies.features import Features
from search_spaces.genotypes import GenotypeSpace, Population
from search_spaces.gradient.cost_settings import CostSettings
from search_spaces.gradient.search_settings import SearchRecipe

DRAWS = 512
HOTTEST = 4.0
LEAST_CHANCE = 1e-6


class CostOptions(BaseModel):
    """What the search pays for latency, or another cost: which one, how it is known, and how it enters the loss."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    metric: str = Field(
        min_length=1, description="such as latency_ms@cpu of a device of the job, macs, or a metric of the table"
    )
    form: Literal["weighted", "ratio", "budget"] = Field(
        default="budget",
        description="added to the loss, a factor of it, or a limit that the derived network keeps (by a multiplier)",
    )
    weight: float | None = Field(default=None, gt=0, description="of weighted; the exponent of ratio")
    target: float | None = Field(
        default=None, gt=0, description="of ratio and budget; by default the bound of the objective with this metric"
    )
    multiplier_rate: float = Field(
        default=0.1, gt=0, description="by which the multiplier of budget follows the relative excess, a step"
    )
    table: str | None = Field(
        default=None,
        min_length=1,
        description="a file of known costs (.npz); without it or a predictor, probes are measured",
    )
    predictor: str | None = Field(
        default=None, min_length=1, description="a file of a fitted predictor (.predictor) of this space and metric"
    )
    probes: int = Field(
        default=64, ge=8, le=10_000, description="networks that are measured to learn what each decision costs"
    )
    margin: float = Field(
        default=1.0, ge=0, description="errors of the learned costs that are kept in reserve where a cost is not known"
    )

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if self.table is not None and self.predictor is not None:
            raise ValueError("the cost is given by a table and by a predictor; give one of them")
        self.settings(self.target if self.form == "weighted" else self.target or 1.0)
        return self

    def settings(self, target: float | None) -> CostSettings:
        """How the cost enters, with a target that the job knows."""
        return CostSettings(form=self.form, weight=self.weight, target=target, multiplier_rate=self.multiplier_rate)


class GradientOptions(SearchRecipe, StrategyOptions):
    """The options that all methods of differentiable search have."""

    propose_every: int = Field(
        default=10,
        ge=1,
        description="rounds from one derived network that is evaluated to the next; the last is always",
    )
    cost: CostOptions | None = Field(default=None, description="what the search pays for latency, null for nothing")
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="where networks are trained; auto takes a GPU where the cluster has one"
    )

    @property
    def milestones(self) -> list[int]:
        """The rounds after which a network is proposed."""
        return [*range(self.propose_every, self.rounds, self.propose_every), self.rounds]

    def recipe(self, seed: int) -> dict[str, Any]:
        """The arguments of `SearchSettings`."""
        return {**{name: getattr(self, name) for name in SearchRecipe.model_fields}, "seed": seed}


@dataclass(frozen=True, slots=True)
class Derived:
    """What is known after a round.

    Attributes:
        genotype: (d,) that the search stands for.
        chances: of each decision the (k,) probabilities of its options.
        last: whether no round follows.
    """

    genotype: NDArray[np.int16]
    chances: tuple[NDArray[np.float64], ...]
    last: bool


class Rounds(Protocol):
    """A differentiable search as its strategy sees it: the same answer whenever and wherever it is asked."""

    def derived(self, number: int) -> Derived:
        """What is known after round `number` (from 1), or after the last one where it ended earlier; may take long."""


class GradientStrategy(Strategy[GradientOptions]):
    """Proposes the derived network of every few rounds, and then the most probable ones of the last.

    Nothing is learned from what it is told: the rounds see losses and costs by themselves. Which rounds are over
    follows from what was proposed, so that replaying the proposals restores it.

    Args:
        rounds: of the search; the other arguments are those of `Strategy`.

    Raises:
        ValueError: no rounds are given, or as `Strategy` says.
    """

    screened = False  # more proposals take more rounds

    def __init__(
        self,
        space: GenotypeSpace,
        objectives: int,
        seed: int,
        options: GradientOptions,
        *,
        static_violation: StaticViolation | None = None,
        seeds: Population | None = None,
        features: Features | None = None,
        rounds: Rounds | None = None,
    ) -> None:
        if rounds is None:
            raise ValueError(f"strategy {options.name!r} needs the rounds of a relaxed network, and got none")
        self.rounds = rounds
        super().__init__(
            space, objectives, seed, options, static_violation=static_violation, seeds=seeds, features=features
        )

    def _propose(self, n: int, rng: np.random.Generator) -> Population:
        """The derived networks in the order of rounds, as few rounds as will do; then draws of the last."""
        rows: list[NDArray[np.int16]] = []
        found: dict[bytes, None] = {}
        for number in self.options.milestones:
            derived = self.rounds.derived(number)
            rows.append(derived.genotype)
            self._admit(np.stack(rows), found, n)
            if len(found) == n:
                return np.stack(rows)
            if derived.last:
                break
        return np.concatenate([np.stack(rows), self._drawn(derived.chances, max(DRAWS, 8 * n), rng)])

    def _drawn(self, chances: tuple[NDArray[np.float64], ...], n: int, rng: np.random.Generator) -> Population:
        """Distinct canonical draws, the most probable first; some of n are drawn from flatter distributions.

        So there are others where the chances leave hardly any doubt.
        """
        heat = np.geomspace(1.0, HOTTEST, n)
        logs = [np.log(np.maximum(chance, LEAST_CHANCE)) for chance in chances]
        columns = [(log[None, :] + heat[:, None] * rng.gumbel(size=(n, len(log)))).argmax(axis=1) for log in logs]
        rows = np.unique(self.space.canonical(np.stack(columns, axis=1).astype(np.int16)), axis=0)
        picked = np.stack([log[rows[:, column]] for column, log in enumerate(logs)], axis=1)
        order = np.argsort(-(picked * self.space.active(rows)).sum(axis=1), kind="stable")
        ordered: Population = rows[order]
        return ordered
