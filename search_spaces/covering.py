"""A few genotypes that between them show all that a space can vary."""

import numpy as np

from search_spaces.decision import Option
from search_spaces.space import Genotype, Population, SearchSpace


def covering_genotypes(space: SearchSpace, rng: np.random.Generator, *, random: int = 16) -> Population:
    """Genotypes that between them use every option of every decision, (n, d), distinct and canonical.

    Each option is tried with all other decisions as in the largest network, and with the decisions that it
    depends on set so that it matters; `random` genotypes are added.
    """
    largest = space.largest()
    rows = [largest]
    for column, decision in enumerate(space.decisions):
        for option in range(len(decision.options)):
            row = largest.copy()
            row[column] = option
            activate(space, row, column)
            rows.append(row)
    population = np.concatenate([np.stack(rows), space.sample(random, rng)])
    return np.unique(space.canonical(population), axis=0)


def activate(space: SearchSpace, row: Genotype, column: int) -> list[int]:
    """Change the decisions that a decision depends on, in place, so that it is active; returns their columns."""
    allowed: dict[str, set[Option]] = {}
    for condition in space.decisions[column].active:
        options = set(condition.options)
        allowed[condition.decision] = allowed.get(condition.decision, options) & options
    above = []
    for name, options in allowed.items():
        parent = space.names.index(name)
        candidates = space.decisions[parent].options
        if candidates[row[parent]] not in options:
            row[parent] = max(index for index, option in enumerate(candidates) if option in options)
        above += [parent, *activate(space, row, parent)]
    return above
