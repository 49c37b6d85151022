"""A driver in a process of its own: `drive.py URL INDEX ROUNDS` proposes, measures and evaluates."""

import sys

from toy_records import architecture

from storage.records import Device, JobStatus, Measurement, Outcome
from storage.store import ResultStore


def main(url: str, index: int, rounds: int) -> None:
    """Run one job on the architectures that all drivers share."""
    with ResultStore(url) as store:
        lease = store.claim(store.create_job(f"driver {index}", {}).id, f"driver {index}")
        store.add_device(Device("f", "cpu"))
        for batch in range(rounds):
            row = architecture(batch)
            store.add_proposals(lease, batch, [row])
            store.add_measurements(lease, [Measurement(row.key, "f", "latency_ms", 1.0, "cpu")])
            assert store.measurements([row.key], "f", "latency_ms")
            store.add_evaluations(lease, [Outcome(row.key, {"accuracy": 0.5, "macs": 1.0})])
        store.finish(lease, JobStatus.SUCCEEDED)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
