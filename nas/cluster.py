"""The Ray cluster that a search runs on: a local one on loopback, started and ended with the search."""

import os
import secrets
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

# Ray reads these when it is imported, so everybody here takes `ray` from this module. The first makes a local cluster
# listen on loopback only (its name speaks of other systems, its effect is general); the second keeps ray from
# reporting usage; the third is the coming default. The token is known to this process and those that it starts alone;
# left to itself, ray writes one where other users can read it.
os.environ.setdefault("RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER", "0")
os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
os.environ.setdefault("RAY_worker_niceness", "0")  # by default workers yield to everything else, and so would timings
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that spin while they wait starve others of a shared core
os.environ.setdefault("RAY_AUTH_MODE", "token")
if "RAY_AUTH_TOKEN_PATH" not in os.environ:
    os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))

import ray as ray


def device_resource(device: str) -> str:
    """The custom resource of a device; a node that holds the device offers one of it."""
    return f"device:{device}"


@contextmanager
def local_cluster(cpus: int, devices: Sequence[str]) -> Iterator[None]:
    """A Ray cluster of this machine alone, with one resource for each device; ended on leaving.

    Args:
        cpus: logical processors that tasks and actors share.
        devices: names of the measuring devices.
    """
    on_terminate = signal.getsignal(signal.SIGTERM)
    ray.init(
        address="local",
        num_cpus=cpus,
        resources={device_resource(device): 1 for device in devices},
        include_dashboard=False,
        log_to_driver=False,
        logging_level="ERROR",
        configure_logging=False,
    )
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_terminate)  # ray takes the signal for itself and would abort
    try:
        yield
    finally:
        ray.shutdown()
