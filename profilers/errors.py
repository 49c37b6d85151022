"""What can go wrong when a model is measured.

ValueError
├── DeviceRefused      the description of a device asks for what is not there
└── ModelRefused       the model may not be run: malformed, too large, or not self-contained
RuntimeError
├── DeviceAway         an agent has lost sight of the device, which may come back
└── ProfilingFailed    the model was tried and did not come to a measurement; `reason` says why
    └── DeviceLost     the device is not there any more, so the next model would not fare better
"""

from collections.abc import Sequence
from typing import Literal, Self, get_args

Reason = Literal[
    "load",
    "run",
    "memory",
    "cpu_time",
    "wall_clock",
    "queue",
    "crash",
    "start",
    "protocol",
    "cancelled",
    "lost",
    "denied",
    "changed",
]
"""Why a measurement failed:

load        ONNX Runtime could not make a session of the model
run         an operator failed while the model ran
memory      more memory than the limit was asked for
cpu_time    more processor time than the limit was used
wall_clock  the measurement did not end in time
queue       the device stayed busy for longer than one is willing to wait
crash       the process that ran the model died
start       the process that runs models did not start, or died before it saw the model
protocol    the process that ran the model answered nonsense
cancelled   somebody asked for an end of the measurement
lost        the device could not be reached for longer than one is willing to wait
denied      the device does not know the token, or is not the one that its certificate should name
changed     the device is not the one that it was for the models before
"""

REASONS: tuple[Reason, ...] = get_args(Reason)

LOSSES: tuple[Reason, ...] = ("lost", "denied", "changed")
"""The reasons that say nothing about the model."""


class DeviceRefused(ValueError):
    """The description of a device has problems; `problems` lists every one of them."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("; ".join(self.problems))


class DeviceAway(RuntimeError):
    """The device is not there now; the message says what brings it back."""


class ModelRefused(ValueError):
    """The model is not run at all; the message says what was given and what is allowed."""


class ProfilingFailed(RuntimeError):
    """The model was tried and gave no measurement; the next model is not affected."""

    def __init__(self, message: str, reason: Reason) -> None:
        self.reason: Reason = reason
        super().__init__(message)

    def __reduce__(self) -> tuple[type[Self], tuple[str, Reason]]:
        """Let it travel between processes with its reason."""
        return type(self), (str(self), self.reason)


class DeviceLost(ProfilingFailed):
    """The device cannot be reached, is not the one that it was, or measures nothing; no model is to blame."""
