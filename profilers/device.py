"""A device: where a model is measured."""

import hashlib
import json
from abc import ABC, abstractmethod
from typing import ClassVar

Fact = str | int | float | bool
"""One fact of a device's description."""


class Device(ABC):
    """A measuring target. Implementations are frozen dataclasses.

    Two devices with the same fingerprint give comparable measurements: the fingerprint covers what the
    device is and how it runs a model, and not the name by which a job calls it.

    Attributes:
        kind: key of the device's class in `registry.DEVICES`.
        name: what a job calls the device; part of metric names such as `latency_ms@cpu`.
    """

    kind: ClassVar[str]
    name: str

    @property
    @abstractmethod
    def description(self) -> dict[str, Fact]:
        """All facts that decide how long a model takes, as a JSON object."""

    @property
    @abstractmethod
    def family(self) -> str:
        """What two timings must not share, e.g. `host-cpu`: at most one at a time in each family."""

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the canonical JSON of the description, as 64 hex digits."""
        text = json.dumps(self.description, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
        return hashlib.sha256(text.encode()).hexdigest()
