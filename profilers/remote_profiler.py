"""Measures on another machine, through the agent that runs there."""

import secrets
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict

from profilers.agent_link import LOST, AgentLink
from profilers.answer import read_answer
from profilers.cancellation import Cancellation, cancelled
from profilers.device import Device, Fact, fingerprint_of
from profilers.errors import DeviceLost, DeviceRefused, ProfilingFailed
from profilers.frames import Frame, FrameError
from profilers.limits import Limits
from profilers.measurement import Measurement
from profilers.model_check import check_size
from profilers.profiler import Profiler
from profilers.remote import RemoteDevice
from profilers.timing import TimingRule

MAX_SENT = 3
"""Times that a model is sent: an agent that was lost so often with it is not offered it again."""


class RemoteProfiler(Profiler):
    """Sends models to an agent and hears how long they take.

    The connection is kept between models. When it is lost, or the agent is started anew, the same request is made
    again, under the same id, so that the agent measures it once.

    Args:
        rule: how many runs are taken.
        limits: what a model may use; the agent's own limits hold where they are smaller.
    """

    def __init__(self, rule: TimingRule | None = None, limits: Limits | None = None) -> None:
        self._rule = rule or TimingRule()
        self._limits = limits or Limits()
        self._link: AgentLink | None = None
        self._linked: RemoteDevice | None = None
        self._known: dict[RemoteDevice, dict[str, Fact]] = {}
        self._closed = False
        self._one_at_a_time = threading.Lock()

    def profile(
        self,
        model_bytes: bytes | memoryview,
        device: Device,
        *,
        dimensions: Mapping[str, int] | None = None,
        cancellation: Cancellation | None = None,
    ) -> Measurement:
        """Measure how long a model takes on the agent's machine; see `profiler.Profiler.profile`."""
        if not isinstance(device, RemoteDevice):
            raise DeviceRefused(
                [f"the remote profiler measures agents, of kind remote or browser (got {device.name!r}, {device.kind})"]
            )
        check_size(model_bytes, self._limits)
        request = {
            "id": secrets.token_hex(16),
            "model_bytes": len(model_bytes),
            "rule": asdict(self._rule),
            "limits": asdict(self._limits),
            "dimensions": dict(dimensions or {}),
        }
        with self._one_at_a_time:
            if self._closed:
                raise ValueError("the profiler is closed; open a new one")
            answer = self._ask(device, request, bytes(model_bytes), cancellation or Cancellation())
            fingerprint = fingerprint_of(self._known[device])
        return read_answer(answer, device.name, fingerprint, self._rule)

    def close(self) -> None:
        """Let go of the connection."""
        with self._one_at_a_time:
            self._closed = True
            self._drop()

    def _ask(
        self, device: RemoteDevice, request: Mapping[str, object], model_bytes: bytes, cancellation: Cancellation
    ) -> Frame:
        """Make a request until it is answered; what is given up here is given up at the agent too."""
        sent = 0

        def model() -> bytes:
            nonlocal sent
            sent += 1
            if sent > MAX_SENT:
                raise ProfilingFailed(f"the agent was lost {MAX_SENT} times while it had the model", "crash")
            return model_bytes

        def attempt(heard: Callable[[], None]) -> Frame:
            try:
                link = self._opened(device)
                heard()
                with cancellation.calls(link.interrupt):
                    return link.measure(request, model, self._rule.answer_bytes, heard)
            except LOST:
                self._drop()
                if cancellation.cancelled:
                    raise cancelled() from None
                raise

        try:
            return device.patiently(attempt)
        except FrameError as error:
            self._drop()
            raise ProfilingFailed(f"the agent answered nonsense: {error}", "protocol") from None
        except DeviceLost:
            self._drop()
            raise
        except BaseException:
            self._drop()
            if sent:
                with suppress(DeviceLost, *LOST):
                    self._opened(device).cancel(str(request["id"]))
            raise

    def _opened(self, device: RemoteDevice) -> AgentLink:
        """The connection to a device, made if there is none."""
        if self._link is None or self._linked != device:
            self._drop()
            link = device.open()
            before = self._known.setdefault(device, link.description)
            if link.description != before:
                link.close()
                keys = sorted(before.keys() | link.description.keys())
                changes = [
                    f"{key} was {before.get(key)!r} and is {link.description.get(key)!r}"
                    for key in keys
                    if before.get(key) != link.description.get(key)
                ]
                raise DeviceLost(f"device {device.name!r} at {device.address} changed: {'; '.join(changes)}", "changed")
            self._link, self._linked = link, device
        return self._link

    def _drop(self) -> None:
        """Close the connection; the next request makes a new one."""
        link, self._link, self._linked = self._link, None, None
        if link:
            link.close()
