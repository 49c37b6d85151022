"""Predictors as files in the artifact folder of a store, one for each device, metric and kind of features."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from nas.artifacts import write_atomically
from predictors.errors import PredictorError, PredictorFileError
from predictors.file import LARGEST, Stored, from_bytes, to_bytes
from predictors.predictor import Predictor

FOLDER = "predictors"
SUFFIX = ".predictor"
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class Entry(NamedTuple):
    """A predictor of the store.

    Attributes:
        path: of its file.
        device: name of the device.
        metric: that it predicts, without the device.
        subject: the search space that it is for, or `graph` for any network.
    """

    path: Path
    device: str
    metric: str
    subject: str


class PredictorStore:
    """The predictors beside a store.

    Args:
        folder: where the artifacts of the store lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder / FOLDER

    def save(self, predictor: Predictor, device: str, metric: str, about: Mapping[str, Any]) -> Path:
        """Write a fitted predictor; one that was there for the same is replaced.

        Raises:
            PredictorError: a device or metric whose name is no file name.
            OSError: the folder cannot be written.
        """
        path = self._path(device, metric, predictor.features.subject)
        content = to_bytes(predictor, {**about, "device": device, "metric": metric})
        self._folder.mkdir(parents=True, exist_ok=True)
        write_atomically(path, content)
        return path

    def entries(self) -> list[Entry]:
        """All predictors, by device, metric and subject; files of other names are ignored."""
        found = []
        for path in sorted(self._folder.glob(f"*{SUFFIX}")) if self._folder.is_dir() else []:
            parts = path.name.removesuffix(SUFFIX).split(".")
            if len(parts) == 3 and all(_WORD.fullmatch(part) for part in parts):
                found.append(Entry(path, *parts))
        return found

    def load(self, device: str, metric: str, subject: str) -> Stored:
        """Read a predictor.

        Raises:
            PredictorError: there is none; the message lists those that there are.
            PredictorFileError: the file is of another version, was changed, or is of another device.
        """
        path = self._path(device, metric, subject)
        if not path.is_file():
            known = ", ".join(f"{e.metric}@{e.device} for {e.subject}" for e in self.entries())
            raise PredictorError(
                f"nothing was measured to predict {metric}@{device} for {subject!r}; predictors: {known or 'none'}; "
                "fit one with `nas predictor fit`"
            )
        if path.stat().st_size > LARGEST:
            raise PredictorFileError(f"{path} has {path.stat().st_size} bytes; at most {LARGEST} are read")
        try:
            stored = from_bytes(path.read_bytes())
        except PredictorFileError as error:
            raise PredictorFileError(f"{path}: {error}") from error
        if (stored.about.get("device"), stored.about.get("metric")) != (device, metric):
            raise PredictorFileError(f"{path} holds a predictor of another device or metric: {stored.about}")
        return stored

    def _path(self, device: str, metric: str, subject: str) -> Path:
        for word, what in ((device, "device"), (metric, "metric"), (subject, "space")):
            if not _WORD.fullmatch(word):
                raise PredictorError(f"the name of a {what} must be letters, digits, '_' and '-' (got {word!r})")
        return self._folder / f"{device}.{metric}.{subject}{SUFFIX}"
