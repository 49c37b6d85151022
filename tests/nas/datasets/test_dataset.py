"""Splits, normalisation and hashes of data sets that are good."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.preprocessing import StandardScaler

from nas.datasets.dataset import Dataset, normalisation
from nas.datasets.load import load_dataset
from nas.datasets.splitting import limit_rows, split_rows


@pytest.fixture(scope="module")
def digits() -> Dataset:
    """The embedded default."""
    return load_dataset("digits")


def test_digits_are_the_published_ones(digits: Dataset) -> None:
    """Together the splits hold scikit-learn's images, each once, with its label."""
    published = load_digits()
    assert (digits.input_shape, digits.num_classes, digits.test) == ((1, 8, 8), 10, None)
    assert digits.classes == tuple("0123456789")

    def rows(images: np.ndarray, labels: np.ndarray) -> list[tuple[int, ...]]:
        table = np.column_stack([images.reshape(len(labels), -1), labels]).astype(int)
        return sorted(map(tuple, table.tolist()))

    images = np.concatenate([digits.train.images, digits.validation.images])
    labels = np.concatenate([digits.train.labels, digits.validation.labels])
    assert rows(images, labels) == rows(published.images, published.target)


def test_validation_share_of_every_class(digits: Dataset) -> None:
    """A fifth of each class is held out, to the nearest sample."""
    held = np.bincount(digits.validation.labels)
    total = held + np.bincount(digits.train.labels)
    np.testing.assert_array_equal(held, np.round(0.2 * total))


def test_inputs_are_normalised_by_the_training_split(digits: Dataset) -> None:
    """The normalisation is scikit-learn's StandardScaler fitted on the training pixels alone."""
    scaler = StandardScaler().fit(digits.train.images.reshape(-1, 1))
    np.testing.assert_allclose(digits.mean, scaler.mean_, rtol=1e-6)
    np.testing.assert_allclose(digits.std, scaler.scale_, rtol=1e-6)
    inputs = digits.validation.inputs(np.array([5, 3]))
    assert inputs.shape == (2, 1, 8, 8)
    assert inputs.dtype == np.float32
    assert inputs.flags["C_CONTIGUOUS"]
    expected = scaler.transform(digits.validation.images[[5, 3]].reshape(-1, 1)).reshape(2, 1, 8, 8)
    np.testing.assert_allclose(inputs, expected, atol=1e-5)
    assert digits.train.inputs().shape == (len(digits.train), 1, 8, 8)


def test_channels_come_first_and_keep_their_pixels(tmp_path: Path) -> None:
    """Pixel (n, h, w, c) of the file is pixel (n, c, h, w) of the input, less its channel's mean."""
    rng = np.random.default_rng(0)
    images = rng.normal(loc=[0.0, 1e4, -5.0], size=(12, 4, 5, 3)).astype(np.float32)
    images[..., 2] = 7.0  # a channel that does not vary
    np.savez(tmp_path / "x.npz", images=images, labels=np.arange(12) % 2)
    data = load_dataset(path=tmp_path / "x.npz", validation=0.5)
    train = data.train.images.astype(np.float64)
    expected = (train - train.mean(axis=(0, 1, 2))) / np.where([1, 1, 0], train.std(axis=(0, 1, 2)), 1)
    np.testing.assert_allclose(data.train.inputs(), expected.transpose(0, 3, 1, 2), atol=2e-3)
    assert data.input_shape == (3, 4, 5)
    assert data.std[2] == 1.0


def test_stored_arrays_cannot_be_changed(digits: Dataset) -> None:
    """What many workers read stays as it was hashed; what `inputs` returns is the caller's own."""
    with pytest.raises(ValueError, match="read-only"):
        digits.train.images[0] = 0
    digits.train.inputs(slice(0, 1))[:] = 0


def test_the_same_seed_makes_the_same_data(digits: Dataset) -> None:
    """Equal options give equal hashes; another seed, share or limit another hash."""
    assert load_dataset("digits").content_hash == digits.content_hash
    others: list[dict[str, Any]] = [{"split_seed": 1}, {"validation": 0.3}, {"limit": 500}]
    hashes = {load_dataset("digits", **options).content_hash for options in others}
    assert len(hashes | {digits.content_hash}) == 4


def test_description_is_plain(digits: Dataset) -> None:
    """The description holds only what JSON holds."""
    import json

    described = digits.describe()
    assert json.loads(json.dumps(described)) == described
    assert described["samples"] == {"train": 1438, "validation": 359, "test": 0}


def test_limit_keeps_the_shares() -> None:
    """Any limit is met exactly, deterministic, and within one sample of each class's share."""
    labels = np.repeat([0, 1, 2], [700, 250, 50])
    for limit in (100, 333, 999):
        rows = limit_rows(labels, limit, seed=3, least=2)
        assert len(np.unique(rows)) == limit
        np.testing.assert_array_equal(rows, limit_rows(labels, limit, seed=3, least=2))
        share = np.bincount(labels[rows]) / np.array([700, 250, 50])
        assert np.all(np.abs(share - limit / 1000) * np.array([700, 250, 50]) <= 2)
    assert np.bincount(labels[limit_rows(labels, 6, seed=0, least=2)]).tolist() == [2, 2, 2]


@pytest.mark.parametrize("validation", [0.001, 0.5, 0.999])
def test_every_class_is_on_both_sides(validation: float) -> None:
    """However small or large the share, no class is only trained or only validated."""
    labels = np.repeat([0, 1], [2, 1000])
    train, held = split_rows(labels, validation, seed=0)
    assert set(labels[train]) == set(labels[held]) == {0, 1}
    assert sorted([*train, *held]) == list(range(1002))


def test_normalisation_of_large_even_images() -> None:
    """Bright images that hardly vary lose no digits, across the chunks."""
    rng = np.random.default_rng(0)
    images = (10_000 + rng.integers(0, 2, size=(2500, 3, 3, 1))).astype(np.float32)
    mean, std = normalisation(images)
    np.testing.assert_allclose(mean, images.mean(axis=(0, 1, 2), dtype=np.float64))
    np.testing.assert_allclose(std, images.std(axis=(0, 1, 2), dtype=np.float64), rtol=1e-6)


def test_cifar10_subset(shared_data: Path) -> None:
    """The real archive: ten thousand images split, two thousand kept apart as they are."""
    path = shared_data / "cifar10_subset_12k.npz"
    data = load_dataset(path=path, validation=0.1)
    assert data.input_shape == (3, 32, 32)
    assert data.classes[:2] == ("airplane", "automobile")
    assert (len(data.train), len(data.validation)) == (9000, 1000)
    assert np.bincount(data.validation.labels).tolist() == [100] * 10
    assert data.test is not None
    with np.load(path) as arrays:
        np.testing.assert_array_equal(data.test.images, arrays["test_images"])
        np.testing.assert_array_equal(data.test.labels, arrays["test_labels"])
    assert all(100 < mean < 140 for mean in data.mean)  # known: about 125, 123, 114 of 255
