"""A job sent to a Ray cluster as a Ray Job: its driver runs there, with the code that travels along.

The truth about the job stays the store. The sender takes the lease of the job, so that nobody else begins it; the
driver on the cluster adopts that lease, once, by its fencing token. A Ray Job that is lost before or after that leaves
a lease that ends, and the job is taken up like any other.
"""

import logging
import os
import shlex
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import URL

from nas.cluster import ray
from nas.jobspec.errors import JobSpecError, Problem
from nas.jobspec.places import named
from nas.travelling_code import travelling_code
from storage.database import parse_url
from storage.errors import LeaseLost, StoreError
from storage.records import JobStatus, Lease
from storage.store import ResultStore

SENT_LEASE_SECONDS = 60.0
"""How long a job waits for its Ray Job when nobody says any more that it is on its way."""

_LOOK_SECONDS = 0.5
_BEAT_SECONDS = 10.0
_SECRETS = ("password", "sslpassword")


class RayJobFailed(RuntimeError):
    """The cluster does not take the job, or its driver ended before it began; the message is the cause."""


def check_places(job: Any, source: str) -> None:
    """Refuse a job that names files by relative paths: what they are relative to is not on the cluster's nodes.

    Raises:
        JobSpecError: with each of them.
    """
    problems = [
        Problem(where, f"{path!r} is relative; on a Ray cluster a file has its absolute path, the same on all machines")
        for where, path in named(job)
        if not Path(path).is_absolute()
    ]
    if problems:
        raise JobSpecError(source, problems)


def cluster_environment(store_url: str, allow_code: bool) -> dict[str, str]:
    """The environment of a driver on a cluster: where the store and its files are. It holds no secret.

    Everybody who may look at a cluster sees it, so a password in the URL of the store stays here; PostgreSQL's client
    finds the one of the nodes in their `~/.pgpass`, `PGPASSFILE` or `PGPASSWORD`.

    Raises:
        ValueError: the nodes of a cluster could not find the store or its files.
    """
    url = parse_url(store_url)
    artifacts = os.environ.get("NAS_ARTIFACTS")
    if url.get_backend_name() == "sqlite":
        path = Path(url.database or "")
        if not path.is_absolute():
            raise ValueError(
                f"store {store_url!r} is relative; on a Ray cluster it is a PostgreSQL server, or a file by its "
                f"absolute path on a disk that all nodes share: sqlite:////DISK/FILE"
            )
        artifacts = artifacts or str(path.parent / "nas_artifacts")
    if artifacts is None or not Path(artifacts).is_absolute():
        raise ValueError(
            f"NAS_ARTIFACTS must be the absolute path of a folder for the files of jobs that all nodes of the Ray "
            f"cluster share (got {artifacts!r})"
        )
    open_url = URL.create(
        url.drivername,
        url.username,
        None,
        url.host,
        url.port,
        url.database,
        url.difference_update_query(_SECRETS).query,
    )
    return {
        "NAS_STORE": open_url.render_as_string(hide_password=False),
        "NAS_ARTIFACTS": artifacts,
        "NAS_ALLOW_CODE": str(int(allow_code)),
    }


class RayJobs:
    """The Ray Jobs of a cluster.

    Args:
        address: of its dashboard, such as `http://127.0.0.1:8265`. Where the cluster wants a token, Ray's own settings
            name it (`RAY_AUTH_TOKEN_PATH` or `RAY_AUTH_TOKEN`).

    Raises:
        ValueError: this is no such address.
        RayJobFailed: nobody answers there, the token is wrong, or what is needed to ask is not installed.
    """

    def __init__(self, address: str) -> None:
        given = urlsplit(address)
        if given.scheme not in ("http", "https") or not given.hostname or "@" in given.netloc:
            shown = given._replace(netloc=given.netloc.rpartition("@")[2]).geturl()
            raise ValueError(
                f"--address must be that of a Ray dashboard, such as http://127.0.0.1:8265, without a password "
                f"(got {shown!r})"
            )
        from ray.job_submission import JobSubmissionClient

        for name in ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS"):  # they would win over what was asked for
            os.environ.pop(name, None)
        self._address = address
        logging.getLogger("ray").setLevel(logging.WARNING)  # it tells what it packs
        logging.getLogger("ray.dashboard").setLevel(logging.WARNING)
        try:
            self._client = JobSubmissionClient(address)
        except (RuntimeError, OSError, ray.exceptions.RayError) as error:
            hint = "; pip install 'nas-service[cluster]'" if "ray[default]" in str(error) else ""
            raise RayJobFailed(f"no Ray cluster takes jobs at {address}: {_line(error)}{hint}") from error

    @property
    def owner(self) -> str:
        """Who has the lease of a job that is on its way."""
        return f"a Ray Job at {self._address}"

    def send(self, store: ResultStore, lease: Lease, environment: Mapping[str, str]) -> None:
        """Send a job that was begun with `owner`, and return once its driver has begun.

        Raises:
            RayJobFailed: the cluster did not take it, and it waits in the store; or its driver could not begin, and it
                is FAILED.
            KeyboardInterrupt: it waits in the store, and its Ray Job will not begin it.
        """
        words = ["python", "-m", "nas", "resume", lease.job_id, "--adopt", str(lease.fence), "--address", "auto"]
        try:
            with travelling_code() as code:
                sent = self._client.submit_job(
                    entrypoint=shlex.join(["exec", *words]),
                    submission_id=f"{lease.job_id}-{lease.fence}",
                    runtime_env={"working_dir": str(code), "env_vars": dict(environment)},
                )
            cause = self._refusal(store, lease, sent)
            store.finish(lease, JobStatus.FAILED, cause)
        except LeaseLost:
            return  # its driver has it, or somebody ended it
        except StoreError:
            raise  # the lease ends by itself
        except (RuntimeError, OSError, ray.exceptions.RayError) as error:
            lost = f"the Ray cluster at {self._address} did not begin it: {_line(error)}"
            with suppress(LeaseLost):
                store.finish(lease, JobStatus.QUEUED, lost)
                raise RayJobFailed(f"{lost}; it waits") from error
            return
        except BaseException:
            with suppress(LeaseLost):
                store.finish(lease, JobStatus.QUEUED)
            raise
        raise RayJobFailed(cause)

    def _refusal(self, store: ResultStore, lease: Lease, sent: str) -> str:
        """Why a Ray Job ended without beginning.

        Raises:
            LeaseLost: it has begun.
        """
        beaten = time.monotonic()
        while True:
            status = self._client.get_job_status(sent)
            if status.is_terminal():
                store.heartbeat(lease)  # raises when its driver was there meanwhile
                told = self._client.get_job_info(sent).message
                return _last_words(self._client.get_job_logs(sent)) or f"its Ray Job {sent} is {status}: {told}"
            if store.job(lease.job_id).fence != lease.fence:
                store.heartbeat(lease)
            if time.monotonic() - beaten > _BEAT_SECONDS:
                store.heartbeat(lease)
                beaten = time.monotonic()
            time.sleep(_LOOK_SECONDS)


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]


def _last_words(log: str) -> str:
    """The last line that a driver wrote."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    return lines[-1].removeprefix("error: ") if lines else ""
