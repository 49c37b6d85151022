"""What pictures are made of: columns, hypervolumes, importance, agreement; all against simpler computations."""

import json
import struct

import moocore
import numpy as np
import pytest
from fastapi.testclient import TestClient
from scipy import stats
from toy_records import architecture

import storage.points
from nas.service import points
from nas.service.importance import shares
from storage.records import (
    Device,
    Evaluation,
    JobStatus,
    Lease,
    Measurement,
    Outcome,
    Replication,
    Training,
    TrainingStatus,
)
from storage.store import ResultStore

OBJECTIVES = [{"metric": "a", "direction": "max"}, {"metric": "b", "direction": "min", "bound": 0.8}]


def unpacked(content: bytes) -> tuple[dict[str, object], dict[str, np.ndarray]]:
    """The header and the columns of an answer."""
    (length,) = struct.unpack_from("<I", content)
    header = json.loads(content[4 : 4 + length])
    assert (4 + length) % 8 == 0
    table = np.frombuffer(content, "<f8", offset=4 + length).reshape(len(header["columns"]), header["rows"])
    return header, dict(zip(header["columns"], table, strict=True))


@pytest.fixture
def made(store: ResultStore) -> tuple[str, np.ndarray]:
    """A job of 300 evaluations that was told in two parts, and its values, NaN where it failed."""
    rng = np.random.default_rng(5)
    values = rng.uniform(size=(300, 2))
    values[::7] = np.nan
    values[3, 0], values[4, 1] = np.inf, np.nan
    lease = store.claim(store.create_job("made", {"objectives": OBJECTIVES}).id, "me")
    for batch, part in enumerate((range(100), range(100, 300))):
        store.add_proposals(lease, batch, [architecture(n) for n in part])
        store.add_evaluations(lease, [outcome(n, values[n]) for n in part])
    return lease.job_id, values


def outcome(number: int, pair: np.ndarray) -> Outcome:
    """An evaluation as a search would tell it."""
    key = architecture(number).key
    if np.isnan(pair).all():
        return Outcome(key, error="boom")
    good = np.isfinite(pair).all() and pair[1] <= 0.8
    return Outcome(key, {"a": pair[0], "b": pair[1], "more": 1.0}, losses=[-pair[0], pair[1]] if good else None)


def test_points(client: TestClient, store: ResultStore, made: tuple[str, np.ndarray]) -> None:
    """Every evaluation with all its values, and the store's front."""
    job_id, values = made
    header, columns = unpacked(client.get(f"/jobs/{job_id}/points").content)
    assert header["columns"] == ["number", "failed", "a", "b", "more"]
    assert (header["rows"], header["stride"], header["next"]) == (300, 1, 300)
    assert header["front"] == [each.number for each in store.front(job_id)]
    np.testing.assert_array_equal(columns["number"], np.arange(300))
    np.testing.assert_array_equal(columns["failed"], np.arange(300) % 7 == 0)
    np.testing.assert_array_equal(np.stack([columns["a"], columns["b"]], axis=1), values)
    header, columns = unpacked(client.get(f"/jobs/{job_id}/points?start=290").content)
    assert columns["number"].tolist() == list(range(290, 300))
    assert client.get("/jobs/nobody/points").status_code == 404


def test_what_is_reported(client: TestClient, store: ResultStore, made: tuple[str, np.ndarray]) -> None:
    """Values that were measured anew replace those of the search everywhere; unstable ones are told."""
    job_id, values = made
    lease = Lease(job_id, store.job(job_id).fence)
    first, second = store.front(job_id)[:2]
    store.add_replications(lease, [
        Replication(first.architecture_key, "b", 0.123, first.metrics["b"], stable=True),
        Replication(second.architecture_key, "b", 0.456, second.metrics["b"], stable=False)])  # fmt: skip
    _, columns = unpacked(client.get(f"/jobs/{job_id}/points").content)
    assert (columns["b"][first.number], columns["b"][second.number]) == (0.123, 0.456)
    assert columns["a"][first.number] == values[first.number, 0]
    told = client.get(f"/jobs/{job_id}/front").json()
    assert [each["metrics"]["b"] for each in told["evaluations"][:2]] == [0.123, 0.456]
    assert told["unstable"] == [second.architecture_key]


