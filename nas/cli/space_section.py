"""The search space that a command names."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from nas.jobspec.document import read_document


def space_section(given: str) -> dict[str, Any]:
    """The section of a space: of a job file, or a name alone.

    Raises:
        ValueError: the file cannot be read, or has no such section.
    """
    if not re.fullmatch(r"[A-Za-z0-9_]+", given):
        job = read_document(Path(given))
        found = job.get("space") if isinstance(job, Mapping) else None
        if isinstance(found, str):
            return {"name": found}
        if not isinstance(found, Mapping) or "name" not in found:
            raise ValueError(f"--space {given}: the file has no section 'space' with a name")
        return dict(found)
    return {"name": given}
