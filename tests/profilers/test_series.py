"""Series of models between references: drift is noticed, and what it touched is measured again."""

from collections.abc import Mapping, Sequence

import numpy as np
import onnxruntime as ort
import pytest

from profilers.device import Device
from profilers.errors import DeviceLost, ModelRefused, ProfilingFailed
from profilers.host import HostDevice
from profilers.measurement import Measurement, summarise
from profilers.profiler import Profiler
from profilers.reference import reference_model
from profilers.roofline import RooflineDevice
from profilers.series import Series, SeriesRule

DEVICE = HostDevice()


class Slowing(Profiler):
    """A device whose speed is scripted: the k-th measurement of all takes `speeds[k]` times as long as usual.

    A model is its usual milliseconds as text, or what is to come of it. The first `interrupted` runs wait for others.
    """

    def __init__(self, speeds: Sequence[float], interrupted: int = 0) -> None:
        self._speeds = speeds
        self._interrupted = interrupted
        self.seen: list[str] = []

    def profile(
        self, model_bytes: bytes, device: Device, *, dimensions: Mapping[str, int] | None = None, cancellation=None
    ) -> Measurement:
        """Measure one, by the script."""
        name = "reference" if model_bytes == reference_model() else model_bytes.decode()
        factor = self._speeds[len(self.seen)] if len(self.seen) < len(self._speeds) else 1.0
        self.seen.append(name)
        if name == "refused":
            raise ModelRefused("not this one")
        if name == "failed" or factor == 0:
            raise ProfilingFailed("it broke", "run")
        if name == "lost":
            raise DeviceLost("gone", "lost")
        usual = 10.0 if name == "reference" else float(name)
        samples = np.full(30, usual * factor)
        samples[: self._interrupted] *= 10
        return summarise(
            samples,
            device=device.name,
            fingerprint=device.fingerprint,
            tolerance=0.02,
            settled=True,
            warmup_runs=1,
            session_ms=1.0,
        )

    def close(self) -> None:
        """Nothing to let go of."""


def test_steady_device() -> None:
    """Without drift each model is measured once, between references, and stays stable."""
    profiler = Slowing([1, 1, 1, 1.01])
    series = Series(profiler, DEVICE)
    first, second = series.measure([b"1", b"2"])
    assert profiler.seen == ["reference", "1", "2", "reference"]
    assert (first.median_ms, second.median_ms) == (1, 2)
    assert first.stable
    assert first.drift == pytest.approx(0.01)
    assert series.noise == first.noise == pytest.approx(0.01)


def test_drift_is_measured_away() -> None:
    """What lay between two references that differ is measured again, the last one first."""
    profiler = Slowing([1, 1, 1.5, 1.5, 1.5, 1.5, 1.5])
    first, second = Series(profiler, DEVICE).measure([b"1", b"2"])
    assert profiler.seen == ["reference", "1", "2", "reference", "2", "1", "reference"]
    assert (first.median_ms, second.median_ms) == (1.5, 3)
    assert first.drift == 0
    assert first.stable


def test_drift_without_end() -> None:
    """When the device never rests, the steadiest attempt counts and nothing of it is called stable."""
    profiler = Slowing([1, 1, 1.2, 1.2, 2, 3, 3])
    (measured,) = Series(profiler, DEVICE).measure([b"1"])
    assert profiler.seen == ["reference", "1"] * 3 + ["reference"]
    assert measured.median_ms == 1
    assert not measured.stable
    assert measured.drift == pytest.approx(0.2)
    assert measured.noise == pytest.approx(0.5)


def test_disturbed_device() -> None:
    """Runs that wait for other processes leave the median as it is, and yet nothing measured beside them is stable."""
    profiler = Slowing([], interrupted=6)
    (measured,) = Series(profiler, DEVICE).measure([b"1"])
    assert profiler.seen == ["reference", "1", "reference"]
    assert measured.median_ms == 1
    assert measured.interval <= 0.02
    assert measured.drift == 0
    assert measured.noise == pytest.approx(6 * 9 / 30)
    assert not measured.stable


def test_failures_are_data_and_not_repeated() -> None:
    """A model that fails is tried once, and the others go on."""
    profiler = Slowing([1, 1, 1, 1, 1.5, 1.5, 1.5])
    refused, measured, failed = Series(profiler, DEVICE).measure([b"refused", b"1", b"failed"])
    assert profiler.seen == ["reference", "refused", "1", "failed", "reference", "1", "reference"]
    assert isinstance(refused, ModelRefused)
    assert isinstance(failed, ProfilingFailed)
    assert measured.median_ms == 1.5


def test_series_are_short() -> None:
    """Many models are measured in series of a few, and the count of those that are done is told."""
    profiler, told = Slowing([]), []
    measured = Series(profiler, DEVICE, SeriesRule(models=2)).measure([b"1", b"2", b"3"], told.append)
    assert [each.median_ms for each in measured] == [1, 2, 3]
    assert profiler.seen == ["reference", "1", "2", "reference", "reference", "3", "reference"]
    assert told == [2, 3]


@pytest.mark.parametrize("speeds, models", [([0], [b"1"]), ([1, 1, 0], [b"1"]), ([], [b"lost"])])
def test_lost_devices(speeds: list[float], models: list[bytes]) -> None:
    """A device that is gone, or that cannot even measure the reference, is no fault of a model."""
    with pytest.raises(DeviceLost):
        Series(Slowing(speeds), DEVICE).measure(models)


def test_computed_devices_are_not_watched() -> None:
    """What is computed does not drift: no reference is measured."""
    profiler = Slowing([])
    (measured,) = Series(profiler, RooflineDevice(peak_macs_per_s=1e9, bandwidth_gb_s=1)).measure([b"1"])
    assert profiler.seen == ["1"]
    assert (measured.drift, measured.noise) == (None, None)


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"models": 0}, "models must be at least 1"),
        ({"attempts": 0}, "attempts must be at least 1"),
        ({"drift": 0}, "drift must be a positive number"),
    ],
)
def test_impossible_rules(settings: dict[str, int], message: str) -> None:
    """A rule that cannot be followed is refused."""
    with pytest.raises(ValueError, match=message):
        SeriesRule(**settings)


def test_reference_model() -> None:
    """The reference is a network that ONNX Runtime runs, one sample of any batch, and it is small on the wire."""
    session = ort.InferenceSession(reference_model(), providers=["CPUExecutionProvider"])
    images = np.random.default_rng(0).standard_normal((3, 3, 16, 16), dtype=np.float32)
    (logits,) = session.run(None, {"images": images})
    assert logits.shape == (1, 10)
    assert np.array_equal(logits, session.run(None, {"images": images[:1]})[0])
    assert np.isfinite(logits).all()
    assert len(reference_model()) < 100_000
