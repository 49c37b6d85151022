"""Which devices answer, asked in the background, and what waits for each."""

import json
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from fastapi import APIRouter, Request

from nas.service.access import READ
from nas.service.schemas import Presence, Waiting
from profilers.agent_link import LOST
from profilers.device import fingerprint_of
from profilers.device_choices import combinations
from profilers.errors import DeviceAway, DeviceLost, DeviceRefused
from profilers.host import HostDevice
from profilers.registry import DEVICES, is_computed, make_device
from profilers.remote import RemoteDevice
from storage.records import Device, Job, JobStatus
from storage.store import ResultStore

router = APIRouter(tags=["devices"])

FRESH_S = 15.0
"""How long what a device said of itself is believed."""

MOST_JOBS = 200
"""Jobs, the newest, that tell where devices are."""

MOST_AT_ONCE = 8
"""Devices that are asked at a time; one that does not answer takes the ten seconds of a handshake or two."""

Section = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Answer:
    """What came of asking; of one that did not answer, `fingerprint` is what it was before, if it ever did."""

    fingerprint: str | None
    answers: bool
    told: str
    at: float


class Presences:
    """Knows which devices answer. Nobody waits for a device: who asks is told what is known, which is then renewed.

    Args:
        store: whose devices and jobs.
        fresh_s: seconds for which an answer is believed.
    """

    def __init__(self, store: ResultStore, fresh_s: float = FRESH_S) -> None:
        self._store = store
        self._fresh_s = fresh_s
        self._lock = threading.Lock()
        self._known: dict[str, _Answer] = {}
        self._asked: set[str] = set()

    def of_all(self) -> list[Presence]:
        """All devices of the store, the one seen last first."""
        jobs = self._store.jobs(limit=MOST_JOBS)
        far = {_key(section): section for job in jobs for section in _sections(job) if _is_far(section)}
        self._renew(far)
        queue = [job for job in jobs if job.status in (JobStatus.QUEUED, JobStatus.RUNNING)]
        waiting = [(job, [(section, self._prints(section)) for section in _sections(job)]) for job in queue]
        return [self._presence(device, far, waiting) for device in self._store.devices()]

    def _presence(
        self, device: Device, far: Mapping[str, Section], waiting: Iterable[tuple[Job, list[tuple[Section, set[str]]]]]
    ) -> Presence:
        answers, told, asking = self._judged(device, far)
        queue = [
            job
            for job, named in waiting
            if any(device.fingerprint in found or (not found and _names(section, device)) for section, found in named)
        ]
        return Presence(
            fingerprint=device.fingerprint,
            answers=answers,
            told=told,
            asking=asking,
            queue=[Waiting.model_validate(job) for job in queue],
        )

    def _judged(self, device: Device, far: Mapping[str, Section]) -> tuple[bool | None, str, bool]:
        """Whether a device answers, why one says so, and whether it is being asked."""
        if is_computed(device.description):
            return True, "computed, so it is always there", False
        if not _is_far(device.description):
            here = _is_here(device)
            return here or None, "this machine" if here else "a machine that this service does not reach", False
        with self._lock:
            same = [key for key in far if (known := self._known.get(key)) and known.fingerprint == device.fingerprint]
            named = same or [key for key, section in far.items() if _names(section, device)]
            told = [answer for key in named if (answer := self._known.get(key))]
            asking = any(key in self._asked for key in named)
        if not named:
            return None, "no recent job says where it is", False
        if not told:
            return None, "it is being asked", asking
        last = max(told, key=lambda answer: (answer.answers, answer.at))
        if last.answers and last.fingerprint != device.fingerprint:
            return False, "what answers at its address is another device, or set up otherwise", asking
        return last.answers, last.told, asking

    def _prints(self, section: Section) -> set[str]:
        """The fingerprints of the devices that a section stands for; none where they are not known."""
        if _is_far(section):
            with self._lock:
                known = self._known.get(_key(section))
            return {known.fingerprint} if known and known.fingerprint else set()
        try:
            return {make_device(each).fingerprint for each in combinations(section)}
        except DeviceRefused:
            return set()  # a device of another machine

    def _renew(self, far: Mapping[str, Section]) -> None:
        """Ask whom nobody has asked lately, each in a thread that ends by itself."""
        now = time.monotonic()
        with self._lock:
            self._known = {key: answer for key, answer in self._known.items() if key in far}
        for key, section in far.items():
            with self._lock:
                known = self._known.get(key)
                fresh = known is not None and now - known.at < self._fresh_s
                if fresh or key in self._asked or len(self._asked) >= MOST_AT_ONCE:
                    continue
                self._asked.add(key)
            threading.Thread(target=self._ask, args=(key, section), name="presence", daemon=True).start()

    def _ask(self, key: str, section: Section) -> None:
        fingerprint, told = _heard(section)
        with self._lock:
            before = self._known.get(key)
            kept = fingerprint or (before.fingerprint if before else None)
            self._known[key] = _Answer(kept, fingerprint is not None, told, time.monotonic())
            self._asked.discard(key)


def _heard(section: Section) -> tuple[str | None, str]:
    """The fingerprint of a device that is asked now, or None and why there is none."""
    try:
        device = make_device(section)
        assert isinstance(device, RemoteDevice)
        link = device.open()
    except (DeviceAway, DeviceLost, DeviceRefused) as error:
        return None, str(error)
    except LOST:
        return None, f"nobody answers at {section.get('address')}"
    link.close()
    return fingerprint_of(link.description), "it answers"


def _sections(job: Job) -> list[Section]:
    """The devices that a job names, each with its name."""
    given = job.spec.get("devices")
    named = given.items() if isinstance(given, Mapping) else ()
    return [{**section, "name": name} for name, section in named if isinstance(section, Mapping)]


def _key(section: Section) -> str:
    return json.dumps(dict(section), sort_keys=True)


def _is_far(section: Section) -> bool:
    """Whether one has to ask over a network."""
    return issubclass(DEVICES.get(str(section.get("kind", HostDevice.kind)), HostDevice), RemoteDevice)


def _names(section: Section, device: Device) -> bool:
    """Whether a section calls its device as this one is called, and is of its kind."""
    kind = section.get("kind", HostDevice.kind)
    return bool(section["name"] == device.name and kind == device.description.get("kind", HostDevice.kind))


def _is_here(device: Device) -> bool:
    """Whether a host device is this machine with what is installed here."""
    known = {field.name for field in fields(HostDevice)} - {"name"}
    settings = {key: value for key, value in device.description.items() if key in known}
    try:
        return make_device(settings).fingerprint == device.fingerprint
    except DeviceRefused:
        return False


@router.get("/presence", dependencies=[READ])
def presence(request: Request) -> list[Presence]:
    """Which devices answer, as far as that is known now, and the jobs that wait for them."""
    presences: Presences = request.app.state.presence
    return presences.of_all()
