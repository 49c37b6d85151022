"""What an operator decides about a service."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """How a service runs and what it lets its users do.

    Attributes:
        store_url: the result store.
        folder: where the files of its jobs lie.
        tokens: whether a request needs a token; without, everybody who reaches the service may do everything.
        data_folders: where files that jobs name must lie.
        allow_code: whether jobs may bring Python code.
        drivers: jobs that run at once; 0 leaves running to others.
        tasks: exports and profiles that run at once.
        hosts: names under which the service is reached, besides addresses and this machine's own.
        proxies: addresses or networks of proxies that are believed when they say that a request came by HTTPS.
        job_bytes: largest job.
        model_bytes: largest uploaded model.
        profile_seconds: how long profiling an uploaded model may take.
        ray_address: of the Ray cluster that jobs run on; each has one of its own on this machine if not given.
    """

    store_url: str
    folder: Path
    tokens: bool = True
    data_folders: Sequence[Path] = ()
    allow_code: bool = False
    drivers: int = 1
    tasks: int = 1
    hosts: Sequence[str] = ()
    proxies: Sequence[str] = ()
    job_bytes: int = 1 << 20
    model_bytes: int = 512 << 20
    profile_seconds: float = 120.0
    ray_address: str | None = None
