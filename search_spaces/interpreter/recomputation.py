"""Steps of a network whose inner values are computed again in the backward pass instead of being kept for it."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from search_spaces.interpreter.torch_inputs import Function

Step = tuple[Function, tuple[int, ...], int, tuple[int, ...]]
"""A function, the slots of its arguments, the slot of its result, and the slots that are free after it."""


def joined_groups(steps: Sequence[Step], groups: Sequence[int], results: tuple[int, ...]) -> list[Step]:
    """The steps with each group as one step, where no step outside reads what is inside a group but its last value.

    Args:
        steps: in order.
        groups: of each step the number of its group, -1 for none.
        results: slots that are read behind all steps.
    """
    members: dict[int, list[int]] = {}
    for place, group in enumerate(groups):
        if group >= 0:
            members.setdefault(group, []).append(place)
    made = {steps[place][2]: group for group, places in members.items() for place in places}
    read: dict[int, set[int]] = {group: set() for group in members}
    for place, (_, arguments, _, _) in enumerate(steps):
        for slot in arguments:
            if slot in made and made[slot] != groups[place]:
                read[made[slot]].add(slot)
    for slot in results:
        if slot in made:
            read[made[slot]].add(slot)
    whole = {group for group, places in members.items() if read[group] == {steps[places[-1]][2]}}
    joined: list[Step] = []
    for place, step in enumerate(steps):
        if groups[place] not in whole:
            joined.append(step)
        elif place == members[groups[place]][-1]:
            joined.append(_join([steps[each] for each in members[groups[place]]]))
    return joined


def free_dead(steps: list[Step], first: int, keep: tuple[int, ...]) -> None:
    """Note after which step each slot from `first` on is read for the last time, in place."""
    seen = set(keep)
    for index in reversed(range(len(steps))):
        function, arguments, result, _ = steps[index]
        dead = [slot for slot in (*arguments, result) if slot >= first and slot not in seen]
        if dead:
            seen.update(dead)
            steps[index] = (function, arguments, result, tuple(dead))


def _join(steps: list[Step]) -> Step:
    inside = {result for _, _, result, _ in steps}
    outside = tuple(dict.fromkeys(slot for _, arguments, _, _ in steps for slot in arguments if slot not in inside))
    last = steps[-1][2]
    free_dead(steps, 0, keep=(last,))

    def run(*tensors: Tensor | None) -> Tensor:
        slots: dict[int, Tensor | None] = dict(zip(outside, tensors, strict=True))
        for function, arguments, result, dead in steps:
            slots[result] = function(*[slots[slot] for slot in arguments])
            for slot in dead:
                slots[slot] = None
        found = slots[last]
        assert found is not None
        return found

    def run_again(*tensors: Tensor | None) -> Tensor:
        if not torch.is_grad_enabled():
            return run(*tensors)
        found: Tensor = checkpoint(run, *tensors, use_reentrant=False, preserve_rng_state=False)
        return found

    return run_again, outside, last, ()
