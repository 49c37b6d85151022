"""Devices, measurements, replications and artifacts."""

import math
from datetime import timedelta

import pytest
from toy_records import Clock, architecture, running

from storage.errors import InvalidRecord, LeaseLost
from storage.records import Device, JobStatus, Layer, Lease, Measurement, Outcome, Replication
from storage.store import ResultStore


def test_measurements_are_reused(store: ResultStore) -> None:
    """What one job measured another one finds, by architecture, device and metric."""
    lease = running(store, 3)
    store.add_device(Device("f", "cpu", {"model": "Ω", "threads": 1}))
    keys = [architecture(index).key for index in range(3)]
    statistics = {"median": 2.0, "p90": 2.5, "runs": 3}
    store.add_measurements(
        lease,
        [
            Measurement(keys[0], "f", "latency_ms", 2.0, "cpu", statistics, (1.5, 2.0, 2.5)),
            Measurement(keys[1], "f", "latency_ms", math.nan, "cpu"),
            Measurement(keys[1], "f", "energy_mj", 5.0, "cpu"),
        ],
    )
    found = store.measurements([*keys[::-1], "f" * 64], "f", "latency_ms")
    assert list(found) == [keys[1], keys[0]]
    assert math.isnan(found[keys[1]].value)
    one = found[keys[0]]
    assert (one.value, one.statistics, one.samples) == (2.0, statistics, (1.5, 2.0, 2.5))
    assert (one.device_name, one.job_id) == ("cpu", lease.job_id)
    assert one.created_at is not None
    assert one.created_at.utcoffset() == timedelta(0)
    assert store.measurements(keys, "g", "latency_ms") == {}


def test_a_device_has_many_names(store: ResultStore) -> None:
    """What one job measured is found by another that calls the device otherwise, and of a device under any setting."""
    lease = running(store, 2)
    keys = [architecture(index).key for index in range(2)]
    for fingerprint in "fg":
        store.add_device(Device(fingerprint, "cpu"))
    rows = [("f", "latency_ms@pi", 1.0), ("f", "latencyXms@pi", 2.0), ("f", "energy_mj@pi", 3.0)]
    store.add_measurements(lease, [Measurement(keys[0], f, metric, value, "pi") for f, metric, value in rows])
    assert store.measurements(keys, "f", "latency_ms@cpu")[keys[0]].value == 1.0
    store.add_measurements(lease, [Measurement(keys[0], "f", "latency_ms@cpu", 4.0, "cpu")])
    store.add_measurements(lease, [Measurement(keys[1], "g", "latency_ms@cpu", 5.0, "cpu")])
    for metric in ("latency_ms", "latency_ms@pi", "latency_ms@cpu"):
        found = store.measurements(keys, ["g", "f"], metric)
        assert [found[key].value for key in keys] == [4.0, 5.0]
        assert list(store.measurements(keys, "g", metric)) == [keys[1]]
    assert store.measurements(keys, [], "latency_ms") == {}


def test_a_newer_measurement_replaces(store: ResultStore) -> None:
    """Measured again, by somebody without a lease or without a job: the newest stands."""
    lease = running(store, 1)
    key = architecture(0).key
    store.add_device(Device("f", "cpu"))
    for job, values in ((lease, [1.0, 2.0]), (lease.job_id, [3.0]), (None, [4.0])):
        store.add_measurements(job, [Measurement(key, "f", "latency_ms", value, "cpu") for value in values])
        found = store.measurements([key], "f", "latency_ms")[key]
        assert found.value == values[-1]
        assert found.job_id == (None if job is None else lease.job_id)


def test_what_nobody_proposed_can_be_measured(store: ResultStore) -> None:
    """Once it is made known; that it is known already changes nothing."""
    lease = running(store, 1)
    store.add_device(Device("f", "cpu"))
    rows = [architecture(index) for index in (1, 0)]
    for _ in range(2):
        store.add_architectures(lease, rows)
    store.add_measurements(lease, [Measurement(row.key, "f", "latency_ms", 1.0, "cpu") for row in rows])
    assert store.architectures([row.key for row in rows]) == {row.key: row for row in rows}
    assert store.job(lease.job_id).proposed == 1
    with pytest.raises(LeaseLost):
        store.add_architectures(Lease(lease.job_id, lease.fence - 1), rows)


def test_a_measurement_is_of_something_known(store: ResultStore) -> None:
    """An architecture or a device that nobody recorded is refused, and so are the others beside it."""
    lease = running(store, 1)
    key = architecture(0).key
    good = Measurement(key, "f", "latency_ms", 1.0, "cpu")
    with pytest.raises(InvalidRecord, match="no device has the fingerprint 'f'"):
        store.add_measurements(lease, [good])
    store.add_device(Device("f", "cpu"))
    with pytest.raises(InvalidRecord, match=f"no architecture {'f' * 64} is recorded"):
        store.add_measurements(lease, [good, Measurement("f" * 64, "f", "latency_ms", 1.0, "cpu")])
    with pytest.raises(InvalidRecord, match="statistics of a measurement has no JSON form"):
        store.add_measurements(lease, [Measurement(key, "f", "m", 1.0, "cpu", {"spread": math.nan})])
    assert store.measurements([key], "f", "latency_ms") == {}


