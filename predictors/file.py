"""A predictor in a file: arrays and JSON in one safetensors file, without pickle, with a version and a checksum."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from predictors.errors import PredictorError, PredictorFileError
from predictors.feature_set import FeatureSet
from predictors.predictor import Predictor, State
from predictors.registry import predictor_kind

VERSION = 4
LARGEST = 512 * 2**20
"""Bytes of a file."""
LARGEST_HEADER = 64 * 2**20
FORMAT = "nas-service predictor"


class Stored(NamedTuple):
    """A predictor and what was written beside it, such as `metric` and `device`."""

    predictor: Predictor
    about: dict[str, Any]


def to_bytes(predictor: Predictor, about: Mapping[str, Any] | None = None) -> bytes:
    """Write a fitted predictor.

    Args:
        predictor: what is written: its kind, what it learned, its features, scores, and the training set's hash.
        about: JSON values that are kept beside it.

    Raises:
        NotFitted: it has learned nothing.
        PredictorError: `about` holds what JSON does not.
    """
    state = predictor.state()
    try:
        header = {
            "format": FORMAT,
            "version": str(VERSION),
            "kind": predictor.name,
            "features": json.dumps(predictor.features.to_plain()),
            "state": json.dumps(_plain(state.settings), allow_nan=False),
            "about": json.dumps(dict(about or {}), allow_nan=False),
        }
    except (TypeError, ValueError) as error:
        raise PredictorError(f"a predictor's file holds JSON values beside arrays: {error}") from error
    arrays = {key: np.ascontiguousarray(value) for key, value in state.arrays.items()}
    header["sha256"] = _checksum(header, arrays)
    return bytes(save_tensors(arrays, header))


def from_bytes(content: bytes) -> Stored:
    """Read a predictor.

    Raises:
        PredictorFileError: not such a file, one of another version, or one that is not as it was written.
    """
    if len(content) > LARGEST:
        raise PredictorFileError(f"a predictor's file may have {LARGEST} bytes (got {len(content)})")
    header = _header(content)
    if header.get("format") != FORMAT:
        raise PredictorFileError("this is no predictor: the file says nothing of what it is")
    if header.get("version") != str(VERSION):
        raise PredictorFileError(
            f"the predictor was written in version {header.get('version')!r} of the format; this is version {VERSION}: "
            "fit it again"
        )
    try:
        arrays = load_tensors(content)
    except (SafetensorError, ValueError, KeyError) as error:
        raise PredictorFileError(f"the predictor's arrays cannot be read: {error}") from error
    if header.get("sha256") != _checksum(header, arrays):
        raise PredictorFileError("the predictor's file was changed after it was written: its checksum does not fit")
    try:
        features = FeatureSet.from_plain(json.loads(header["features"]))
        state = State(dict(arrays), json.loads(header["state"]))
        predictor = predictor_kind(header["kind"]).restored(features, state)
        return Stored(predictor, json.loads(header["about"]))
    except (PredictorError, KeyError, ValueError, TypeError, IndexError) as error:
        raise PredictorFileError(f"the predictor's file does not fit together: {error!r}") from error


def _header(content: bytes) -> dict[str, str]:
    """The text part of a safetensors file."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or not 2 <= size <= min(LARGEST_HEADER, len(content) - 8):
        raise PredictorFileError("this is no predictor: not a safetensors file")
    try:
        found = json.loads(content[8 : 8 + size])
        told = found.get("__metadata__", {})
    except (ValueError, RecursionError, AttributeError) as error:
        raise PredictorFileError("this is no predictor: not a safetensors file") from error
    if not isinstance(told, dict) or not all(isinstance(value, str) for value in told.values()):
        raise PredictorFileError("this is no predictor: its description is not text")
    return told


def _checksum(header: Mapping[str, str], arrays: Mapping[str, NDArray[Any]]) -> str:
    found = hashlib.sha256()
    for key in sorted(set(header) - {"sha256"}):
        found.update(json.dumps([key, header[key]]).encode())
    for key in sorted(arrays):
        found.update(json.dumps([key, str(arrays[key].dtype), list(arrays[key].shape)]).encode())
        found.update(np.ascontiguousarray(arrays[key]).tobytes())
    return found.hexdigest()


def _plain(value: Any) -> Any:
    """NaN, which JSON does not have, as null."""
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(entry) for entry in value]
    return value
