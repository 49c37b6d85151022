"""The language model space: causal, of the sizes that formulas say, trainable; and settings that it refuses."""

from typing import Any

import numpy as np
import pytest
import torch

from search_spaces.costs.static import costs
from search_spaces.families.transformer_lm import KINDS, POSITIONS, TransformerLM
from search_spaces.supernet.evaluation import evaluate
from search_spaces.supernet.supernet import Supernet
from search_spaces.training.settings import TrainingSettings
from search_spaces.training.trainer import SupernetTrainer

SMALL: dict[str, Any] = {
    "vocabulary": 7,
    "length": 8,
    "depths": [1, 2],
    "widths": [8, 16],
    "heads": [1, 2],
    "feed_forwards": [2],
    "head_dim": 4,
    "window": 2,
    "chunk": 4,
}


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("kind", KINDS)
def test_no_position_sees_the_future(kind: str, positions: str) -> None:
    """Another token changes its own prediction and later ones, and none before it."""
    space = TransformerLM(**{**SMALL, "attentions": [kind], "positions": positions})
    supernet, row = Supernet(space, seed=0), space.largest()
    tokens = torch.arange(8)[None] % 7
    changed = tokens.clone()
    changed[0, 5] = 3
    with torch.no_grad():
        difference = (supernet(changed, row) - supernet(tokens, row)).abs().amax(-1)[0]  # (T,)
    assert (difference[:5] == 0).all()
    assert difference[5] > 0
    assert (difference[6:] > 0).all()  # two layers with a window of 2 reach two positions on


def test_window_forgets() -> None:
    """One layer with a window of 2 does not see beyond it."""
    space = TransformerLM(**{**SMALL, "attentions": ["window"], "depths": [1]})
    supernet, row = Supernet(space, seed=0), space.largest()
    tokens = torch.zeros(1, 8, dtype=torch.int64)
    changed = tokens.clone()
    changed[0, 3] = 1
    with torch.no_grad():
        difference = (supernet(changed, row) - supernet(tokens, row)).abs().amax(-1)[0]
    assert (difference > 0).tolist() == [False, False, False, True, True, False, False, False]


def test_parameters_follow_the_formula() -> None:
    """Embedding, positions, and for each layer two norms, four projections and two feed-forward maps."""
    space = TransformerLM(vocabulary=65, length=32, depths=[3], widths=[48], heads=[2], feed_forwards=[4])
    width, inner, hidden = 48, 2 * 32, 4 * 48
    layer = 4 * width + 3 * (width * inner + inner) + inner * width + width + 2 * width * hidden + hidden + width
    expected = 65 * width + 32 * width + 3 * layer + 2 * width
    assert costs(space.graph(space.largest()))["params"] == expected
    untied = TransformerLM(**{**space.settings, "tied": False})
    assert costs(untied.graph(untied.largest()))["params"] == expected + 65 * width


def test_kinds_share_their_projections() -> None:
    """The kind of attention changes what is computed and no parameter."""
    space = TransformerLM(**SMALL)
    shared = Supernet(space, seed=0).shared
    for kind in KINDS:
        choices = {**space.choices(space.largest()), "attention0": kind, "attention1": kind}
        assert set(space.graph(space.genotype(choices)).parameters) == set(shared)


def test_supernet_learns() -> None:
    """Trained on 0 3 6 2 5 1 4 over and over, the largest, the smallest and a random network become sure."""
    space = TransformerLM(**SMALL)
    text = 3 * np.arange(257) % 7
    x, y = text[:256].reshape(32, 8), text[1:257].reshape(32, 8)
    recipe = {"optimiser": "adamw", "learning_rate": 0.02, "batch_size": 16, "label_smoothing": 0}
    settings = TrainingSettings(epochs=30, random_subnets=1, warmup_epochs=1, **recipe)
    trainer = SupernetTrainer(space, settings, x, y)
    tokens, targets = torch.from_numpy(x), torch.from_numpy(y)
    genotypes = np.stack([space.largest(), space.smallest(), space.sample(1, np.random.default_rng(0))[0]])
    before = evaluate(trainer.supernet, genotypes, [], tokens, targets)
    np.testing.assert_allclose(before["loss"], np.log(7), atol=0.3)
    while not trainer.finished:
        figures = trainer.train_epoch()
    after = evaluate(trainer.supernet, genotypes, [], tokens, targets)
    assert (after["loss"] < 0.5).all()
    assert (after["accuracy"] > 0.8).all()
    assert figures["accuracy"] > 0.8


def test_training_refuses_what_is_no_text() -> None:
    """Every token needs a label, and is neither moved nor mirrored."""
    space, tokens = TransformerLM(**SMALL), np.zeros((4, 8), np.int64)
    with pytest.raises(ValueError, match=r"one label for each token, got images .4, 8. and labels .4,."):
        SupernetTrainer(space, TrainingSettings(batch_size=2), tokens, np.zeros(4, np.int64))
    with pytest.raises(ValueError, match="shift is for images, got 1 with tokens"):
        SupernetTrainer(space, TrainingSettings(batch_size=2, shift=1), tokens, tokens)


BAD: list[tuple[dict[str, Any], str]] = [
    ({"head_dim": None, "heads": [3]}, "heads must divide every width where head_dim is null, got 3 heads and a width"),
    ({"window": 3}, "window 3 must divide the length of 8 positions"),
    ({"chunk": 16}, "chunk 16 must divide the length of 8 positions"),
    ({"attentions": ["sparse"]}, "attentions 'sparse' is not known; known: softmax, linear, window"),
    ({"attentions": []}, "attentions must be a list with at least one entry"),
    ({"positions": "sinus"}, "positions 'sinus' is not known; known: learned, rotary"),
    ({"positions": "rotary", "head_dim": 3}, "'rotary' needs an even number of features a head, got .3."),
    ({"vocabulary": 0}, "vocabulary must be a whole number of at least 1, got 0"),
    ({"depths": [2, 2]}, "depths must name each option once"),
    ({"tied": "yes"}, "tied must be true or false, got 'yes'"),
]


@pytest.mark.parametrize("settings, message", BAD)
def test_bad_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    """The message names the setting, what was given and what is allowed."""
    with pytest.raises(ValueError, match=message):
        TransformerLM(**{**SMALL, **settings})


def test_a_window_that_is_not_used_need_not_fit() -> None:
    """Without windows or chunks the length is free."""
    TransformerLM(**{**SMALL, "attentions": ["softmax"], "length": 7})
