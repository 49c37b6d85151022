"""Text as characters: read with limits, split by position, cut into windows for language models."""

import gzip
import hashlib
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nas.datasets.errors import DatasetError
from nas.datasets.limits import Limits, readable

ENDINGS = (".txt", ".txt.gz")
CHUNK = 1 << 20


@dataclass(frozen=True, eq=False, slots=True)
class TextSplit:
    """A stretch of text as windows: each predicts, at every position, the character that follows.

    Attributes:
        tokens: (M,) int64, the whole stretch.
        length: T, characters of a window.
        stride: characters from the start of a window to that of the next; what does not fill one is left out.
    """

    tokens: NDArray[np.int64]
    length: int
    stride: int

    def __len__(self) -> int:
        return (len(self.tokens) - self.length - 1) // self.stride + 1

    def inputs(self, rows: NDArray[np.integer] | slice = slice(None)) -> NDArray[np.int64]:
        """Windows (n, T); `rows` are their numbers or a slice, everything by default. The caller's own."""
        return self._windows(0)[rows].copy()

    def targets(self, rows: NDArray[np.integer] | slice = slice(None)) -> NDArray[np.int64]:
        """For each position of the same windows the character that follows it, (n, T). The caller's own."""
        return self._windows(1)[rows].copy()

    @property
    def labels(self) -> NDArray[np.int64]:
        """All targets, (N, T), under the name that they have in a split of images; read-only."""
        return self._windows(1)

    def _windows(self, offset: int) -> NDArray[np.int64]:
        windows = np.lib.stride_tricks.sliding_window_view(self.tokens[offset:], self.length)
        return windows[: (len(self) - 1) * self.stride + 1 : self.stride]


@dataclass(frozen=True, eq=False, slots=True)
class TextDataset:
    """A text whose last part is held out.

    Attributes:
        source: the path that it was loaded from.
        characters: the vocabulary, in the order of the tokens: every character of the text, sorted.
        train: the beginning; what is trained on.
        validation: the end; what loss is measured on while searching.
        content_hash: 64 hex digits over characters, splits and windows.
    """

    source: str
    characters: str
    train: TextSplit
    validation: TextSplit
    content_hash: str

    @property
    def vocabulary(self) -> int:
        """Number of different characters."""
        return len(self.characters)

    @property
    def input_shape(self) -> tuple[int]:
        """Characters of a window."""
        return (self.train.length,)

    @property
    def input_type(self) -> str:
        """Element type of the inputs."""
        return "int64"

    @property
    def space_settings(self) -> dict[str, int]:
        """What a space with settings of these names has to be made for."""
        return {"vocabulary": self.vocabulary, "length": self.train.length}

    def encode(self, text: str) -> NDArray[np.int64]:
        """Tokens (n,) of a text.

        Raises:
            DatasetError: a character that is not in the vocabulary.
        """
        for place, character in enumerate(text):
            if character not in self.characters:
                raise DatasetError(f"{self.source}: no character {character!r} (at position {place}) in the vocabulary")
        return np.searchsorted(_points(self.characters), _points(text)).astype(np.int64)

    def decode(self, tokens: NDArray[np.integer]) -> str:
        """The text of tokens (n,)."""
        return "".join(self.characters[token] for token in tokens)

    def describe(self) -> dict[str, Any]:
        """What a store or a model file should say about the data, as plain JSON-able values."""
        return {
            "source": self.source,
            "content_hash": self.content_hash,
            "input_shape": list(self.input_shape),
            "characters": self.characters,
            "samples": {"train": len(self.train), "validation": len(self.validation)},
        }


def load_text(
    path: Path | str,
    *,
    length: int,
    stride: int | None = None,
    validation: float = 0.1,
    limits: Limits | None = None,
) -> TextDataset:
    """Load a text, hold out its end and cut both parts into windows.

    Args:
        path: a `.txt` or `.txt.gz` file in UTF-8.
        length: characters of a window, T.
        stride: from one training window to the next; `length` by default. Validation windows never overlap.
        validation: share of the text, from its end, that is never trained on.
        limits: what untrusted files may ask for.

    Raises:
        DatasetError: a bad option, no such file, a wrong ending, too much text, not UTF-8, a damaged archive, or a
            text too short for one window in each part.
    """
    path, limits = Path(path), Limits() if limits is None else limits
    stride = length if stride is None else stride
    if length < 1 or stride < 1:
        raise DatasetError(f"{path}: length {length} and stride {stride}; allowed: 1 and above")
    if not 0 < validation < 1:
        raise DatasetError(f"{path}: validation {validation}; allowed: a share between 0 and 1, both excluded")
    content = _read(path, limits)
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        found = f"byte {content[error.start]:#04x} at position {error.start}"
        raise DatasetError(f"{path}: not UTF-8: {found}") from error
    points = _points(text)
    occurs = np.zeros(sys.maxunicode + 1, np.bool_)
    occurs[points] = True  # instead of a sort, which would take several times the memory of the text
    tokens = (np.cumsum(occurs, dtype=np.int64) - 1)[points]
    tokens.flags.writeable = False
    border = len(tokens) - round(validation * len(tokens))
    parts = {"train": tokens[:border], "validation": tokens[border:]}
    for name, part in parts.items():
        if len(part) <= length:
            raise DatasetError(
                f"{path}: {len(tokens)} characters leave {len(part)} for {name}; a window of length {length} and the "
                f"character behind it need {length + 1}"
            )
    characters = "".join(map(chr, np.flatnonzero(occurs)))
    digest = hashlib.sha256(repr((characters, border, length, stride)).encode())
    digest.update(tokens.astype("<i8").data)
    train, held_out = TextSplit(parts["train"], length, stride), TextSplit(parts["validation"], length, length)
    return TextDataset(str(path), characters, train, held_out, digest.hexdigest())


def _read(path: Path, limits: Limits) -> bytes:
    """The bytes of the text, decompressed."""
    if not path.name.endswith(ENDINGS):
        raise DatasetError(f"{path}: not a text; allowed endings: {', '.join(ENDINGS)}")
    if path.exists() and not path.is_file():
        raise DatasetError(f"{path}: not a file")
    try:
        with gzip.open(path) if path.name.endswith(".gz") else path.open("rb") as file:
            chunks, size = [], 0
            while chunk := file.read(CHUNK):
                chunks.append(chunk)
                size += len(chunk)
                if size > limits.text_bytes:
                    raise DatasetError(f"{path}: more than the allowed {readable(limits.text_bytes)} of text")
    except FileNotFoundError as error:
        raise DatasetError(f"{path}: no such file") from error
    except (OSError, EOFError, zlib.error) as error:  # gzip's own errors are OSErrors
        raise DatasetError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return b"".join(chunks)


def _points(text: str) -> NDArray[np.uint32]:
    """The code points of a text, (n,)."""
    return np.frombuffer(text.encode("utf-32-le"), np.dtype("<u4"))
