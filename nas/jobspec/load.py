"""From a job file to a `JobSpec`, or to everything that is wrong with it."""

import json
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from nas.jobspec.consistency import inconsistencies
from nas.jobspec.device_file import with_files
from nas.jobspec.document import read_document
from nas.jobspec.errors import JobSpecError, Problem
from nas.jobspec.owners import owner_problems
from nas.jobspec.places import outside
from nas.jobspec.spec import JobSpec, with_defaults
from nas.jobspec.structure import ordered, structure_problems
from nas.jobspec.wording import shown
from search_spaces.space_file import SpaceFileError, code_hash, read_code


def load_job(path: Path | str, *, allow_code: bool = False) -> JobSpec:
    """Read a job file, YAML or (`.json`) JSON.

    Relative paths in the file are relative to its folder; in the result they are absolute.

    Args:
        path: the file.
        allow_code: whether the job may bring Python code, a search space of its own, which is run here.

    Raises:
        JobSpecError: the file cannot be read, or the job in it has problems; all of them are listed.
    """
    path = Path(path)
    return parse_job(read_document(path), source=str(path), folder=path.parent, allow_code=allow_code)


def parse_job(
    job: Any,
    *,
    source: str = "job",
    folder: Path | None = None,
    allow_code: bool = False,
    allowed_folders: Sequence[Path] | None = None,
) -> JobSpec:
    """Judge a plain job, such as JSON from a request or `JobSpec.model_dump()`.

    Args:
        job: plain values, as JSON has them.
        source: what the job came from, for the message.
        folder: what relative paths are relative to; the working directory if not given.
        allow_code: whether the job may bring Python code; it is never run otherwise.
        allowed_folders: where the files that the job names must lie; anywhere if not given. A job that names others
            is refused before any file is looked at.

    Raises:
        JobSpecError: every problem, in the order of the file.
    """
    if not isinstance(job, Mapping):
        keys = ", ".join(JobSpec.model_fields)
        raise JobSpecError(source, [Problem((), f"a job is a mapping with the keys {keys} (got {shown(job)})")])
    try:
        json.dumps(job, allow_nan=False, ensure_ascii=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise JobSpecError(source, [Problem((), f"a job holds only what JSON can hold: {error}")]) from error
    if allowed_folders is not None and (problems := outside(job, folder, allowed_folders)):
        raise JobSpecError(source, ordered(problems, job))
    located, problems = _located(job, folder)
    if allowed_folders is not None and (hidden := outside(located, folder, allowed_folders)):  # files name files, too
        raise JobSpecError(source, ordered(hidden, job))
    spec = None
    try:
        spec = JobSpec.model_validate(located)
    except ValidationError as error:
        found = structure_problems(error, JobSpec)
        problems += found
        if any(details["type"] != "inconsistent" for details in error.errors()):
            # pydantic does not compare sections while one of them is wrong in itself.
            told = {problem.location for problem in found if len(problem.location) > 1}  # options, not whole sections
            problems += [each for each in inconsistencies(with_defaults(located)) if each.location not in told]
    problems += owner_problems(located, allow_code=allow_code)
    if problems or spec is None:
        raise JobSpecError(source, ordered(problems, job))
    return spec


def _located(job: Mapping[str, Any], folder: Path | None) -> tuple[dict[str, Any], list[Problem]]:
    """The job with absolute paths, and a problem where there are no data.

    A file with a space gets its SHA-256 noted, unless the job has it already; what is wrong with it its owner tells.
    """
    located, problems = dict(job), []
    for section in ("data", "space"):
        given = located.get(section)
        if not (isinstance(given, Mapping) and isinstance(given.get("path"), str) and given["path"]):
            continue
        place = Path(os.path.normpath((folder or Path()).absolute() / given["path"]))
        located[section] = {**given, "path": str(place)}
        if section == "space":
            if given.get("sha256") is None:
                with suppress(SpaceFileError):
                    located[section]["sha256"] = code_hash(read_code(place))
            continue
        try:
            place.stat()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            problems.append(Problem((section, "path"), f"{str(place)!r} cannot be read: {reason}"))
    if isinstance(strategy := located.get("strategy"), Mapping):
        located["strategy"] = _located_strategy(strategy, folder)
    if located.get("devices") is not None:
        located["devices"], unread = with_files(located["devices"], folder)
        problems += unread
    return located, problems


def _located_strategy(section: Mapping[str, Any], folder: Path | None) -> dict[str, Any]:
    """The section of a strategy with absolute paths of what tells its costs; anything else as it was."""
    cost = section.get("cost")
    if not isinstance(cost, Mapping):
        return dict(section)
    base = (folder or Path()).absolute()
    files = {key: cost[key] for key in ("table", "predictor") if isinstance(cost.get(key), str) and cost[key]}
    return {**section, "cost": {**cost, **{key: os.path.normpath(base / file) for key, file in files.items()}}}
