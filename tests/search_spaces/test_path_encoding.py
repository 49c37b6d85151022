"""Operations on open paths, counted by hand for cells whose paths are known."""

from collections import Counter

import numpy as np

from nas.features.accuracy_features import AccuracyFeatures
from search_spaces.families.mobilenet_v3 import MobileNetV3
from search_spaces.families.nasbench201 import NasBench201
from search_spaces.graph_features import GraphFeatures
from search_spaces.path_encoding import PathEncoding

SPACE = NasBench201(resolution=8, cells=1)
WAYS = ((3,), (0, 4), (1, 5), (0, 2, 5))
"""Columns of the decisions on each way from the first value of a cell to the last."""


def test_paths_are_those_of_the_cell() -> None:
    """Every way without a zero is counted under the operations on it, in whatever order."""
    rows = SPACE.sample(300, np.random.default_rng(0))
    encoding = PathEncoding(GraphFeatures(SPACE).routes, SPACE.decisions)
    found = encoding(rows)
    assert found.shape == (300, 34)
    words = SPACE.operations
    for row, counted in zip(rows, found, strict=True):
        expected: Counter[str] = Counter()
        for way in WAYS:
            taken = [words[row[column]] for column in way]
            if "none" not in taken:
                expected["path of " + " + ".join(sorted(taken, key=words.index))] += 1
        assert {name: n for name, n in zip(encoding.names, counted, strict=True) if n} == expected


def test_what_lies_on_no_path_says_nothing() -> None:
    """Whatever is chosen behind a zero, the features are those of the network that is deployed."""
    made = AccuracyFeatures(SPACE)
    rows = np.repeat(np.array([[3, 0, 2, 1, 2, 0]], np.int16), 5, axis=0)  # the third value is read by nobody
    rows[:, 2] = np.arange(5)
    assert len({SPACE.key(row) for row in rows}) == 1
    features = made(rows)
    assert (features == features[:1]).all()
    assert features.shape[1] == len(made.features.names)
    assert not (made(SPACE.sample(50, np.random.default_rng(1))) == features[:1]).all()


def test_spaces_without_paths_to_cut_have_their_plain_features() -> None:
    """Blocks in a row have counts and choices alone."""
    space = MobileNetV3(resolutions=[8], widths=[8, 16], strides=[1, 2], stem_stride=1, activations=["relu", "relu"],
                        squeeze_excite=[False, True], depths=[1, 2], expansions=[2, 3])  # fmt: skip
    made = AccuracyFeatures(space)
    rows = space.sample(20, np.random.default_rng(0))
    assert made(rows).shape == (20, len(made.features.names))
    assert "open" not in {group.name for group in made.features.groups}
