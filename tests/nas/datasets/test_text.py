"""Text becomes windows of characters, and bad text one clear message."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from nas.datasets.errors import DatasetError
from nas.datasets.limits import Limits
from nas.datasets.text import TextDataset, load_text

TEXT = "abcdefghij" * 10


@pytest.fixture
def text(tmp_path: Path) -> TextDataset:
    """100 characters of a vocabulary of 10, 20 of them held out, in windows of 8."""
    file = tmp_path / "text.txt"
    file.write_text(TEXT)
    return load_text(file, length=8, validation=0.2)


def test_windows_predict_the_next_character(text: TextDataset) -> None:
    """Targets are the inputs one position on, windows lie side by side, and the parts do not overlap."""
    assert text.vocabulary == 10
    assert (len(text.train), len(text.validation)) == (9, 2)
    inputs, targets = text.train.inputs(), text.train.targets()
    assert inputs.shape == targets.shape == (9, 8)
    assert inputs.dtype == targets.dtype == np.int64
    np.testing.assert_array_equal(inputs[:, 1:], targets[:, :-1])
    assert text.decode(inputs.reshape(-1)) == TEXT[:72]
    assert text.decode(targets.reshape(-1)) == TEXT[1:73]
    assert text.decode(text.validation.inputs()[0]) == TEXT[80:88]
    np.testing.assert_array_equal(text.train.labels, targets)
    np.testing.assert_array_equal(text.train.inputs(np.array([3, 1])), inputs[[3, 1]])


def test_last_window_may_end_before_the_last_character(tmp_path: Path) -> None:
    """A window needs the character behind it: 9 characters are one window of 8, 8 are none."""
    file = tmp_path / "text.txt"
    file.write_text("a" * 9 + "b" * 9)
    text = load_text(file, length=8, validation=0.5)
    assert (len(text.train), len(text.validation)) == (1, 1)
    with pytest.raises(DatasetError, match=r"leave 9 for train; .* need 10"):
        load_text(file, length=9, validation=0.5)


def test_stride_is_for_training_alone(text: TextDataset) -> None:
    """A smaller stride gives overlapping training windows; validation stays as it was."""
    dense = load_text(text.source, length=8, stride=2, validation=0.2)
    assert len(dense.train) == 36
    assert text.decode(dense.train.inputs()[1]) == TEXT[2:10]
    np.testing.assert_array_equal(dense.validation.inputs(), text.validation.inputs())
    assert dense.content_hash != text.content_hash


def test_compressed_text_is_the_same_text(text: TextDataset, tmp_path: Path) -> None:
    """A .txt.gz file reads as the file that it holds."""
    file = tmp_path / "text.txt.gz"
    file.write_bytes(gzip.compress(TEXT.encode()))
    assert load_text(file, length=8, validation=0.2).content_hash == text.content_hash


def test_encode_is_the_inverse_of_decode(tmp_path: Path) -> None:
    """Characters outside ASCII and outside the basic plane are one token each."""
    file = tmp_path / "text.txt"
    file.write_text("äπ😀\n" * 20, encoding="utf-8")
    text = load_text(file, length=4)
    assert text.characters == "\näπ😀"
    assert text.decode(text.encode("😀ä\n")) == "😀ä\n"
    with pytest.raises(DatasetError, match=r"no character 'x' \(at position 1\)"):
        text.encode("äx")


def test_description_is_plain(text: TextDataset) -> None:
    """What a store keeps says where the text is from, how long its windows are and how many."""
    described = text.describe()
    assert described["samples"] == {"train": 9, "validation": 2}
    assert described["input_shape"] == [8]
    assert len(described["content_hash"]) == 64


BAD = {
    "binary.txt": (b"abc\xff" * 30, "not UTF-8: byte 0xff at position 3"),
    "damaged.txt.gz": (b"\x1f\x8b no", "cannot be read"),
    "cut.txt.gz": (gzip.compress(TEXT.encode())[:-12], "cannot be read"),
    "plain.txt.gz": (TEXT.encode(), "cannot be read"),
    "short.txt": (b"abc", "3 characters leave 3 for train; a window of length 8"),
    "empty.txt": (b"", "0 characters leave 0 for train"),
    "long.txt": (b"a" * 2000, "more than the allowed 1000 bytes of text"),
    "bomb.txt.gz": (gzip.compress(b"a" * 100_000), "more than the allowed 1000 bytes of text"),
    "text.csv": (TEXT.encode(), r"allowed endings: \.txt, \.txt\.gz"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_text_is_refused(name: str, tmp_path: Path) -> None:
    """The message has the file and what is wrong with it."""
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DatasetError, match=message) as caught:
        load_text(tmp_path / name, length=8, limits=Limits(text_bytes=1000))
    assert name in str(caught.value)


def test_bad_options_are_refused(text: TextDataset, tmp_path: Path) -> None:
    """No file, a folder, sizes that are not positive, a share outside (0, 1)."""
    (tmp_path / "folder.txt").mkdir()
    for path, options, message in (
        (tmp_path / "none.txt", {}, "no such file"),
        (tmp_path / "folder.txt", {}, "not a file"),
        (text.source, {"length": 0}, "length 0"),
        (text.source, {"stride": 0}, "stride 0"),
        (text.source, {"validation": 1.0}, "validation 1.0"),
    ):
        with pytest.raises(DatasetError, match=message):
            load_text(path, **{"length": 8, **options})


def test_shakespeare(shared_data: Path) -> None:
    """The published figures of the text: 1,115,394 characters, 65 of them different."""
    text = load_text(shared_data / "tinyshakespeare.txt.gz", length=128)
    assert text.vocabulary == 65
    assert len(text.train.tokens) + len(text.validation.tokens) == 1_115_394
    assert text.decode(text.train.tokens[:14]) == "First Citizen:"
    assert text.train.inputs().max() < 65
