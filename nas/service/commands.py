"""Our own commands as processes: what a service leaves to them, and where they find its store and files."""

import os
import sys

from nas.service.settings import ServiceSettings

TRY_AGAIN = 75
"""The exit code of a command that could not reach its store, or came too late: no fault of a job (`EX_TEMPFAIL`)."""


def command(*arguments: str) -> list[str]:
    """The words of `nas ...`, run by this very Python."""
    return [sys.executable, "-m", "nas", *arguments]


def environment(settings: ServiceSettings) -> dict[str, str]:
    """The store, the folder of its files, the Ray cluster and whether code is allowed: no command line shows them."""
    told = {
        "NAS_STORE": settings.store_url,
        "NAS_ARTIFACTS": str(settings.folder),
        "NAS_ALLOW_CODE": str(int(settings.allow_code)),
    }
    return os.environ | told | ({"NAS_RAY_ADDRESS": settings.ray_address} if settings.ray_address else {})
