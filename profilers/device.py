"""A device: where a model is measured."""

import hashlib
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar

Fact = str | int | float | bool
"""One fact of a device's description."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


def name_problems(name: object) -> list[str]:
    """Say what is wrong with the name of a device; nothing if it is good."""
    if isinstance(name, str) and _NAME.fullmatch(name):
        return []
    return [f"name must be 1 to 64 letters, digits, '_', '.' or '-', a letter or digit first (got {name!r})"]


def fingerprint_of(description: Mapping[str, Fact]) -> str:
    """SHA-256 of the canonical JSON of a description, as 64 hex digits."""
    text = json.dumps(dict(description), sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


class Device(ABC):
    """A measuring target. Implementations are frozen dataclasses.

    Two devices with the same fingerprint give comparable measurements: the fingerprint covers what the
    device is and how it runs a model, and not the name by which a job calls it.

    Attributes:
        kind: key of the device's class in `registry.DEVICES`.
        metrics: what a measurement tells; `METRIC@NAME` can be an objective of a job.
        paths: fields that name files; in a job file they are relative to it.
        searched: fields that a search may decide, given as a list of options in a job file.
        tells_layers: a measurement can tell what each layer takes.
        computed: nothing is run on it, so measuring a model again tells nothing new.
        name: what a job calls the device; part of metric names such as `latency_ms@cpu`.
    """

    kind: ClassVar[str]
    metrics: ClassVar[tuple[str, ...]] = ("latency_ms",)
    paths: ClassVar[tuple[str, ...]] = ()
    searched: ClassVar[tuple[str, ...]] = ()
    tells_layers: ClassVar[bool] = True
    computed: ClassVar[bool] = False
    name: str

    @property
    @abstractmethod
    def description(self) -> dict[str, Fact]:
        """All facts that decide how long a model takes, as a JSON object."""

    @property
    @abstractmethod
    def family(self) -> str:
        """What two timings must not share, e.g. `host-cpu`: at most one at a time in each family; empty if nothing."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON of the description, as 64 hex digits."""
        return fingerprint_of(self.description)
