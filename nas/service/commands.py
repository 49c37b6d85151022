"""Our own commands as processes: what a service leaves to them, and where they find its store and files."""

import os
import sys

from nas.service.settings import ServiceSettings


def command(*arguments: str) -> list[str]:
    """The words of `nas ...`, run by this very Python."""
    return [sys.executable, "-m", "nas", *arguments]


def environment(settings: ServiceSettings) -> dict[str, str]:
    """The store, the folder of its files and whether code is allowed, never on a command line that others see."""
    return os.environ | {
        "NAS_STORE": settings.store_url,
        "NAS_ARTIFACTS": str(settings.folder),
        "NAS_ALLOW_CODE": str(int(settings.allow_code)),
    }
