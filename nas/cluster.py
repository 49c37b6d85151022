"""The Ray cluster that a search runs on: one of its own on loopback, ended with the search, or one that is there."""

import json
import os
import secrets
import signal
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any

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
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

from nas.travelling_code import travelling_code

_REACH_SECONDS = 10.0
_SHARE = 0.001
"""Of a device's resource that the actor of one job takes, so that those of other jobs have a place, too."""


def device_resource(device: str) -> str:
    """The custom resource of a device; a node that holds the device offers one of it."""
    return f"device:{device}"


class ClusterUnfit(RuntimeError):
    """A cluster cannot be reached, or lacks what a job needs."""


def at_device(device: str) -> dict[str, Any]:
    """Options of an actor or task that runs where a device is, if the cluster knows that.

    Jobs on the same cluster share a device: each has an actor there, and these measure in turn
    (`profilers.device_lock`). A device that is reached over the network can be asked from any node and keeps its own
    queue.
    """
    resource = device_resource(device)
    return {"num_cpus": 0, "resources": {resource: _SHARE} if resource in ray.cluster_resources() else {}}


@contextmanager
def joined_cluster(address: str, on_nodes: Sequence[str]) -> Iterator[None]:
    """A Ray cluster that runs already, left on leaving. Our code comes from here, or with the Ray Job that we are.

    Where it wants a token, Ray's own settings name it (`RAY_AUTH_TOKEN_PATH` or `RAY_AUTH_TOKEN`).

    Args:
        address: its head, HOST:PORT, or `auto` for the one on this machine.
        on_nodes: devices that are nodes of the cluster themselves, not reached over the network.

    Raises:
        ClusterUnfit: nobody answers there, or no node offers one of the devices.
    """
    _reach(address)
    on_terminate = signal.getsignal(signal.SIGTERM)
    in_ray_job = RAY_JOB_CONFIG_JSON_ENV_VAR in os.environ
    try:
        with nullcontext() if in_ray_job else travelling_code() as code:
            ray.init(
                address=address,
                runtime_env=None if code is None else {"working_dir": str(code)},
                log_to_driver=False,
                logging_level="ERROR",
                configure_logging=False,
            )
    except (ConnectionError, RuntimeError, ValueError, ray.exceptions.RayError) as error:
        raise ClusterUnfit(f"the Ray cluster at {address} cannot be joined: {error}") from error
    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, on_terminate)
    try:
        offered = ray.cluster_resources()
        missing = [device for device in on_nodes if device_resource(device) not in offered]
        if missing:
            wanted = json.dumps({device_resource(missing[0]): 1})
            raise ClusterUnfit(
                f"no node of the Ray cluster at {address} offers the device {', '.join(missing)}; on the machine that "
                f"is the device: ray start --address={address} --resources='{wanted}'"
            )
        yield
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Refuse a head where nobody listens: Ray itself would try for minutes."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _REACH_SECONDS).close()
    except (OSError, ValueError, OverflowError) as error:
        raise ClusterUnfit(f"no Ray cluster answers at {address!r}, which must be HOST:PORT or auto: {error}") from None


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
