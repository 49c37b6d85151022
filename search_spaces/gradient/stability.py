"""When differentiable search begins to collapse, and how far it goes back then."""

from collections import deque
from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from search_spaces.gradient.method import gradients_of
from search_spaces.gradient.search_settings import SearchSettings

STEP = 0.05
ITERATIONS = 12
TOLERANCE = 0.02

Values = list[Tensor]


class Stability:
    """The two criteria of early stops, and the logits of the last rounds.

    Skips: more than `skip_limit` of the derived operators are identities (DARTS+, Liang et al., arXiv 1909.06035); the
    round before counts. Eigenvalue: the mean over `eigenvalue_window` rounds has grown so much that the mean one window
    ago is less than `eigenvalue_ratio` of it (DARTS-ES, Zela et al., arXiv 1909.09656); the round then counts.

    Attributes:
        eigenvalues: of the rounds so far, where they are watched.
        past: logits after the last rounds, the newest last.
        stopped: whether a criterion was met.
    """

    def __init__(self, settings: SearchSettings) -> None:
        self.settings = settings
        watched = settings.eigenvalue_ratio is not None
        self.eigenvalues: list[float] = []
        self.past: deque[Values] = deque(
            maxlen=settings.eigenvalue_window if watched else int(settings.skip_limit is not None)
        )
        self.stopped = False

    def observe(self, values: Sequence[Tensor], skip_share: float, eigenvalue: float | None) -> Values | None:
        """Take in the logits after a round; if the search ends here, the logits that it goes back to."""
        window, ratio, limit = self.settings.eigenvalue_window, self.settings.eigenvalue_ratio, self.settings.skip_limit
        back: Values | None = None
        if limit is not None and skip_share > limit:
            self.stopped, back = True, self.past[-1] if self.past else None
        if eigenvalue is not None and ratio is not None:
            self.eigenvalues.append(eigenvalue)
            if len(self.eigenvalues) >= 2 * window:
                before, now = np.reshape(self.eigenvalues[-2 * window :], (2, window)).mean(axis=1)
                if before < ratio * now:
                    self.stopped, back = True, self.past[0] if back is None else back
        self.past.append([value.detach().clone() for value in values])
        return back


def dominant_eigenvalue(loss: Callable[[], Tensor], logits: Sequence[nn.Parameter], rng: np.random.Generator) -> float:
    """The eigenvalue of the largest size of the Hessian of a loss in the logits.

    Power iteration; a product with the Hessian is a central difference of gradients, so it takes the memory of one
    step. Logits that the loss does not depend on add zeros.

    Args:
        loss: the same number whenever it is asked for with the same logits.
        logits: restored to the bit.
        rng: of the first direction.
    """
    kept = [value.detach().clone() for value in logits]
    direction = torch.from_numpy(rng.standard_normal(sum(value.numel() for value in logits))).float()
    direction /= direction.norm()
    found = 0.0
    for _ in range(ITERATIONS):
        sides = []
        for sign in (STEP, -STEP):
            _shift(logits, kept, sign * direction)
            gradients = gradients_of(loss(), logits)
            parts = [value * 0 if each is None else each for value, each in zip(kept, gradients, strict=True)]
            sides.append(torch.cat([part.flatten().cpu() for part in parts]))
        product = (sides[0] - sides[1]) / (2 * STEP)
        before, found = found, float(product @ direction)
        size = float(product.norm())
        if size == 0 or abs(found - before) <= TOLERANCE * abs(found):
            break
        direction = product / size
    _shift(logits, kept, torch.zeros_like(direction))
    return found


@torch.no_grad()
def _shift(logits: Sequence[nn.Parameter], kept: Values, by: Tensor) -> None:
    for value, old, part in zip(logits, kept, torch.split(by, [value.numel() for value in logits]), strict=True):
        value.copy_(old + part.to(old))