def test_devices_are_seen_again(store: ResultStore, clock: Clock) -> None:
    """One row per fingerprint, with the newest name and description; the last seen comes first."""
    store.add_device(Device("a", "cpu", {"threads": 1}))
    store.add_device(Device("b", "gpu"))
    store.add_device(Device("a", "cpu renamed", {"threads": 2}))
    assert store.devices() == [
        Device("a", "cpu renamed", {"threads": 2}, clock.time),
        Device("b", "gpu", {}, clock.time - timedelta(milliseconds=1)),
    ]


def test_artifacts(store: ResultStore, clock: Clock) -> None:
    """Newest first, by kind; a file that is written again keeps its id and its place is new."""
    lease = running(store)
    supernet = store.add_artifact(lease, "supernet", "s.safetensors", sha256="a" * 64, size_bytes=2**40)
    store.finish(lease, JobStatus.SUCCEEDED)
    onnx = store.add_artifact(
        lease.job_id, "onnx", "Ω/x.onnx", sha256="b" * 64, size_bytes=0, metadata={"pick": "knee"}
    )
    assert store.artifacts(lease.job_id) == [onnx, supernet]
    assert store.artifacts(lease.job_id, kind="onnx") == [onnx]
    assert (onnx.path, onnx.metadata, onnx.created_at) == ("Ω/x.onnx", {"pick": "knee"}, clock.time)
    assert supernet.size_bytes == 2**40
    again = store.add_artifact(lease.job_id, "supernet", "s.safetensors", sha256="c" * 64, size_bytes=3)
    assert (again.id, again.sha256) == (supernet.id, "c" * 64)
    assert store.artifacts(lease.job_id) == [again, onnx]
    with pytest.raises(InvalidRecord, match="SHA-256 is 64"):
        store.add_artifact(lease.job_id, "plot", "p.png", sha256="abc", size_bytes=1)


def test_devices_tell_their_noise(store: ResultStore) -> None:
    """The newest measurement of a device that was watched tells its noise floor."""
    lease = running(store, 2)
    store.add_device(Device("f", "cpu"))
    for index, noise in ((1, 0.03), (0, 0.01)):
        measured = Measurement(architecture(index).key, "f", "latency_ms", 1.0, "cpu", {"noise": noise})
        store.add_measurements(lease, [measured])
    assert [device.noise for device in store.devices()] == [0.01]


def test_layers(store: ResultStore, clock: Clock) -> None:
    """What layers take on a device, by signature; the same one again is replaced, and devices are apart."""
    store.add_device(Device("f", "cpu"))
    store.add_device(Device("g", "gpu"))
    store.add_layers("f", [Layer("Conv b", "Conv", 2.0), Layer("Conv a", "Conv", 1.0), Layer("Conv a", "Conv", 1.5)])
    store.add_layers("f", [Layer("Conv b", "Conv", 3.0)])
    store.add_layers("f", [])
    assert store.layers("f") == [
        Layer("Conv a", "Conv", 1.5, clock.time - timedelta(milliseconds=2)),
        Layer("Conv b", "Conv", 3.0, clock.time - timedelta(milliseconds=1)),
    ]
    assert store.layers("g") == store.layers("h") == []
    with pytest.raises(InvalidRecord, match="no device has the fingerprint 'h'"):
        store.add_layers("h", [Layer("Conv a", "Conv", 1.0)])
    with pytest.raises(InvalidRecord, match="the latency of a layer must be finite and not negative"):
        store.add_layers("f", [Layer("Conv c", "Conv", 1.0), Layer("Conv d", "Conv", math.nan)])
    assert len(store.layers("f")) == 2


def test_replications(store: ResultStore, clock: Clock) -> None:
    """What was measured anew of a job's finalists, by architecture and metric; the same again is replaced."""
    lease = running(store, 3)
    keys = sorted(architecture(index).key for index in range(3))
    store.add_evaluations(lease, [Outcome(key, {"latency_ms@cpu": 1.0}) for key in keys[:2]])
    rows = [
        Replication(keys[1], "latency_ms@cpu", math.nan, 1.0, False, {"error": "lost"}),
        Replication(keys[0], "latency_ms@pi5", 2.5, 2.0, True),
        Replication(keys[0], "latency_ms@cpu", 1.5, 1.0, True, {"passes": 2}),
    ]
    store.add_replications(lease, rows)
    store.add_replications(lease, [])
    store.add_replications(lease, [Replication(keys[0], "latency_ms@cpu", 1.25, 1.0, False, {"passes": 3})])
    first, second, third = store.replications(lease.job_id)
    assert first == Replication(keys[0], "latency_ms@cpu", 1.25, 1.0, False, {"passes": 3}, clock.time)
    assert (second.metric, second.value, second.searched, second.stable) == ("latency_ms@pi5", 2.5, 2.0, True)
    assert math.isnan(third.value)
    assert third.statistics == {"error": "lost"}
    assert store.replications(running(store, 1).job_id) == []
    with pytest.raises(InvalidRecord, match="has no evaluation of architecture"):
        store.add_replications(lease, [Replication(keys[2], "latency_ms@cpu", 1.0, 1.0, True)])
    store.finish(lease, JobStatus.SUCCEEDED)
    with pytest.raises(LeaseLost):
        store.add_replications(lease, rows)