def test_trained_networks_are_the_front(client: TestClient, store: ResultStore, made: tuple[str, np.ndarray]) -> None:
    """The objectives of a job that ended are about what its trained networks do."""
    job_id, _ = made
    lease = Lease(job_id, store.job(job_id).fence)
    best = store.front(job_id)[0]
    row = Training(best.architecture_key, {}, 1, TrainingStatus.FINISHED)
    store.record_training(lease, row, {"a@trained": 0.9})
    assert unpacked(client.get(f"/jobs/{job_id}/points").content)[0]["objectives"][0]["metric"] == "a"
    store.finish(lease, JobStatus.SUCCEEDED)
    header, columns = unpacked(client.get(f"/jobs/{job_id}/points").content)
    assert [each["metric"] for each in header["objectives"]] == ["a@trained", "b"]
    assert columns["a@trained"][best.number] == 0.9


def test_thinned_points(client: TestClient, made: tuple[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of too many, one in so many and the whole front."""
    monkeypatch.setattr(points, "MOST_POINTS", 40)
    header, columns = unpacked(client.get(f"/jobs/{made[0]}/points").content)
    assert header["stride"] == 8
    assert columns["number"].tolist() == sorted({*range(0, 300, 8), *header["front"]})


def test_progress(client: TestClient, store: ResultStore, made: tuple[str, np.ndarray]) -> None:
    """The hypervolume after each step is that of everything up to it, also when the job goes on."""
    job_id, values = made
    lease = store.claim(store.create_job("short", {"objectives": OBJECTIVES}).id, "me")
    store.add_proposals(lease, 0, [architecture(n) for n in range(20)])
    rows = np.column_stack([np.linspace(0.2, 0.4, 20), np.linspace(0.1, 0.9, 20)])
    for part in (range(10), range(10, 20)):
        store.add_evaluations(lease, [outcome(n, rows[n]) for n in part])
        told = client.get("/progress", params={"job": [job_id, lease.job_id]}).json()
        both = [_good(values), _good(rows[: part.stop])]
        low, high = (f(np.concatenate([losses for losses, _ in both]), axis=0) for f in (np.min, np.max))
        for each, (losses, numbers) in zip(told, both, strict=True):
            scaled = (losses - low) / (high - low)
            expected = [moocore.hypervolume(scaled[numbers <= n], ref=[1 + 1e-9] * 2) for n in each["numbers"]]
            np.testing.assert_allclose(each["hypervolumes"], expected, rtol=1e-9)
            assert np.all(np.diff(each["hypervolumes"]) >= 0)
            assert len(each["numbers"]) > 3
    assert told[0]["evaluated"] == 300
    other = store.create_job("other", {"objectives": [{"metric": "x", "direction": "min"}]})
    answer = client.get("/progress", params={"job": [job_id, other.id]})
    assert (answer.status_code, "differ in their objectives" in answer.json()["detail"]) == (422, True)


def _good(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The losses of those that meet the bound, and their numbers."""
    numbers = np.flatnonzero(np.isfinite(values).all(axis=1) & (values[:, 1] <= 0.8))
    return values[numbers] * [-1, 1], numbers


def test_what_was_sent_is_not_read_again(
    client: TestClient, store: ResultStore, made: tuple[str, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many evaluations a job has, who follows it costs what is new."""
    job_id, _ = made
    read: list[int] = []
    plain = storage.points.points

    def counted(*arguments: object) -> storage.points.Points:
        found = plain(*arguments)
        read.append(len(found.numbers))
        return found

    monkeypatch.setattr(storage.points, "points", counted)
    ask = (f"/progress?job={job_id}", f"/jobs/{job_id}/points?start=300")
    assert [client.get(path).status_code for path in ask] == [200, 200]
    assert read == [300, 0]
    lease = Lease(job_id, store.job(job_id).fence)
    store.add_proposals(lease, 2, [architecture(n) for n in (300, 301)])
    store.add_evaluations(lease, [outcome(n, np.array([0.5, 0.5])) for n in (300, 301)])
    assert [client.get(path).status_code for path in ask] == [200, 200]
    assert read == [300, 0, 2, 2]


def test_importance() -> None:
    """A decision that decides everything has all of the variance, chance has almost none, constants have no share."""
    rng = np.random.default_rng(0)
    kinds, noise = rng.integers(4, size=500), rng.integers(5, size=500)

    def each(n: int) -> Evaluation:
        chosen = {"kind": int(kinds[n]), "noise": [int(noise[n])], **({"rare": 1} if kinds[n] == 3 else {})}
        metrics = {"y": float(kinds[n] ** 2), "flat": 1.0, "nan": float("nan")}
        return Evaluation(n, f"{n:064x}", chosen, metrics, None, 0.0, None)  # type: ignore[arg-type]

    found = {row.decision: row.shares for row in shares([each(n) for n in range(500)], ["y", "flat", "nan", "none"])}
    assert list(found) == ["kind", "rare", "noise"]
    assert found["kind"] == {"y": pytest.approx(1.0), "flat": None, "nan": None, "none": None}
    assert found["noise"]["y"] < 0.02
    y = kinds.astype(float) ** 2
    f = stats.f_oneway(y[kinds == 3], y[kinds != 3]).statistic
    assert found["rare"]["y"] == pytest.approx((f - 1) / (f + 498))  # epsilon squared, written with F
    assert shares([], ["y"]) == []


def test_agreement_and_noise(client: TestClient, store: ResultStore) -> None:
    """Spearman's correlation of what two devices measured, whatever jobs called them; noise in its order."""
    rng = np.random.default_rng(1)
    first, second = rng.uniform(size=5), rng.uniform(size=5)
    store.add_device(Device("g", "pi"))
    for fingerprint, name, values in (("f", "cpu", first), ("g", "edge_%", second)):
        store.add_measurements(None, [
            Measurement(architecture(n).key, fingerprint, f"latency_ms@{name}", float(value), name, {"noise": n / 100})
            for n, value in enumerate(values)])  # fmt: skip
    (found,) = client.get("/agreements").json()
    assert {found["first"], found["second"]} == {"f", "g"}
    assert found["networks"] == 5
    assert found["spearman"] == pytest.approx(stats.spearmanr(first, second).statistic)
    assert client.get("/agreements?metric=energy_mj").json()[0]["spearman"] is None
    told = client.get("/devices/f/noise").json()
    assert (told["measured"], sorted(told["noise"])) == (5, [0.0, 0.01, 0.02, 0.03, 0.04])
    met = client.get(f"/architectures/{architecture(0).key}/encounters").json()
    assert [each["job_name"] for each in met["jobs"]] == ["done"]
    assert [each["device_name"] for each in met["measured"]] == ["cpu", "edge_%"]


def test_who_submitted(client: TestClient, store: ResultStore) -> None:
    """A job is told with the name of the token that brought it; one of the command line has none."""
    text = "name: x\nspace: mobilenet_v3\nobjectives: [macs]\nstrategy: random\nbudget: {evaluations: 1}\n"
    assert client.post("/jobs", content=text).json()["submitted_by"] == "test"
    assert store.create_job("y", {}).submitted_by is None


def test_verdicts(client: TestClient, store: ResultStore) -> None:
    """What is wrong with a job, without submitting it."""
    before = store.jobs()
    told = client.post("/jobs/verdicts", content="name: x\nobjectives: []\n").json()
    assert told["name"] is None
    assert {"objectives", "space", "budget"} <= {problem["where"] for problem in told["problems"]}
    assert client.post("/jobs/verdicts", content="a: [").json()["problems"][0]["message"].startswith("not YAML")
    assert store.jobs() == before
